"""Rules about events, tokens and requests: pure functions on plain values, no I/O and no framework."""
