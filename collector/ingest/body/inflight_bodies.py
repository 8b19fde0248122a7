"""Bounds the memory of bodies that are still arriving, by giving up the oldest one.

The oldest is most likely an attacker's, who sends slowly on many connections: honest bodies arrive quickly.
Bodies that arrive in one piece are not counted.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

MOST_BYTES: Final = 64 * 1024 * 1024
_LARGEST_BODIES: Final = 4
"""This many bodies of the largest size fit in, whatever the limit on bodies is."""


@dataclass(slots=True, eq=False)
class InflightBody:
    """The part of a body that has arrived. Its deadline is moved to now if it is given up."""

    deadline: asyncio.Timeout
    data: bytearray = field(default_factory=bytearray)
    was_given_up: bool = False


class InflightBodies:
    """All bodies that are arriving, the oldest first."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._bodies: dict[InflightBody, None] = {}

    @contextmanager
    def begin(self, deadline: asyncio.Timeout) -> Iterator[InflightBody]:
        """Count one more body until it is complete or given up."""
        body = InflightBody(deadline)
        self._bodies[body] = None
        try:
            yield body
        finally:
            self._remove(body)

    def add(self, body: InflightBody, piece: bytes) -> None:
        """Append a piece to the body; give up the oldest bodies if all together exceed the bound."""
        body.data += piece
        if body in self._bodies:
            self._size_bytes += len(piece)
            while self._size_bytes > self._most_bytes:
                oldest = next(iter(self._bodies))
                self._remove(oldest)
                oldest.was_given_up = True
                if not oldest.deadline.expired():
                    oldest.deadline.reschedule(asyncio.get_running_loop().time())

    def _remove(self, body: InflightBody) -> None:
        if body in self._bodies:
            del self._bodies[body]
            self._size_bytes -= len(body.data)


def make_inflight_bodies(body_limit_bytes: int) -> InflightBodies:
    """The bodies of an ingest process that accepts bodies up to this limit."""
    return InflightBodies(max(MOST_BYTES, _LARGEST_BODIES * body_limit_bytes))
