"""Fakes that tests control. Those of an adapter pass the conformance suite of the real one."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from collector.broker.token_projection import EVERYTHING, Eviction, Lookup
from collector.domain.access.projection import OrganizationEntry, ProjectEntry, Projection
from collector.domain.access.token import TokenEntry
from collector.domain.post import PostBatch
from tests.support.factories import ACCEPTED_MS


class FakeClock:
    """A clock that only a test advances."""

    def __init__(self, now_ms: int = ACCEPTED_MS) -> None:
        self._now_ms = now_ms
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._now_ms / 1000, UTC)

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_ms += round(seconds * 1000)
        self._monotonic += seconds


def clock_of(now: datetime) -> FakeClock:
    """A clock that stands at this time."""
    return FakeClock(round(now.timestamp() * 1000))


class FakePostSink:
    """Keeps batches in memory. Hold `gate` to keep writes in flight; `failures` are raised one by one."""

    def __init__(self) -> None:
        self.appended: list[tuple[int, PostBatch]] = []
        self.attempts: list[tuple[int, PostBatch]] = []
        self.failures: list[Exception] = []
        self.gate = asyncio.Semaphore(1_000_000)

    async def append(self, shard: int, batch: PostBatch) -> None:
        self.attempts.append((shard, batch))
        async with self.gate:
            if self.failures:
                raise self.failures.pop(0)
            self.appended.append((shard, batch))


class FakeTokenProjection:
    """A projection in memory, with a channel that a test can cut."""

    def __init__(self) -> None:
        self.projection = Projection()
        self.swept_seconds_ago: float | None = 0.0
        self.failure: Exception | None = None
        self.lookups = 0
        self._channels: list[asyncio.Queue[Eviction | Exception | None]] = []

    async def find_token(self, lookup: str) -> Lookup[TokenEntry]:
        return self._found(self.projection.tokens.get(lookup))

    async def find_project(self, project_id: bytes) -> Lookup[ProjectEntry]:
        return self._found(self.projection.projects.get(project_id))

    async def find_organization(self, organization_id: bytes) -> Lookup[OrganizationEntry]:
        return self._found(self.projection.organizations.get(organization_id))

    async def evictions(self) -> AsyncIterator[Eviction | None]:
        channel: asyncio.Queue[Eviction | Exception | None] = asyncio.Queue()
        self._channels.append(channel)
        yield None
        while True:
            message = await channel.get()
            if isinstance(message, Exception):
                self._channels.remove(channel)
                raise message
            yield message

    @property
    def has_followers(self) -> bool:
        return bool(self._channels)

    def announce(self, eviction: Eviction | None = Eviction(EVERYTHING)) -> None:  # noqa: B008 - frozen
        """Send the eviction to every follower."""
        for channel in self._channels:
            channel.put_nowait(eviction)

    def cut_channel(self, error: Exception) -> None:
        """Every follower loses its channel."""
        for channel in list(self._channels):
            channel.put_nowait(error)

    def _found(self, entry: "TokenEntry | ProjectEntry | OrganizationEntry | None") -> "Lookup":  # type: ignore[type-arg]
        self.lookups += 1
        if self.failure is not None:
            raise self.failure
        return Lookup(entry, self.swept_seconds_ago)
