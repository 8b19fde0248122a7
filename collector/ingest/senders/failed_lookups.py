"""How many look-ups of tokens that do not exist one client may cause, so that guessing does not load Redis.

A look-up is counted before it is made, and taken back where it finds the token. What is left grows again with
time. Tokens that this process knows are never looked up for the first time, so a stranger behind the same
address refuses nobody whose token is in use here.
"""

import math
from typing import Final

from aiohttp import web

from collector.domain.errors import TooManyRequests
from collector.http.client_address import TrustedProxies, counted_address
from collector.process.clock import Clock

FAILURES_AT_MOST: Final = 1000
REGAINED_SECONDS: Final = 50.0
"""How long it takes until a client that has used up its failures has all of them again."""
WINDOW_SECONDS: Final = 900.0
"""Likewise, where `HEADRACE_REQUEST_LIMIT` says how many requests one may make in that time."""

_ADDRESSES_AT_MOST: Final = 10_000
_TITLE: Final = "Too many unknown tokens from this address; please repeat it later."


class FailedLookups:
    """Counts by client address, for a bounded number of them; the one that failed longest ago goes first."""

    def __init__(self, clock: Clock, proxies: TrustedProxies, request_limit: int = 0) -> None:
        self._clock = clock
        self._proxies = proxies
        self._limit = min(request_limit, FAILURES_AT_MOST) if request_limit else FAILURES_AT_MOST
        self._regained_per_second = self._limit / (WINDOW_SECONDS if request_limit else REGAINED_SECONDS)
        self._failures: dict[str, tuple[float, float]] = {}

    def guard(self, request: web.BaseRequest) -> "ClientGuard":
        """What counts the look-up that a request may cause."""
        return ClientGuard(self, request, self._proxies)

    def count(self, address: str) -> None:
        """Count one more, which may still succeed. Raises TooManyRequests instead of the look-up."""
        now = self._clock.monotonic()
        failures, since = self._failures.pop(address, (0.0, now))
        failures = max(0.0, failures - (now - since) * self._regained_per_second)
        is_over = failures + 1 > self._limit
        if len(self._failures) >= _ADDRESSES_AT_MOST:
            del self._failures[next(iter(self._failures))]
        self._failures[address] = (failures if is_over else failures + 1, now)
        if is_over:
            wait_seconds = (failures + 1 - self._limit) / self._regained_per_second
            raise TooManyRequests(_TITLE, retry_after_seconds=max(1, math.ceil(wait_seconds)))

    def take_back(self, address: str) -> None:
        """The look-up that was counted did not fail."""
        failures, since = self._failures.pop(address, (0.0, 0.0))
        if failures > 1:
            self._failures[address] = (failures - 1, since)


class ClientGuard:
    """Finds out who the client is only where it counts."""

    __slots__ = ("_failures", "_proxies", "_request")

    def __init__(self, failures: FailedLookups, request: web.BaseRequest, proxies: TrustedProxies) -> None:
        self._failures = failures
        self._request = request
        self._proxies = proxies

    def count(self) -> None:
        """Count the look-up. Raises TooManyRequests instead of it."""
        self._failures.count(counted_address(self._request, self._proxies))

    def take_back(self) -> None:
        """It did not fail."""
        self._failures.take_back(counted_address(self._request, self._proxies))
