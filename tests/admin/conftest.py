"""Operators work beside an api that runs."""

from tests.api.conftest import api, clock

__all__ = ["api", "clock"]
