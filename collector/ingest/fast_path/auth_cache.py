"""Caches authenticated senders by their whole Authorization header.

An entry is valid only if nothing has been evicted from the token cache since its check began, the eviction
channel is alive and the entry is younger than a minute: it is never older than the token cache's own.
"""

from dataclasses import dataclass
from typing import Final

from collector.domain.access.token import TokenEntry
from collector.ingest.senders.auth import Target
from collector.ingest.senders.token_cache import KNOWN_SECONDS, TokenCache
from collector.process.clock import Clock

_SENDERS_AT_MOST: Final = 10_000
_SPELLINGS_AT_MOST: Final = 4
"""For one token (`Bearer`, `bearer`, `Basic`): more spellings of it evict only its own entries."""
_LONGEST_HEADER: Final = 256
"""Twice the length of the longest valid header."""


@dataclass(frozen=True, slots=True)
class CheckStart:
    """When a check of credentials began: by the clock, and by the number of evictions before it."""

    since: float
    evictions: int


@dataclass(frozen=True, slots=True)
class CachedSender:
    """The result of a check."""

    target: Target
    expires_ms: int | None
    check: CheckStart


class AuthCache:
    """Caches the senders of posts without a project in their path, for as long as the token cache allows."""

    def __init__(self, cache: TokenCache, clock: Clock) -> None:
        self._cache = cache
        self._clock = clock
        self._senders: dict[str, CachedSender] = {}
        self._spellings: dict[bytes, list[str]] = {}

    def begin_check(self) -> CheckStart:
        """Call this before reading anything that is passed to `store` later."""
        return CheckStart(self._clock.monotonic(), self._cache.evictions)

    def store(self, authorization: str, token: TokenEntry, target: Target, check: CheckStart) -> None:
        """Cache the result of a check."""
        if len(authorization) > _LONGEST_HEADER:
            return
        self._spellings[token.digest] = spellings = self._spellings.pop(token.digest, [])
        # A token can be written in many headers: the oldest spelling makes room for a new one.
        if authorization not in spellings:
            spellings.append(authorization)
            if len(spellings) > _SPELLINGS_AT_MOST:
                self._senders.pop(spellings.pop(0), None)
        self._senders.pop(authorization, None)
        self._senders[authorization] = CachedSender(target, token.expires_ms, check)
        # The token that was stored longest ago goes with all of its spellings.
        if len(self._spellings) > _SENDERS_AT_MOST:
            for oldest in self._spellings.pop(next(iter(self._spellings))):
                self._senders.pop(oldest, None)

    def find(self, authorization: str) -> CachedSender | None:
        """The sender, if its entry is still valid."""
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
