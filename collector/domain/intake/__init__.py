"""From the bytes of a post to its events."""
