"""This process's cache of the token projection, and how long its entries are valid (docs/decisions/0003).

Known entries are valid for a minute and unknown ones for 5 seconds; the eviction channel removes both
immediately. While that channel is silent, entries are valid for one second. While Redis is unreachable, known
ones are valid for up to `HEADRACE_STALE_TOKEN_SECONDS`. A key is unknown only if the projection is fresh.

Concurrent look-ups of a key are combined. Unknown keys are cached separately, so that a flood of wrong tokens
evicts no token that is in use, and look-ups of them are limited for each client.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from math import inf
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
    Lookup,
    is_fresh,
)
from collector.domain.access.projection import OrganizationEntry, ProjectEntry
from collector.domain.access.token import TokenEntry
from collector.domain.errors import Unavailable
from collector.domain.reasons import QUEUE_UNAVAILABLE, TOKENS
from collector.process.clock import Clock
from collector.process.metrics import IngestMetrics

KNOWN_SECONDS: Final = 60.0
UNKNOWN_SECONDS: Final = 5.0
SILENT_CHANNEL_SECONDS: Final = 1.0
CHANNEL_TIMEOUT_SECONDS: Final = 0.75
"""The channel sends a heartbeat every quarter of a second; without one for this long it counts as silent."""

_MAX_ENTRIES: Final = 20_000
_MAX_UNKNOWN: Final = 10_000
"""Keys have at most 24 characters: about 2 MB."""
_RECONNECT_SECONDS: Final = 0.25
_RETRY_SECONDS: Final = 1.0

_log = structlog.get_logger()

AnyEntry = TypeVar("AnyEntry", bound=msgspec.Struct)
AnyKey = TypeVar("AnyKey", bound=str | bytes)
AnyValue = TypeVar("AnyValue")


class TokenSource(Protocol):
    """The projection as ingest reads it. All methods raise BrokerUnavailable."""

    async def find_token(self, lookup: str) -> Lookup[TokenEntry]: ...  # noqa: D102

    async def find_project(self, project_id: bytes) -> Lookup[ProjectEntry]: ...  # noqa: D102

    async def find_organization(self, organization_id: bytes) -> Lookup[OrganizationEntry]: ...  # noqa: D102

    def evictions(self) -> AsyncIterator[Eviction | None]: ...  # noqa: D102


class LookupGuard(Protocol):
    """Limits look-ups of keys that are not cached. `count` raises TooManyRequests."""

    def count(self) -> None: ...  # noqa: D102

    def take_back(self) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class _Cached(Generic[AnyEntry]):
    entry: AnyEntry
    since: float


class _Outage:
    """While Redis does not answer, it is tried once a second, not once per post."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = float("-inf")

    @property
    def is_recent(self) -> bool:
        return self._clock.monotonic() < self._until

    def note(self) -> None:
        self._until = self._clock.monotonic() + _RETRY_SECONDS


class _EntryCache(Generic[AnyKey, AnyEntry]):
    """Entries of one kind by key, looked up when they are no longer valid."""

    def __init__(
        self,
        find: Callable[[AnyKey], Awaitable[Lookup[AnyEntry]]],
        outage: _Outage,
        clock: Clock,
        metrics: IngestMetrics,
    ) -> None:
        self._find = find
        self._outage = outage
        self._clock = clock
        self._metrics = metrics
        self._entries: dict[AnyKey, _Cached[AnyEntry]] = {}
        self._unknown: dict[AnyKey, float] = {}
        self._flights: dict[AnyKey, asyncio.Future[Lookup[AnyEntry] | BrokerUnavailable | None]] = {}
        self._evictions = 0

    async def get(
        self, key: AnyKey, valid_seconds: float, stale_seconds: float, guard: LookupGuard | None = None
    ) -> AnyEntry | None:
        """The entry, or None if there certainly is none. Raises Unavailable if that is not known."""
        held = self._entries.get(key)
        if held is not None:
            if self._clock.monotonic() - held.since <= valid_seconds:
                return held.entry
            guard = None  # a token that was known is not a guess
        else:
            since = self._unknown.get(key)
            age = self._clock.monotonic() - since if since is not None else inf
            if age <= min(valid_seconds, UNKNOWN_SECONDS):
                return None
        # Neither entry is valid any more: ask Redis, or use the stale entry during an outage.
        if self._outage.is_recent:
            return self._stale(held, stale_seconds)
        found = await self._look_up(key, guard)
        if isinstance(found, BrokerUnavailable):
            return self._stale(held, stale_seconds)
        if found.entry is None and not is_fresh(found.swept_seconds_ago):
            raise Unavailable(TOKENS.sentence)
        return found.entry

    def forget(self, key: AnyKey) -> None:
        """Forget a key and any running look-up of it: the next caller starts another."""
        self._evictions += 1
        self._entries.pop(key, None)
        self._unknown.pop(key, None)
        self._flights.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._evictions += 1
        self._entries.clear()
        self._unknown.clear()
        self._flights.clear()

    async def _look_up(self, key: AnyKey, guard: LookupGuard | None) -> Lookup[AnyEntry] | BrokerUnavailable:
        """Look the key up once for all concurrent callers.

        The first caller does it. If that one is cancelled (its client disconnected), the next one does.
        """
        # Another caller asks already: wait for its answer, unless it is cancelled.
        while (flight := self._flights.get(key)) is not None:
            answer = await asyncio.shield(flight)
            if answer is not None:
                return answer
        if guard is not None:
            guard.count()
        answer = None
        self._flights[key] = flight = asyncio.get_running_loop().create_future()
        try:
            answer = await self._ask(key)
        finally:
            # Clearing the cache may have removed this flight, and another caller begun a new one.
            if self._flights.get(key) is flight:
                del self._flights[key]
            flight.set_result(answer)
            is_unknown = isinstance(answer, Lookup) and answer.entry is None
            if guard is not None and not is_unknown:
                guard.take_back()
        return answer

    async def _ask(self, key: AnyKey) -> Lookup[AnyEntry] | BrokerUnavailable:
        evictions = self._evictions
        try:
            found = await self._find(key)
        except BrokerUnavailable as error:
            self._outage.note()
            return error
        self._metrics.projection_age_seconds.set(found.swept_seconds_ago or 0.0)
        if evictions != self._evictions:
            return found  # It may be out of date already: use it for this request only.
        now = self._clock.monotonic()
        if found.entry is not None:
            self._unknown.pop(key, None)
            _put(self._entries, key, _Cached(found.entry, now), _MAX_ENTRIES)
        elif is_fresh(found.swept_seconds_ago):
            self._entries.pop(key, None)
            _put(self._unknown, key, now, _MAX_UNKNOWN)
        return found

    def _stale(self, held: _Cached[AnyEntry] | None, stale_seconds: float) -> AnyEntry:
        """The entry cached before Redis became unreachable, while it may still be used."""
        age = self._clock.monotonic() - held.since if held is not None else 0.0
        if held is None or age > stale_seconds:
            raise Unavailable(QUEUE_UNAVAILABLE.sentence)
        self._metrics.stale_tokens_used.inc()
        return held.entry


def _put(entries: dict[AnyKey, AnyValue], key: AnyKey, value: AnyValue, max_entries: int) -> None:
    """Put an entry, evicting the oldest ones beyond the bound."""
    entries.pop(key, None)
    while len(entries) >= max_entries:
        del entries[next(iter(entries))]
    entries[key] = value


class TokenCache:
    """The tokens, projects and organizations of the projection, cached."""

    def __init__(
        self, source: TokenSource, clock: Clock, metrics: IngestMetrics, stale_seconds: float
    ) -> None:
        self._source = source
        self._clock = clock
        self._stale_seconds = stale_seconds
        self._metrics = metrics
        self._last_heartbeat = float("-inf")
        self.evictions = 0
        """The number of evictions so far: while it does not change, earlier results are still valid."""
        outage = _Outage(clock)
        self._tokens = _EntryCache(source.find_token, outage, clock, metrics)
        self._projects = _EntryCache(source.find_project, outage, clock, metrics)
        self._organizations = _EntryCache(source.find_organization, outage, clock, metrics)

    async def token(self, lookup: str, guard: LookupGuard | None = None) -> TokenEntry | None:
        """The token with these first 24 characters. The guard limits look-ups of uncached tokens."""
        return await self._tokens.get(lookup, self._valid_seconds, self._stale_seconds, guard)

    async def project(self, project_id: bytes) -> ProjectEntry | None:
        """The project with this id."""
        return await self._projects.get(project_id, self._valid_seconds, self._stale_seconds)

    async def organization(self, organization_id: bytes) -> OrganizationEntry | None:
        """The organization with this id."""
        return await self._organizations.get(organization_id, self._valid_seconds, self._stale_seconds)

    async def follow(self) -> None:
        """Evict what the channel announces, and reconnect until cancelled; a reconnect forgets everything.

        Unexpected errors are handled like a lost channel: meanwhile entries are valid for a second.
        """
        while True:
            try:
                async for eviction in self._source.evictions():
                    # Announcements may have been missed during the silence.
                    if self.is_silent:
                        self._clear()
                    self._last_heartbeat = self._clock.monotonic()
                    if eviction is not None:
                        self._apply(eviction)
            except BrokerUnavailable as error:
                if self._last_heartbeat > float("-inf"):
                    _log.warning("eviction channel lost", reason=str(error))
            except Exception:  # noqa: BLE001 - the loop must survive; counted and logged
                self._metrics.background_failures.labels("evictions").inc()
                _log.exception("the eviction channel failed")
            self._last_heartbeat = float("-inf")
            await asyncio.sleep(_RECONNECT_SECONDS)

    @property
    def is_silent(self) -> bool:
        """Whether announcements may have been missed."""
        return self._clock.monotonic() - self._last_heartbeat > CHANNEL_TIMEOUT_SECONDS

    @property
    def _valid_seconds(self) -> float:
        return SILENT_CHANNEL_SECONDS if self.is_silent else KNOWN_SECONDS

    def _apply(self, eviction: Eviction) -> None:
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
