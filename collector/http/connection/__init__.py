"""One connection: its limits, how its requests are rewritten before routing, and the fast path."""
