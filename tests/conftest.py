"""The real servers that integration tests talk to: one Valkey and one Postgres a run, apart for every test.

`REDIS_URL` and `DATABASE_URL` name servers to use instead of embedded ones. Every test has a database and a
key prefix of its own, and cleans up after itself; nothing else in a given server is touched.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from hypothesis import settings
from redis.asyncio import Redis

from collector.broker.durability import read_durability
from collector.database.schema.migrations import migrate
from collector.embedded.servers.postgres import Postgres
from collector.embedded.servers.valkey import Valkey
from collector.embedded.service import start_service

SCALE = int(os.environ.get("HEADRACE_TEST_SCALE", "1"))
"""`make nightly` sets 10: ten times the random cases, and other ones each time; CI always has the same."""

settings.register_profile("headrace", max_examples=200 * SCALE, deadline=None, derandomize=SCALE == 1)
settings.load_profile("headrace")


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the run's servers are."""

    redis_url: str
    database_url: str


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that look back on a whole run last."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@pytest.fixture(scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    """A Valkey and a Postgres for the whole run: given, or embedded in a temporary directory."""
    directory = tmp_path_factory.mktemp("servers")
    redis_url, database_url = os.environ.get("REDIS_URL"), os.environ.get("DATABASE_URL")
    async with AsyncExitStack() as stack:
        if redis_url is None:
            valkey = Valkey(directory)
            stack.push_async_callback((await start_service(valkey)).stop)
            redis_url = valkey.url
        if database_url is None:
            postgres = Postgres(directory, is_durable=False)
            stack.push_async_callback((await start_service(postgres)).stop)
            database_url = postgres.url
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
async def migrated_template(servers: Servers) -> AsyncIterator[str]:
    """A migrated database that is only the template of the others."""
    async with _database(servers, template="template0") as (name, url):
        await migrate(url)
        yield name


@pytest.fixture
async def empty_database_url(servers: Servers) -> AsyncIterator[str]:
    """A separate database for this test, not yet migrated."""
    async with _database(servers, template="template0") as (_, url):
        yield url


@pytest.fixture
async def database_url(servers: Servers, migrated_template: str) -> AsyncIterator[str]:
    """A separate migrated database for this test."""
    async with _database(servers, template=migrated_template) as (_, url):
        yield url


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """The run's Valkey; keep to your `key_prefix`."""
    return servers.redis_url


@pytest.fixture
async def key_prefix(redis_url: str) -> AsyncIterator[str]:
    """What this test's keys begin with; they are deleted afterwards."""
    prefix = f"test-{secrets.token_hex(6)}:"
    yield prefix
    async with Redis.from_url(redis_url) as redis, asyncio.timeout(30):
        keys = [key async for key in redis.scan_iter(match=f"{prefix}*", count=1000)]
        if keys:
            await redis.unlink(*keys)


@asynccontextmanager
async def _database(servers: Servers, *, template: str) -> AsyncIterator[tuple[str, str]]:
    name = f"headrace_test_{secrets.token_hex(6)}"
    async with asyncio.timeout(30):
        admin = await asyncpg.connect(servers.database_url)
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}", timeout=30)
        try:
            yield name, urlunsplit(urlsplit(servers.database_url)._replace(path=f"/{name}"))
        finally:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)", timeout=30)
    finally:
        await admin.close(timeout=10)
