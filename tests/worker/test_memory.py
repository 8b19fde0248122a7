"""The memory of a worker, measured in a separate process."""

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest

from collector.broker.connection import connect
from collector.broker.keys import RedisKeys
from collector.broker.queue.post_stream import PostStream
from collector.broker.queue.shards import Shards
from collector.database.owners.organizations import add_organization
from collector.database.owners.projects import add_project
from collector.database.pool import create_pool
from collector.embedded.child import Child, Program
from collector.embedded.servers.ports import free_port
from tests.conftest import SCALE
from tests.support.factories import ORGANIZATION, PROJECT, a_batch, a_post
from tests.support.waiting import until

pytestmark = pytest.mark.integration

SHARDS = 8
HIGHEST_MB = 256
"""As documented."""


@asynccontextmanager
async def _a_worker(environ: dict[str, str], log: Path) -> AsyncIterator[Child]:
    arguments = (sys.executable, "-P", "-m", "collector.cli", "worker")
    child = Child.start(Program(arguments, {**environ, "HEADRACE_PORT": str(free_port())}, log))
    try:
        yield child
    finally:
        await child.stop()


def _peak_mb(child: Child) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{child.pid}/status").read_text())
    assert found is not None
    return int(found[1]) // 1024


async def test_the_memory_of_a_worker_is_bounded_whatever_waits_for_it(
    redis_url: str, key_prefix: str, database_url: str, tmp_path: Path
) -> None:
    """A third of a gigabyte that compresses well, in eight shards, half of it left by a dead worker."""
    pool = await create_pool(database_url, max_size=1)
    async with pool.acquire() as connection:
        await add_organization(connection, UUID(bytes=ORGANIZATION), "Acme")
        await add_project(connection, UUID(bytes=PROJECT), UUID(bytes=ORGANIZATION), "Shop")
    redis, keys = connect(redis_url, socket_timeout_seconds=30), RedisKeys(key_prefix)
    stream = PostStream(redis, keys, Shards(redis, keys, SHARDS))
    await stream.ensure_group()
    body = b" " * 190_000 + b'{"message":"x"}'
    for number in range(10 * SHARDS * SCALE):
        await stream.append(number % SHARDS, a_batch(*[a_post(body=body) for _ in range(20)]))
    assert len(await stream.read("dead", 5 * SHARDS * SCALE, 1)) == 5 * SHARDS * SCALE
    environ = {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "HEADRACE_REDIS_KEY_PREFIX": key_prefix,
        "HEADRACE_SHARDS": str(SHARDS),
        "HEADRACE_CLAIM_IDLE_SECONDS": "1",
        "HEADRACE_RETENTION_DAYS": "36500",
    }

    async def is_drained() -> bool:
        return not any([await redis.xlen(keys.stream(shard)) for shard in range(SHARDS)])

    async with _a_worker(environ, tmp_path / "worker.log") as worker:
        await until(is_drained, seconds=120 * SCALE)
        peak_mb = _peak_mb(worker)

    assert await pool.fetchval("SELECT count(*) FROM events") == 10 * SHARDS * SCALE * 20
    assert peak_mb < HIGHEST_MB
    await pool.close()
    await redis.aclose()
