"""Valkey and Postgres from wheels, for `headrace up` and the tests."""
