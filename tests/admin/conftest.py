"""Runs an api, which operators' commands share the servers with."""

from tests.api.conftest import api, clock

__all__ = ["api", "clock"]
