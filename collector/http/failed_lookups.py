"""Limits look-ups of tokens that do not exist, by client, so that guessing tokens does not load the stores.

A look-up is counted before it is made, and the count is taken back if the token exists. Counts decay with
time. Tokens that ingest has cached, and those that the api has found before, need no look-up that counts. So
a guesser behind the same address does not get tokens in use refused.
"""

import math
from typing import Final

from aiohttp import web

from collector.domain.errors import TooManyRequests
from collector.http.client_address import TrustedProxies, counted_address
from collector.process.clock import Clock

MAX_FAILURES: Final = 1000
DECAY_SECONDS: Final = 50.0
"""How long it takes until the count of a client at the limit is back at zero."""
WINDOW_SECONDS: Final = 900.0
"""The same with `HEADRACE_REQUEST_LIMIT`, which limits requests per this time."""

_MAX_ADDRESSES: Final = 10_000
_MAX_FOUND: Final = 10_000
"""SHA-256 digests: some 2 MB."""
_TITLE: Final = "Too many unknown tokens from this address; please try again later."


class FailedLookups:
    """Counts by client address, for a bounded number of addresses; the least recent one is dropped first."""

    def __init__(self, clock: Clock, proxies: TrustedProxies, request_limit: int = 0) -> None:
        self._clock = clock
        self._proxies = proxies
        self._limit = min(request_limit, MAX_FAILURES) if request_limit else MAX_FAILURES
        self._decay_per_second = self._limit / (WINDOW_SECONDS if request_limit else DECAY_SECONDS)
        self._failures: dict[str, tuple[float, float]] = {}
        self._found: dict[bytes, None] = {}

    def is_found(self, digest: bytes) -> bool:
        """Whether a token with this digest was found before: looking it up again is no guess."""
        return digest in self._found

    def note_found(self, digest: bytes) -> None:
        """Remember a token that was found, and forget the one that was found longest ago beyond the bound."""
        self._found.pop(digest, None)
        self._found[digest] = None
        if len(self._found) > _MAX_FOUND:
            del self._found[next(iter(self._found))]

    def note_lost(self, digest: bytes) -> None:
        """Forget a token that is not valid any more."""
        self._found.pop(digest, None)

    def guard(self, request: web.BaseRequest) -> "ClientGuard":
        """The guard for a look-up that a request may cause."""
        return ClientGuard(self, request, self._proxies)

    def count(self, address: str) -> None:
        """Count a look-up before it is made. Raises TooManyRequests if the client is over the limit."""
        now = self._clock.monotonic()
        failures, since = self._failures.pop(address, (0.0, now))
        failures = max(0.0, failures - (now - since) * self._decay_per_second)
        is_over = failures + 1 > self._limit
        if len(self._failures) >= _MAX_ADDRESSES:
            del self._failures[next(iter(self._failures))]
        self._failures[address] = (failures if is_over else failures + 1, now)
        if is_over:
            wait_seconds = (failures + 1 - self._limit) / self._decay_per_second
            raise TooManyRequests(_TITLE, retry_after_seconds=max(1, math.ceil(wait_seconds)))

    def take_back(self, address: str) -> None:
        """Take back a counted look-up that did not fail."""
        failures, since = self._failures.pop(address, (0.0, 0.0))
        if failures > 1:
            self._failures[address] = (failures - 1, since)


class ClientGuard:
    """Determines the client's address only if a look-up is made."""

    __slots__ = ("_failures", "_proxies", "_request")

    def __init__(self, failures: FailedLookups, request: web.BaseRequest, proxies: TrustedProxies) -> None:
        self._failures = failures
        self._request = request
        self._proxies = proxies

    def count(self) -> None:
        """Count the look-up. Raises TooManyRequests if the client is over the limit."""
        self._failures.count(counted_address(self._request, self._proxies))

    def take_back(self) -> None:
        """Take the count back: the look-up did not fail."""
        self._failures.take_back(counted_address(self._request, self._proxies))
