"""Counters that limit attempts and requests."""
