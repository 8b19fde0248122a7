"""Authentication: logging in, signing up, passwords, users."""
