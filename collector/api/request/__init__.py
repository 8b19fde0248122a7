"""Parsing requests and rendering pages of lists."""
