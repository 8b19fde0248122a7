"""The worker process on a real Valkey and Postgres: exactly once, through kills, outages and odd events."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis

from collector import audit
from collector.broker.connection import connect
from collector.broker.heartbeats import Heartbeats
from collector.broker.keys import RedisKeys
from collector.broker.queue.post_stream import PostStream
from collector.broker.queue.shards import Shards, set_shards, stream_lengths
from collector.broker.queue.stream_ledger import is_empty
from collector.database.owners.organizations import add_organization
from collector.database.owners.projects import add_project
from collector.database.pool import create_pool
from collector.database.writing.store import BatchStore
from collector.domain.intake.normalize import rules_from_settings
from collector.domain.post import Post
from collector.embedded.servers.ports import free_port
from collector.embedded.servers.valkey import Valkey
from collector.embedded.service import start_service
from collector.process.clock import SystemClock
from collector.process.lifecycle import StartError, Stop, TaskDied
from tests.conftest import Servers
from tests.ingest.projections import a_projection
from tests.ingest.running_ingest import running_ingest
from tests.support import queue_states
from tests.support.factories import ACCEPTED_MS, ORGANIZATION, PROJECT, a_batch, a_post
from tests.support.poolers import a_pooler, needs_pgbouncer
from tests.support.queue_states import Operator, State
from tests.support.real_clock import real_now
from tests.support.waiting import until
from tests.worker.fakes import normalized
from worker import process
from worker.consumer import Consumer

pytestmark = pytest.mark.integration


@dataclass(frozen=True, slots=True)
class Spine:
    """The two stores that workers connect."""

    redis: Redis
    stream: PostStream
    pool: asyncpg.Pool
    environ: dict[str, str]
    keys: RedisKeys

    async def post(self, *posts: Post) -> None:
        """Append posts, as ingest does."""
        await self.stream.append(0, a_batch(*posts))

    async def is_drained(self) -> bool:
        """Whether everything is acknowledged."""
        return await is_empty(self.redis, self.keys)

    async def rows(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows of the database."""
        return list(await self.pool.fetch(query, *arguments))


@pytest.fixture
async def spine(redis_url: str, key_prefix: str, database_url: str) -> AsyncIterator[Spine]:
    """Empty streams and tables, and a worker's settings for them."""
    redis = connect(redis_url, socket_timeout_seconds=5)
    keys = RedisKeys(key_prefix)
    pool = await create_pool(database_url, max_size=2)
    async with pool.acquire() as connection:
        await add_organization(connection, UUID(bytes=ORGANIZATION), "Acme")
        await add_project(connection, UUID(bytes=PROJECT), UUID(bytes=ORGANIZATION), "Shop")
    environ = {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "HEADRACE_REDIS_KEY_PREFIX": key_prefix,
        "HEADRACE_READ_BLOCK_MS": "10",
        "HEADRACE_CLAIM_IDLE_SECONDS": "1",
        # The posts of the tests are old: the second worker's maintenance would drop their partition.
        "HEADRACE_RETENTION_DAYS": "36500",
        "HEADRACE_LOG_LEVEL": "error",
    }
    yield Spine(redis, PostStream(redis, keys, Shards(redis, keys)), pool, environ, keys)
    await pool.close()
    await redis.aclose()


@asynccontextmanager
async def _worker(
    spine: Spine, stop: Stop | None = None, settings: dict[str, str] | None = None
) -> AsyncIterator[str]:
    """A running worker; yields its address, and stops it at the end unless that happened before."""
    stop, port = stop or Stop(), free_port()
    environ = spine.environ | (settings or {}) | {"HEADRACE_PORT": str(port)}
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(process.run(environ, stop))
        yield f"http://127.0.0.1:{port}"
        stop.request()


async def _get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(url) as response:
                return response.status, await response.text()
        except aiohttp.ClientConnectionError:
            return 0, ""


async def test_a_post_is_stored_and_leaves_the_stream(spine: Spine) -> None:
    """With its columns, its data and its usage."""
    event = (
        b'{"type":"usage","message":"hello","tags":["a"],"value":1.50,"name":"x",'
        b'"reference_id":"order-00001"}'
    )
    await spine.post(a_post(body=event))

    async with _worker(spine):
        await until(spine.is_drained)

    (row,) = await spine.rows("SELECT * FROM events")
    assert (row["type"], row["message"], row["reference_id"]) == ("usage", "hello", "order-00001")
    assert (row["tags"], str(row["value"])) == (["a"], "1.50")
    assert msgspec.json.decode(row["data"])["name"] == "x"
    (usage,) = await spine.rows("SELECT outcome, events FROM usage")
    assert (usage["outcome"], usage["events"]) == ("stored", 1)


async def test_a_worker_says_when_it_is_ready_and_what_it_did(spine: Spine) -> None:
    """It is ready once both servers answer and the first sweep is done."""
    await spine.post(a_post())

    async with _worker(spine) as address:

        async def is_ready() -> bool:
            return (await _get(f"{address}/health/ready"))[0] == 200

        await until(is_ready)
        await until(spine.is_drained)
        _, metrics = await _get(f"{address}/metrics")

    assert 'headrace_events_total{outcome="stored"} 1.0' in metrics
    assert 'headrace_projection_sweeps_total{result="done"} 1.0' in metrics
    assert await spine.redis.exists(spine.keys.swept)


@needs_pgbouncer
async def test_a_pooler_that_is_switched_while_a_worker_runs_keeps_events_waiting(spine: Spine) -> None:
    """Readiness names the setting. Once it is corrected, everything is stored once."""
    async with a_pooler(spine.environ["DATABASE_URL"]) as pooler:
        await pooler.start("session")
        behind = replace(spine, environ=spine.environ | {"DATABASE_URL": pooler.url})
        await spine.post(a_post())
        async with _worker(behind) as address:
            await until(spine.is_drained)
            await pooler.start("transaction")
            await spine.post(a_post())

            async def is_named() -> bool:
                return "set pool_mode = session there" in (await _get(f"{address}/health/ready"))[1]

            await until(is_named)
            assert not await spine.is_drained()
            await pooler.start("session")
            await until(spine.is_drained, 30)

    assert len(await spine.rows("SELECT FROM events")) == 2


@needs_pgbouncer
async def test_a_worker_behind_a_pooler_that_keeps_no_sessions_does_not_start(spine: Spine) -> None:
    """One line names the setting."""
    async with a_pooler(spine.environ["DATABASE_URL"]) as pooler:
        await pooler.start("transaction")
        behind = spine.environ | {"DATABASE_URL": pooler.url, "HEADRACE_PORT": str(free_port())}
        with pytest.raises(StartError, match="set pool_mode = session there, or connect to Postgres itself"):
            await process.run(behind, Stop())


async def test_changed_settings_of_a_project_apply_to_its_next_events(spine: Spine) -> None:
    """Events of a deleted project are discarded."""
    event = b'{"data":{"Secret":"x","open":"y"}}'
    async with _worker(spine):
        for change in (
            "UPDATE projects SET settings = '{}'",
            """UPDATE projects SET settings = '{"@@DataExclusions": "secret"}'""",
            "DELETE FROM projects",
        ):
            await spine.pool.execute(change)
            await spine.post(a_post(body=event))
            await until(spine.is_drained)

    rows = await spine.rows("SELECT data FROM events ORDER BY id")
    data = [msgspec.json.decode(row["data"]) for row in rows]
    assert [{"Secret", "open"} & each.keys() for each in data] == [{"Secret", "open"}, {"open"}]
    (gone,) = await spine.rows("SELECT reason, events FROM usage WHERE outcome = 'discarded'")
    assert tuple(gone) == ("project_gone", 1)


async def test_a_batch_stored_by_a_worker_that_was_killed_is_not_stored_again(spine: Spine) -> None:
    """It was killed after the commit and before the acknowledgement; another one claims the entry."""
    await spine.stream.ensure_group()
    await spine.post(a_post(body=b"one\ntwo"), a_post(body=b'{"date":"1999-01-01"}'))
    entries = await spine.stream.read("killed", 10, 1)
    await BatchStore(spine.pool).save(normalized(entries, rules_from_settings(200_000, 3)))

    async with _worker(spine):
        await until(spine.is_drained)

    assert len(await spine.rows("SELECT id FROM events")) == 2
    usage = await spine.rows("SELECT outcome, events FROM usage ORDER BY outcome")
    assert [tuple(row) for row in usage] == [("discarded", 1), ("stored", 2)]


async def test_a_batch_read_by_a_worker_that_was_killed_is_stored_by_another(spine: Spine) -> None:
    """It was killed before the commit."""
    await spine.stream.ensure_group()
    await spine.post(a_post())
    await spine.stream.read("killed", 10, 1)

    async with _worker(spine):
        await until(spine.is_drained)

    assert len(await spine.rows("SELECT id FROM events")) == 1


async def test_different_numbers_of_shards_lose_nothing(spine: Spine, key_prefix: str) -> None:
    """With 4 for ingest and 1 for the worker, all eight posts are stored, and the audit counts them."""
    redis_url = spine.environ["REDIS_URL"]
    async with running_ingest(redis_url, key_prefix, a_projection(), shards=4) as ingest:
        statuses = [(await ingest.post()).status for _ in range(8)]
    lengths = await stream_lengths(spine.redis, spine.keys)

    async with _worker(spine, settings={"HEADRACE_SHARDS": "1"}):
        await until(spine.is_drained, seconds=30)

    assert statuses == [202] * 8
    assert lengths[:5] == [2, 2, 2, 2, 0]
    assert len(await spine.rows("SELECT id FROM events")) == 8
    sums = await audit.reconcile(
        {**spine.environ, "HEADRACE_SHARDS": "1"}, audit.AuditOptions(), SystemClock()
    )
    assert (sums.is_sound, sums.accepted["posts"], sums.processed["posts"]) == (True, 8, 8)


async def test_a_worker_follows_the_number_of_shards_while_it_runs(spine: Spine) -> None:
    """Up and down. Entries of an ingest process that has not followed yet are found, too."""
    async with _worker(spine):
        for number in (3, 1):
            await set_shards(spine.redis, spine.keys, number)
            for shard in range(3):
                await spine.stream.append(shard, a_batch(a_post()))
            await until(spine.is_drained, seconds=30)

    assert len(await spine.rows("SELECT id FROM events")) == 6


async def test_two_workers_on_one_stream_store_everything_once(spine: Spine) -> None:
    """Including references that both of them get, and entries that ingest wrote twice."""
    for number in range(60):
        batch = a_batch(a_post(body=b'[{},{"reference_id":"order-%05d"}]' % (number // 2)))
        for _ in range(2):
            await spine.stream.append(0, batch)

    async with _worker(spine), _worker(spine):
        await until(spine.is_drained, seconds=30)

    counts = await spine.rows(
        "SELECT count(*) AS events, count(DISTINCT reference_id) AS references FROM events"
    )
    assert tuple(counts[0]) == (60 + 30, 30)
    usage = await spine.rows("SELECT outcome, sum(events)::int FROM usage GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in usage] == [("duplicate", 30), ("stored", 90)]
    (stack,) = await spine.rows("SELECT total_occurrences FROM stacks")
    firsts = await spine.rows("SELECT id FROM events WHERE is_first_occurrence")
    assert (stack["total_occurrences"], len(firsts)) == (90, 1)


async def test_a_worker_waits_while_postgres_is_down(spine: Spine, servers: Servers) -> None:
    """Nothing is acknowledged, it is not ready, and it recovers by itself."""
    async with _worker(spine) as address:

        async def readiness() -> tuple[int, str]:
            return await _get(f"{address}/health/ready")

        await until(_becomes(readiness, 200))
        async with _postgres_down(spine, servers):
            await spine.post(a_post())
            await until(_becomes(readiness, 503))
            await until(_mentions(readiness, "database_unavailable"))
            assert not await spine.is_drained()
        await until(spine.is_drained, seconds=30)
        await until(_becomes(readiness, 200))

    assert len(await spine.rows("SELECT id FROM events")) == 1


def _becomes(answer: Callable[[], Awaitable[tuple[int, str]]], status: int) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return (await answer())[0] == status

    return condition


def _mentions(answer: Callable[[], Awaitable[tuple[int, str]]], word: str) -> Callable[[], Awaitable[bool]]:
    async def condition() -> bool:
        return word in (await answer())[1]

    return condition


@asynccontextmanager
async def _postgres_down(spine: Spine, servers: Servers) -> AsyncIterator[None]:
    """The test's database accepts no connections, and existing ones are closed."""
    name = urlsplit(spine.environ["DATABASE_URL"]).path.removeprefix("/")
    admin = await asyncpg.connect(servers.database_url)
    await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
    yield
    await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await admin.close()


@pytest.mark.parametrize(
    ("state", "is_stored_meanwhile"),
    [
        pytest.param(queue_states.busy, False, id="BUSY"),
        pytest.param(queue_states.full, True, id="OOM"),
        pytest.param(queue_states.read_only, False, id="READONLY"),
        pytest.param(queue_states.master_down, False, id="MASTERDOWN"),
        pytest.param(queue_states.no_replicas, False, id="NOREPLICAS"),
        pytest.param(queue_states.misconfigured, False, id="MISCONF"),
        pytest.param(queue_states.no_scripts, False, id="NOPERM"),
        pytest.param(queue_states.other_password, False, id="WRONGPASS"),
    ],
)
async def test_a_worker_survives_every_state_of_the_queue(
    spine: Spine, tmp_path: Path, state: State, *, is_stored_meanwhile: bool
) -> None:
    """It stores and acknowledges as far as possible, recovers by itself, and loses nothing."""
    service = Valkey(tmp_path)
    child = await start_service(service)
    operator = Operator(service)
    await operator.begin()
    keys = RedisKeys()
    own = replace(
        spine,
        redis=operator.redis,
        stream=PostStream(operator.redis, keys, Shards(operator.redis, keys)),
        keys=keys,
        environ=spine.environ | {"REDIS_URL": service.url, "HEADRACE_REDIS_KEY_PREFIX": ""},
    )
    try:
        async with _worker(own) as address:
            await own.post(a_post())
            await until(own.is_drained)
            await own.post(a_post())

            async def is_not_ready() -> bool:
                return (await _get(f"{address}/health/ready"))[0] == 503

            async with state(operator):
                if is_stored_meanwhile:
                    await until(own.is_drained, 30)
                else:
                    await until(is_not_ready, 30)
                assert (await _get(f"{address}/health/live"))[0] == 200
            await own.post(a_post())
            await until(own.is_drained, 30)

            async def is_ready() -> bool:
                return (await _get(f"{address}/health/ready"))[0] == 200

            await until(is_ready, 30)
    finally:
        await operator.close()
        await child.stop()

    assert len(await spine.rows("SELECT FROM events")) == 3


async def test_a_worker_whose_consumer_dies_ends_with_a_line(
    spine: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instead of continuing as a process that only sweeps."""

    async def die(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(Consumer, "run", die)
    environ = spine.environ | {"HEADRACE_PORT": str(free_port())}
    async with asyncio.timeout(30):
        with pytest.raises(ExceptionGroup) as ended:
            await process.run(environ, Stop())

    assert ended.group_contains(TaskDied, match="the background task 'consumer' died of KeyError: 'x'")


async def test_a_worker_creates_the_group_again_when_the_stream_was_lost(spine: Spine) -> None:
    """As after Valkey was replaced by an empty one."""
    async with _worker(spine):
        await spine.post(a_post())
        await until(spine.is_drained)
        await spine.redis.unlink(spine.keys.stream(0))
        await spine.post(a_post())
        await until(spine.is_drained)

    assert len(await spine.rows("SELECT id FROM events")) == 2


ODD_BODIES = [
    pytest.param(rb'{"message":"a\u0000b","x":{"\u0000":"\ud800"}}', id="NUL and half a surrogate pair"),
    pytest.param(rb'{"message":"a\u0000b","x":{"\u0000":"\u0000"}}', id="NUL alone"),
    pytest.param(b'{"message":"\xff\xfe","x":"\xc0\x80"}', id="invalid UTF-8"),
    pytest.param(b"a\0b", id="NUL in a line"),
    pytest.param(b'{"x":1e1000,"y":-1e-1000,"z":0e1000,"value":1e1000}', id="the largest numbers"),
    pytest.param(
        b'{"x":1e1001,"y":1e999999,"value":1e131072,"z":1e99999999999999999999}', id="larger numbers"
    ),
    pytest.param(b'{"x":' + b"1" * 4300 + b',"value":' + b"2" * 4300 + b"}", id="long numbers"),
    pytest.param(b'{"x":' + b"1" * 50_000 + b',"y":1.' + b"1" * 50_000 + b"}", id="longer numbers"),
    pytest.param(b'{"x":' + b"[" * 511 + b"]" * 511 + b"}", id="512 levels"),
    pytest.param(b'{"@error":"{\\"x\\":' + b"[" * 500 + b"]" * 500 + b'}"}', id="levels in a text"),
    pytest.param(b'{"count":2147483647,"value":-0.0,"":""}', id="edges"),
    pytest.param(b'{"date":"0001-01-02T00:00:00Z"}', id="the first year"),
    pytest.param(b'{"date":"9999-12-31T23:59:59-14:00"}', id="the last year"),
    pytest.param(b'{"date":"2024-01-01T00:00:00-23:59"}', id="the largest offset"),
    pytest.param('{"message":"\U0010ffff\ufffe\u2028","tags":["\U0010ffff"]}'.encode(), id="rare characters"),
    pytest.param(b'{"a":1,"a":2,"data":{"a":3,"a":4}}', id="names twice"),
    pytest.param(b'{"message":"' + b"m" * 150_000 + b'"}', id="a long message"),
    pytest.param(b'{"' + b"k" * 150_000 + b'":1}', id="a long name"),
]


@pytest.mark.parametrize("body", ODD_BODIES)
async def test_no_odd_event_is_rejected_by_postgres(spine: Spine, body: bytes) -> None:
    """`jsonb`, `text` and `numeric` accept every normalized value; nothing is dead-lettered."""
    rules = rules_from_settings(body_limit_bytes=200_000, max_event_age_days=0)
    await spine.stream.ensure_group()
    await spine.post(a_post(body=body))

    tally = await BatchStore(spine.pool).save(normalized(await spine.stream.read("one", 1, 1), rules))

    assert (tally.stored, tally.dead_lettered) == (1, 0)


async def test_an_idle_process_stops_quickly(spine: Spine) -> None:
    clock = SystemClock()
    async with _worker(spine) as address:

        async def is_live() -> bool:
            return (await _get(f"{address}/health/live"))[0] == 200

        await until(is_live)
        asked = clock.monotonic()

    assert clock.monotonic() - asked < process.DRAIN_SECONDS


async def test_a_running_transaction_is_finished_at_the_stop(spine: Spine) -> None:
    """And its entry acknowledged, so that no other worker gets it."""
    stop = Stop()
    await spine.post(a_post())
    async with _worker(spine, stop), spine.pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE stored_batches")
        await until(lambda: _is_blocked(spine))
        stop.request()

    assert await spine.is_drained()
    assert len(await spine.rows("SELECT id FROM events")) == 1


async def test_a_transaction_that_never_ends_is_abandoned_at_the_stop(
    spine: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends within its bound, and the entry stays in the stream."""
    monkeypatch.setattr(process, "DRAIN_SECONDS", 0.2)
    async with spine.pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE stored_batches")
        await spine.post(a_post())
        async with _worker(spine):
            await until(lambda: _is_blocked(spine))

    assert not await spine.is_drained()
    assert await spine.rows("SELECT id FROM events") == []


async def _is_blocked(spine: Spine) -> bool:
    """Whether an entry is pending and statements wait for a lock."""
    waiting = await spine.rows("SELECT 1 FROM pg_locks WHERE NOT granted")
    return bool(waiting) and any(shard.pending for shard in await spine.stream.backlog())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param(
            {"HEADRACE_MAX_EVENT_AGE_DAYS": "soon"}, "HEADRACE_MAX_EVENT_AGE_DAYS", id="a bad number"
        ),
        pytest.param({"DATABASE_URL": ""}, "HEADRACE_DATABASE_URL is not set", id="no database"),
        pytest.param({"HEADRACE_REDIS_URL": "http://x"}, "HEADRACE_REDIS_URL", id="a bad URL"),
    ],
)
async def test_an_invalid_setting_is_one_clear_line(spine: Spine, changes: dict[str, str], said: str) -> None:
    """It names the variable."""
    with pytest.raises(StartError, match=said):
        await process.run(spine.environ | changes, Stop())


async def test_a_port_in_use_is_one_clear_line(spine: Spine) -> None:
    """Exit status 2, without a traceback."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])

        with pytest.raises(StartError, match=f"port {port}"):
            await process.run(spine.environ | {"HEADRACE_PORT": port}, Stop())


async def _told(spine: Spine) -> list[asyncpg.Record]:
    return await spine.rows("SELECT * FROM events WHERE type = 'session' AND data ? 'sessionend'")


async def test_a_worker_that_stops_flushes_the_activity_of_sessions(spine: Spine) -> None:
    """Otherwise they would end some seconds too early."""
    accepted = datetime.fromtimestamp(ACCEPTED_MS / 1000, UTC)
    async with _worker(spine):
        for seconds in (20, 0):
            date = (accepted - timedelta(seconds=seconds)).isoformat()
            body = f'{{"date":"{date}","data":{{"@user":{{"identity":"jane"}}}}}}'
            await spine.post(a_post(body=body.encode()))
            await until(spine.is_drained)

    [session] = await spine.rows("SELECT last_utc - start_utc AS duration FROM sessions")
    assert session["duration"] == timedelta(seconds=20)


async def test_a_users_events_become_a_session_that_ends(spine: Spine) -> None:
    """The start is derived, a heartbeat closes the session, and the start then shows its duration."""
    moment = datetime.fromtimestamp(ACCEPTED_MS / 1000, UTC)
    body = {"type": "error", "date": moment.isoformat(), "data": {"@user": {"identity": "jane"}}}
    await spine.post(a_post(body=msgspec.json.encode(body)))
    heartbeats = Heartbeats(spine.redis, spine.keys)

    async def is_told() -> bool:
        return bool(await _told(spine))

    async with _worker(spine) as address:
        await until(spine.is_drained)
        # The session has the date of the tests' posts; heartbeats have today's.
        await spine.pool.execute(
            "UPDATE sessions SET last_utc = now(), start_utc = now() - interval '1 minute'"
        )
        now_ms = round(real_now().timestamp() * 1000)
        await heartbeats.beat(a_post().project_id, "jane", now_ms, closes=True)
        await until(is_told, seconds=30)
        _, metrics = await _get(f"{address}/metrics")

    [start] = await _told(spine)
    [event] = await spine.rows("SELECT data FROM events WHERE type = 'error'")
    assert msgspec.json.decode(event["data"])["@ref:session"] == start["reference_id"]
    assert msgspec.json.decode(start["data"])["haserror"] is True
    assert 59 < start["value"] < 120
    assert "headrace_events_derived_total 1.0" in metrics
    assert await heartbeats.due(10) == []


async def test_a_description_finds_its_event_whatever_comes_first(spine: Spine) -> None:
    """The worker merges it into its event once, whichever of the two posts came first."""
    about = {"kind": "user_description", "body": b'{"description":"It broke."}'}
    await spine.post(a_post(reference_id="order-4711", **about), a_post(reference_id="order-4712", **about))
    await spine.post(a_post(body=b'{"reference_id":"order-4711"}'))

    async def is_described() -> bool:
        return bool(await spine.rows("SELECT FROM events WHERE data ? '@user_description'"))

    async with _worker(spine) as address:
        await until(spine.is_drained)
        # The tests' posts are old, and the first lookups search only the latest partitions.
        await spine.pool.execute("UPDATE user_descriptions SET tries = 10, due_utc = now()")
        await until(is_described, seconds=30)
        _, metrics = await _get(f"{address}/metrics")

    assert 'headrace_user_descriptions_total{result="applied"} 1.0' in metrics
    [waiting] = await spine.rows("SELECT reference_id FROM user_descriptions")
    assert waiting["reference_id"] == "order-4712"
    assert len(await spine.rows("SELECT FROM events")) == 1


async def test_sessions_can_be_switched_off(spine: Spine) -> None:
    """Events of users then stay as they were sent."""
    spine.environ["HEADRACE_SESSIONS"] = "off"
    await spine.post(a_post(body=b'{"data":{"@user":{"identity":"jane"}}}'))

    async with _worker(spine):
        await until(spine.is_drained)

    [event] = await spine.rows("SELECT type, data FROM events")
    assert (event["type"], "@ref:session" in msgspec.json.decode(event["data"])) == ("log", False)
