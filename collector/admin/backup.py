"""Saves the whole database to a file, and restores it while ingest goes on accepting posts.

Both run the programs of Postgres. What is only in the queue is not in the file: it stays where it is, and is
stored once, before or after the restore.
"""

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from collector.admin.postgres_tools import PostgresTools, ended, find_tools, first_error, messages
from collector.admin.queue import Queue, open_queue
from collector.admin.servers import found_servers
from collector.admin.system import errors_in_one_line
from collector.broker.queue.stream_ledger import read_in_hand, read_shards
from collector.broker.token_projection import SweepOvertaken, TokenProjection
from collector.database.owners.projection import load_projection
from collector.database.pool import close_pool, connect_once, connected, create_pool
from collector.database.schema.migrations import migrate, migration_names
from collector.database.schema.restoring import AFTER, BEFORE, MARK, former_contents, other_processes
from collector.database.settings import DatabaseSettings
from collector.database.writing.settlement import ShardState, settle
from collector.process.clock import Clock
from collector.process.lifecycle import StartError
from collector.process.settings import read_settings

_DEADLOCK: Final = "deadlock detected"
_TRIES: Final = 3


class BackupView(msgspec.Struct, frozen=True):
    """A file that was written."""

    file: str
    bytes: int
    seconds: float
    postgres: int
    schema: str


class RestoreView(msgspec.Struct, frozen=True):
    """What was restored. `batches_lost` were stored after the backup was taken, and are in it no more."""

    file: str
    seconds: float
    schema: str
    migrated: list[str]
    batches_lost: int


async def backup(file: Path, environ: Mapping[str, str], data_dir: Path | None, clock: Clock) -> BackupView:
    """Write the database to `file`, which appears only once it is complete. Raises StartError."""
    if file.exists():  # noqa: ASYNC240 - small and local
        raise StartError(f"{file} exists already; choose another name.")
    began = clock.monotonic()
    async with _database(environ, data_dir) as (connection, tools, _):
        is_ours, _ = await former_contents(connection)
        if not is_ours:
            raise StartError("the database has no tables of Headrace; is it the right one?")
        schema = await connection.fetchval(f"SELECT max(name) FROM {MARK}")  # noqa: S608 - a constant
        partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
        try:
            # Readable by its owner only: it has everything in it, also the digests of passwords and tokens.
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            await tools.run(
                "pg_dump",
                *(
                    "--format=custom",
                    "--no-owner",
                    "--no-privileges",
                    "--no-comments",
                    "--lock-wait-timeout=60s",
                ),
                *(f"--file={partial}", f"--dbname={tools.url}"),
            )
            await asyncio.to_thread(_keep, partial, file)
        except OSError as error:
            raise StartError(f"{file} cannot be written: {error.strerror}.") from error
        finally:
            partial.unlink(missing_ok=True)
    size = file.stat().st_size  # noqa: ASYNC240
    return BackupView(str(file), size, round(clock.monotonic() - began, 1), tools.major, schema)


def _keep(partial: Path, file: Path) -> None:
    """Give the file its name once its content is on the disk; another file of that name stays."""
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    os.link(partial, file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def restore(file: Path, environ: Mapping[str, str], data_dir: Path | None, clock: Clock) -> RestoreView:
    """Replace the database's content by that of `file`, in one transaction. Raises StartError.

    Then it is brought to this version, the ledger is reconciled with the queue, and ingest is notified of the
    tokens that there are now.
    """
    began = clock.monotonic()
    if not file.is_file():  # noqa: ASYNC240
        raise StartError(f"there is no file {file}.")
    # The queue is needed at the end: without it nothing is begun.
    async with open_queue(environ, data_dir), _database(environ, data_dir) as (connection, tools, url):
        listed = await tools.run("pg_restore", "--list", str(file))
        if f" TABLE DATA public {MARK} " not in listed:
            raise StartError(f"{file} is no backup of Headrace's database.")
        schema = await _check_schemas(connection, tools, file)
        kept = "".join(f"{line}\n" for line in listed.splitlines() if _is_restored(line))
        for attempt in range(_TRIES):
            failure = await _replace(tools, file, kept)
            if failure is None:
                break
            # Somebody connected again between the end of all connections and our locks.
            if _DEADLOCK not in failure or attempt == _TRIES - 1:
                raise StartError(f"nothing was changed, because the restore failed: {failure}")
    migrated = await migrate(url)
    async with open_queue(environ, data_dir) as queue:
        lost = await _reconcile(url, queue)
    return RestoreView(str(file), round(clock.monotonic() - began, 1), schema, migrated, lost)


async def _check_schemas(connection: asyncpg.Connection, tools: PostgresTools, file: Path) -> str:
    """The last migration in the archive. Raises StartError if it does not fit this version or database."""
    printed = await tools.run("pg_restore", "--data-only", f"--table={MARK}", "--file=-", str(file))
    archived = {word for line in printed.splitlines() if (word := line.split("\t")[0]).endswith(".sql")}
    if later := sorted(archived - set(migration_names())):
        raise StartError(
            f"{file} is from a later version, which added {later[-1]}; restore it with that one."
        )
    is_ours, names = await former_contents(connection)
    if names and not is_ours:
        raise StartError(
            f"the database has other tables, {names[0]} for example; restore to an empty one, or Headrace's."
        )
    # Processes of this version would fail on the older tables until these are migrated.
    if archived != set(migration_names()) and (others := await other_processes(connection)):
        raise StartError(
            f"{file} is from an earlier version: stop the api and the workers first ({', '.join(others)}"
            " are connected)."
        )
    return max(archived, default="none")


def _is_restored(line: str) -> bool:
    """Whether an entry of the archive's list is restored: the worker builds the indexes of words again."""
    is_words = " INDEX " in line and re.search(r" events_\d{8}_words \S+$", line.rstrip())
    return not (is_words or " EXTENSION " in line)


async def _replace(tools: PostgresTools, file: Path, kept: str) -> str | None:
    """Feed psql one transaction; returns why it failed, if it did. It commits only if all was read."""
    reading, writing = os.pipe()
    psql = await tools.start(
        "psql",
        *("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={tools.url}", "--file=-"),
        stdin=reading,
    )
    os.close(reading)
    try:
        async with asyncio.TaskGroup() as tasks:
            saying = tasks.create_task(messages(psql))
            failure = await _feed(tools, file, kept, writing)
        # When psql stops at an error, pg_restore dies of the closed pipe: psql has the reason.
        return first_error(saying.result()) if psql.returncode else failure
    finally:
        await ended(psql)


async def _feed(tools: PostgresTools, file: Path, kept: str, pipe: int) -> str | None:
    """Write the transaction to the pipe and close it; returns why not all of it, if so."""
    with tempfile.NamedTemporaryFile("w", prefix="headrace-restore-", encoding="utf-8") as contents:
        contents.write(kept)
        contents.flush()
        try:
            await asyncio.to_thread(os.write, pipe, BEFORE.encode())
            process = await tools.start(
                "pg_restore",
                *("--no-owner", "--no-privileges", "--no-comments", f"--use-list={contents.name}"),
                *("--file=-", str(file)),
                stdout=pipe,
            )
            try:
                said = await messages(process)
            finally:
                await ended(process)
            if process.returncode:
                return first_error(said)
            await asyncio.to_thread(os.write, pipe, AFTER.encode())
        except BrokenPipeError:
            return "psql ended early"
        finally:
            os.close(pipe)
    return None


async def _reconcile(url: str, queue: Queue) -> int:
    """Record what is lost, and make the token projection that of the restored database."""

    async def read_queue() -> Mapping[int, ShardState]:
        used = await read_shards(queue.redis, queue.keys)
        return {
            each.shard: ShardState(*await read_in_hand(queue.redis, queue.keys, each.shard)) for each in used
        }

    pool = await create_pool(url, max_size=1, application_name="headrace restore")
    try:
        with errors_in_one_line():
            async with connected(pool) as connection:
                lost = await settle(connection, read_queue)
            with suppress(SweepOvertaken):  # the worker's next sweep follows within half a minute
                await TokenProjection(queue.redis, queue.keys).sweep(lambda: load_projection(pool))
    finally:
        await close_pool(pool)
    return lost


@asynccontextmanager
async def _database(
    environ: Mapping[str, str], data_dir: Path | None
) -> AsyncIterator[tuple[asyncpg.Connection, PostgresTools, str]]:
    """A connection to the database, the programs that can work on it, and its URL."""
    with found_servers(environ, data_dir) as found:
        url = read_settings(DatabaseSettings, found).database_url
        connection = await connect_once(url)
        try:
            with errors_in_one_line():
                yield connection, await find_tools(url, connection.get_server_version().major), url
        finally:
            # Its own restore may have ended it.
            connection.terminate()
