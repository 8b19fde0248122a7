"""How a process gets its connections to Postgres."""

import asyncio
import os
import secrets
import signal
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from collector.database.errors import DatabaseUnavailable, QueryTooSlow
from collector.database.pool import close_pool, connected, create_pool
from collector.embedded.servers.ports import free_port
from collector.embedded.servers.postgres import Postgres
from collector.embedded.service import start_service
from collector.process.lifecycle import ServerError
from tests.conftest import Servers


@pytest.fixture
def silent_port() -> int:
    """A port on which no process listens."""
    return free_port()


async def test_an_unreachable_server_ends_the_start_with_one_line(silent_port: int) -> None:
    """The line says what was tried, for how long, and what to do, without the password."""
    url = f"postgresql://me:secret@127.0.0.1:{silent_port}/events"

    with pytest.raises(ServerError) as raised:
        await create_pool(url, max_size=1, wait_seconds=0.3)

    message = str(raised.value)
    assert f"127.0.0.1:{silent_port}/events (" in message
    assert "tried for 0.3 s" in message
    assert "secret" not in message
    assert "\n" not in message


async def test_an_invalid_url_ends_the_start_immediately() -> None:
    """Waiting cannot help."""
    with pytest.raises(ServerError, match="cannot be understood"):
        await create_pool("postgresql://me:x@127.0.0.1:not-a-port/events", max_size=1)
    with pytest.raises(ServerError, match="cannot be used: `sslmode` parameter must be one of: disable"):
        await create_pool("postgresql://me@127.0.0.1/events?sslmode=maybe", max_size=1)


async def test_a_slash_in_a_password_does_not_reveal_a_part_of_it() -> None:
    """It must be written as %2F: otherwise a part of the password looks like a port."""
    with pytest.raises(ServerError, match=r"postgresql://me:\*\*\*@h/db cannot .*%2F") as refused:
        await create_pool("postgresql://me:piece/other@h/db", max_size=1)

    assert "piece" not in str(refused.value)
    assert "other" not in str(refused.value)


@pytest.mark.integration
async def test_a_wrong_password_ends_the_start_immediately(database_url: str) -> None:
    """Waiting cannot help."""
    parts = urlsplit(database_url)
    wrong = parts._replace(netloc=f"{parts.username}:wrong@{parts.hostname}:{parts.port}").geturl()

    with pytest.raises(ServerError, match="does not let us in"):
        await create_pool(wrong, max_size=1)


@pytest.mark.integration
async def test_a_missing_database_ends_the_start_immediately(database_url: str) -> None:
    """Waiting cannot help."""
    with pytest.raises(ServerError, match="no such database"):
        await create_pool(urlsplit(database_url)._replace(path="/nowhere").geturl(), max_size=1)


@pytest.mark.integration
async def test_a_server_that_is_too_old_ends_the_start(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the required version is raised above that of the test's server."""
    monkeypatch.setattr("collector.database.pool.OLDEST_MAJOR", 99)

    with pytest.raises(ServerError, match=r"This is PostgreSQL \d+; 99 or newer is needed\."):
        await create_pool(database_url, max_size=1)


@pytest.mark.integration
async def test_a_database_of_another_encoding_ends_the_start(servers: Servers) -> None:
    """It could not store all texts, nor fold their case."""
    name = f"headrace_test_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(servers.database_url)
    try:
        await admin.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'"
        )
        with pytest.raises(ServerError, match=r"The database's encoding is LATIN1; it must be UTF8\."):
            await create_pool(urlsplit(servers.database_url)._replace(path=f"/{name}").geturl(), max_size=1)
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


@pytest.mark.integration
async def test_a_statement_that_takes_too_long_is_an_outage(database_url: str) -> None:
    """A reader gets 503 instead of waiting forever."""
    pool = await create_pool(database_url, max_size=1, statement_timeout_seconds=1)
    try:
        with pytest.raises(DatabaseUnavailable, match="statement timeout"):
            async with connected(pool) as connection:
                await connection.execute("SELECT pg_sleep(30)")
    finally:
        await close_pool(pool)


@pytest.mark.integration
async def test_what_a_failed_statement_leaves_behind_is_bounded(tmp_path: Path) -> None:
    """Neither its temporary files nor its text fill a disk of Postgres."""
    service = Postgres(tmp_path, is_durable=False)
    server = await start_service(service)
    bounds = {"temp_file_limit": "1MB", "log_min_error_statement": "fatal"}
    pool = await create_pool(service.url, max_size=1, statement_timeout_seconds=1, privileged=bounds)
    try:
        with pytest.raises(QueryTooSlow, match="statement timeout"):
            async with connected(pool) as connection:
                await connection.execute("SELECT pg_sleep(30), 'a long filter'")
        async with pool.acquire() as connection:
            await connection.execute("SET work_mem = '64kB'")
        with pytest.raises(QueryTooSlow, match="temporary file size exceeds"):
            async with connected(pool) as connection:
                await connection.fetch("SELECT n FROM generate_series(1, 200000) n ORDER BY n DESC")
    finally:
        await close_pool(pool)
        await server.stop()

    log = (tmp_path / "logs" / "postgres.log").read_text()
    assert "canceling statement due to statement timeout" in log
    assert "a long filter" not in log


@pytest.mark.integration
async def test_privileged_settings_apply_where_the_role_may_change_them(database_url: str) -> None:
    """A role without the privilege works as well."""
    role = f"plain_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(database_url)
    await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'plain'")
    parts = urlsplit(database_url)
    url = parts._replace(netloc=f"{role}:plain@{parts.netloc.rpartition('@')[2]}").geturl()

    async def shown() -> str:
        pool = await create_pool(url, max_size=1, privileged={"temp_file_limit": "1MB"})
        try:
            async with connected(pool) as connection:
                limit: str = await connection.fetchval("SHOW temp_file_limit")
                return limit
        finally:
            await close_pool(pool)

    try:
        assert await shown() == "-1"
        await admin.execute(f"GRANT SET ON PARAMETER temp_file_limit TO {role}")
        assert await shown() == "1MB"
    finally:
        await admin.execute(f"REVOKE SET ON PARAMETER temp_file_limit FROM {role}")
        await admin.execute(f"DROP ROLE {role}")
        await admin.close()


@pytest.mark.integration
async def test_a_server_that_stops_responding_is_soon_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hang on its disk: waiting for the answer is bounded, and so is releasing the connection."""
    monkeypatch.setattr("collector.database.pool._RELEASE_SECONDS", 0.2)
    monkeypatch.setattr("collector.database.pool._ACQUIRE_SECONDS", 60)  # the default for releasing
    service = Postgres(tmp_path, is_durable=False)
    server = await start_service(service)
    pool = await create_pool(service.url, max_size=1, command_timeout_seconds=0.3)
    started = asyncio.get_running_loop().time()
    async with connected(pool) as connection:
        backend = await connection.fetchval("SELECT pg_backend_pid()")
    os.kill(backend, signal.SIGSTOP)
    try:
        with pytest.raises(DatabaseUnavailable, match="TimeoutError"):
            async with connected(pool) as connection:
                await connection.fetchval("SELECT 1")
        assert asyncio.get_running_loop().time() - started < 30
    finally:
        os.kill(backend, signal.SIGCONT)
        await close_pool(pool)
        await server.stop()


@pytest.mark.integration
async def test_a_lost_connection_is_an_outage_and_the_next_one_works(
    pool: asyncpg.Pool, database_url: str
) -> None:
    """After a restart of Postgres a retry gets a new connection."""
    killer = await asyncpg.connect(database_url)

    async def lose_it() -> None:
        async with connected(pool) as connection:
            pid = await connection.fetchval("SELECT pg_backend_pid()")
            await killer.execute("SELECT pg_terminate_backend($1, 5000)", pid)
            await connection.fetchval("SELECT 1")

    with pytest.raises(DatabaseUnavailable):
        await lose_it()
    async with connected(pool) as connection:
        assert await connection.fetchval("SELECT 1") == 1
    await killer.close()


@pytest.mark.integration
async def test_connections_have_the_name_of_their_process(database_url: str) -> None:
    """An operator sees in pg_stat_activity which process does what."""
    pool = await create_pool(database_url, max_size=1, application_name="headrace-test")
    try:
        async with connected(pool) as connection:
            assert await connection.fetchval("SHOW application_name") == "headrace-test"
            assert await connection.fetchval("SHOW statement_timeout") == "0"
            assert await connection.fetchval("SHOW timezone") == "UTC"
    finally:
        await close_pool(pool)


async def test_a_database_with_other_defaults_changes_nothing(database_url: str) -> None:
    """The settings that our statements rely on are made on each connection and survive its release."""
    defaults = {
        "datestyle": ("SQL, DMY", "ISO, YMD"),
        "timezone": ("Asia/Kolkata", "UTC"),
        "intervalstyle": ("iso_8601", "postgres"),
        "standard_conforming_strings": ("off", "on"),
        "default_transaction_isolation": ("serializable", "read committed"),
        "max_parallel_workers_per_gather": ("4", "0"),
    }
    first = await asyncpg.connect(database_url)
    for name, (default, _) in defaults.items():
        database = await first.fetchval("SELECT current_database()")
        await first.execute(f"ALTER DATABASE \"{database}\" SET {name} = '{default}'")
    await first.close()

    pool = await create_pool(database_url, max_size=1)
    try:
        for _ in range(2):
            async with pool.acquire() as connection:
                shown = {name: await connection.fetchval(f"SHOW {name}") for name in defaults}
                assert shown == {name: ours for name, (_, ours) in defaults.items()}
    finally:
        await close_pool(pool)
