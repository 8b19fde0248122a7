"""`headrace backup` and `headrace restore` on real servers, run as a shell does."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis

from collector import audit
from collector.admin.postgres_tools import find_tools
from collector.broker.connection import connect
from collector.broker.keys import RedisKeys
from collector.broker.queue.post_stream import PostStream
from collector.broker.queue.shards import Shards
from collector.broker.token_projection import TokenProjection
from collector.database.errors import DatabaseUnavailable
from collector.database.owners.seed import seed
from collector.database.pool import create_pool
from collector.database.writing.store import BatchStore
from collector.domain.access.token import lookup_prefix
from collector.domain.intake.normalize import rules_from_settings
from collector.embedded.credentials import load_credentials
from collector.process.clock import SystemClock
from collector.process.lifecycle import StartError
from tests.support.factories import a_batch, a_post
from tests.test_cli import headrace
from tests.worker.fakes import normalized

pytestmark = pytest.mark.integration


@dataclass(frozen=True, slots=True)
class Installation:
    """A queue and a database, the steps of ingest and of a worker, and the operator's commands."""

    redis: Redis
    keys: RedisKeys
    stream: PostStream
    pool: asyncpg.Pool
    store: BatchStore
    environ: dict[str, str]

    async def accept(self, reference: str) -> None:
        """Append one event, as ingest does."""
        await self.stream.append(0, a_batch(a_post(body=f'{{"reference_id":"{reference}"}}'.encode())))

    async def process(self) -> None:
        """Store what is unread, as a worker does: again while the database is unavailable."""
        entries = await self.stream.read("worker", 100, 1)
        if not entries:
            return
        batches = normalized(entries, rules_from_settings(200_000, 3))
        while True:
            with suppress(DatabaseUnavailable):
                await self.store.save(batches)
                break
        await self.stream.acknowledge(entries)

    async def references(self) -> list[str]:
        """Those of all stored events."""
        async with self.pool.acquire() as connection:
            rows = await connection.fetch("SELECT reference_id FROM events ORDER BY 1")
        return [row["reference_id"] for row in rows]

    async def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(headrace, *arguments, **self.environ)

    async def said(self, *arguments: str) -> Any:
        done = await self.run(*arguments, "--json")
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return msgspec.json.decode(done.stdout)

    async def audit(self) -> audit.Sums:
        return await audit.reconcile(self.environ, audit.AuditOptions(), SystemClock())


@asynccontextmanager
async def installed(redis_url: str, key_prefix: str, database_url: str) -> AsyncIterator[Installation]:
    redis = connect(redis_url, socket_timeout_seconds=5)
    keys = RedisKeys(key_prefix)
    stream = PostStream(redis, keys, Shards(redis, keys))
    await stream.ensure_group()
    pool = await create_pool(database_url, max_size=2)
    environ = {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "HEADRACE_REDIS_KEY_PREFIX": key_prefix,
    }
    try:
        yield Installation(redis, keys, stream, pool, BatchStore(pool), environ)
    finally:
        pool.terminate()
        await redis.aclose()


@pytest.fixture
async def here(redis_url: str, key_prefix: str, database_url: str) -> AsyncIterator[Installation]:
    async with installed(redis_url, key_prefix, database_url) as installation:
        yield installation


async def test_a_restore_brings_back_everything_while_events_arrive_and_are_stored(
    here: Installation, database_url: str, tmp_path: Path
) -> None:
    """Queued and new events are stored once; those stored after the backup are lost, and counted."""
    file = tmp_path / "headrace.backup"
    credentials = load_credentials(tmp_path / "credentials.json")
    await seed(database_url, credentials)
    await here.accept("before-the-backup")
    await here.process()
    saved = await here.said("backup", str(file))
    await here.accept("after-the-backup")
    await here.process()
    await here.accept("in-the-queue")
    async with here.pool.acquire() as connection:
        await connection.execute("UPDATE projects SET config_version = 7; DELETE FROM tokens")
    projection = TokenProjection(here.redis, here.keys)

    restoring = asyncio.ensure_future(here.said("restore", str(file), "--yes"))
    posted = 0
    while not restoring.done():
        await here.accept(f"meanwhile-{posted:05}")
        posted += 1
        await here.process()
    restored = await restoring
    await here.accept("after-the-restore")
    await here.process()

    async with here.pool.acquire() as connection:
        version = await connection.fetchval("SELECT config_version FROM projects")
    found = await here.references()
    sums = await here.audit()
    assert file.stat().st_mode & 0o777 == 0o600
    assert saved["bytes"] == file.stat().st_size
    assert saved["schema"] == restored["schema"]
    assert restored["migrated"] == []
    assert {"before-the-backup", "after-the-restore"} <= set(found)
    assert "after-the-backup" not in found
    assert len(found) == len(set(found))
    # What was stored before the transaction of the restore began is lost; the rest is there.
    assert restored["batches_lost"] == posted + 4 - len(found)
    assert sums.restored == {"batches_lost": restored["batches_lost"], "of_a_former_queue": 0}
    assert sums.differences == []
    assert version == 1007
    assert (await projection.find_token(lookup_prefix(credentials.client_token))).entry is not None


async def test_a_backup_is_restored_to_an_empty_database_with_a_new_queue(
    here: Installation, empty_database_url: str, tmp_path: Path
) -> None:
    """On another machine, when nothing else is left."""
    file = tmp_path / "headrace.backup"
    await here.accept("order-00001")
    await here.process()
    await here.said("backup", str(file))
    new = {
        **here.environ,
        "DATABASE_URL": empty_database_url,
        "HEADRACE_REDIS_KEY_PREFIX": f"{here.environ['HEADRACE_REDIS_KEY_PREFIX']}new:",
    }

    async with installed(new["REDIS_URL"], new["HEADRACE_REDIS_KEY_PREFIX"], empty_database_url) as there:
        await there.accept("order-00002")
        restored = await there.said("restore", str(file), "--yes")
        await there.process()

        assert restored["batches_lost"] == 0
        assert await there.references() == ["order-00001", "order-00002"]
        sums = await there.audit()
    assert (sums.differences, sums.restored["of_a_former_queue"]) == ([], 1)


async def test_a_restore_that_fails_changes_nothing(here: Installation, tmp_path: Path) -> None:
    """The archive ends in the middle."""
    file, cut = tmp_path / "headrace.backup", tmp_path / "cut.backup"
    await here.accept("order-00001")
    await here.process()
    await here.said("backup", str(file))
    cut.write_bytes(file.read_bytes()[:-300])

    done = await here.run("restore", str(cut), "--yes")

    assert done.returncode == 2
    assert done.stderr.startswith("headrace: nothing was changed, because the restore failed: ")
    assert await here.references() == ["order-00001"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        pytest.param(("backup", "{file}"), "exists already", id="the file exists"),
        pytest.param(("backup", "{file}.d/none"), "cannot be written: No such file", id="no such folder"),
        pytest.param(("restore", "{file}", "--yes"), "pg_restore failed: ", id="not an archive"),
        pytest.param(("restore", "{file}.none", "--yes"), "there is no file", id="no file"),
        pytest.param(("restore", "{file}"), "this replaces all that is in the database", id="not confirmed"),
    ],
)
async def test_what_cannot_be_saved_or_restored_is_said_in_one_line(
    here: Installation, tmp_path: Path, arguments: tuple[str, ...], line: str
) -> None:
    file = tmp_path / "file"
    file.write_text("something else")

    done = await here.run(*(each.format(file=file) for each in arguments))

    assert done.returncode == 2
    assert line in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert file.read_text() == "something else"


async def test_databases_that_are_not_headraces_are_left_alone(
    here: Installation, empty_database_url: str, tmp_path: Path
) -> None:
    """Neither saved nor replaced."""
    file = tmp_path / "headrace.backup"
    await here.said("backup", str(file))
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute("CREATE TABLE shop (id int)")
    here.environ["DATABASE_URL"] = empty_database_url

    saved = await here.run("backup", str(tmp_path / "other"))
    restored = await here.run("restore", str(file), "--yes")

    await connection.fetch("SELECT id FROM shop")
    await connection.close()
    assert saved.stderr == "headrace: the database has no tables of Headrace; is it the right one?\n"
    assert "the database has other tables, shop for example" in restored.stderr


async def test_a_backup_of_a_later_version_is_refused(here: Installation, tmp_path: Path) -> None:
    file = tmp_path / "headrace.backup"
    async with here.pool.acquire() as connection:
        await connection.execute("INSERT INTO schema_migrations (name) VALUES ('9999_later.sql')")
        await here.said("backup", str(file))
        await connection.execute("DELETE FROM schema_migrations WHERE name = '9999_later.sql'")

    done = await here.run("restore", str(file), "--yes")

    assert "is from a later version, which added 9999_later.sql" in done.stderr


async def test_tools_that_are_too_old_are_named_with_what_to_install() -> None:
    """The oldest that is new enough is used."""
    with pytest.raises(StartError, match=r"^this is PostgreSQL 99, which needs .*postgresql-client-99"):
        await find_tools("postgresql://localhost/headrace", 99)


@pytest.mark.parametrize(
    ("url", "shown", "password"),
    [
        (
            "postgresql://me:s%40cret@db:5433/h?sslmode=require",
            "postgresql://me@db:5433/h?sslmode=require",
            "s@cret",
        ),
        ("postgresql://db/h?user=me&password=s%26", "postgresql://db/h?user=me", "s&"),
        ("postgresql://me@db/h", "postgresql://me@db/h", None),
    ],
)
async def test_the_password_is_no_argument(url: str, shown: str, password: str | None) -> None:
    """Every user of the machine can read those."""
    tools = await find_tools(url, 17)

    assert (tools.url, tools.environ.get("PGPASSWORD")) == (shown, password)
