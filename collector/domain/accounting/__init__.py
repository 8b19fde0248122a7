"""The ledger that reconciles posts and events, and usage statistics."""
