"""A Redis over its `maxmemory`, as callers who manage see it: 503, and nothing is half done."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from collector.embedded.servers.valkey import Valkey
from collector.embedded.service import start_service
from tests.api.running_api import EMAIL, PASSWORD, RunningApi, running_api
from tests.database.rows import PROJECT

pytestmark = pytest.mark.integration

TOKENS = f"/api/v2/projects/{PROJECT.hex}/tokens"
LOGIN = "/api/v2/auth/login"
VALID = {"email": EMAIL, "password": PASSWORD}


@pytest.fixture
async def own_redis(tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a server of this test only, which may be filled up."""
    service = Valkey(tmp_path)
    child = await start_service(service)
    yield service.url
    await child.stop()


@pytest.fixture
async def api(database_url: str, own_redis: str) -> AsyncIterator[RunningApi]:
    """An api on that server."""
    async with running_api(database_url, own_redis, "") as running:
        yield running


async def test_no_token_is_created_while_ingest_cannot_learn_of_it(api: RunningApi, own_redis: str) -> None:
    """Clients drop their events on a 401. Once there is room, all works again; revoking always does."""
    before = (await api.post(TOKENS, api.people.user)).json["id"]
    kept = await api.pool.fetchval("SELECT count(*) FROM tokens")

    async with Redis.from_url(own_redis) as redis:
        await redis.config_set("maxmemory", 1)
        refused = [await api.post(TOKENS, api.people.user), await api.post(LOGIN, body=VALID)]
        assert [answer.status for answer in refused] == [503, 503]
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
        assert await api.pool.fetchval("SELECT count(*) FROM tokens") == kept
        revoked = await api.request("DELETE", f"/api/v2/tokens/{before}", api.people.user)
        await redis.config_set("maxmemory", 0)

    after = await api.post(TOKENS, api.people.user)
    assert (revoked.status, after.status) == (202, 201)
    assert not await api.known_to_ingest(before)
    assert await api.known_to_ingest(after.json["id"])
    assert (await api.post(LOGIN, body=VALID)).status == 200


async def test_a_login_whose_token_cannot_be_published_fails(
    api: RunningApi, own_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis may fill up between counting the attempt and publishing the token."""
    kept = await api.pool.fetchval("SELECT count(*) FROM tokens")
    put = api.parts.projection.put_token

    async with Redis.from_url(own_redis) as redis:

        async def put_when_full(*arguments: object) -> None:
            await redis.config_set("maxmemory", 1)
            await put(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(api.parts.projection, "put_token", put_when_full)
        answer = await api.post(LOGIN, body=VALID)

    assert answer.status == 503
    assert await api.pool.fetchval("SELECT count(*) FROM tokens") == kept
