"""The real servers of integration tests: one Valkey and one Postgres per run, separated for every test.

`REDIS_URL` and `DATABASE_URL` name servers to use instead of embedded ones. Every test has a separate
database and key prefix, and cleans up after itself; nothing else on a given server is touched.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import structlog
from hypothesis import settings
from redis.asyncio import Redis

from collector.broker.durability import read_durability
from collector.embedded.servers.postgres import Postgres
from collector.embedded.servers.valkey import Valkey
from collector.embedded.service import start_service
from tests.support.databases import MigratedDatabases, separate_database

pytest_plugins = ["tests.support.distribution", "tests.support.ids", "tests.support.unmet_answers"]

SCALE = int(os.environ.get("HEADRACE_TEST_SCALE", "1"))
"""`make nightly` sets 10: ten times as many random cases, different ones each time. CI repeats the same."""

settings.register_profile(
    "headrace", max_examples=50 if SCALE == 1 else 200 * SCALE, deadline=None, derandomize=SCALE == 1
)
settings.load_profile("headrace")


def pytest_runtest_setup() -> None:
    """Undo what processes that ran within an earlier test have configured: tests read what is logged."""
    structlog.reset_defaults()  # the output, too
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            # Rich tracebacks, the default, take a tenth of a second each.
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ],
    )


@dataclass(frozen=True, slots=True)
class Servers:
    """The URLs of the run's servers."""

    redis_url: str
    database_url: str


@pytest.fixture(scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    """A Valkey and a Postgres for the whole run: given ones, or embedded ones in a temporary directory."""
    directory = tmp_path_factory.mktemp("servers")
    redis_url, database_url = os.environ.get("REDIS_URL"), os.environ.get("DATABASE_URL")
    async with AsyncExitStack() as stack:
        if redis_url is None:
            valkey = Valkey(directory)
            stack.push_async_callback((await start_service(valkey)).stop)
            redis_url = valkey.url
        if database_url is None:
            postgres = Postgres(directory, is_durable=False, superuser_password=secrets.token_hex(8))
            stack.push_async_callback((await start_service(postgres)).stop)
            database_url = postgres.superuser_url
        if not await _keeps_promise(redis_url):
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setenv("HEADRACE_DURABILITY", "relaxed")
        yield Servers(redis_url, database_url)


async def _keeps_promise(redis_url: str) -> bool:
    """A given server may lack `maxmemory` or fsync less; then tests use relaxed durability."""
    async with Redis.from_url(redis_url) as redis, asyncio.timeout(30):
        found = await read_durability(redis)
    return found.keeps_promise and found.maxmemory_bytes > 0


@pytest.fixture(scope="session")
async def databases(servers: Servers) -> AsyncIterator[MigratedDatabases]:
    """Migrated databases, each used by one test at a time."""
    async with MigratedDatabases.on(servers.database_url) as databases:
        yield databases


@pytest.fixture
async def empty_database_url(servers: Servers) -> AsyncIterator[str]:
    """A separate database for this test, not yet migrated."""
    async with separate_database(servers.database_url) as url:
        yield url


@pytest.fixture
async def database_url(databases: MigratedDatabases) -> AsyncIterator[str]:
    """A separate migrated database for this test, as if just made."""
    async with databases.borrowed() as url:
        yield url


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """The run's Valkey; tests use keys with their `key_prefix` only."""
    return servers.redis_url


@pytest.fixture
async def key_prefix(redis_url: str) -> AsyncIterator[str]:
    """The prefix of this test's keys; they are deleted afterwards."""
    prefix = f"test-{secrets.token_hex(6)}:"
    yield prefix
    async with Redis.from_url(redis_url) as redis, asyncio.timeout(30):
        keys = [key async for key in redis.scan_iter(match=f"{prefix}*", count=1000)]
        if keys:
            await redis.unlink(*keys)
