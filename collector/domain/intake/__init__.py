"""Turns the bytes of a post into events."""
