"""The event stream: what arrives is counted, for whom it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
from aiohttp import ClientResponse, ClientSession

from collector.api.core import live
from collector.api.core.live import STREAMS_OF_ONE
from collector.broker.live_feed import LiveFeed
from tests.api.running_api import RunningApi
from tests.database.rows import OTHER_PROJECT, PROJECT
from tests.support.waiting import until

pytestmark = pytest.mark.integration


@asynccontextmanager
async def opened(api: RunningApi, token: str, path: str = "/events/stream") -> AsyncIterator[ClientResponse]:
    """A stream that is open, with its first lines read."""
    async with (
        ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.get(f"{api.url}/api/v2{path}") as response,
    ):
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        assert await response.content.readline() == b"retry: 3000\n"
        yield response


async def announce(api: RunningApi, project: bytes, count: int) -> None:
    """As workers do."""
    await LiveFeed(api.parts.redis, api.parts.keys).publish({project: count})


async def counted(response: ClientResponse) -> int:
    """The next number that the stream says."""
    async with asyncio.timeout(20):
        while not (line := await response.content.readline()).startswith(b"data:"):
            pass
    number: int = orjson.loads(line.removeprefix(b"data:"))["count"]
    return number


async def test_what_is_stored_is_counted_from_the_first_line_on(api: RunningApi) -> None:
    """Nothing falls between the opening of a stream and the subscription that serves it."""
    async with opened(api, api.people.user) as response:
        await announce(api, PROJECT.bytes, 37)

        assert await counted(response) == 37


async def test_another_organization_hears_nothing(api: RunningApi) -> None:
    """Its own events only."""
    async with opened(api, api.people.stranger) as strangers, opened(api, api.people.user) as ours:
        await announce(api, PROJECT.bytes, 1)
        await announce(api, OTHER_PROJECT.bytes, 1000)

        assert (await counted(ours), await counted(strangers)) == (1, 1000)


async def test_a_lost_channel_ends_the_streams(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that pages know that they miss something; while it is away none is opened."""
    monkeypatch.setattr(live, "_SUBSCRIBE_SECONDS", 0.01)
    monkeypatch.setattr(live, "_AGAIN_SECONDS", 0.5)
    async with opened(api, api.people.user) as response:
        await api.parts.redis.client_kill_filter(_type="pubsub")

        async with asyncio.timeout(20):
            assert b"data:" not in await response.content.read()
    refused = await api.get("/api/v2/events/stream", api.people.user)
    assert (refused.status, refused.json["title"]) == (
        503,
        "New events cannot be counted now: Redis does not answer.",
    )

    async def is_back() -> bool:
        return (await api.get("/api/v2/events/stream", api.people.user, only_head=True)).status == 200

    await until(is_back, 20, "the channel to be back")


async def test_one_person_has_few_streams(api: RunningApi) -> None:
    """And another one when one of them is closed."""
    path = "/api/v2/events/stream"
    async with opened(api, api.people.user), opened(api, api.people.user), opened(api, api.people.user):
        async with opened(api, api.people.user):
            refused = await api.get(path, api.people.user)
            assert STREAMS_OF_ONE == 4
            assert refused.status == 429
            assert int(refused.headers["Retry-After"]) > 0
            assert (await api.get(path, api.people.admin, only_head=True)).status == 200

        async def is_free() -> bool:
            return (await api.get(path, api.people.user, only_head=True)).status == 200

        await until(is_free, 10, "a stream to be free")
