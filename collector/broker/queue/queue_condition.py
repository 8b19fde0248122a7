"""Reads how the queue's server is: version, durability, memory, clock, and who holds entries of the streams.

Nothing is changed. What our user may not ask for is unknown, not an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from redis import exceptions
from redis.asyncio import Redis

from collector.broker.durability import Durability, read_durability
from collector.broker.errors import BrokerForbidden, translated
from collector.broker.keys import GROUP, RedisKeys
from collector.broker.queue.queue_look import QueueLook
from collector.broker.queue.shards import stream_lengths

_MOST_CONSUMERS: Final = 1000


class ConsumerState(NamedTuple):
    """A worker's membership in one stream: the entries it holds, and how long ago it last asked for any."""

    name: str
    in_hand: int
    silent_seconds: float


@dataclass(frozen=True, slots=True)
class QueueCondition:
    """The queue's server and the streams at one moment.

    `used_bytes` is everything that the server holds, and `now` its time; None if it does not say.
    `write_problem` is what keeps it from writing its append-only file.
    """

    server: str
    durability: Durability
    used_bytes: int | None
    write_problem: str
    now: datetime | None
    entries: int
    oldest: datetime | None
    consumers: list[ConsumerState]


async def read_queue_condition(redis: Redis, keys: RedisKeys) -> QueueCondition:
    """Look at the server and every stream that holds entries. Raises BrokerUnavailable."""
    durability = await read_durability(redis)
    info = await _info(redis)
    lengths = await stream_lengths(redis, keys)
    look = QueueLook(redis, keys)
    oldest = min(await look.oldest(), default=None)
    # The first stream shows which workers there are, even if it is empty.
    consumers: list[ConsumerState] = []
    for number, length in enumerate(lengths):
        if (length or not number) and len(consumers) < _MOST_CONSUMERS:
            consumers += await _consumers(redis, keys.stream(number))
    return QueueCondition(
        server=_server(info),
        durability=durability,
        used_bytes=int(info["used_memory"]) if "used_memory" in info else None,
        write_problem="" if info.get("aof_last_write_status", "ok") == "ok" else "its last write failed",
        now=await _now(redis),
        entries=sum(lengths),
        oldest=oldest,
        consumers=consumers,
    )


async def _info(redis: Redis) -> dict[str, Any]:
    try:
        with translated():
            return dict(await redis.info())
    except (BrokerForbidden, exceptions.ResponseError):
        return {}


async def _now(redis: Redis) -> datetime | None:
    try:
        with translated():
            seconds, micros = await redis.time()
    except (BrokerForbidden, exceptions.ResponseError):
        return None
    return datetime.fromtimestamp(seconds + micros / 1e6, UTC)


def _server(info: Mapping[str, Any]) -> str:
    """Valkey reports a version of Redis, too."""
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info['redis_version']}" if "redis_version" in info else "unknown"


async def _consumers(redis: Redis, stream: str) -> list[ConsumerState]:
    try:
        with translated():
            found: Any = await redis.xinfo_consumers(stream, GROUP)
    except (BrokerForbidden, exceptions.ResponseError):  # denied, or there is no stream or group yet
        return []
    return [
        ConsumerState(each["name"].decode(errors="replace"), int(each["pending"]), each["idle"] / 1000)
        for each in found
    ]
