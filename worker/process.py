"""The worker process: opens the connections, runs the consumer and the jobs, reports health, shuts down."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Final

import asyncpg
import structlog
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from collector.broker.connection import check_server, connect, watch_connections
from collector.broker.errors import BrokerUnavailable
from collector.broker.errors import translated as broker_errors
from collector.broker.event_age import publish_event_age
from collector.broker.heartbeats import Heartbeats
from collector.broker.keys import LANES, RedisKeys
from collector.broker.live_feed import LiveFeed
from collector.broker.owner import compare_database
from collector.broker.permissions import worker_commands
from collector.broker.queue.post_stream import PostStream
from collector.broker.queue.shards import FIND_SECONDS, FOLLOW_SECONDS, Shards
from collector.broker.token_projection import TokenProjection
from collector.database.agreed_settings import FOLLOW_SECONDS as SETTINGS_SECONDS
from collector.database.agreed_settings import database_id
from collector.database.errors import DatabaseUnavailable
from collector.database.job_runs import run_once
from collector.database.owners.project_rules import StoredProjects
from collector.database.owners.projection import load_projection
from collector.database.owners.purge import purge_deleted
from collector.database.owners.removals import remove_asked
from collector.database.pool import connected, create_pool, watch_pool
from collector.database.schema.migrations import check_migrated
from collector.database.schema.partitions import maintain_partitions
from collector.database.schema.rollup_changes import fold_changes
from collector.database.schema.rollups import make_rollups
from collector.database.schema.word_indexes import BUILD_SECONDS, prepare_word_indexes
from collector.database.search.overview import is_readable
from collector.database.sessions.upkeep import forget_sessions
from collector.database.writing.batch_ids import forget_stored_batches
from collector.database.writing.dead_letters import bound_dead_letters
from collector.database.writing.old_stacks import forget_stacks
from collector.database.writing.store import BatchStore
from collector.database.writing.usage import forget_usage
from collector.domain.intake.normalize import rules_from_settings
from collector.http.health import Check, add_health
from collector.http.server import Address, application, listen
from collector.process.clock import SystemClock
from collector.process.faults import FaultPoints, read_faults
from collector.process.lifecycle import StartError, Stop, vital
from collector.process.logging import configure_logging, warn_of_unknown_settings
from collector.process.metrics import ProcessMetrics, WorkerMetrics
from collector.process.settings import named_settings, read_settings
from worker.agreement import Agreement
from worker.announcing import ANNOUNCE_SECONDS, AnnouncingStore
from worker.consumer import SLOTS, Consumer, Pace
from worker.fault_points import with_fault_points
from worker.gate import Gate
from worker.geo_file import open_geo_file
from worker.held_posts import measure_held_posts, try_held_posts
from worker.holding import Holding
from worker.maintenance import (
    ACTIVITY_SECONDS,
    BACKLOG_SECONDS,
    BATCH_IDS_KEPT,
    DEAD_LETTERS_SECONDS,
    DESCRIPTIONS_SECONDS,
    FOLD_SECONDS,
    FORGET_SECONDS,
    HEARTBEATS_SECONDS,
    HELD_POSTS_SECONDS,
    PARTITION_DAYS_AHEAD,
    PARTITIONS_SECONDS,
    PURGE_SECONDS,
    ROLLUPS_SECONDS,
    SESSIONS_SECONDS,
    STORAGE_SECONDS,
    SWEEP_SECONDS,
    WORD_INDEX_DAYS_SECONDS,
    WORD_INDEX_SECONDS,
    Job,
    Sweep,
    WordIndexing,
    apply_heartbeats,
    describe_events,
    forget_old_descriptions,
    keep_sessions,
    measure_backlog,
    measure_storage,
    measure_word_indexes,
    once,
    run_periodically,
)
from worker.measuring import MeasuringStore
from worker.settings import WorkerSettings
from worker.turns import Turns

DRAIN_SECONDS: Final = 8.0
"""How long storing the entries in hand may take after a stop was requested."""

_POOL_SIZE: Final = SLOTS * LANES + 12
"""One for each slot of each lane; the others for readiness checks and jobs, each of which holds a lock."""
_SPARE_PORTS: Final = 63
"""How many further ports a worker tries that has no port set."""
_CLOSE_SECONDS: Final = 5.0
_FLUSH_SECONDS: Final = 3.0
_SOCKET_MARGIN_SECONDS: Final = 5.0

_log = structlog.get_logger()


async def run(environ: Mapping[str, str], stop: Stop) -> None:
    """Work until `stop` is requested; then finish the entries in hand, or leave them in the stream, and end.

    Raises StartError when a setting is wrong, Redis or Postgres is out of reach, or the port is taken.
    """
    settings = read_settings(WorkerSettings, environ)
    configure_logging(settings, "worker")
    warn_of_unknown_settings(environ)
    faults = read_faults(environ)
    async with _redis(settings) as redis, _database(settings) as pool:
        agreement = Agreement(settings, pool)
        try:
            await check_migrated(pool)
            await agreement.join(environ)
            keys = RedisKeys(settings.redis_key_prefix)
            await compare_database(redis, keys, await database_id(pool), settings.database_url)
            if (missing := await prepare_word_indexes(pool)) is not None:
                _log.warning("words are not indexed", reason=missing)
        except DatabaseUnavailable as error:
            raise StartError(f"the settings in Postgres could not be read: {error}.") from error
        # Further workers on the same host need no setting: each takes the next free port.
        is_named = named_settings(settings, environ, ("port",))
        address = Address(settings.host, settings.port, spare_ports=0 if is_named else _SPARE_PORTS)
        await _work(agreement, redis, pool, stop, faults, address)


async def _work(
    agreement: Agreement,
    redis: Redis,
    pool: asyncpg.Pool,
    stop: Stop,
    faults: FaultPoints,
    address: Address,
) -> None:
    settings = agreement.settings
    process_metrics = ProcessMetrics(CollectorRegistry())
    metrics = WorkerMetrics(process_metrics.registry)
    watch_pool(pool, "postgres_worker", process_metrics)
    watch_connections(redis, "redis_worker", process_metrics)
    keys = RedisKeys(settings.redis_key_prefix)
    shards = Shards(redis, keys, settings.shards)
    streams = [PostStream(redis, keys, shards, lane=lane) for lane in range(LANES)]
    sweep = Sweep(
        partial(TokenProjection(redis, keys).sweep, partial(load_projection, pool)),
        metrics,
        partial(run_once, pool, "sweep", SWEEP_SECONDS),
    )
    store = BatchStore(
        pool,
        reference_window=timedelta(minutes=settings.reference_window_minutes),
        retention_days=settings.retention_days,
        has_sessions=settings.sessions == "on",
    )
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    projects = StoredProjects(pool)
    rules = rules_from_settings(
        settings.body_limit_bytes, settings.max_event_age_days, open_geo_file(settings.geoip_file)
    )
    pace = Pace(
        settings.batch_entries,
        settings.read_block_ms,
        settings.claim_idle_seconds,
        (settings.unpacked_memory_mb << 20) // LANES,
    )
    gate, turns, holding = Gate(), Turns(), Holding()
    measuring = MeasuringStore(store, partial(is_readable, pool), metrics, SystemClock())
    announcing = AnnouncingStore(measuring, LiveFeed(redis, keys))
    consumers: list[Consumer] = []
    for lane, stream in enumerate(streams):
        consumed_stream, consumed_store = with_fault_points(stream, announcing, faults)
        consumers.append(
            Consumer(
                name=name,
                stream=consumed_stream,
                store=consumed_store,
                projects=projects,
                rules=rules,
                metrics=metrics,
                clock=SystemClock(),
                pace=pace,
                lane=lane,
                gate=gate,
                turns=turns,
                holding=holding,
            )
        )
    # Listen before working: a taken port ends the start, and health answers while the first sweep runs.
    app = application()
    add_health(app, _checks(redis, pool, sweep, consumers), process_metrics.registry)
    listener = await listen(app, address)
    watching = ExitStack()
    watching.enter_context(process_metrics.watched())
    _log.info("working", consumer=name, host=settings.host, port=listener.port)
    try:
        async with asyncio.TaskGroup() as tasks:
            jobs = [
                tasks.create_task(vital(job.name, run_periodically(job, stop, metrics), stop))
                for job in [
                    *_jobs(agreement, streams, Heartbeats(redis, keys), pool, sweep, metrics),
                    Job("settings", SETTINGS_SECONDS, partial(_follow, agreement, store, consumers)),
                    # Again and again for ingest: Redis may have come back empty.
                    Job(
                        "event_age",
                        FIND_SECONDS,
                        lambda: publish_event_age(redis, keys, agreement.settings.max_event_age_days),
                    ),
                    Job("session_activity", ACTIVITY_SECONDS, store.flush_activity),
                    Job("live", ANNOUNCE_SECONDS, announcing.flush),
                    Job("shards", FOLLOW_SECONDS, shards.follow),
                    Job("streams", FIND_SECONDS, shards.find),
                    once(
                        pool,
                        "held_posts",
                        HELD_POSTS_SECONDS,
                        lambda: try_held_posts(pool, store, projects, consumers[0].rules, metrics),
                    ),
                    Job("held_posts_number", HELD_POSTS_SECONDS, partial(measure_held_posts, pool, metrics)),
                ]
            ]
            consuming = [
                tasks.create_task(vital("consumer", consumer.run(stop), stop)) for consumer in consumers
            ]
            await stop.wait()
            # Let the slots finish what they have in hand; what they do not finish stays in the stream.
            _log.info("stopping")
            await asyncio.wait(consuming, timeout=DRAIN_SECONDS)
            for task in (*consuming, *jobs):
                task.cancel()
        # After the tasks, which still store events and note activity. Without this last flush
        # sessions would end some seconds before their last event.
        await announcing.flush()
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                await store.flush_activity()
        except (DatabaseUnavailable, TimeoutError) as error:
            _log.warning("the last session activity was not stored", error=type(error).__name__)
    finally:
        watching.close()
        await listener.close()


async def _follow(agreement: Agreement, store: BatchStore, consumers: Sequence[Consumer]) -> None:
    """Apply the settings of another worker's start, from the next transaction on."""
    if await agreement.follow():
        settings = agreement.settings
        store.follow(
            reference_window=timedelta(minutes=settings.reference_window_minutes),
            retention_days=settings.retention_days,
            has_sessions=settings.sessions == "on",
        )
        rules = rules_from_settings(
            settings.body_limit_bytes, settings.max_event_age_days, consumers[0].rules.locations
        )
        for consumer in consumers:
            consumer.rules = rules


def _jobs(
    agreement: Agreement,
    streams: Sequence[PostStream],
    heartbeats: Heartbeats,
    pool: asyncpg.Pool,
    sweep: Sweep,
    metrics: WorkerMetrics,
) -> list[Job]:
    def days() -> int:
        return agreement.settings.retention_days

    return [
        Job("sweep", SWEEP_SECONDS, sweep),
        Job("backlog", BACKLOG_SECONDS, partial(measure_backlog, streams, metrics)),
        once(
            pool,
            "partitions",
            PARTITIONS_SECONDS,
            lambda: maintain_partitions(pool, days(), PARTITION_DAYS_AHEAD),
        ),
        once(pool, "batch_ids", FORGET_SECONDS, partial(forget_stored_batches, pool, BATCH_IDS_KEPT)),
        once(pool, "purge", PURGE_SECONDS, partial(purge_deleted, pool)),
        once(pool, "removals", PURGE_SECONDS, partial(remove_asked, pool)),
        once(pool, "rollup_changes", FOLD_SECONDS, partial(fold_changes, pool)),
        once(pool, "rollups", ROLLUPS_SECONDS, partial(make_rollups, pool)),
        once(pool, "word_index", WORD_INDEX_SECONDS, WordIndexing(pool, streams, metrics), BUILD_SECONDS),
        Job("storage", STORAGE_SECONDS, partial(measure_storage, pool, metrics)),
        Job("word_index_days", WORD_INDEX_DAYS_SECONDS, partial(measure_word_indexes, pool, metrics)),
        # Bounds of what nothing else removes.
        once(pool, "dead_letters", DEAD_LETTERS_SECONDS, lambda: bound_dead_letters(pool, days())),
        once(pool, "stacks", FORGET_SECONDS, lambda: forget_stacks(pool, days())),
        once(pool, "usage", FORGET_SECONDS, lambda: forget_usage(pool, days())),
        # These update stored events: sessions and descriptions.
        once(pool, "heartbeats", HEARTBEATS_SECONDS, partial(apply_heartbeats, heartbeats, pool)),
        once(pool, "sessions", SESSIONS_SECONDS, partial(keep_sessions, pool)),
        once(pool, "old_sessions", FORGET_SECONDS, lambda: forget_sessions(pool, days())),
        once(pool, "descriptions", DESCRIPTIONS_SECONDS, partial(describe_events, pool, metrics)),
        once(
            pool,
            "old_descriptions",
            FORGET_SECONDS,
            lambda: forget_old_descriptions(pool, days(), metrics),
        ),
    ]


def _checks(
    redis: Redis, pool: asyncpg.Pool, sweep: Sweep, consumers: Sequence[Consumer]
) -> dict[str, Check]:
    """Ready means: Redis and Postgres answer, the first sweep is done, and storing succeeds."""

    async def queue() -> str | None:
        try:
            with broker_errors():
                await redis.ping()
        except BrokerUnavailable as error:
            return f"the queue is unavailable: {error}"
        return None

    async def database() -> str | None:
        try:
            async with connected(pool) as connection:
                await connection.execute("SELECT 1")
        except DatabaseUnavailable as error:
            return f"the database is unavailable: {error}"
        return None

    async def tokens() -> str | None:
        return None if sweep.is_done else "the token projection has not been swept yet"

    async def storing() -> str | None:
        errors = [consumer.last_error for consumer in consumers]
        return next((error for error in errors if error is not None), None)

    return {"queue": queue, "database": database, "tokens": tokens, "storing": storing}


@asynccontextmanager
async def _redis(settings: WorkerSettings) -> AsyncIterator[Redis]:
    timeout = settings.read_block_ms / 1000 + _SOCKET_MARGIN_SECONDS
    redis = connect(settings.redis_url, socket_timeout_seconds=timeout)
    try:
        keys = RedisKeys(settings.redis_key_prefix)
        await check_server(redis, settings.redis_url, worker_commands(keys))
        yield redis
    finally:
        await redis.aclose()


@asynccontextmanager
async def _database(settings: WorkerSettings) -> AsyncIterator[asyncpg.Pool]:
    pool = await create_pool(settings.database_url, max_size=_POOL_SIZE, application_name="headrace worker")
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await pool.close()
        except TimeoutError:
            pool.terminate()
