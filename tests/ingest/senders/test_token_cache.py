"""What ingest caches of the token projection, and for how long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from collector.broker.errors import BrokerUnavailable
from collector.broker.token_projection import ORGANIZATION, PROJECT, TOKEN, Eviction, Lookup
from collector.domain.access.projection import OrganizationEntry, ProjectEntry
from collector.domain.access.token import TokenEntry, lookup_prefix
from collector.domain.errors import TooManyRequests, Unavailable
from collector.ingest.senders.token_cache import TokenCache
from collector.process.metrics import IngestMetrics
from tests.support import factories
from tests.support.factories import CLIENT_TOKEN, a_token_entry
from tests.support.fakes import FakeClock, FakeTokenProjection
from tests.support.waiting import until

KNOWN = lookup_prefix(CLIENT_TOKEN)
UNKNOWN = "u" * 24


@asynccontextmanager
async def _followed(source: FakeTokenProjection, clock: FakeClock) -> AsyncIterator[TokenCache]:
    cache = TokenCache(source, clock, IngestMetrics(CollectorRegistry()), stale_seconds=900)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        following = tasks.create_task(cache.follow())
        await until(lambda: source.has_followers)
        yield cache
        following.cancel()


def _source() -> FakeTokenProjection:
    source = FakeTokenProjection()
    source.projection.tokens[KNOWN] = a_token_entry()
    source.projection.projects[factories.PROJECT] = ProjectEntry(factories.ORGANIZATION)
    source.projection.organizations[factories.ORGANIZATION] = OrganizationEntry()
    return source


async def _tick(source: FakeTokenProjection, clock: FakeClock, seconds: float) -> None:
    """Let time pass while the channel sends heartbeats."""
    for _ in range(int(seconds / 0.5)):
        clock.advance(0.5)
        source.announce(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_a_known_token_is_looked_up_once_a_minute() -> None:
    """Posts in between need no look-up."""
    source, clock = _source(), FakeClock()
    async with _followed(source, clock) as cache:
        for _ in range(3):
            assert await cache.token(KNOWN) == a_token_entry()
        assert source.lookups == 1
        await _tick(source, clock, 61)
        await cache.token(KNOWN)

    assert source.lookups == 2


async def test_an_unknown_token_is_forgotten_after_five_seconds() -> None:
    """A token created just after it was tried works soon, even if its announcement was missed."""
    source, clock = _source(), FakeClock()
    async with _followed(source, clock) as cache:
        assert await cache.token(UNKNOWN) is None
        assert await cache.token(UNKNOWN) is None
        assert source.lookups == 1
        source.projection.tokens[UNKNOWN] = a_token_entry()
        await _tick(source, clock, 6)

        assert await cache.token(UNKNOWN) is not None


@pytest.mark.parametrize("swept_seconds_ago", [None, 121.0], ids=["never swept", "swept long ago"])
async def test_a_token_is_unknown_only_if_the_projection_is_fresh(
    swept_seconds_ago: float | None,
) -> None:
    """Clients drop events on 401; without certainty they get 503."""
    source, clock = _source(), FakeClock()
    source.swept_seconds_ago = swept_seconds_ago
    async with _followed(source, clock) as cache:
        with pytest.raises(Unavailable):
            await cache.token(UNKNOWN)

        assert await cache.token(KNOWN) is not None


async def test_an_announced_token_is_evicted_immediately() -> None:
    """Revocations take effect within a second in all processes."""
    source, clock = _source(), FakeClock()
    async with _followed(source, clock) as cache:
        await cache.token(KNOWN)
        del source.projection.tokens[KNOWN]
        source.announce(Eviction(TOKEN, KNOWN.encode()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        assert await cache.token(KNOWN) is None


@pytest.mark.parametrize("kind", [PROJECT, ORGANIZATION])
async def test_announced_projects_and_organizations_are_evicted(kind: str) -> None:
    """A changed configuration version or a suspension takes effect immediately."""
    source, clock = _source(), FakeClock()
    async with _followed(source, clock) as cache:
        await cache.project(factories.PROJECT)
        await cache.organization(factories.ORGANIZATION)
        source.announce(Eviction(kind, factories.PROJECT if kind == PROJECT else factories.ORGANIZATION))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await cache.project(factories.PROJECT)
        await cache.organization(factories.ORGANIZATION)

    assert source.lookups == 3


async def test_a_look_up_with_an_eviction_meanwhile_is_not_cached() -> None:
    """The answer may be older than the revocation."""
    source, clock = _source(), FakeClock()
    find, reached, go_on = source.find_token, asyncio.Event(), asyncio.Event()

    async def slow_find(lookup: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
        found = await find(lookup)
        reached.set()
        await go_on.wait()
        return found

    source.find_token = slow_find  # type: ignore[method-assign]
    async with _followed(source, clock) as cache:
        looking = asyncio.ensure_future(cache.token(KNOWN))
        await reached.wait()
        del source.projection.tokens[KNOWN]
        source.announce(Eviction(TOKEN, KNOWN.encode()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        go_on.set()
        await looking

        assert await cache.token(KNOWN) is None


async def test_entries_are_valid_for_one_second_while_the_channel_is_silent() -> None:
    """Announcements may be missed, so entries are looked up again each second."""
    source, clock = _source(), FakeClock()
    async with _followed(source, clock) as cache:
        await cache.token(KNOWN)
        clock.advance(1.1)
        await cache.token(KNOWN)

    assert source.lookups == 2


async def test_a_reconnected_channel_clears_the_cache() -> None:
    """Announcements in between were missed."""
    source, clock = _source(), FakeClock()
    async with _followed(source, clock) as cache:
        await cache.token(KNOWN)
        source.cut_channel(BrokerUnavailable("gone"))
        await until(lambda: not source.has_followers)
        await until(lambda: source.has_followers)
        await asyncio.sleep(0)
        await cache.token(KNOWN)

    assert source.lookups == 2


async def test_a_channel_that_fails_unexpectedly_is_reconnected() -> None:
    """Revoked tokens are valid for at most a second longer."""
    source, clock = _source(), FakeClock()
    async with _followed(source, clock) as cache:
        source.cut_channel(ValueError("surprise"))
        await until(lambda: not source.has_followers)
        assert cache.is_silent
        await until(lambda: source.has_followers)
        await until(lambda: not cache.is_silent)


async def test_known_tokens_stay_valid_for_a_while_when_redis_is_unreachable() -> None:
    """Up to HEADRACE_STALE_TOKEN_SECONDS; unknown ones are 503, never 401."""
    source, clock = _source(), FakeClock()
    async with _followed(source, clock) as cache:
        await cache.token(KNOWN)
        source.failure = BrokerUnavailable("gone")
        clock.advance(899)
        assert await cache.token(KNOWN) == a_token_entry()
        with pytest.raises(Unavailable):
            await cache.token(UNKNOWN)
        clock.advance(2)

        with pytest.raises(Unavailable):
            await cache.token(KNOWN)


async def test_an_unreachable_redis_is_tried_once_a_second() -> None:
    """Not for each of the three entries of a post: every look-up may take a second to fail."""
    source, clock = _source(), FakeClock()
    async with _followed(source, clock) as cache:
        await cache.token(KNOWN)
        await cache.project(factories.PROJECT)
        asked = source.lookups
        source.failure = BrokerUnavailable("frozen")
        clock.advance(2)
        for _ in range(10):
            await cache.token(KNOWN)
            await cache.project(factories.PROJECT)
        assert source.lookups == asked + 1
        source.failure = None
        clock.advance(1.1)
        await cache.token(KNOWN)

    assert source.lookups == asked + 2


async def test_unknown_tokens_evict_no_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their number is bounded too; the oldest are evicted first."""
    monkeypatch.setattr("collector.ingest.senders.token_cache._MAX_UNKNOWN", 10)
    monkeypatch.setattr("collector.ingest.senders.token_cache._MAX_ENTRIES", 10)
    source, clock = _source(), FakeClock()
    async with _followed(source, clock) as cache:
        await cache.token(KNOWN)
        for number in range(50):
            await cache.token(f"{number:024}")
        asked = source.lookups
        await cache.token(KNOWN)

        assert source.lookups == asked
        assert list(cache._tokens._unknown) == [f"{number:024}" for number in range(40, 50)]


async def test_known_tokens_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are evicted first."""
    monkeypatch.setattr("collector.ingest.senders.token_cache._MAX_ENTRIES", 10)
    source, clock = _source(), FakeClock()
    source.projection.tokens.update({f"{number:024}": a_token_entry() for number in range(50)})
    async with _followed(source, clock) as cache:
        for number in range(50):
            await cache.token(f"{number:024}")

        assert list(cache._tokens._entries) == [f"{number:024}" for number in range(40, 50)]


class _SlowSource(FakeTokenProjection):
    """A source that answers when a test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.projection = _source().projection
        self.go_on = asyncio.Event()

    async def find_token(self, lookup: str) -> Lookup[TokenEntry]:
        found = await super().find_token(lookup)
        await self.go_on.wait()
        return found


class _Guard:
    """A guard that counts look-ups, and refuses if a test says so."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.counted = 0
        self._refuses = refuses

    def count(self) -> None:
        if self._refuses:
            raise TooManyRequests
        self.counted += 1

    def take_back(self) -> None:
        self.counted -= 1


@pytest.mark.parametrize(("lookup", "counted"), [(KNOWN, 0), (UNKNOWN, 1)], ids=["known", "unknown"])
async def test_concurrent_look_ups_of_a_token_are_combined(lookup: str, counted: int) -> None:
    """The combined look-up counts once."""
    source, guard = _SlowSource(), _Guard()
    async with _followed(source, FakeClock()) as cache:
        asking = [asyncio.ensure_future(cache.token(lookup, guard)) for _ in range(1000)]
        await until(lambda: source.lookups > 0)
        source.go_on.set()
        found = await asyncio.gather(*asking)

    assert found == [a_token_entry() if lookup == KNOWN else None] * 1000
    assert (source.lookups, guard.counted) == (1, counted)


async def test_a_cancelled_look_up_is_taken_over_by_the_next_caller() -> None:
    """The first caller does the look-up for all."""
    source, guard = _SlowSource(), _Guard()
    async with _followed(source, FakeClock()) as cache:
        asking = [asyncio.ensure_future(cache.token(KNOWN, guard)) for _ in range(10)]
        await until(lambda: source.lookups == 1)
        asking[0].cancel()
        asking[5].cancel()
        await until(lambda: source.lookups == 2)
        source.go_on.set()
        found = await asyncio.gather(*asking, return_exceptions=True)

    assert [type(one).__name__ for one in found].count("CancelledError") == 2
    assert found.count(a_token_entry()) == 8
    assert guard.counted == 0


async def test_a_caller_after_an_eviction_gets_a_new_look_up() -> None:
    """A running look-up may have found a token that has been revoked since."""
    source = _SlowSource()
    async with _followed(source, FakeClock()) as cache:
        before = asyncio.ensure_future(cache.token(KNOWN))
        await until(lambda: source.lookups == 1)
        del source.projection.tokens[KNOWN]
        source.announce(Eviction(TOKEN, KNOWN.encode()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        after = asyncio.ensure_future(cache.token(KNOWN))
        await until(lambda: source.lookups == 2)
        source.go_on.set()

        assert await before == a_token_entry()
        assert await after is None
        assert await cache.token(KNOWN) is None


async def test_all_callers_of_a_failed_look_up_are_refused() -> None:
    """Known entries are still valid."""
    source, clock = _source(), FakeClock()
    async with _followed(source, clock) as cache:
        await cache.token(KNOWN)
        asked = source.lookups
        clock.advance(2)
        source.failure = BrokerUnavailable("gone")
        found = await asyncio.gather(*(cache.token(KNOWN) for _ in range(10)))

    assert found == [a_token_entry()] * 10
    assert source.lookups == asked + 1


async def test_known_tokens_are_looked_up_without_the_guard() -> None:
    """A guesser behind the same address does not get them refused."""
    source, clock = _source(), FakeClock()
    async with _followed(source, clock) as cache:
        await cache.token(KNOWN)
        clock.advance(2)

        assert await cache.token(KNOWN, _Guard(refuses=True)) == a_token_entry()
        with pytest.raises(TooManyRequests):
            await cache.token(UNKNOWN, _Guard(refuses=True))
        assert source.lookups == 2
