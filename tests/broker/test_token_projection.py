"""The projection on a real server: the sweep repairs it and never restores a revoked token."""

import asyncio

import pytest
from redis.asyncio import Redis

from collector.broker.keys import RedisKeys
from collector.broker.token_projection import Eviction, SweepOvertaken, TokenProjection
from collector.domain.access.projection import OrganizationEntry, ProjectEntry, Projection
from collector.domain.access.token import lookup_prefix
from tests.support.factories import CLIENT_TOKEN, ORGANIZATION, PROJECT, a_token_entry
from tests.support.waiting import until

pytestmark = pytest.mark.integration

LOOKUP = lookup_prefix(CLIENT_TOKEN)


@pytest.fixture
def projection(redis: Redis, keys: RedisKeys) -> TokenProjection:
    """An empty projection."""
    return TokenProjection(redis, keys)


def _whole() -> Projection:
    return Projection(
        {LOOKUP: a_token_entry()},
        {PROJECT: ProjectEntry(ORGANIZATION, 3, {"@@log:*": "warn"})},
        {ORGANIZATION: OrganizationEntry(is_suspended=True)},
    )


async def test_a_sweep_makes_it_equal_to_postgres_and_fresh(projection: TokenProjection) -> None:
    """Missing entries are added, superfluous ones removed."""
    assert await projection.swept_seconds_ago() is None
    await projection.put_token("stale" * 4 + "1234", a_token_entry())

    async def load() -> Projection:
        return _whole()

    await projection.sweep(load)

    assert (await projection.find_token(LOOKUP)).entry == a_token_entry()
    assert (await projection.find_token("stale" * 4 + "1234")).entry is None
    assert (await projection.find_project(PROJECT)).entry == _whole().projects[PROJECT]
    found = await projection.find_organization(ORGANIZATION)
    assert found.entry == OrganizationEntry(is_suspended=True)
    assert found.swept_seconds_ago is not None
    assert found.swept_seconds_ago < 60


async def test_a_token_revoked_during_a_sweep_stays_revoked(projection: TokenProjection) -> None:
    """The sweep read Postgres before the revocation and must not write that state."""
    await projection.put_token(LOOKUP, a_token_entry())
    loads = 0

    async def load() -> Projection:
        nonlocal loads
        loads += 1
        if loads == 1:
            await projection.remove_tokens([LOOKUP])
            return _whole()
        return Projection()

    await projection.sweep(load)

    assert loads == 2
    assert (await projection.find_token(LOOKUP)).entry is None


async def test_a_token_that_never_reached_redis_stays_revoked_too(projection: TokenProjection) -> None:
    """A sweep that read it from Postgres before its revocation must not add it afterwards."""

    async def empty() -> Projection:
        return Projection()

    await projection.sweep(empty)
    loads = 0

    async def load() -> Projection:
        nonlocal loads
        loads += 1
        if loads == 1:
            await projection.remove_tokens([LOOKUP])
            return _whole()
        return Projection()

    await projection.sweep(load)

    assert (await projection.find_token(LOOKUP)).entry is None


async def test_a_sweep_that_is_always_overtaken_gives_up(projection: TokenProjection) -> None:
    """The next one tries again; nothing stale is written."""

    async def load() -> Projection:
        await projection.put_token("other" * 4 + "1234", a_token_entry())
        return _whole()

    with pytest.raises(SweepOvertaken):
        await projection.sweep(load)

    assert (await projection.find_token(LOOKUP)).entry is None


async def test_every_change_is_announced(projection: TokenProjection) -> None:
    """So that caches in other processes evict it immediately. In between, heartbeats are sent."""
    heard: list[Eviction | None] = []

    async def follow() -> None:
        async for eviction in projection.evictions():
            heard.append(eviction)  # noqa: PERF401 - it never ends

    following = asyncio.ensure_future(follow())
    await until(lambda: len(heard) > 0)
    await projection.put_token(LOOKUP, a_token_entry())
    await projection.remove_tokens([LOOKUP, "b" * 24])
    await projection.put_project(PROJECT, ProjectEntry(ORGANIZATION))
    await projection.remove_projects([PROJECT])
    await projection.put_organization(ORGANIZATION, OrganizationEntry())
    await until(lambda: len([eviction for eviction in heard if eviction]) == 6)
    await until(lambda: heard[-1] is None)
    following.cancel()
    await asyncio.wait([following])

    assert [eviction for eviction in heard if eviction] == [
        Eviction("token", LOOKUP.encode()),
        Eviction("token", LOOKUP.encode()),
        Eviction("token", b"b" * 24),
        Eviction("project", PROJECT),
        Eviction("project", PROJECT),
        Eviction("organization", ORGANIZATION),
    ]


async def test_a_sweep_with_many_changes_is_announced_as_one(projection: TokenProjection) -> None:
    """The first sweep of a hundred thousand tokens must not flood the channel."""
    heard: list[Eviction | None] = []

    async def follow() -> None:
        async for eviction in projection.evictions():
            heard.append(eviction)  # noqa: PERF401 - it never ends

    async def load() -> Projection:
        return Projection({f"{number:024}": a_token_entry() for number in range(1000)})

    following = asyncio.ensure_future(follow())
    await until(lambda: len(heard) > 0)
    await projection.sweep(load)
    await until(lambda: any(heard))
    following.cancel()
    await asyncio.wait([following])

    assert [eviction for eviction in heard if eviction] == [Eviction("everything")]
