"""A pool on a test's own database."""

from tests.database.conftest import pool

__all__ = ["pool"]
