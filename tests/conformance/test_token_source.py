"""What every token projection does: the fake that unit tests use, and the one on a real server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from collector.broker.connection import connect
from collector.broker.errors import BrokerUnavailable
from collector.broker.keys import RedisKeys
from collector.broker.token_projection import TOKEN, Eviction, TokenProjection
from collector.domain.access.projection import OrganizationEntry, ProjectEntry, Projection
from collector.domain.access.token import lookup_prefix
from collector.ingest.senders.token_cache import TokenSource
from tests.support.factories import CLIENT_TOKEN, ORGANIZATION, PROJECT, a_token_entry
from tests.support.fakes import FakeTokenProjection
from tests.support.waiting import until

LOOKUP = lookup_prefix(CLIENT_TOKEN)
PROJECTION = Projection(
    {LOOKUP: a_token_entry()},
    {PROJECT: ProjectEntry(ORGANIZATION, 4)},
    {ORGANIZATION: OrganizationEntry(is_suspended=True)},
)


@dataclass(frozen=True, slots=True)
class Subject:
    """A source that holds `PROJECTION`, a way to revoke its token, and a source whose server is gone."""

    source: TokenSource
    revoke: Callable[[], Awaitable[None]]
    broken: TokenSource


@pytest.fixture
def fake_source() -> Subject:
    fake, broken = FakeTokenProjection(), FakeTokenProjection()
    broken.failure = BrokerUnavailable("gone")
    fake.projection.tokens.update(PROJECTION.tokens)
    fake.projection.projects.update(PROJECTION.projects)
    fake.projection.organizations.update(PROJECTION.organizations)

    async def revoke() -> None:
        del fake.projection.tokens[LOOKUP]
        fake.announce(Eviction(TOKEN, LOOKUP.encode()))

    return Subject(fake, revoke, broken)


@pytest.fixture
async def real_source(redis_url: str, key_prefix: str) -> AsyncIterator[Subject]:
    redis = connect(redis_url, socket_timeout_seconds=5)
    gone = connect("redis://127.0.0.1:1/0", socket_timeout_seconds=1)
    keys = RedisKeys(key_prefix)
    projection = TokenProjection(redis, keys)

    async def load() -> Projection:
        return PROJECTION

    await projection.sweep(load)
    yield Subject(projection, lambda: projection.remove_tokens([LOOKUP]), TokenProjection(gone, keys))
    await redis.aclose()
    await gone.aclose()


@pytest.fixture(params=["fake_source", pytest.param("real_source", marks=pytest.mark.integration)])
def subject(request: pytest.FixtureRequest) -> Subject:
    found: Subject = request.getfixturevalue(request.param)
    return found


async def test_entries_are_found_with_the_age_of_the_sweep(subject: Subject) -> None:
    """Whether a missing entry means an unknown token depends on that age."""
    token = await subject.source.find_token(LOOKUP)
    project = await subject.source.find_project(PROJECT)
    organization = await subject.source.find_organization(ORGANIZATION)

    assert token.entry == PROJECTION.tokens[LOOKUP]
    assert project.entry == PROJECTION.projects[PROJECT]
    assert organization.entry == PROJECTION.organizations[ORGANIZATION]
    assert token.swept_seconds_ago is not None
    assert 0 <= token.swept_seconds_ago < 60


async def test_a_missing_entry_is_none(subject: Subject) -> None:
    assert (await subject.source.find_token("n" * 24)).entry is None
    assert (await subject.source.find_project(b"n" * 16)).entry is None
    assert (await subject.source.find_organization(b"n" * 16)).entry is None


async def test_a_revocation_is_announced_after_it_has_happened(subject: Subject) -> None:
    """A cache that evicts on the announcement and looks it up again finds nothing."""
    heard: list[Eviction | None] = []
    found_then: list[object] = []

    async def follow() -> None:
        async for eviction in subject.source.evictions():
            heard.append(eviction)
            if eviction is not None:
                found_then.append((await subject.source.find_token(LOOKUP)).entry)

    following = asyncio.ensure_future(follow())
    await until(lambda: len(heard) > 0, what="the channel's first sign of life")
    await subject.revoke()
    await until(lambda: len(found_then) > 0, what="the announcement")
    following.cancel()
    await asyncio.wait([following])

    assert Eviction(TOKEN, LOOKUP.encode()) in heard
    assert found_then == [None]


async def test_an_unreachable_server_is_broker_unavailable(subject: Subject) -> None:
    """The cache then relies on its entries."""
    with pytest.raises(BrokerUnavailable):
        await subject.broken.find_token(LOOKUP)
