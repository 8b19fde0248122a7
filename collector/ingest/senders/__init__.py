"""Authenticates senders and decides whether their posts are accepted now."""
