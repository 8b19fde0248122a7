"""Ingest where requests are limited: who is counted, for what, and what is said of it."""

from collections.abc import AsyncIterator

import pytest

from tests.ingest.projections import LOGIN, READER, a_projection
from tests.ingest.running_ingest import BEARER, JSON, RunningIngest, running_ingest
from tests.support.factories import CLIENT_TOKEN
from tests.support.fakes import FakeClock

pytestmark = pytest.mark.integration

LIMIT, REMAINING = "X-RateLimit-Limit", "X-RateLimit-Remaining"
PROJECT_EVENTS = "/api/v2/projects/02020202020202020202020202020202/events"


@pytest.fixture
async def ingest(redis_url: str, key_prefix: str) -> AsyncIterator[RunningIngest]:
    """Three requests in a quarter of an hour, for each; none is about to end."""
    async with running_ingest(
        redis_url, key_prefix, a_projection(), request_limit=3, clock=FakeClock()
    ) as running:
        yield running


async def test_an_organization_is_refused_beyond_the_limit(ingest: RunningIngest) -> None:
    """All its tokens together; what was taken before is queued, what is refused is not."""
    answers = [await ingest.post() for _ in range(2)]
    answers.append(await ingest.post(headers=JSON | {"Authorization": f"Bearer {READER}"}))
    refused = await ingest.post()

    assert [answer.status for answer in answers] == [202, 202, 202]
    assert [answer.headers[REMAINING] for answer in answers] == ["2", "1", "0"]
    assert {answer.headers[LIMIT] for answer in answers} == {"3"}
    assert refused.status == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 900
    assert (await refused.json())["title"].startswith("Too many requests")
    assert not {LIMIT, REMAINING} & set(refused.headers)
    assert len(await ingest.queued()) == 3


async def test_a_person_counts_apart_from_the_organization(ingest: RunningIngest) -> None:
    """Somebody who tries things out does not use up what the applications need."""
    for _ in range(3):
        await ingest.post()

    login = await ingest.post(PROJECT_EVENTS, headers=JSON | {"Authorization": f"Bearer {LOGIN}"})

    assert (login.status, login.headers[REMAINING]) == (202, "2")


async def test_settings_and_heartbeats_are_not_counted(ingest: RunningIngest) -> None:
    """Clients ask for them by themselves, again and again."""
    for path in (
        "/api/v2/projects/config",
        "/api/v2/events/session/heartbeat?id=me",
        "/api/v1/project/config",
    ):
        answer = await ingest.request("GET", path)
        assert answer.status == 200
        assert LIMIT not in answer.headers

    assert (await ingest.post()).headers[REMAINING] == "2"


async def test_nobody_is_told_to_pause_who_is_not_refused(ingest: RunningIngest) -> None:
    """The official clients take a 0 beside anything but a 202 for that."""
    for _ in range(2):
        await ingest.post()

    too_long = await ingest.post(data=b"x" * 200_001)

    assert (too_long.status, too_long.headers[LIMIT]) == (413, "3")
    assert REMAINING not in too_long.headers


async def test_bad_credentials_are_not_counted(ingest: RunningIngest) -> None:
    """Or anybody could use up somebody else's requests."""
    for _ in range(4):
        assert (await ingest.post(headers=JSON | {"Authorization": f"Bearer {CLIENT_TOKEN}x"})).status == 401

    assert (await ingest.post()).status == 202


async def test_without_a_limit_nothing_is_said(any_ingest: RunningIngest) -> None:
    """A client must not think that there is one."""
    answer = await any_ingest.request("POST", PROJECT_EVENTS, data=b"{}", headers=JSON | BEARER)

    assert answer.status == 202
    assert not {LIMIT, REMAINING} & set(answer.headers)
