"""`headrace audit`: reconciles the counts in Redis and Postgres of a live system."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import msgspec
from redis.asyncio import Redis

from collector.broker.connection import check_server, connect
from collector.broker.errors import BrokerUnavailable
from collector.broker.keys import RedisKeys
from collector.broker.queue.stream_ledger import is_empty, read_shards
from collector.database.audit import read_ledger, read_processed
from collector.database.errors import DatabaseUnavailable
from collector.database.pool import close_pool, create_pool
from collector.database.schema.migrations import check_migrated
from collector.domain.accounting.ledger import Ledger, Processed, differences
from collector.process.clock import Clock
from collector.process.lifecycle import StartError, Stop
from collector.process.settings import DatabaseUrl, RedisSettings, read_settings

_TIMEOUT_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.2


class AuditSettings(RedisSettings, frozen=True, kw_only=True):
    """What the audit reads from the environment."""

    database_url: DatabaseUrl


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """How long to wait for an empty stream, and whether to count the events of every partition."""

    wait_seconds: float = 0.0
    counts_events: bool = True


class Sums(msgspec.Struct, frozen=True):
    """The ledger in sums over all shards, as it is printed. `stream` counts entries, one per batch."""

    is_sound: bool
    differences: list[str]
    accepted: dict[str, int]
    stream: dict[str, int]
    processed: dict[str, int]
    repeated: dict[str, int]
    restored: dict[str, int]
    events: dict[str, int | dict[str, int]]
    partitions: dict[str, dict[str, int]]


async def run(environ: Mapping[str, str], options: AuditOptions, stop: Stop, clock: Clock) -> Sums | None:
    """The sums, or None if `stop` was requested before they were known. Raises what `reconcile` does."""
    async with asyncio.TaskGroup() as tasks:
        reconciling = tasks.create_task(reconcile(environ, options, clock))
        stopping = tasks.create_task(_cancel_on_stop(stop, reconciling))
        reconciling.add_done_callback(lambda _: stopping.cancel())
    return None if reconciling.cancelled() else reconciling.result()


async def reconcile(environ: Mapping[str, str], options: AuditOptions, clock: Clock) -> Sums:
    """Read both servers once the stream is empty or the wait is over, and compare their counts.

    Raises StartError when Redis or Postgres cannot be read.
    """
    settings = read_settings(AuditSettings, environ)
    keys = RedisKeys(settings.redis_key_prefix)
    async with _redis(settings.redis_url) as redis, _pool(settings.database_url) as pool:
        try:
            is_drained = await _wait_until_drained(redis, keys, options.wait_seconds, clock)
            # In this order, so that what moves from Redis to Postgres meanwhile is not missed.
            totals = await read_ledger(pool, counts_events=options.counts_events)
            queues = await read_shards(redis, keys)
            ledger = Ledger(totals, queues, await read_processed(pool))
        except (BrokerUnavailable, DatabaseUnavailable) as error:
            raise StartError(f"the counts could not be read: {error}.") from error
    late = [] if is_drained else [f"the stream is not empty after {options.wait_seconds:g} s"]
    return sum_up(ledger, [*late, *differences(ledger)])


def sum_up(ledger: Ledger, found: list[str]) -> Sums:
    """The sums of the ledger, with the differences that were found in it."""
    processed = list(ledger.processed_after.values())
    queues = ledger.queues
    return Sums(
        is_sound=not found,
        differences=found,
        accepted={
            "batches": sum(queue.batches for queue in queues),
            "posts": sum(queue.posts for queue in queues),
            "bytes": sum(queue.bytes for queue in queues),
        },
        stream={"unread": ledger.in_stream - ledger.pending, "in_hand": ledger.pending},
        processed=_sum(processed, batches="batches", posts="posts", events="events"),
        repeated=_sum(processed, batches="repeated_batches", posts="repeated_posts"),
        restored={
            "batches_lost": sum(max(each.restored_batches, 0) for each in processed),
            "of_a_former_queue": sum(max(-each.restored_batches, 0) for each in processed),
        },
        events=_by_outcome(ledger.totals.outcomes),
        partitions={
            str(day): {"counted": counted, "found": there}
            for day, (counted, there) in sorted((ledger.totals.partitions or {}).items())
        },
    )


def text_report(sums: Sums) -> str:
    """The report for people."""
    lines = [
        _line("accepted", sums.accepted),
        _line("in the stream", sums.stream),
        _line("processed", sums.processed),
        _line("repeated", sums.repeated),
        *([_line("restored", sums.restored)] if any(sums.restored.values()) else []),
        *(_line(outcome, count) for outcome, count in sums.events.items()),
        *(
            _line(f"partition {day}", counts)
            for day, counts in sums.partitions.items()
            if any(counts.values())
        ),
        *(f"DIFFERENCE: {difference}" for difference in sums.differences),
    ]
    if sums.is_sound:
        lines.append("It adds up.")
    return "\n".join(lines)


def json_report(sums: Sums) -> str:
    """The report for programs."""
    return msgspec.json.format(msgspec.json.encode(sums), indent=2).decode()


def _line(name: str, counts: Any) -> str:
    """One line of the report: a single count, or several with a label each."""
    if isinstance(counts, int):
        return f"{name:16}{counts:>12,}"
    parts = ", ".join(f"{count:,} {label}" for label, count in counts.items())
    return f"{name:15} {parts or '0':>12}"


def _sum(processed: list[Processed], **names: str) -> dict[str, int]:
    return {label: sum(getattr(each, name) for each in processed) for label, name in names.items()}


def _by_outcome(outcomes: Mapping[tuple[str, str], int]) -> dict[str, int | dict[str, int]]:
    """Events by outcome, and by reason if the outcome has reasons; derived events are counted separately."""
    totals: Counter[str] = Counter({"stored": 0, "duplicate": 0})
    reasons: dict[str, dict[str, int]] = {"discarded": {}, "dead_lettered": {}}
    for (outcome, reason), events in sorted(outcomes.items()):
        if outcome in reasons:
            reasons[outcome][reason] = events
        elif reason:
            totals[reason] += events
        else:
            totals[outcome] += events
    return {**totals, **reasons}


async def _cancel_on_stop(stop: Stop, task: asyncio.Task[Sums]) -> None:
    await stop.wait()
    task.cancel()


async def _wait_until_drained(redis: Redis, keys: RedisKeys, wait_seconds: float, clock: Clock) -> bool:
    """Whether the stream became empty in time; always True for a wait of 0, which checks nothing."""
    until = clock.monotonic() + wait_seconds
    while wait_seconds and not await is_empty(redis, keys):
        if clock.monotonic() > until:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True


@asynccontextmanager
async def _redis(url: str) -> AsyncIterator[Redis]:
    redis = connect(url, socket_timeout_seconds=_TIMEOUT_SECONDS)
    try:
        await check_server(redis, url)
        yield redis
    finally:
        await redis.aclose()


@asynccontextmanager
async def _pool(url: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await create_pool(url, max_size=1, application_name="headrace audit")
    try:
        await check_migrated(pool)
        yield pool
    finally:
        await close_pool(pool)
