"""The fast path: ordinary posts past routing and the second look at credentials."""
