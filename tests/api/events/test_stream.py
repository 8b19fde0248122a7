"""The event stream: what arrives is counted, for whom it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientResponse, ClientSession

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


async def until_counted(api: RunningApi, response: ClientResponse, project: bytes, count: int) -> bytes:
    """Announce until the stream says something: the subscription may be a moment younger than the test."""
    feed = LiveFeed(api.parts.redis, api.parts.keys)
    lines: list[bytes] = []

    async def read() -> None:
        while not lines or not lines[-1].startswith(b"data:"):
            lines.append(await response.content.readline())

    reading = asyncio.create_task(read())

    async def is_read() -> bool:
        await feed.publish({project: count})
        return reading.done()

    await until(is_read, 20, "a message")
    await reading
    return lines[-1]


async def test_what_is_stored_is_counted(api: RunningApi) -> None:
    async with opened(api, api.people.user) as response:
        line = await until_counted(api, response, PROJECT.bytes, 37)

        assert line.startswith(b'data: {"count":')
        assert int(line.partition(b":")[2].strip(b'{}" \ncount:')) % 37 == 0


async def test_another_organization_hears_nothing(api: RunningApi) -> None:
    """Its own events only."""
    async with opened(api, api.people.stranger) as strangers, opened(api, api.people.user) as ours:
        await until_counted(api, ours, PROJECT.bytes, 1)
        line = await until_counted(api, strangers, OTHER_PROJECT.bytes, 1000)

        assert int(line.partition(b":")[2].strip(b'{}" \ncount:')) % 1000 == 0


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
