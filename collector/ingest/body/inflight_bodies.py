"""Bodies under way: how many bytes ingest holds of bodies that are not whole yet, and which one gives way.

Beyond the bound it is the one that has been under way longest: whoever sends slowly on many connections is in
his own way, for an honest body is whole soon. Bodies that arrive in one piece never come here.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

MOST_BYTES: Final = 64 * 1024 * 1024
_MOST_OF_THE_LARGEST: Final = 4
"""So many of the largest bodies must fit in, whatever their limit is."""


@dataclass(slots=True, eq=False)
class BodyUnderWay:
    """What has come of a body; it must be whole by its deadline, which is at once where it gave way."""

    deadline: asyncio.Timeout
    data: bytearray = field(default_factory=bytearray)
    gave_way: bool = False


class BodiesUnderWay:
    """All of them, the oldest first."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._bodies: dict[BodyUnderWay, None] = {}

    @contextmanager
    def begin(self, deadline: asyncio.Timeout) -> Iterator[BodyUnderWay]:
        """One more body, until it is whole or given up."""
        body = BodyUnderWay(deadline)
        self._bodies[body] = None
        try:
            yield body
        finally:
            self._remove(body)

    def add(self, body: BodyUnderWay, piece: bytes) -> None:
        """Keep a piece of it; where that is too much for all of them the oldest gives way."""
        body.data += piece
        if body in self._bodies:
            self._size_bytes += len(piece)
            while self._size_bytes > self._most_bytes:
                self._give_way(next(iter(self._bodies)))

    def _give_way(self, body: BodyUnderWay) -> None:
        self._remove(body)
        body.gave_way = True
        if not body.deadline.expired():
            body.deadline.reschedule(asyncio.get_running_loop().time())

    def _remove(self, body: BodyUnderWay) -> None:
        if body in self._bodies:
            del self._bodies[body]
            self._size_bytes -= len(body.data)


def bodies_within(body_limit_bytes: int) -> BodiesUnderWay:
    """Bodies of an ingest process that takes them up to this limit."""
    return BodiesUnderWay(max(MOST_BYTES, _MOST_OF_THE_LARGEST * body_limit_bytes))
