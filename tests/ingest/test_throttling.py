"""Ingest with a limit on requests: which requests count for whom, and the headers."""

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
    """Three requests in a quarter of an hour for each caller. No quarter is about to end."""
    async with running_ingest(
        redis_url, key_prefix, a_projection(), request_limit=3, clock=FakeClock()
    ) as running:
        yield running


async def test_an_organization_is_refused_beyond_the_limit(ingest: RunningIngest) -> None:
    """All its tokens together. Accepted posts are queued, refused ones are not."""
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


async def test_a_person_is_counted_separately_from_the_organization(ingest: RunningIngest) -> None:
    """Trying things out does not use up the limit of the applications."""
    for _ in range(3):
        await ingest.post()

    login = await ingest.post(PROJECT_EVENTS, headers=JSON | {"Authorization": f"Bearer {LOGIN}"})

    assert (login.status, login.headers[REMAINING]) == (202, "2")


async def test_settings_and_heartbeats_are_not_counted(ingest: RunningIngest) -> None:
    """Clients send these by themselves."""
    for path in (
        "/api/v2/projects/config",
        "/api/v2/events/session/heartbeat?id=me",
        "/api/v1/project/config",
    ):
        answer = await ingest.request("GET", path)
        assert answer.status == 200
        assert LIMIT not in answer.headers

    assert (await ingest.post()).headers[REMAINING] == "2"


async def test_only_refusals_tell_clients_to_pause(ingest: RunningIngest) -> None:
    """On answers other than 202, the official clients pause if the header says 0."""
    for _ in range(2):
        await ingest.post()

    too_long = await ingest.post(data=b"x" * 200_001)

    assert (too_long.status, too_long.headers[LIMIT]) == (413, "3")
    assert REMAINING not in too_long.headers


async def test_bad_credentials_are_not_counted(ingest: RunningIngest) -> None:
    """Otherwise anybody could use up another caller's limit."""
    for _ in range(4):
        assert (await ingest.post(headers=JSON | {"Authorization": f"Bearer {CLIENT_TOKEN}x"})).status == 401

    assert (await ingest.post()).status == 202


async def test_without_a_limit_there_are_no_headers(any_ingest: RunningIngest) -> None:
    answer = await any_ingest.request("POST", PROJECT_EVENTS, data=b"{}", headers=JSON | BEARER)

    assert answer.status == 202
    assert not {LIMIT, REMAINING} & set(answer.headers)
