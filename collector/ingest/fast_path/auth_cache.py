"""Senders whose credentials were checked a moment ago, by their whole Authorization header.

An entry counts only while nothing at all was evicted since its check began, the eviction channel is alive
and the minute that a known token counts is not over: it is never older than the token cache's own.
"""

from dataclasses import dataclass
from typing import Final

from collector.domain.access.token import TokenEntry
from collector.ingest.senders.auth import Target
from collector.ingest.senders.token_cache import KNOWN_SECONDS, TokenCache
from collector.process.clock import Clock

_SENDERS_AT_MOST: Final = 10_000
_SPELLINGS_AT_MOST: Final = 4
"""Of one token (`Bearer`, `bearer`, `Basic`): written in ever new ways it pushes out itself, no other."""
_LONGEST_HEADER: Final = 256
"""Twice what a token needs in the longest way to write it."""


@dataclass(frozen=True, slots=True)
class CheckedSender:
    """When a check of credentials began: by the clock, and by what had been evicted until then."""

    since: float
    evictions: int


@dataclass(frozen=True, slots=True)
class KnownSender:
    """What the check found."""

    target: Target
    expires_ms: int | None
    check: CheckedSender


class KnownSenders:
    """Remembers senders that name no project in the path; the token cache says how long that counts."""

    def __init__(self, cache: TokenCache, clock: Clock) -> None:
        self._cache = cache
        self._clock = clock
        self._senders: dict[str, KnownSender] = {}
        self._spellings: dict[bytes, list[str]] = {}

    def begin_check(self) -> CheckedSender:
        """To be called before the first look at anything that `remember` is told later."""
        return CheckedSender(self._clock.monotonic(), self._cache.evictions)

    def remember(self, authorization: str, token: TokenEntry, target: Target, check: CheckedSender) -> None:
        """Keep what a check has found."""
        if len(authorization) > _LONGEST_HEADER:
            return
        self._spellings[token.digest] = spellings = self._spellings.pop(token.digest, [])
        if authorization not in spellings:
            spellings.append(authorization)
            if len(spellings) > _SPELLINGS_AT_MOST:
                self._senders.pop(spellings.pop(0), None)
        self._senders.pop(authorization, None)
        self._senders[authorization] = KnownSender(target, token.expires_ms, check)
        if len(self._spellings) > _SENDERS_AT_MOST:
            for oldest in self._spellings.pop(next(iter(self._spellings))):
                self._senders.pop(oldest, None)

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
