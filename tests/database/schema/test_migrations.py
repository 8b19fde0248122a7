"""Migrations are applied once each, in order."""

import asyncio
from datetime import date

import asyncpg
import pytest

from collector.database.pool import close_pool, create_pool
from collector.database.schema.migrations import check_migrated, migrate, migration_names
from collector.database.schema.partitions import make_missing_partitions
from collector.process.lifecycle import StartError

pytestmark = pytest.mark.integration


async def test_a_second_run_applies_nothing(empty_database_url: str) -> None:
    """So every deployment can run it."""
    assert await migrate(empty_database_url) == migration_names()
    assert await migrate(empty_database_url) == []


async def test_concurrent_migrations_take_turns(empty_database_url: str) -> None:
    """Several replicas may start together: each file is applied by one of them."""
    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(migrate(empty_database_url)) for _ in range(3)]

    assert sorted(name for run in runs for name in run.result()) == migration_names()


async def test_a_process_does_not_start_on_a_database_that_is_not_migrated(empty_database_url: str) -> None:
    """The error names the command to run."""
    pool = await create_pool(empty_database_url, max_size=1)
    try:
        with pytest.raises(StartError, match="headrace migrate"):
            await check_migrated(pool)
        await migrate(empty_database_url)
        await check_migrated(pool)
    finally:
        await close_pool(pool)


async def test_a_failed_migration_leaves_no_trace(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is one transaction, so it can be repaired and run again."""
    texts = {"0001_good.sql": "CREATE TABLE good ()", "0002_bad.sql": "CREATE TABLE half (); SELECT 1/0"}
    monkeypatch.setattr("collector.database.schema.migrations.migration_names", lambda: sorted(texts))
    monkeypatch.setattr("collector.database.schema.migrations._text", texts.__getitem__)

    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_database_url)

    connection = await asyncpg.connect(empty_database_url)
    assert await connection.fetchval("SELECT to_regclass('good')::text") == "good"
    assert await connection.fetchval("SELECT to_regclass('half')") is None
    texts["0002_bad.sql"] = "CREATE TABLE half ()"
    assert await migrate(empty_database_url) == ["0002_bad.sql"]
    await connection.close()


async def test_a_migration_may_take_longer_than_other_commands(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Creating an index over many events does."""
    monkeypatch.setattr("collector.database.schema.migrations.migration_names", lambda: ["0001_long.sql"])
    monkeypatch.setattr("collector.database.schema.migrations._text", lambda _: "SELECT pg_sleep(1.5)")
    monkeypatch.setattr("collector.database.pool._COMMAND_SECONDS", 1.0)

    assert await migrate(empty_database_url) == ["0001_long.sql"]


async def test_data_is_compressed_by_lz4_where_the_server_has_it(empty_database_url: str) -> None:
    """In every partition; other servers use their default."""
    await migrate(empty_database_url)
    connection = await asyncpg.connect(empty_database_url)
    await make_missing_partitions(connection, [date(2026, 11, 22)])

    compression = await connection.fetchval(
        "SELECT attcompression FROM pg_attribute"
        " WHERE attrelid = 'events_20261122'::regclass AND attname = 'data'"
    )
    offered = await connection.fetchval(
        "SELECT enumvals FROM pg_settings WHERE name = 'default_toast_compression'"
    )
    await connection.close()

    assert compression == (b"l" if "lz4" in offered else b"\0")
