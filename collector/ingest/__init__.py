"""Accepts events: authenticates the sender, queues the body as it arrived, answers 202."""
