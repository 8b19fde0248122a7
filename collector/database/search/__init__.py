"""Searches: filters, lists, counts and aggregations as SQL."""
