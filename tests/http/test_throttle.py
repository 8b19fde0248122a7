"""The request limit: counting, refusing and the headers that show what is left."""

from collections.abc import Sequence

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from structlog.testing import capture_logs

from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.domain.errors import TooManyRequests
from collector.http.throttle import Throttle, add_allowance_headers
from tests.support.fakes import FakeClock

LIMIT, REMAINING = "X-RateLimit-Limit", "X-RateLimit-Remaining"


class FakeCounters:
    """Counts in memory, or is unreachable."""

    def __init__(self) -> None:
        self.asked = 0
        self.numbers: dict[str, int] = {}
        self.outage: Exception | None = None
        self.limit: int | None = None

    async def count(self, who: str, now_seconds: int) -> int:
        self.asked += 1
        assert now_seconds
        if self.outage is not None:
            raise self.outage
        self.numbers[who] = self.numbers.get(who, 0) + 1
        return self.numbers[who]

    async def note_limit(self, limit: int) -> int | None:
        if self.outage is not None:
            raise self.outage
        before, self.limit = self.limit, limit
        return before

    async def counted(self, whos: Sequence[str], now_seconds: int) -> list[int]:
        self.asked += 1
        assert now_seconds
        if self.outage is not None:
            raise self.outage
        return [self.numbers.get(who, 0) for who in whos]


@pytest.fixture
def counters() -> FakeCounters:
    """No requests yet."""
    return FakeCounters()


@pytest.fixture
def clock() -> FakeClock:
    """Any time."""
    return FakeClock()


async def said(throttle: Throttle, who: str = "user:1", status: int = 200) -> tuple[str | None, str | None]:
    """The two headers of an answer to one more request."""
    request, response = make_mocked_request("GET", "/"), web.Response(status=status)
    await throttle.count(request, who)
    add_allowance_headers(request, response)
    return response.headers.get(LIMIT), response.headers.get(REMAINING)


async def test_without_a_limit_requests_are_not_counted(counters: FakeCounters, clock: FakeClock) -> None:
    """Answers have no headers about a limit."""
    assert await said(Throttle(counters, 0, clock)) == (None, None)
    assert counters.asked == 0


async def test_answers_show_what_is_left_and_requests_beyond_the_limit_are_refused(
    counters: FakeCounters, clock: FakeClock
) -> None:
    """Each caller is counted separately; a refusal says when the next window begins."""
    throttle = Throttle(counters, 2, clock)

    assert await said(throttle, status=202) == ("2", "1")
    assert await said(throttle, status=202) == ("2", "0")
    with pytest.raises(TooManyRequests) as refusal:
        await said(throttle)
    assert refusal.value.retry_after_seconds == 900 - clock.now_ms() // 1000 % 900
    assert await said(throttle, "user:2") == ("2", "1")


async def test_only_a_202_shows_that_nothing_is_left(counters: FakeCounters, clock: FakeClock) -> None:
    """On other answers the official clients would pause for a quarter of an hour."""
    assert await said(Throttle(counters, 1, clock), status=503) == ("1", None)


@pytest.mark.parametrize("outage", [BrokerUnavailable("gone"), BrokerFull("full")], ids=["gone", "full"])
async def test_requests_are_accepted_while_the_counters_are_unreachable(
    counters: FakeCounters, clock: FakeClock, outage: Exception
) -> None:
    """Not every request waits for them; they are tried again after a while."""
    throttle, counters.outage = Throttle(counters, 1, clock), outage

    assert [await said(throttle) for _ in range(3)] == [(None, None)] * 3
    assert counters.asked == 1

    counters.outage = None
    clock.advance(6)
    assert await said(throttle, status=202) == ("1", "0")


async def test_exhausted_callers_are_found_without_counting(counters: FakeCounters, clock: FakeClock) -> None:
    """If there is a limit and the counters answer."""
    throttle = Throttle(counters, 2, clock)
    for who in ("organization:1", "organization:1", "organization:2"):
        await said(throttle, who)
    asked = ["organization:1", "organization:2", "organization:3"]

    assert await throttle.exhausted(asked) == {"organization:1"}
    assert await throttle.exhausted(asked) == {"organization:1"}
    assert await Throttle(counters, 0, clock).exhausted(asked) == set()
    counters.outage = BrokerUnavailable("gone")
    assert await throttle.exhausted(asked) == set()


async def test_a_different_limit_of_another_process_is_logged_with_both_values() -> None:
    """At the start of a process; not for the same limit or without Redis."""
    counters = FakeCounters()
    with capture_logs() as lines:
        for limit in (10, 10, 20):
            await Throttle(counters, limit, FakeClock()).warn_if_limits_differ()
        counters.outage = BrokerUnavailable("gone")
        await Throttle(counters, 30, FakeClock()).warn_if_limits_differ()

    (line,) = lines
    assert line["event"] == (
        "HEADRACE_REQUEST_LIMIT is 20 here and 10 where a process started before;"
        " they count the same requests"
    )
