"""Migrations are applied once each, in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from uuid import UUID

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
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is one transaction, so it can be repaired and run again."""
    tmp_path.joinpath("0001_good.sql").write_text("CREATE TABLE good ()")
    tmp_path.joinpath("0002_bad.sql").write_text("CREATE TABLE half (); SELECT 1/0")
    monkeypatch.setattr("collector.database.schema.migrations._FOLDER", tmp_path)

    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_database_url)

    connection = await asyncpg.connect(empty_database_url)
    assert await connection.fetchval("SELECT to_regclass('good')::text") == "good"
    assert await connection.fetchval("SELECT to_regclass('half')") is None
    tmp_path.joinpath("0002_bad.sql").write_text("CREATE TABLE half ()")
    assert await migrate(empty_database_url) == ["0002_bad.sql"]
    await connection.close()


async def test_a_migration_may_take_longer_than_other_commands(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Creating an index over many events does."""
    tmp_path.joinpath("0001_long.sql").write_text("SELECT pg_sleep(1.5)")
    monkeypatch.setattr("collector.database.schema.migrations._FOLDER", tmp_path)
    monkeypatch.setattr("collector.database.pool._COMMAND_SECONDS", 1.0)

    assert await migrate(empty_database_url) == ["0001_long.sql"]


async def test_removed_letters_have_the_reason_that_was_renamed(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a project that has lost further letters since."""
    async with before_migration("0034", empty_database_url, monkeypatch) as connection:
        await connection.executemany(
            "INSERT INTO removed_dead_letters (project_id, reason, letters) VALUES ($1, $2, $3)",
            [
                (UUID(int=1), "refused_by_database", 2),
                (UUID(int=1), "rejected_by_database", 3),
                (UUID(int=2), "refused_by_database", 4),
                (UUID(int=2), "too_deep", 1),
            ],
        )
        await migrate(empty_database_url)

        rows = await connection.fetch("SELECT project_id, reason, letters FROM removed_dead_letters")

    assert set(map(tuple, rows)) == {
        (UUID(int=1), "rejected_by_database", 5),
        (UUID(int=2), "rejected_by_database", 4),
        (UUID(int=2), "too_deep", 1),
    }


async def test_of_open_requests_for_removals_the_latest_stays(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with before_migration("0035", empty_database_url, monkeypatch) as connection:
        await connection.execute(
            """
            INSERT INTO removals (id, project_id, stack_id, asked_utc, done_utc)
            SELECT gen_random_uuid(), $1, stack, moment, done FROM
                (VALUES (NULL::uuid), ($1)) AS s (stack),
                (VALUES (now()), (now() - interval '1 hour')) AS m (moment),
                (VALUES (NULL::timestamptz), (now())) AS d (done)
            """,
            UUID(int=1),
        )
        await migrate(empty_database_url)

        assert await connection.fetchval("SELECT count(*) FROM removals WHERE done_utc IS NOT NULL") == 4
        assert await connection.fetchval("SELECT count(*) FROM removals WHERE done_utc IS NULL") == 2
        assert await connection.fetchval(
            "SELECT bool_and(asked_utc > now() - interval '30 minutes') FROM removals WHERE done_utc IS NULL"
        )


@asynccontextmanager
async def before_migration(
    number: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database that lacks this migration and all later ones."""
    earlier = [name for name in migration_names() if name < number]
    with monkeypatch.context() as patch:
        patch.setattr("collector.database.schema.migrations.migration_names", lambda: earlier)
        await migrate(url)
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


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
