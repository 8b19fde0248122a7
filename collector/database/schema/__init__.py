"""The schema: migrations and daily partitions."""
