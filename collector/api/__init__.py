"""Reading events back and managing what they belong to."""
