"""Judges the servers, for `headrace doctor` and the page `/system`: what is wrong, how bad, what to do."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import msgspec

from collector.broker.durability import UNKNOWN
from collector.broker.queue.queue_condition import QueueCondition
from collector.database.search.condition import DatabaseCondition
from collector.database.search.overview import Overview

SILENT_SECONDS: Final = 60.0
"""A worker asks for entries every second."""

_CLOCK_WARNING_SECONDS: Final = 10.0
_CLOCK_BROKEN_SECONDS: Final = 300.0
_MEMORY_WARNING_SHARE: Final = 0.5
_MEMORY_BROKEN_SHARE: Final = 0.9
_CONNECTIONS_SHARE: Final = 0.9
_PARTITIONS_AHEAD: Final = 2
_DAYS_BEHIND: Final = 2
_LATE: Final = timedelta(minutes=1)
_VERY_LATE: Final = timedelta(minutes=10)
_NAMED: Final = 3

Level = Literal["warning", "broken"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong.

    `warning`: it needs a person before long. `broken`: events are refused, wait, or could be lost.
    """

    level: Level
    subject: str
    what: str
    do: str


def judge_queue(
    queue: QueueCondition, now: datetime, *, silent_seconds: float = SILENT_SECONDS
) -> Iterator[Finding]:
    """What is wrong with the queue; `now` is this machine's time."""
    yield from _durability(queue)
    yield from _memory(queue)
    if queue.now is not None:
        yield from _clock("Redis", now - queue.now)
    live = {each.name for each in queue.consumers if each.silent_seconds < silent_seconds}
    dead = [each for each in queue.consumers if each.in_hand and each.name not in live]
    if not live:
        yield Finding(
            level="broken",
            subject="workers",
            what=f"no worker has asked for entries within {silent_seconds:.0f} s; {queue.entries} wait",
            do="start a worker, or look at why it ended: the last line of its log says so",
        )
    if dead:
        names = ", ".join(each.name for each in dead[:_NAMED])
        yield Finding(
            level="warning" if live else "broken",
            subject="dead consumers",
            what=f"{sum(each.in_hand for each in dead)} entries are held by silent workers ({names})",
            do="a live worker takes them over within a minute; if they stay, restart the workers",
        )
    if queue.oldest is not None and (age := (queue.now or now) - queue.oldest) > _LATE:
        yield Finding(
            level="broken" if age > _VERY_LATE else "warning",
            subject="lag",
            what=f"the oldest of {queue.entries} entries has waited for {age.total_seconds():.0f} s",
            do="see what the worker's /health/ready says; if it is busy, start another one",
        )


def judge_database(database: DatabaseCondition, overview: Overview, now: datetime) -> Iterator[Finding]:
    """What is wrong with Postgres and what is in it; `now` is this machine's time."""
    if database.unsafe:
        yield Finding(
            level="broken",
            subject="durability",
            what=f"Postgres runs with {', '.join(database.unsafe)} off: a crash loses stored events",
            do="switch it on and reload Postgres",
        )
    yield from _clock("Postgres", now - database.now)
    if overview.partitions_ahead < _PARTITIONS_AHEAD:
        yield Finding(
            level="broken" if overview.partitions_ahead == 0 else "warning",
            subject="partitions",
            what=f"{overview.partitions_ahead} of the next 3 days have their partition",
            do="a worker makes them every hour; its log says why it cannot (maintenance failed, partitions)",
        )
    yield from _behind(database, overview, now)
    if overview.held_posts:
        yield Finding(
            level="warning",
            subject="held posts",
            what=f"{overview.held_posts} posts are held because most events of their projects are rejected",
            do="the workers' log names the projects and Postgres's error",
        )
    if database.connections > database.most_connections * _CONNECTIONS_SHARE:
        yield Finding(
            level="warning",
            subject="connections",
            what=f"{database.connections} of {database.most_connections} connections to Postgres are in use",
            do="raise max_connections, or lower HEADRACE_DATABASE_CONNECTIONS of the API",
        )
    if database.slow:
        slowest = database.slow[0]
        yield Finding(
            level="warning",
            subject="slow queries",
            what=f"{len(database.slow)} statements run for more than 30 s, the longest for"
            f" {slowest.seconds:.0f} s ({slowest.program or 'unnamed'}, {slowest.state}"
            f"{', waits for ' + slowest.waits_for if slowest.waits_for else ''})",
            do="pg_stat_activity has them; pg_terminate_backend ends one",
        )


def _durability(queue: QueueCondition) -> Iterator[Finding]:
    durability = queue.durability
    if durability.fsync == UNKNOWN:
        yield Finding(
            level="warning",
            subject="durability",
            what="our user may not read the queue server's settings: is a 202 on disk?",
            do="allow it CONFIG GET with ACL SETUSER",
        )
    elif not durability.keeps_promise:
        yield Finding(
            level="broken",
            subject="durability",
            what=f"appendfsync is {durability.fsync} and the eviction policy {durability.eviction}:"
            " accepted events may be lost",
            do="CONFIG SET appendonly yes, appendfsync always, maxmemory-policy noeviction;"
            " and write it into the server's configuration",
        )
    if queue.write_problem:
        yield Finding(
            level="broken",
            subject="durability",
            what=f"the queue's server cannot write its append-only file: {queue.write_problem}",
            do="see its log; usually its disk is full",
        )


def _memory(queue: QueueCondition) -> Iterator[Finding]:
    limit = queue.durability.maxmemory_bytes
    if not limit and queue.durability.fsync != UNKNOWN:
        yield Finding(
            level="broken",
            subject="memory",
            what="the queue's server has no maxmemory: posts could fill the machine",
            do="CONFIG SET maxmemory to what the machine can spare; and write it into the configuration",
        )
    if limit and queue.used_bytes is not None and queue.used_bytes > limit * _MEMORY_WARNING_SHARE:
        yield Finding(
            level="broken" if queue.used_bytes > limit * _MEMORY_BROKEN_SHARE else "warning",
            subject="memory",
            what=f"the queue's server uses {queue.used_bytes} of {limit} bytes",
            do="start another worker if entries wait; otherwise raise maxmemory, also on the running server",
        )


def _clock(server: str, ahead: timedelta) -> Iterator[Finding]:
    seconds = ahead.total_seconds()
    if abs(seconds) > _CLOCK_WARNING_SECONDS:
        yield Finding(
            level="broken" if abs(seconds) > _CLOCK_BROKEN_SECONDS else "warning",
            subject="clock",
            what=f"this machine's clock is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'}"
            f" that of {server}",
            do="let both machines follow NTP (timedatectl, chronyc tracking)",
        )


def _behind(database: DatabaseCondition, overview: Overview, now: datetime) -> Iterator[Finding]:
    today = now.astimezone(UTC).date()
    over = [each for each in database.indexes if each.day < today]
    missing, invalid = [each for each in over if not each.exists], [each for each in over if each.is_invalid]
    if len(missing) + len(invalid) > _DAYS_BEHIND:
        yield Finding(
            level="warning",
            subject="index builds",
            what=f"of {len(over)} days {len(missing)} have no index of words, {len(invalid)} an invalid one",
            do="a worker builds them one after another while the queue is short; its log has failures",
        )
    if overview.rollups_behind > _DAYS_BEHIND:
        yield Finding(
            level="warning",
            subject="rollups",
            what=f"{overview.rollups_behind} days lack a rollup: charts and counts are slow",
            do="a worker makes them; its log says why it cannot (maintenance failed, rollups)",
        )
