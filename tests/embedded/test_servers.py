"""The embedded servers, run by this user and, if that is root, by another one too."""

import asyncio
import json
import os
import pwd
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import asyncpg
import msgspec
import psutil
import pytest
from redis.asyncio import Redis

from collector.database.schema.migrations import migrate
from collector.database.text import lowered
from collector.embedded.child import Child, Program
from collector.embedded.servers.binaries import postgres_programs, valkey_program
from collector.embedded.servers.os_user import OsUser, server_user
from collector.embedded.servers.postgres import Postgres
from collector.embedded.servers.server_credentials import load_server_credentials, save_server_credentials
from collector.embedded.servers.valkey import Valkey
from collector.embedded.service import start_service
from collector.process.lifecycle import StartError
from tests.embedded.shell import ShellService
from tests.support.enterable import make_enterable
from tests.support.waiting import until

pytestmark = pytest.mark.integration

NOT_ROOT = next(OsUser(user.pw_uid, user.pw_gid) for user in pwd.getpwall() if user.pw_uid not in {0, 65_534})
"""A user that the system knows: initdb looks up its own name."""


LOCALE = """
    SELECT (datcollate, datctype, datlocprovider::text)
    FROM pg_database WHERE datname = current_database()
"""


async def killed(child: Child) -> None:
    """Kill the child without warning."""
    os.kill(child.pid, signal.SIGKILL)
    await child.wait()


def mode_of(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def owner_of(path: Path) -> int:
    return path.stat().st_uid


async def test_valkey_keeps_what_it_confirmed_when_it_is_killed(tmp_path: Path) -> None:
    """Every write is on the disk before its reply. The server keeps its URL."""
    valkey = Valkey(tmp_path)
    child = await start_service(valkey)
    async with Redis.from_url(valkey.url) as redis:
        await redis.set("key", "value")
    await killed(child)

    child = await start_service(valkey)

    async with Redis.from_url(valkey.url) as redis:
        assert await redis.get("key") == b"value"
    await child.stop()


async def test_valkey_is_bounded_durable_and_password_protected(tmp_path: Path) -> None:
    """It refuses writes rather than evicting."""
    valkey = Valkey(tmp_path, queue_memory_mb=64)
    child = await start_service(valkey)
    try:
        async with Redis.from_url(valkey.url) as redis:
            held = await redis.config_get("*")
        expected = {"maxmemory": str(64 << 20), "maxmemory-policy": "noeviction", "appendfsync": "always"}
        assert {name: held[name] for name in expected} == expected
        assert (held["appendonly"], held["save"], held["bind"]) == ("yes", "", "127.0.0.1")

        password = valkey.url.split("@")[0].split(":")[-1]
        assert password not in " ".join(psutil.Process(child.pid).cmdline())
        async with Redis.from_url(valkey.url.replace(password, "guessed")) as redis:
            with pytest.raises(Exception, match=r"WRONGPASS|invalid username-password"):
                await redis.ping()
    finally:
        await child.stop()


async def test_postgres_keeps_what_it_committed_when_it_is_killed(tmp_path: Path) -> None:
    """Also with a connected client, which is not waited for. The server keeps its URL."""
    postgres = Postgres(tmp_path)
    child = await start_service(postgres)
    connection = await asyncpg.connect(postgres.url)
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS number")
    await killed(child)
    connection.terminate()

    child = await start_service(postgres)

    connection = await asyncpg.connect(postgres.url)
    assert await connection.fetchval("SELECT number FROM kept") == 1
    assert await connection.fetchval("SHOW fsync") == "on"
    await connection.close()
    await child.stop()


async def test_postgres_needs_the_password_and_listens_on_loopback_only(tmp_path: Path) -> None:
    """There is no socket file, whose path could be too long."""
    postgres = Postgres(tmp_path, is_durable=False, superuser_password="of-the-test")
    child = await start_service(postgres)
    try:
        connection = await asyncpg.connect(postgres.superuser_url)
        assert await connection.fetchval("SHOW listen_addresses") == "127.0.0.1"
        assert await connection.fetchval("SHOW unix_socket_directories") == ""
        assert await connection.fetchval("SHOW server_encoding") == "UTF8"
        assert await connection.fetchval("SELECT lower('Ä')") == "ä"
        assert await connection.fetchval(LOCALE) == ("C", "C.UTF-8", "b")
        await connection.close()

        password = postgres.url.split("@")[0].split(":")[-1]
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(postgres.url.replace(password, "guessed"))
    finally:
        await child.stop()


async def test_a_cluster_of_an_earlier_version_still_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier versions created it with LC_CTYPE C, as this one does on a machine without other locales."""
    monkeypatch.setattr("collector.embedded.servers.postgres._has_utf8_locale", lambda: False)
    former = Postgres(tmp_path, is_durable=False)
    await (await start_service(former)).stop()
    monkeypatch.undo()

    postgres = Postgres(tmp_path, is_durable=False)
    child = await start_service(postgres)
    try:
        await migrate(postgres.url)
        connection = await asyncpg.connect(postgres.url)
        assert await connection.fetchval(LOCALE) == ("C", "C", "b")
        assert await connection.fetchval(f"SELECT {lowered('$1::text')}", "ÄRGER МИР") == "ärger мир"
        await connection.close()
    finally:
        await child.stop()


async def test_a_later_start_on_the_same_directory_finds_data_and_url(tmp_path: Path) -> None:
    first = Postgres(tmp_path, is_durable=False)
    child = await start_service(first)
    connection = await asyncpg.connect(first.url)
    await connection.execute("CREATE TABLE kept (number int)")
    await connection.close()
    await child.stop()

    second = Postgres(tmp_path, is_durable=False)
    assert second.url == first.url
    child = await start_service(second)

    connection = await asyncpg.connect(second.url)
    assert await connection.fetch("SELECT number FROM kept") == []
    await connection.close()
    await child.stop()


async def test_an_incomplete_cluster_is_created_again(tmp_path: Path) -> None:
    """It is never mistaken for a complete one."""
    half = tmp_path / "postgres" / "new"
    postgres = Postgres(tmp_path, is_durable=False)
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")

    child = await start_service(postgres)

    assert not half.exists()
    await child.stop()


async def test_a_lock_file_that_names_another_program_does_not_stop_postgres(tmp_path: Path) -> None:
    """After a crash of the machine, its process id may belong to any program of the same user."""
    postgres = Postgres(tmp_path, is_durable=False)
    sleeper = await ShellService(tmp_path, "exec sleep 60").prepare()
    stranger = Child.start(replace(sleeper, os_user=server_user(tmp_path / "postgres")))
    child = await start_service(postgres)
    lock_file = tmp_path / "postgres" / "data" / "postmaster.pid"
    lines = lock_file.read_text().splitlines()
    await killed(child)
    lock_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
    lock_file.chmod(0o600)

    child = await start_service(postgres)

    await child.stop()
    await stranger.stop()


async def test_a_zombie_of_a_killed_server_does_not_stop_postgres(tmp_path: Path) -> None:
    """If everything was killed together, its parent has not reaped it yet."""
    postgres = Postgres(tmp_path, is_durable=False)
    unreaped = await start_service(postgres)
    os.kill(unreaped.pid, signal.SIGKILL)
    await until(lambda: psutil.Process(unreaped.pid).status() == psutil.STATUS_ZOMBIE)

    child = await start_service(postgres)

    assert psutil.Process(unreaped.pid).status() == psutil.STATUS_ZOMBIE
    await child.stop()
    await unreaped.stop()


async def test_a_server_that_is_just_ending_is_waited_for(tmp_path: Path) -> None:
    """Its last checkpoint may take a moment."""
    postgres = Postgres(tmp_path, is_durable=False)
    ending = await start_service(postgres)
    os.kill(ending.pid, signal.SIGINT)

    child = await start_service(postgres)

    assert await ending.wait() == 0
    await child.stop()


async def test_no_second_server_is_started_while_one_is_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two on the same data would damage them. Postgres itself says which process has them."""
    monkeypatch.setattr("collector.embedded.servers.postgres._EARLIER_SERVER_SECONDS", 0.1)
    postgres = Postgres(tmp_path, is_durable=False)
    running = await start_service(postgres)

    second = Child.start(await postgres.prepare())

    assert await second.wait() == 1
    assert any(f"(PID {running.pid})" in line for line in second.last_lines())
    assert await postgres.readiness_problem(running) is None
    await running.stop()


class WaitsForClients(Postgres):
    """A server that does not end in time."""

    async def prepare(self) -> Program:
        """SIGTERM is the request that waits for clients."""
        return replace(await super().prepare(), stop_signal=signal.SIGTERM, stop_seconds=0.1)


async def test_a_postgres_that_does_not_end_in_time_leaves_nothing(tmp_path: Path) -> None:
    """No process that still writes into the folder, and no shared memory."""
    postgres = WaitsForClients(tmp_path, is_durable=False)
    child = await start_service(postgres)
    connection = await asyncpg.connect(postgres.url)
    family = psutil.Process(child.pid).children(recursive=True)
    mapped = [part.path for part in psutil.Process(child.pid).memory_maps()]
    shared = [path for path in mapped if "/PostgreSQL." in path]
    assert family
    assert all(map(os.path.exists, shared))
    assert shared

    await child.stop()
    connection.terminate()

    assert await child.wait() >= 0
    assert not [process for process in family if process.is_running()]
    assert not any(map(os.path.exists, shared))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its servers another user")
async def test_root_runs_the_servers_as_another_user_and_opens_no_folder(tmp_path: Path) -> None:
    """Postgres refuses to run as root. Folders above the data stay closed to others."""
    valkey, postgres = Valkey(tmp_path), Postgres(tmp_path, is_durable=False)
    children = await asyncio.gather(start_service(valkey), start_service(postgres))

    owners = {psutil.Process(child.pid).uids().real for child in children}
    assert 0 not in owners
    assert owners == {owner_of(tmp_path / "valkey")}
    assert mode_of(tmp_path) == mode_of(tmp_path / "postgres") == 0o700

    await asyncio.gather(*(child.stop() for child in children))


_AS_ANOTHER_USER = """
import asyncio, json, os, sys
from pathlib import Path
import encodings.idna, redis.asyncio, asyncpg, uuid, getpass, ssl
from collector.embedded.servers import postgres, valkey
from collector.embedded.service import start_service
from collector.process.lifecycle import StartError

directory, uid, valkey_path, initdb_path, postgres_path = sys.argv[1:]
os.setgroups([])
os.setgid(int(uid))
os.setuid(int(uid))
valkey.valkey_program = lambda _: Path(valkey_path)
postgres.postgres_programs = lambda _: postgres.PostgresPrograms(Path(initdb_path), Path(postgres_path))

async def main():
    services = valkey.Valkey(Path(directory)), postgres.Postgres(Path(directory), is_durable=False)
    children = await asyncio.gather(*(start_service(service) for service in services))
    print(json.dumps([os.stat(f"/proc/{child.pid}").st_uid for child in children]))
    await asyncio.gather(*(child.stop() for child in children))

asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_without_root_the_servers_run_under_ones_own_account(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    os.chown(home, NOT_ROOT.uid, NOT_ROOT.gid)
    make_enterable(tmp_path)
    programs = postgres_programs(NOT_ROOT)
    arguments = [home, NOT_ROOT.uid, valkey_program(NOT_ROOT), programs.initdb, programs.postgres]

    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, "-c", _AS_ANOTHER_USER, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [NOT_ROOT.uid, NOT_ROOT.uid]


RIGHTS = """
    SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles
    WHERE rolname = current_user
"""


async def _kept_to_its_database(postgres: Postgres) -> None:
    """Check what the application may do, with the credentials that it has."""
    connection = await asyncpg.connect(postgres.url)
    try:
        assert await connection.fetchval("SELECT current_user") == "headrace"
        assert list(await connection.fetchrow(RIGHTS)) == [False] * 5
        owner = "SELECT datdba::regrole::text FROM pg_database WHERE datname = current_database()"
        assert await connection.fetchval(owner) == "headrace"
        await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        await connection.execute("SET temp_file_limit = '1MB'; SET log_min_error_statement = fatal")
        for command in (
            "COPY (SELECT 1) TO PROGRAM 'true'",
            "ALTER SYSTEM SET fsync = off",
            "CREATE DATABASE more",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(command)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetchval("SELECT pg_read_file('postgresql.conf')")
    finally:
        await connection.close()
    for password in ("", postgres.url.split("@")[0].split(":")[-1]):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(postgres.url, user="postgres", password=password)


async def test_the_application_owns_its_database_and_nothing_else(tmp_path: Path) -> None:
    """It may create trusted extensions there; logging in as superuser is impossible."""
    postgres = Postgres(tmp_path, is_durable=False)
    child = await start_service(postgres)
    try:
        await migrate(postgres.url)
        await _kept_to_its_database(postgres)
    finally:
        await child.stop()


async def test_a_cluster_of_a_superuser_is_upgraded_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its data, at the same URL; a start that was cut off in the middle repeats all of it."""
    with monkeypatch.context() as patch:
        patch.setattr("collector.embedded.servers.postgres.SUPERUSER", "headrace")
        patch.setattr(
            "collector.embedded.servers.postgres.first_commands",
            lambda password, _: f"CREATE DATABASE headrace\nALTER ROLE headrace PASSWORD '{password}'\n",
        )
        former = Postgres(tmp_path, is_durable=False)
        child = await start_service(former)
        connection = await asyncpg.connect(former.url)
        assert await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        await migrate(former.url)
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS number")
        await connection.close()
        await child.stop()
    assert load_server_credentials(tmp_path / "postgres.json").superuser == ""

    for _ in range(2):
        postgres = Postgres(tmp_path, is_durable=False)
        child = await start_service(postgres)
        try:
            await migrate(postgres.url)
            connection = await asyncpg.connect(postgres.url)
            await connection.execute("ALTER TABLE kept ADD COLUMN IF NOT EXISTS another int")
            await connection.execute("ALTER TABLE events ADD COLUMN IF NOT EXISTS another int")
            foreign = (
                "SELECT count(*) FROM pg_class WHERE relowner = 10 AND relnamespace = 'public'::regnamespace"
            )
            assert await connection.fetchval(foreign) == 0
            assert await connection.fetchval("SELECT number FROM kept") == 1
            await connection.close()
            await _kept_to_its_database(postgres)
        finally:
            await child.stop()
        assert postgres.url == former.url
        credentials = load_server_credentials(tmp_path / "postgres.json")
        assert credentials.superuser == "postgres"
        # As if it had been cut off before this was noted.
        save_server_credentials(
            tmp_path / "postgres.json", msgspec.structs.replace(credentials, superuser="")
        )


async def test_a_cluster_of_another_major_version_is_left_alone_with_a_line_that_says_what_to_do(
    tmp_path: Path,
) -> None:
    """Postgres itself would only say that the files are incompatible."""
    cluster = tmp_path / "postgres" / "data"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("17\n")

    with pytest.raises(
        StartError, match=r"is of PostgreSQL 17, and PostgreSQL \d+ is installed: .*upgrade.md"
    ):
        await Postgres(tmp_path, is_durable=False).prepare()
