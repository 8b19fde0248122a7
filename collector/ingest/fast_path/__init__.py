"""The fast path: ordinary posts bypass routing and repeated authentication."""
