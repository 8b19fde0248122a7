"""Operators work beside an api that runs."""

from tests.api.conftest import api

__all__ = ["api"]
