"""What the HTTP applications share."""
