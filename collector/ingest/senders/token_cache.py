"""This process's cache of the token projection, and how long its entries are valid (docs/decisions/0003).

Known entries count for a minute, unknown ones for 5 seconds, and the eviction channel removes either at once.
While that channel is silent, entries count for one second; while Redis is out of reach, known ones count up
to `HEADRACE_STALE_TOKEN_SECONDS`. Nothing is called unknown unless the projection is fresh.

Look-ups of one key at the same time are one. What is unknown is remembered apart, so that a flood of wrong
tokens pushes out none that is in use, and such look-ups are limited for each client.
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
CHANNEL_PATIENCE_SECONDS: Final = 0.75
"""The channel gives a sign of life every quarter second; after this long without one it counts as silent."""

_ENTRIES_AT_MOST: Final = 20_000
_UNKNOWN_AT_MOST: Final = 10_000
"""Of keys that have at most 24 characters: about 2 MB."""
_RECONNECT_SECONDS: Final = 0.25
_ASK_AGAIN_SECONDS: Final = 1.0

_log = structlog.get_logger()

AnyEntry = TypeVar("AnyEntry", bound=msgspec.Struct)
AnyKey = TypeVar("AnyKey", bound=str | bytes)
AnyValue = TypeVar("AnyValue")


class TokenSource(Protocol):
    """The projection as ingest reads it. All raise BrokerUnavailable."""

    async def find_token(self, lookup: str) -> Lookup[TokenEntry]: ...  # noqa: D102

    async def find_project(self, project_id: bytes) -> Lookup[ProjectEntry]: ...  # noqa: D102

    async def find_organization(self, organization_id: bytes) -> Lookup[OrganizationEntry]: ...  # noqa: D102

    def evictions(self) -> AsyncIterator[Eviction | None]: ...  # noqa: D102


class LookupGuard(Protocol):
    """What a look-up of a key that was never known here must pass. Raises TooManyRequests."""

    def count(self) -> None: ...  # noqa: D102

    def take_back(self) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class _Remembered(Generic[AnyEntry]):
    entry: AnyEntry
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
        find: Callable[[AnyKey], Awaitable[Lookup[AnyEntry]]],
        outage: _Outage,
        clock: Clock,
        metrics: IngestMetrics,
    ) -> None:
        self._find = find
        self._outage = outage
        self._clock = clock
        self._metrics = metrics
        self._entries: dict[AnyKey, _Remembered[AnyEntry]] = {}
        self._unknown: dict[AnyKey, float] = {}
        self._flights: dict[AnyKey, asyncio.Future[Lookup[AnyEntry] | BrokerUnavailable | None]] = {}
        self._evictions = 0

    async def get(
        self, key: AnyKey, counts_seconds: float, stale_seconds: float, guard: LookupGuard | None = None
    ) -> AnyEntry | None:
        """The entry, or None when there is surely none. Raises Unavailable when that cannot be told."""
        held = self._entries.get(key)
        if held is not None:
            if self._clock.monotonic() - held.since <= counts_seconds:
                return held.entry
            guard = None
        elif self._is_unknown(key, min(counts_seconds, UNKNOWN_SECONDS)):
            return None
        return await self._look_up(key, held, stale_seconds, guard)

    def forget(self, key: AnyKey) -> None:
        """Forget one key, also where a look-up of it has begun: whoever asks from now on begins another."""
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

    def _is_unknown(self, key: AnyKey, counts_seconds: float) -> bool:
        since = self._unknown.get(key)
        return since is not None and self._clock.monotonic() - since <= counts_seconds

    async def _look_up(
        self,
        key: AnyKey,
        held: _Remembered[AnyEntry] | None,
        stale_seconds: float,
        guard: LookupGuard | None,
    ) -> AnyEntry | None:
        if self._outage.is_known:
            return self._stale(held, stale_seconds)
        found = await self._found(key, guard)
        if isinstance(found, BrokerUnavailable):
            return self._stale(held, stale_seconds)
        if found.entry is None and not is_fresh(found.swept_seconds_ago):
            raise Unavailable(TOKENS.sentence)
        return found.entry

    async def _found(self, key: AnyKey, guard: LookupGuard | None) -> Lookup[AnyEntry] | BrokerUnavailable:
        """What one look-up finds for all who ask for the key meanwhile.

        The first of them makes it. Where that one gives up (its client has left), the next one does.
        """
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
            if self._flights.get(key) is flight:
                del self._flights[key]
            flight.set_result(answer)
            if guard is not None and not self._has_failed(answer):
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
        if evictions == self._evictions:
            self._remember(key, found)
        return found

    @staticmethod
    def _has_failed(answer: Lookup[AnyEntry] | BrokerUnavailable | None) -> bool:
        """Whether a look-up has found out that there is no such key."""
        return isinstance(answer, Lookup) and answer.entry is None

    def _stale(self, held: _Remembered[AnyEntry] | None, stale_seconds: float) -> AnyEntry:
        """What was known before Redis went away, while that may still count."""
        age = self._clock.monotonic() - held.since if held is not None else 0.0
        if held is None or age > stale_seconds:
            raise Unavailable(QUEUE_UNAVAILABLE.sentence)
        self._metrics.stale_tokens_used.inc()
        return held.entry

    def _remember(self, key: AnyKey, found: Lookup[AnyEntry]) -> None:
        """Known and unknown keys apart, and of each the oldest goes first."""
        now = self._clock.monotonic()
        if found.entry is not None:
            self._unknown.pop(key, None)
            _put(self._entries, key, _Remembered(found.entry, now), _ENTRIES_AT_MOST)
        elif is_fresh(found.swept_seconds_ago):
            self._entries.pop(key, None)
            _put(self._unknown, key, now, _UNKNOWN_AT_MOST)


def _put(entries: dict[AnyKey, AnyValue], key: AnyKey, value: AnyValue, at_most: int) -> None:
    entries.pop(key, None)
    while len(entries) >= at_most:
        del entries[next(iter(entries))]
    entries[key] = value


class TokenCache:
    """Tokens, projects and organizations as ingest knows them."""

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

    async def token(self, lookup: str, guard: LookupGuard | None = None) -> TokenEntry | None:
        """The token with these first 24 characters. One that is not known yet must pass the guard first."""
        return await self._tokens.get(lookup, self._counts_seconds, self._stale_seconds, guard)

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
