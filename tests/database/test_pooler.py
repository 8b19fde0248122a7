"""PgBouncer in front of Postgres works in session mode; otherwise the process does not start."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from collector.database.errors import DatabaseUnavailable, SessionNotKept
from collector.database.pool import close_pool, connect_once, connected, create_pool
from collector.database.pooler import check_session
from collector.database.schema.migrations import check_migrated, migrate, migration_names
from collector.database.writing.store import BatchStore
from collector.process.lifecycle import ServerError
from tests.database.rows import an_event, normalized, stored
from tests.support.poolers import Pooler, a_pooler, needs_pgbouncer

pytestmark = [pytest.mark.integration, needs_pgbouncer]

STARTUP = "extra_float_digits, search_path, statement_timeout, jit, application_name, TimeZone"


@pytest.fixture
async def pooler(database_url: str) -> AsyncIterator[Pooler]:
    """A pooler in front of a migrated database."""
    async with a_pooler(database_url) as pooler:
        yield pooler


@pytest.mark.parametrize("ignored", ["", STARTUP])
async def test_a_pooler_in_session_mode_is_like_postgres_itself(pooler: Pooler, ignored: str) -> None:
    """Our settings apply to each use of a connection, whatever startup parameters it ignores."""
    await pooler.start("session", ignore_startup_parameters=ignored)
    pool = await create_pool(pooler.url, max_size=4, statement_timeout_seconds=7)
    try:
        for _ in range(3):
            async with connected(pool) as connection:
                assert await connection.fetchval("SHOW statement_timeout") == "7s"
                assert await connection.fetchval("SHOW timezone") == "UTC"
                assert await connection.fetchval("SHOW jit") == "off"
        store = BatchStore(pool)
        await store.save([normalized(an_event(reference_id="order-00001"), an_event(place=1))])
        # A duplicate, so that the staging table is used too.
        await store.save([normalized(an_event(reference_id="order-00001"), an_event(place=1))])
        assert len(await stored(pool)) == 3
    finally:
        await close_pool(pool)


async def test_a_database_is_migrated_through_a_pooler_in_session_mode(empty_database_url: str) -> None:
    """The lock of migrations belongs to the session."""
    async with a_pooler(empty_database_url) as pooler:
        await pooler.start("session")
        assert await migrate(pooler.url) == migration_names()
        assert await migrate(pooler.url) == []


@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize("ignored", ["", STARTUP])
@pytest.mark.parametrize("round_robin", [0, 1])
async def test_a_pooler_in_another_mode_ends_the_start_with_one_line(
    pooler: Pooler, mode: str, ignored: str, round_robin: int
) -> None:
    """Whatever the number of its server connections and their order; the line names the setting."""
    await pooler.start(mode, ignore_startup_parameters=ignored, server_round_robin=round_robin)
    for servers in range(1, 5):
        with pytest.raises(ServerError, match="set pool_mode = session there") as refused:
            await create_pool(pooler.url, max_size=2)
        assert "\n" not in str(refused.value)
        with pytest.raises(ServerError, match="pool_mode = session"):
            await connect_once(pooler.url)
        if mode == "transaction":
            await _leave_idle(pooler.url, servers)


async def test_the_mode_is_detected_when_another_client_leaves_a_server_process_meanwhile(
    pooler: Pooler,
) -> None:
    """The second connection then gets that process first, and the two alternate from there."""
    await pooler.start("transaction")
    connection, another = [await asyncpg.connect(pooler.url, statement_cache_size=0) for _ in range(2)]
    await another.execute("BEGIN")

    async def connect() -> asyncpg.Connection:
        second = await asyncpg.connect(pooler.url, statement_cache_size=0)
        await another.execute("COMMIT")
        return second

    try:
        with pytest.raises(SessionNotKept):
            await check_session(connection, connect)
    finally:
        await connection.close()
        await another.close()


async def test_migrations_are_refused_before_anything_is_changed(empty_database_url: str) -> None:
    """A lock in another client's session would protect nothing."""
    async with a_pooler(empty_database_url) as pooler:
        await pooler.start("transaction")
        with pytest.raises(ServerError, match="pool_mode = session"):
            await migrate(pooler.url)
    connection = await asyncpg.connect(empty_database_url)
    assert await connection.fetchval("SELECT to_regclass('schema_migrations')") is None
    await connection.close()


@pytest.mark.parametrize("way", ["restarted", "switched"])
async def test_a_pooler_that_is_switched_later_is_an_outage_until_it_is_switched_back(
    pooler: Pooler, way: str
) -> None:
    """Switched by a restart, which cuts connections, or while they stay open."""
    switch = pooler.start if way == "restarted" else pooler.switch
    await pooler.start("session")
    pool = await create_pool(pooler.url, max_size=2)
    try:
        await check_migrated(pool)
        await switch("transaction")
        await _until_refused(pool)
        for _ in range(5):
            with pytest.raises(SessionNotKept):
                async with connected(pool):
                    pass
        await switch("session")
        await check_migrated(pool)
    finally:
        await close_pool(pool)


async def test_a_pooler_without_a_second_connection_says_so(pooler: Pooler) -> None:
    """Its mode cannot be found out, and one connection would be too few."""
    await pooler.start("session", default_pool_size=1)
    with pytest.raises(ServerError, match="raise its default_pool_size"):
        await create_pool(pooler.url, max_size=1, wait_seconds=0.1)


async def test_prepared_statements_have_names_that_no_other_process_uses(database_url: str) -> None:
    """Otherwise another process's statement could be executed instead of ours."""
    connection = await connect_once(database_url)
    try:
        await connection.fetchval("SELECT 1")
        names = await connection.fetch("SELECT name FROM pg_prepared_statements")
        assert names
        assert all(name["name"].startswith("__headrace_") for name in names)
    finally:
        await connection.close()


async def _leave_idle(url: str, servers: int) -> None:
    """Leave the pooler with this number of idle server connections."""
    connections = [await asyncpg.connect(url, statement_cache_size=0) for _ in range(servers)]
    for connection in connections:
        await connection.execute("BEGIN")
    for connection in connections:
        await connection.execute("COMMIT")
    for connection in connections:
        await connection.close()


async def _until_refused(pool: asyncpg.Pool) -> None:
    """Use connections, two at a time, until the switch is detected: nothing else may fail."""
    for _ in range(100):
        try:
            async with connected(pool) as one, connected(pool) as other, one.transaction():
                assert await one.fetchval("SELECT 1") == 1
                await other.fetch("SELECT 2")
        except SessionNotKept:
            return
        except DatabaseUnavailable:
            continue  # connections that a restart has cut
    pytest.fail("the switch was not detected")
