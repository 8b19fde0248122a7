"""The event: how it is built, what is in it, and its possible outcomes."""
