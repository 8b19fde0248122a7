"""The api with a limit on requests."""

from collections.abc import AsyncIterator

import pytest

from tests.api.running_api import RunningApi, running_api
from tests.support.fakes import FakeClock

pytestmark = pytest.mark.integration

LIMIT, REMAINING = "X-RateLimit-Limit", "X-RateLimit-Remaining"


@pytest.fixture
async def limited(database_url: str, redis_url: str, key_prefix: str) -> AsyncIterator[RunningApi]:
    """Two requests in a quarter of an hour for each caller. No quarter is about to end."""
    async with running_api(
        database_url, redis_url, key_prefix, request_limit=2, clock=FakeClock()
    ) as running:
        yield running


async def test_people_organizations_and_addresses_are_counted_separately(limited: RunningApi) -> None:
    """A program counts for its organization, an anonymous caller for its address."""
    for token in (limited.people.user, limited.people.program):
        answers = [await limited.get("/api/v2/projects", token) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert [answer.headers.get(LIMIT) for answer in answers] == ["2", "2", None]
        assert [answer.headers.get(REMAINING) for answer in answers] == ["1", None, None]
    assert (await limited.get("/api/v2/projects", limited.people.other_program)).status == 200

    unknown = {"email": "nobody@example.com", "password": "correct horse"}
    tries = [await limited.post("/api/v2/auth/login", body=unknown) for _ in range(3)]
    assert [answer.status for answer in tries] == [401, 401, 429]
    assert 0 < int(tries[-1].headers["Retry-After"]) <= 900


async def test_unknown_tokens_are_counted_before_they_are_looked_up(
    database_url: str, redis_url: str, key_prefix: str
) -> None:
    """By address; a token that was found before is no guess, whatever comes from there."""
    async with running_api(database_url, redis_url, key_prefix, request_limit=5) as api:
        assert (await api.get("/api/v2/projects", api.people.program)).status == 200
        guesses = [await api.get("/api/v2/projects", f"{number:024}{'x' * 16}") for number in range(30)]
        secrets = [await api.get("/api/v2/projects", api.people.user[:24] + "x" * 16) for _ in range(2)]

        assert [guess.status for guess in guesses] == [401] * 5 + [429] * 25
        assert [secret.status for secret in secrets] == [429, 429]
        assert int(guesses[-1].headers["Retry-After"]) > 0
        assert (await api.get("/api/v2/projects", api.people.program)).status == 200
        await api.pool.execute("DELETE FROM tokens")
        assert (await api.get("/api/v2/projects", api.people.program)).status == 401
        assert (await api.get("/api/v2/projects", api.people.program)).status == 429


async def test_an_unauthorized_request_is_refused_before_it_is_counted(limited: RunningApi) -> None:
    """So it does not use up the limit of others."""
    answers = [await limited.get("/api/v2/projects", limited.people.client) for _ in range(3)]

    assert [answer.status for answer in answers] == [403, 403, 403]
    assert (await limited.get("/api/v2/projects", limited.people.program)).status == 200
