"""The limit on requests per quarter of an hour, if the installation has one (contract 8).

No request is refused by mistake: while the counters in Redis are unreachable, requests are not counted. The
official clients pause when an answer other than 202 has `X-RateLimit-Remaining: 0`, so only a 202 has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

import structlog
from aiohttp import web

from collector.broker.counters.request_counters import WINDOW_SECONDS
from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.domain.errors import TooManyRequests
from collector.process.clock import Clock

LIMIT_HEADER: Final = "X-RateLimit-Limit"
REMAINING_HEADER: Final = "X-RateLimit-Remaining"

_ASK_AGAIN_SECONDS: Final = 5.0
"""How long requests skip the counters after these did not answer."""

_log = structlog.get_logger()


class Counters(Protocol):
    """Where requests are counted. All methods raise BrokerUnavailable and BrokerFull."""

    async def count(self, who: str, now_seconds: int) -> int:
        """Count one more request; returns how many there are in this window, this one included."""
        ...

    async def counted(self, whos: Sequence[str], now_seconds: int) -> list[int]:
        """How many requests each of them has made in this window."""
        ...

    async def note_limit(self, limit: int) -> int | None:
        """Store the limit of this process; returns the one that was stored before."""
        ...


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many requests are allowed in a window, and how many of them are left."""

    limit: int
    remaining: int


ALLOWANCE: Final = web.RequestKey("allowance", Allowance)
"""Set on requests that were counted."""


class Throttle:
    """Counts requests against a limit; 0 means no limit."""

    def __init__(self, counters: Counters, limit: int, clock: Clock) -> None:
        self._counters = counters
        self._limit = limit
        self._clock = clock
        self._skips_until = float("-inf")

    async def warn_if_limits_differ(self) -> None:
        """Warn if the process that started before has another limit: both count the same requests."""
        try:
            before = await self._counters.note_limit(self._limit)
        except (BrokerUnavailable, BrokerFull):
            return
        if before not in {None, self._limit}:
            _log.warning(
                f"HEADRACE_REQUEST_LIMIT is {self._limit} here and {before} where a process started before;"
                " they count the same requests"
            )

    async def count(self, request: web.BaseRequest, who: str) -> None:
        """Count a request of `who`. Raises TooManyRequests, with the time until the next window."""
        if not self._limit or self._clock.monotonic() < self._skips_until:
            return
        now_seconds = self._clock.now_ms() // 1000
        try:
            number = await self._counters.count(who, now_seconds)
        except (BrokerUnavailable, BrokerFull) as error:
            # Let requests through, and for a while do not make each of them wait for the counters.
            self._skips_until = self._clock.monotonic() + _ASK_AGAIN_SECONDS
            _log.warning("requests are not counted", cause=str(error))
            return
        if number > self._limit:
            raise TooManyRequests(retry_after_seconds=WINDOW_SECONDS - now_seconds % WINDOW_SECONDS)
        request[ALLOWANCE] = Allowance(self._limit, self._limit - number)

    async def exhausted(self, whos: Sequence[str]) -> set[str]:
        """Those whose next request would exceed the limit; empty while the counters do not answer."""
        if not self._limit or not whos or self._clock.monotonic() < self._skips_until:
            return set()
        try:
            numbers = await self._counters.counted(whos, self._clock.now_ms() // 1000)
        except BrokerUnavailable:
            return set()
        return {who for who, number in zip(whos, numbers, strict=True) if number >= self._limit}


def counted_organization(organization_id: str) -> str:
    """The name under which an organization's programs are counted, in ingest and the api."""
    return f"organization:{organization_id}"


def add_allowance_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Add what is left of the limit to the answer of a counted request."""
    allowance = request.get(ALLOWANCE)
    if allowance is None:
        return
    response.headers[LIMIT_HEADER] = str(allowance.limit)
    # With 0 on any other answer, the official clients would pause.
    if allowance.remaining or response.status == HTTPStatus.ACCEPTED:
        response.headers[REMAINING_HEADER] = str(allowance.remaining)
