"""Headrace's HTTP side, and what it shares with the worker."""
