"""The limit on look-ups of tokens that do not exist, by client."""

import pytest
from aiohttp.test_utils import make_mocked_request
from aiohttp.web import BaseRequest

from collector.domain.errors import TooManyRequests
from collector.http.client_address import TrustedProxies, trusted_proxies
from collector.http.failed_lookups import FailedLookups
from tests.ingest.projections import a_projection
from tests.ingest.running_ingest import BEARER, JSON, running_ingest
from tests.support.fakes import FakeClock


def failures(clock: FakeClock, limit: int = 10) -> FailedLookups:
    """A limit on requests, with one failure decaying in 90 s."""
    return FailedLookups(clock, TrustedProxies(), limit)


def test_after_too_many_failures_look_ups_are_refused_for_a_while() -> None:
    """Other clients are not affected, and the count decays."""
    clock = FakeClock()
    failed = failures(clock)
    for _ in range(10):
        failed.count("192.0.2.1")
    clock.advance(30)
    with pytest.raises(TooManyRequests) as refused:
        failed.count("192.0.2.1")
    failed.count("192.0.2.2")

    assert refused.value.retry_after_seconds == 60
    clock.advance(61)
    failed.count("192.0.2.1")


def test_look_ups_of_existing_tokens_do_not_count() -> None:
    """A client may have many tokens."""
    failed = failures(FakeClock())
    for _ in range(100):
        failed.count("192.0.2.1")
        failed.take_back("192.0.2.1")

    assert failed._failures == {}


def test_failures_are_limited_without_a_limit_on_requests() -> None:
    """A thousand, decaying by twenty a second."""
    clock = FakeClock()
    failed = failures(clock, 0)
    for _ in range(1000):
        failed.count("192.0.2.1")
    with pytest.raises(TooManyRequests):
        failed.count("192.0.2.1")
    clock.advance(1)
    for _ in range(20):
        failed.count("192.0.2.1")


def test_addresses_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least recent one is dropped first."""
    monkeypatch.setattr("collector.http.failed_lookups._MAX_ADDRESSES", 2)
    failed = failures(FakeClock())
    for number in (1, 2, 1, 3):
        failed.count(f"192.0.2.{number}")

    assert list(failed._failures) == ["192.0.2.1", "192.0.2.3"]


def test_clients_behind_a_proxy_are_counted_separately() -> None:
    """An IPv6 client is counted by its network."""
    failed = FailedLookups(FakeClock(), trusted_proxies(["10.0.0.0/8"], "x-forwarded-for"), 2)

    def request(client: str) -> BaseRequest:
        return make_mocked_request("POST", "/", headers={"X-Forwarded-For": client}).clone(remote="10.0.0.9")

    failed.guard(request("2001:db8::1")).count()
    failed.guard(request("2001:db8::2")).count()
    failed.guard(request("2001:db8:0:1::1")).count()
    with pytest.raises(TooManyRequests):
        failed.guard(request("2001:db8::3")).count()


def test_tokens_that_were_found_are_remembered_until_they_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bounded number of them."""
    monkeypatch.setattr("collector.http.failed_lookups._MAX_FOUND", 2)
    failed = failures(FakeClock())
    for digest in (b"a", b"b", b"a", b"c"):
        failed.note_found(digest)
    failed.note_lost(b"c")

    assert [failed.is_found(digest) for digest in (b"a", b"b", b"c")] == [True, False, False]


@pytest.mark.integration
async def test_failures_do_not_affect_known_tokens_from_the_same_address(
    redis_url: str, key_prefix: str
) -> None:
    """Clients keep their events on 429."""
    async with running_ingest(redis_url, key_prefix, a_projection(), request_limit=100) as ingest:
        assert (await ingest.post()).status == 202
        answers = [
            await ingest.post(headers=JSON | {"Authorization": f"Bearer {number:024}{'x' * 16}"})
            for number in range(103)
        ]
        known = await ingest.post(headers=JSON | BEARER)

    assert [answer.status for answer in answers[:100]] == [401] * 100
    assert {answer.status for answer in answers[101:]} == {429}
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert known.status == 202
