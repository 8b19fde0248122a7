"""Sessions: which events belong to one, and how long it lasts."""
