"""What must add up: the ledger of posts and events, and usage."""
