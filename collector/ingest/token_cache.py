"""What this process remembers of the token projection, and how long it may rely on it (design section 2).

Known entries count for a minute, unknown ones for 5 seconds, and the eviction channel removes either at once.
While that channel is silent, entries count for one second; while Redis is out of reach, known ones count up
to `HEADRACE_STALE_TOKEN_SECONDS`. Nothing is called unknown unless the projection is fresh.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

import msgspec
import structlog

from collector.broker.errors import BrokerUnavailable
from collector.broker.token_projection import (
    EVERYTHING,
    ORGANIZATION,
    PROJECT,
    TOKEN,
    Eviction,
    Found,
    is_fresh,
)
from collector.domain.errors import Unavailable
from collector.domain.projection import OrganizationEntry, ProjectEntry
from collector.domain.reasons import QUEUE_UNAVAILABLE, TOKENS
from collector.domain.token import TokenEntry
from collector.process.clock import Clock
from collector.process.metrics import IngestMetrics

KNOWN_SECONDS: Final = 60.0
UNKNOWN_SECONDS: Final = 5.0
SILENT_CHANNEL_SECONDS: Final = 1.0
CHANNEL_PATIENCE_SECONDS: Final = 0.75
"""The channel gives a sign of life every quarter second; after this long without one it counts as silent."""

_ENTRIES_AT_MOST: Final = 20_000
_RECONNECT_SECONDS: Final = 0.25
_ASK_AGAIN_SECONDS: Final = 1.0

_log = structlog.get_logger()

AnyEntry = TypeVar("AnyEntry", bound=msgspec.Struct)
AnyKey = TypeVar("AnyKey", bound=str | bytes)


class TokenSource(Protocol):
    """The projection as the door reads it. All raise BrokerUnavailable."""

    async def find_token(self, lookup: str) -> Found[TokenEntry]: ...  # noqa: D102

    async def find_project(self, project_id: bytes) -> Found[ProjectEntry]: ...  # noqa: D102

    async def find_organization(self, organization_id: bytes) -> Found[OrganizationEntry]: ...  # noqa: D102

    def evictions(self) -> AsyncIterator[Eviction | None]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class _Remembered(Generic[AnyEntry]):
    entry: AnyEntry | None
    since: float


class _Outage:
    """While Redis does not answer, it is asked once a second, not once for each post."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = float("-inf")

    @property
    def is_known(self) -> bool:
        return self._clock.monotonic() < self._until

    def note(self) -> None:
        self._until = self._clock.monotonic() + _ASK_AGAIN_SECONDS


class _Memory(Generic[AnyKey, AnyEntry]):
    """One kind of entry: remembered by key, looked up when it no longer counts."""

    def __init__(
        self,
        find: Callable[[AnyKey], Awaitable[Found[AnyEntry]]],
        outage: _Outage,
        clock: Clock,
        metrics: IngestMetrics,
    ) -> None:
        self._find = find
        self._outage = outage
        self._clock = clock
        self._metrics = metrics
        self._entries: dict[AnyKey, _Remembered[AnyEntry]] = {}
        self._evictions = 0

    async def get(self, key: AnyKey, counts_seconds: float, stale_seconds: float) -> AnyEntry | None:
        """The entry, or None when there is surely none. Raises Unavailable when that cannot be told."""
        held = self._entries.get(key)
        if held is not None:
            limit = counts_seconds if held.entry is not None else min(counts_seconds, UNKNOWN_SECONDS)
            if self._clock.monotonic() - held.since <= limit:
                return held.entry
        return await self._look_up(key, held, stale_seconds)

    def forget(self, key: AnyKey) -> None:
        """Forget one key, also where a look-up of it is under way."""
        self._evictions += 1
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._evictions += 1
        self._entries.clear()

    async def _look_up(
        self, key: AnyKey, held: _Remembered[AnyEntry] | None, stale_seconds: float
    ) -> AnyEntry | None:
        if self._outage.is_known:
            return self._stale(held, stale_seconds)
        evictions = self._evictions
        try:
            found = await self._find(key)
        except BrokerUnavailable:
            self._outage.note()
            return self._stale(held, stale_seconds)
        self._metrics.projection_age_seconds.set(found.swept_seconds_ago or 0.0)
        if found.entry is None and not is_fresh(found.swept_seconds_ago):
            raise Unavailable(TOKENS.sentence)
        if evictions == self._evictions:
            self._remember(key, found.entry)
        return found.entry

    def _stale(self, held: _Remembered[AnyEntry] | None, stale_seconds: float) -> AnyEntry:
        """What was known before Redis went away, while that may still count."""
        age = self._clock.monotonic() - held.since if held is not None else 0.0
        if held is None or held.entry is None or age > stale_seconds:
            raise Unavailable(QUEUE_UNAVAILABLE.sentence)
        self._metrics.stale_tokens_used.inc()
        return held.entry

    def _remember(self, key: AnyKey, entry: AnyEntry | None) -> None:
        self._entries.pop(key, None)
        while len(self._entries) >= _ENTRIES_AT_MOST:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = _Remembered(entry, self._clock.monotonic())


class TokenCache:
    """Tokens, projects and organizations as the door knows them."""

    def __init__(
        self, source: TokenSource, clock: Clock, metrics: IngestMetrics, stale_seconds: float
    ) -> None:
        self._source = source
        self._clock = clock
        self._stale_seconds = stale_seconds
        self._metrics = metrics
        self._heard = float("-inf")
        self.evictions = 0
        """How often anything was forgotten: unchanged means that what was found before still stands."""
        outage = _Outage(clock)
        self._tokens = _Memory(source.find_token, outage, clock, metrics)
        self._projects = _Memory(source.find_project, outage, clock, metrics)
        self._organizations = _Memory(source.find_organization, outage, clock, metrics)

    async def token(self, lookup: str) -> TokenEntry | None:
        """The token with these first 24 characters."""
        return await self._tokens.get(lookup, self._counts_seconds, self._stale_seconds)

    async def project(self, project_id: bytes) -> ProjectEntry | None:
        """The project with this id."""
        return await self._projects.get(project_id, self._counts_seconds, self._stale_seconds)

    async def organization(self, organization_id: bytes) -> OrganizationEntry | None:
        """The organization with this id."""
        return await self._organizations.get(organization_id, self._counts_seconds, self._stale_seconds)

    async def follow(self) -> None:
        """Evict what the channel announces, reconnecting for ever; a reconnect forgets everything.

        Whatever else goes wrong is survived as a lost channel is: entries count for a second meanwhile.
        """
        while True:
            try:
                async for eviction in self._source.evictions():
                    self._hear(eviction)
            except BrokerUnavailable as error:
                if self._heard > float("-inf"):
                    _log.warning("eviction channel lost", reason=str(error))
            except Exception:  # noqa: BLE001 - the loop must survive; counted and logged
                self._metrics.background_failures.labels("evictions").inc()
                _log.exception("the eviction channel failed")
            self._heard = float("-inf")
            await asyncio.sleep(_RECONNECT_SECONDS)

    @property
    def is_silent(self) -> bool:
        """Whether announcements may have been missed."""
        return self._clock.monotonic() - self._heard > CHANNEL_PATIENCE_SECONDS

    def _hear(self, eviction: Eviction | None) -> None:
        if self.is_silent:
            self._clear()
        self._heard = self._clock.monotonic()
        if eviction is not None:
            self._evict(eviction)

    @property
    def _counts_seconds(self) -> float:
        return SILENT_CHANNEL_SECONDS if self.is_silent else KNOWN_SECONDS

    def _evict(self, eviction: Eviction) -> None:
        self.evictions += 1
        match eviction.kind:
            case kind if kind == TOKEN:
                self._tokens.forget(eviction.key.decode("utf-8", "surrogatepass"))
            case kind if kind == PROJECT:
                self._projects.forget(eviction.key)
            case kind if kind == ORGANIZATION:
                self._organizations.forget(eviction.key)
            case kind if kind == EVERYTHING:
                self._clear()
            case kind:
                _log.warning("unknown eviction", kind=kind)
                self._clear()

    def _clear(self) -> None:
        self.evictions += 1
        self._tokens.clear()
        self._projects.clear()
        self._organizations.clear()
