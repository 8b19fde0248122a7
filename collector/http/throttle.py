"""How many requests one may make in a quarter of an hour, where there is a limit at all (contract 8).

A limit is no reason to refuse anybody by mistake: while the counter is out of reach, nobody is counted. The
official clients pause for `X-RateLimit-Remaining: 0` with anything but a 202: it is only ever said with one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

import structlog
from aiohttp import web

from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.broker.request_counters import WINDOW_SECONDS
from collector.domain.errors import TooManyRequests
from collector.process.clock import Clock

LIMIT_HEADER: Final = "X-RateLimit-Limit"
REMAINING_HEADER: Final = "X-RateLimit-Remaining"

_ASK_AGAIN_SECONDS: Final = 5.0
"""While the counter does not answer, nobody waits for it in vain more often."""

_log = structlog.get_logger()


class Counters(Protocol):
    """Where requests are counted; raises BrokerUnavailable and BrokerFull."""

    async def count(self, who: str, now_seconds: int) -> int:
        """Count one more; answers how many it is with this one."""
        ...

    async def counted(self, whos: Sequence[str], now_seconds: int) -> list[int]:
        """How many each has made."""
        ...

    async def note_limit(self, limit: int) -> int | None:
        """Store the limit that a process counts to; answers the one that was stored before."""
        ...


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many requests one may make, and how many of them are left."""

    limit: int
    remaining: int


ALLOWANCE: Final = web.RequestKey("allowance", Allowance)
"""Of a request that was counted."""


class Throttle:
    """Counts requests; a limit of 0 is none."""

    def __init__(self, counters: Counters, limit: int, clock: Clock) -> None:
        self._counters = counters
        self._limit = limit
        self._clock = clock
        self._asks_again_at = float("-inf")

    async def compare(self) -> None:
        """Say in one line where the process that started before has another limit: they count together."""
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
        """Count one more request of somebody. Raises TooManyRequests, with the time until the next window."""
        if not self._limit or self._clock.monotonic() < self._asks_again_at:
            return
        now_seconds = self._clock.now_ms() // 1000
        try:
            number = await self._counters.count(who, now_seconds)
        except (BrokerUnavailable, BrokerFull) as error:
            self._asks_again_at = self._clock.monotonic() + _ASK_AGAIN_SECONDS
            _log.warning("requests are not counted", cause=str(error))
            return
        if number > self._limit:
            raise TooManyRequests(retry_after_seconds=WINDOW_SECONDS - now_seconds % WINDOW_SECONDS)
        request[ALLOWANCE] = Allowance(self._limit, self._limit - number)

    async def used_up(self, whos: Sequence[str]) -> set[str]:
        """Those whose next request would be one too many; nobody while the counter does not answer."""
        if not self._limit or not whos or self._clock.monotonic() < self._asks_again_at:
            return set()
        try:
            numbers = await self._counters.counted(whos, self._clock.now_ms() // 1000)
        except BrokerUnavailable:
            return set()
        return {who for who, number in zip(whos, numbers, strict=True) if number >= self._limit}


def counted_organization(organization_id: str) -> str:
    """What the programs of an organization are counted as, at ingest and the api."""
    return f"organization:{organization_id}"


def add_allowance_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Say what is left, on the answer to a request that was counted."""
    allowance = request.get(ALLOWANCE)
    if allowance is None:
        return
    response.headers[LIMIT_HEADER] = str(allowance.limit)
    if allowance.remaining or response.status == HTTPStatus.ACCEPTED:
        response.headers[REMAINING_HEADER] = str(allowance.remaining)
