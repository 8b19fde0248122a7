"""Senders whose credentials were checked a moment ago, by their whole Authorization header.

An entry counts only while nothing at all was evicted since its check began, the eviction channel is alive
and the minute that a known token counts is not over: it is never older than the token cache's own.
"""

from dataclasses import dataclass
from typing import Final

from collector.domain.token import TokenEntry
from collector.ingest.auth import Target
from collector.ingest.token_cache import KNOWN_SECONDS, TokenCache
from collector.process.clock import Clock

_SENDERS_AT_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Check:
    """When a check of credentials began: by the clock, and by what had been evicted until then."""

    since: float
    evictions: int


@dataclass(frozen=True, slots=True)
class KnownSender:
    """What the check found."""

    target: Target
    expires_ms: int | None
    check: Check


class KnownSenders:
    """Remembers senders that name no project in the path; the token cache says how long that counts."""

    def __init__(self, cache: TokenCache, clock: Clock) -> None:
        self._cache = cache
        self._clock = clock
        self._senders: dict[str, KnownSender] = {}

    def begin_check(self) -> Check:
        """To be called before the first look at anything that `remember` is told later."""
        return Check(self._clock.monotonic(), self._cache.evictions)

    def remember(self, authorization: str, token: TokenEntry, target: Target, check: Check) -> None:
        """Keep what a check has found."""
        if len(self._senders) >= _SENDERS_AT_MOST:
            self._senders.clear()
        self._senders[authorization] = KnownSender(target, token.expires_ms, check)

    def find(self, authorization: str) -> KnownSender | None:
        """The sender, if what is known of it still counts."""
        sender = self._senders.get(authorization)
        if sender is None:
            return None
        check = sender.check
        if (
            check.evictions != self._cache.evictions
            or self._cache.is_silent
            or self._clock.monotonic() - check.since > KNOWN_SECONDS
            or (sender.expires_ms is not None and sender.expires_ms < self._clock.now_ms())
        ):
            del self._senders[authorization]
            return None
        return sender
