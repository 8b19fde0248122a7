"""Connections kept for writes: used again and again, replaced when dead, never with another's reply."""

import asyncio

import pytest
from redis import exceptions
from redis.asyncio import Redis

from collector.broker.connection import connect
from collector.broker.write_connections import WriteConnections
from tests.support.waiting import until

pytestmark = pytest.mark.integration


async def connections(redis: Redis, name: str) -> int:
    """How many the server has under that name."""
    return sum(client["name"] == name for client in await redis.client_list())


@pytest.fixture
async def writer(redis_url: str) -> Redis:
    """A client with a short time-out."""
    return connect(redis_url, socket_timeout_seconds=0.2)


async def test_one_connection_serves_writes_that_follow_one_another(
    redis: Redis, writer: Redis, key_prefix: str
) -> None:
    """As many are held as there were writes at once; closing the client closes them."""
    writes = WriteConnections(writer)
    await writes.run("CLIENT", "SETNAME", key_prefix)

    for number in range(3):
        assert await writes.run("INCR", f"{key_prefix}n") == number + 1

    assert await connections(redis, key_prefix) == 1
    assert await asyncio.gather(*(writes.run("PING") for _ in range(3))) == [b"PONG"] * 3
    await writer.aclose()

    async def is_closed() -> bool:
        return await connections(redis, key_prefix) == 0

    await until(is_closed)


async def test_a_write_on_a_dead_connection_fails_and_its_repeat_does_not(
    redis: Redis, writer: Redis
) -> None:
    """The server may have closed it long ago; whoever wrote repeats it."""
    writes = WriteConnections(writer)
    number = await writes.run("CLIENT", "ID")
    await redis.client_kill_filter(_id=number)

    with pytest.raises(exceptions.ConnectionError):
        await writes.run("PING")

    assert await writes.run("PING") == b"PONG"
    await writer.aclose()


async def test_a_reply_that_came_too_late_is_nobody_elses(
    redis: Redis, writer: Redis, key_prefix: str
) -> None:
    """The write fails within the time-out; the next one has a connection without that reply."""
    writes = WriteConnections(writer)

    with pytest.raises(TimeoutError):
        await writes.run("BLPOP", f"{key_prefix}list", 0)

    await redis.rpush(f"{key_prefix}list", "late")
    assert await writes.run("PING") == b"PONG"
    await writer.aclose()


async def test_an_error_of_the_server_leaves_the_connection_in_use(writer: Redis) -> None:
    """The reply was read: nothing is wrong with the connection."""
    writes = WriteConnections(writer)
    number = await writes.run("CLIENT", "ID")

    with pytest.raises(exceptions.ResponseError):
        await writes.run("NO SUCH COMMAND")

    assert await writes.run("CLIENT", "ID") == number
    await writer.aclose()
