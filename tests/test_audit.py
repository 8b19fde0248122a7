"""`headrace audit` on real servers: the counts, the exit status, and each difference by name."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis

from collector import audit
from collector.audit import AuditOptions
from collector.broker.connection import connect
from collector.broker.keys import GROUP, RedisKeys
from collector.broker.queue.post_stream import PostStream
from collector.broker.queue.shards import Shards, set_shards
from collector.database.pool import create_pool
from collector.database.writing.store import BatchStore
from collector.domain.intake.normalize import rules_from_settings
from collector.domain.post import PostBatch
from collector.process.clock import SystemClock
from collector.process.lifecycle import StartError, Stop
from tests.support.factories import a_batch, a_post
from tests.test_cli import headrace
from tests.worker.fakes import normalized

pytestmark = pytest.mark.integration

BODIES = (b'{"reference_id":"order-00001"}', b"one\ntwo", b'{"date":"1999-01-01"}', b"\x1f\x8bdamaged")


@dataclass(frozen=True, slots=True)
class Books:
    """Two shards, a database, and the steps of a worker."""

    redis: Redis
    stream: PostStream
    pool: asyncpg.Pool
    environ: dict[str, str]
    keys: RedisKeys

    async def accept(self, shard: int = 0, batch: PostBatch | None = None) -> PostBatch:
        """Append one batch with an event of every outcome, as ingest does."""
        posts = [a_post(body=body, content_encoding="gzip" * (body[:1] == b"\x1f")) for body in BODIES]
        batch = batch or a_batch(*posts)
        await self.stream.append(shard, batch)
        return batch

    async def finish(self, count: int = 100, *, acknowledges: bool = True) -> None:
        """Store the unread entries."""
        entries = await self.stream.read("worker", count, 1)
        await BatchStore(self.pool).save(normalized(entries, rules_from_settings(200_000, 3)))
        if acknowledges:
            await self.stream.acknowledge(entries)

    async def look(self, **options: Any) -> audit.Sums:
        """The audit's result."""
        return await audit.reconcile(self.environ, AuditOptions(**options), SystemClock())

    async def command(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run the command as a shell does."""
        return await asyncio.to_thread(headrace, "audit", *options, **self.environ)


@pytest.fixture
async def books(redis_url: str, key_prefix: str, database_url: str) -> AsyncIterator[Books]:
    redis = connect(redis_url, socket_timeout_seconds=5)
    keys = RedisKeys(key_prefix)
    pool = await create_pool(database_url, max_size=2)
    environ = {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "HEADRACE_REDIS_KEY_PREFIX": key_prefix,
    }
    await set_shards(redis, keys, 2)
    stream = PostStream(redis, keys, Shards(redis, keys))
    await stream.ensure_group()
    yield Books(redis, stream, pool, environ, keys)
    await pool.close()
    await redis.aclose()


async def test_all_outcomes_and_pending_entries_add_up(books: Books) -> None:
    """Stored, duplicate, discarded, dead-lettered, repeated, pending and unread."""
    again = await books.accept()
    await books.accept()
    await books.accept(0, again)
    await books.finish()
    await books.accept(1)
    await books.finish(acknowledges=False)
    await books.accept(1)

    sums = await books.look()

    assert (sums.is_sound, sums.differences) == (True, [])
    assert (sums.accepted["batches"], sums.accepted["posts"]) == (5, 20)
    assert sums.stream == {"unread": 1, "in_hand": 1}
    assert sums.processed == {"batches": 3, "posts": 12, "events": 15}
    assert sums.repeated == {"batches": 1, "posts": 4}
    assert sums.events == {
        "stored": 7,
        "duplicate": 2,
        "discarded": {"too_old": 3},
        "dead_lettered": {"corrupt_encoding": 3},
    }
    assert sums.partitions == {"2025-10-09": {"counted": 7, "found": 7}}


async def test_an_unreadable_entry_is_accounted_for(books: Books) -> None:
    """The posts in a batch of a later version were accepted, too."""
    await books.accept()
    found: Any = await books.redis.xrange(books.keys.stream(0))
    [(entry_id, fields)] = found
    await books.redis.xdel(books.keys.stream(0), entry_id)
    await books.redis.xadd(books.keys.stream(0), {**fields, b"v": b"9"})
    await books.finish()

    sums = await books.look()

    assert sums.differences == []
    assert sums.processed["posts"] == sums.accepted["posts"] == 4
    assert sums.events["dead_lettered"] == {"unreadable_entry": 1}


async def test_the_command_reports_a_balanced_ledger(books: Books) -> None:
    """As text and as JSON, with exit status 0."""
    await books.accept()
    await books.finish()

    text, as_json = await books.command("--wait", "5"), await books.command("--json", "--quick")

    assert (text.returncode, as_json.returncode) == (0, 0), text.stderr + as_json.stderr
    assert "stored" in text.stdout
    assert text.stdout.endswith("It adds up.\n")
    assert msgspec.json.decode(as_json.stdout, type=audit.Sums) == await books.look(counts_events=False)


async def test_the_command_names_what_is_missing(books: Books) -> None:
    """Exit status 1. Here an entry was deleted before it was stored, and an event was, too."""
    await books.accept()
    await books.finish()
    await books.accept()
    await books.redis.xtrim(books.keys.stream(0), maxlen=0, approximate=False)
    await books.pool.execute("DELETE FROM events WHERE reference_id = 'order-00001'")

    done = await books.command()

    assert done.returncode == 1
    assert "DIFFERENCE: shard 0: 1 batches left the stream unprocessed" in done.stdout
    assert "DIFFERENCE: 3 events of 2025-10-09 were stored and 2 exist" in done.stdout


async def test_with_a_wait_a_stream_that_does_not_become_empty_is_a_difference(books: Books) -> None:
    """Without a wait it is only reported."""
    await books.accept()

    assert (await books.look()).is_sound
    assert (await books.look(wait_seconds=0.01)).differences == ["the stream is not empty after 0.01 s"]


async def test_the_wait_ends_when_the_stream_is_empty(books: Books) -> None:
    """A worker empties it meanwhile."""
    await books.accept()
    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(books.look(wait_seconds=30))
        tasks.create_task(books.finish())

    assert looking.result().is_sound


async def test_a_long_wait_can_be_interrupted(books: Books) -> None:
    """With Ctrl-C."""
    await books.accept()
    stop = Stop()
    stop.request()

    assert await audit.run(books.environ, AuditOptions(wait_seconds=60), stop, SystemClock()) is None


async def test_an_unreadable_server_is_one_line_and_exit_status_2(books: Books) -> None:
    """A database without migrations, for example."""
    await books.pool.execute("DROP TABLE processed; DELETE FROM schema_migrations WHERE name > '0001_z'")

    done = await books.command()

    assert done.returncode == 2
    assert done.stderr.startswith("headrace: The database lacks 0002_accounting.sql")
    assert done.stderr.endswith("; run `headrace migrate` first.\n")


async def test_a_server_that_fails_during_the_audit_is_a_clear_error(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a traceback."""
    environ = {**books.environ, "REDIS_URL": "redis://127.0.0.1:1/0"}
    monkeypatch.setattr("collector.broker.connection._START_WAIT_SECONDS", 0.1)

    with pytest.raises(StartError, match="cannot reach Redis"):
        await audit.reconcile(environ, AuditOptions(), SystemClock())


async def test_streams_above_the_number_of_shards_are_audited(books: Books) -> None:
    """And processed entries of a stream that Redis lost are reported."""
    await books.accept(0)
    await books.accept(9)
    await books.accept(200)
    await books.redis.xgroup_create(books.keys.stream(200), GROUP, id="0", mkstream=True)
    waiting = await books.look(wait_seconds=0.01)
    await books.stream.ensure_group()
    await books.finish()
    processed = await books.look()
    await books.redis.delete(books.keys.accepted(9))
    forgotten = await books.look()

    assert (waiting.accepted["batches"], waiting.stream["unread"]) == (3, 3)
    assert waiting.differences == ["the stream is not empty after 0.01 s"]
    assert (processed.is_sound, processed.processed["batches"]) == (True, 3)
    assert forgotten.differences == [
        "shard 9: 1 batches were processed and none accepted; Redis may have lost its counters"
    ]
