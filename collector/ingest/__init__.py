"""The hot path: know the sender, queue the body as it came, answer 202."""
