"""Session rows, and what changes an event after it is stored."""
