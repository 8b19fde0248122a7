"""Connections for writes: reused, replaced when dead, and never carrying another write's reply."""

import asyncio

import pytest
from redis import exceptions
from redis.asyncio import Redis

from collector.broker.connection import connect
from collector.broker.queue.write_connections import WriteConnections
from tests.support.waiting import until

pytestmark = pytest.mark.integration


async def connections(redis: Redis, name: str) -> int:
    """The number of connections that the server has under that name."""
    return sum(client["name"] == name for client in await redis.client_list())


@pytest.fixture
async def writer(redis_url: str) -> Redis:
    """A client with a short timeout."""
    return connect(redis_url, socket_timeout_seconds=0.2)


async def test_sequential_writes_share_one_connection(redis: Redis, writer: Redis, key_prefix: str) -> None:
    """As many are kept as there were concurrent writes. Closing the client closes them."""
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
    """The server may have closed it long ago; the caller repeats the write."""
    writes = WriteConnections(writer)
    number = await writes.run("CLIENT", "ID")
    await redis.client_kill_filter(_id=number)

    with pytest.raises(exceptions.ConnectionError):
        await writes.run("PING")

    assert await writes.run("PING") == b"PONG"
    await writer.aclose()


async def test_a_late_reply_is_not_read_by_another_write(
    redis: Redis, writer: Redis, key_prefix: str
) -> None:
    """The write fails within the timeout, and the next one uses another connection."""
    writes = WriteConnections(writer)

    with pytest.raises(TimeoutError):
        await writes.run("BLPOP", f"{key_prefix}list", 0)

    await redis.rpush(f"{key_prefix}list", "late")
    assert await writes.run("PING") == b"PONG"
    await writer.aclose()


async def test_a_server_error_keeps_the_connection(writer: Redis) -> None:
    """The reply was read, so the connection is fine."""
    writes = WriteConnections(writer)
    number = await writes.run("CLIENT", "ID")

    with pytest.raises(exceptions.ResponseError):
        await writes.run("NO SUCH COMMAND")

    assert await writes.run("CLIENT", "ID") == number
    await writer.aclose()
