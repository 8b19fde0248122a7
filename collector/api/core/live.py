"""Who is waiting for new events: one subscription of the process, shared by all pages that are open."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Final
from uuid import UUID

import structlog

from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.broker.live_feed import LiveFeed
from collector.domain.errors import TooManyRequests, Unavailable
from collector.process.lifecycle import cancelled, vital

STREAMS_OF_ONE: Final = 4
"""A browser opens six connections to a server: with more streams than these its lists would have to wait."""
_STREAMS: Final = 1000
_AGAIN_SECONDS: Final = 3.0
_SUBSCRIBE_SECONDS: Final = 2.0

_log = structlog.get_logger()


class Listener:
    """One open page: counts what has arrived since it last asked."""

    def __init__(self, projects: Collection[UUID]) -> None:
        self._projects = frozenset(project_id.bytes for project_id in projects)
        self._count = 0
        self._changed = asyncio.Event()
        self.is_closed = False

    def add(self, stored: Mapping[bytes, int]) -> None:
        """Count the events of the listener's own projects."""
        if count := sum(stored[project_id] for project_id in self._projects.intersection(stored)):
            self._count += count
            self._changed.set()

    def close(self) -> None:
        """End the listener: the process stops, or the channel is lost."""
        self.is_closed = True
        self._changed.set()

    async def take(self, longest_seconds: float) -> int:
        """How many events have arrived, as soon as there are any; 0 after `longest_seconds` without one."""
        try:
            async with asyncio.timeout(longest_seconds):
                await self._changed.wait()
        except TimeoutError:
            return 0
        if not self.is_closed:
            self._changed.clear()
        count, self._count = self._count, 0
        return count


class LiveEvents:
    """The listeners of a process, and the subscription that serves them while there are any."""

    def __init__(self, feed: LiveFeed) -> None:
        self._feed = feed
        self._listeners: set[Listener] = set()
        self._of_person: Counter[str] = Counter()
        self._is_closed = False
        self._is_wanted = asyncio.Event()
        self._is_followed = asyncio.Event()

    async def until_followed(self) -> None:
        """Wait until nothing that is announced is missed. Raises Unavailable if that takes too long."""
        self._is_wanted.set()
        try:
            async with asyncio.timeout(_SUBSCRIBE_SECONDS):
                await self._is_followed.wait()
        except TimeoutError:
            raise Unavailable("New events cannot be counted now: Redis does not answer.") from None

    @contextmanager
    def listener(self, person: str, projects: Collection[UUID]) -> Iterator[Listener]:
        """A listener for these projects. Raises TooManyRequests beyond `STREAMS_OF_ONE` of a person."""
        if self._of_person[person] >= STREAMS_OF_ONE or len(self._listeners) >= _STREAMS:
            raise TooManyRequests("Too many event streams are open.", retry_after_seconds=10)
        listener = Listener(projects)
        self._listeners.add(listener)
        self._of_person[person] += 1
        if self._is_closed:
            listener.close()
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            self._of_person[person] -= 1
            if not self._of_person[person]:
                del self._of_person[person]

    def close(self) -> None:
        """End all streams, so that the process can stop."""
        self._is_closed = True
        for listener in self._listeners:
            listener.close()

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Follow the channel inside the block."""
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(vital("live events", self._follow()))
            try:
                yield
            finally:
                self.close()
                await cancelled(following)

    async def _follow(self) -> None:
        # Operators' commands and apis that no page is open at never subscribe.
        await self._is_wanted.wait()
        while True:
            try:
                async for stored in self._feed.follow():
                    self._is_followed.set()
                    for listener in self._listeners:
                        listener.add(stored)
            except (BrokerUnavailable, BrokerFull) as error:
                _log.debug("the live channel is lost", why=str(error))
            # What is announced from here on is missed: the pages connect again, and fetch what they lack.
            self._is_followed.clear()
            for listener in self._listeners:
                listener.close()
            await asyncio.sleep(_AGAIN_SECONDS)
