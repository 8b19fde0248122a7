"""The events that reading is measured on: a month of them with a long tail, the same in every run.

Postgres makes them itself, at several times the speed of a worker: 5,000 stacks, 50,000 users and 200
versions, of which few are frequent; one event in ten is an error of some 6 kB, one in eleven is of a second
project, some are sessions. Rollups are made from them as from any partition that has none. Loading resumes
after an interruption: it skips the batches that are already stored.
"""

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.owners.organizations import add_organization
from collector.database.owners.projects import add_project
from collector.database.schema.partitions import make_missing_partitions
from collector.database.schema.rollups import make_rollups
from collector.database.schema.word_indexes import build_word_index, prepare_word_indexes
from loadtests.benchmarks.posts import an_error

ORGANIZATION: Final = UUID("01a00000-0000-7000-8000-00000000000a")
PROJECT: Final = UUID("01a00000-0000-7000-8000-000000000001")
OTHER_PROJECT: Final = UUID("01a00000-0000-7000-8000-000000000002")
BATCH_EVENTS: Final = 1000

_DAYS: Final = 30
_STACKS: Final = 5000
_USERS: Final = 50_000
_VERSIONS: Final = 200
_CONNECTIONS: Final = 2
_WHOLE_BATCHES: Final = 20
"""Batches in one statement."""
_MARK: Final = "4711-mark-4711"
"""Stands for what differs in an error."""

_EVENTS: Final = f"""
    INSERT INTO events (id, project_id, organization_id, stack_id, date, created_utc, count,
        date_offset_minutes, is_first_occurrence, reference_id, type, message, source, tags, value, data)
    SELECT
        (lpad(to_hex((extract(epoch FROM accepted) * 1000)::bigint), 12, '0') || '7' || substr(hash, 1, 3)
            || 'a' || substr(hash, 4, 15))::uuid,
        project_id, '{ORGANIZATION}', md5('stack' || project_id || stack)::uuid,
        accepted - dice[1] * interval '1 minute', accepted,
        CASE WHEN dice[2] < 0.05 THEN 3 END, 0, false, md5(hash || 'reference'), type,
        CASE type WHEN 'log' THEN
            'Order ' || number || ' was paid after ' || (dice[3] * 5000)::int || ' ms' END,
        CASE WHEN type <> 'error' THEN 'Shop.Orders.' || place || '.Step' || stack END,
        CASE WHEN type = 'error' THEN ARRAY['checkout']
            ELSE ARRAY['orders', (ARRAY['red', 'green', 'blue'])[1 + (dice[4] * 2.99)::int]] END,
        CASE WHEN type <> 'error' THEN (dice[5] * 1000)::numeric(10, 2) END,
        CASE WHEN type = 'error'
            THEN replace(replace($4::text, '{_MARK}', number::text), 'user-0', person)::jsonb
            ELSE jsonb_build_object(
                '@level', (ARRAY['Info', 'Info', 'Debug', 'Warn'])[1 + (dice[6] * 3.99)::int],
                '@user', jsonb_build_object('identity', person, 'name', 'Erika Mustermann'),
                '@version', '4.' || floor({_VERSIONS} * dice[7] ^ 3)::int || '.3',
                '@submission_method', 'Log',
                'order', jsonb_build_object('id', number, 'items', 3, 'warehouse', place))
        END
    FROM (
        SELECT *, CASE WHEN sort < 0.1 THEN 'error' WHEN sort < 0.102 THEN 'session'
                WHEN sort < 0.2 THEN 'usage' ELSE 'log' END AS type,
            (ARRAY['Checkout', 'Basket', 'Catalogue', 'Invoices', 'Shipping', 'Accounts', 'Search',
                'Returns'])[1 + stack % 8] AS place
        FROM (
            SELECT hash, dice, (dice[8] * 100000000)::int AS number, dice[9] AS sort,
                $2::timestamptz + (n::float8 / $3::integer) * ($5::timestamptz - $2::timestamptz) AS accepted,
                CASE WHEN n % 11 = 0 THEN '{OTHER_PROJECT}'::uuid ELSE '{PROJECT}'::uuid END AS project_id,
                floor({_STACKS} * dice[10] ^ 4)::int AS stack,
                'user-' || floor({_USERS} * dice[11] ^ 2)::int AS person
            FROM (
                SELECT n, hash, ARRAY(
                    SELECT ('x' || substr(hash || md5(hash), 1 + d * 5, 5))::bit(20)::int / 1048576.0::float8
                    FROM generate_series(0, 10) AS d) AS dice
                FROM (
                    SELECT n, md5('event' || $1::text || '-' || n) AS hash
                    FROM generate_series(0, $3::integer - 1) AS n
                OFFSET 0) AS a
            OFFSET 0) AS b
        OFFSET 0) AS c
    OFFSET 0) AS d
"""  # noqa: S608 - constants only
"""`OFFSET 0` keeps Postgres from computing an expression again wherever it is used."""
_STACK_ROWS: Final = f"""
    INSERT INTO stacks (id, project_id, organization_id, type, signature_hash, signature_info, title, status,
        total_occurrences, first_occurrence, last_occurrence)
    SELECT stack_id, project_id, '{ORGANIZATION}', min(type), stack_id::text, '{{}}',
        'Stack ' || stack_id, CASE WHEN substr(md5(stack_id::text), 1, 2) < '10' THEN 'fixed' ELSE 'open' END,
        sum(events), min(earliest), max(latest)
    FROM current_event_hours GROUP BY stack_id, project_id
    ON CONFLICT (id) DO UPDATE SET total_occurrences = excluded.total_occurrences,
        first_occurrence = excluded.first_occurrence, last_occurrence = excluded.last_occurrence
"""  # noqa: S608 - constants only


async def load(pool: asyncpg.Pool, folder: Path, events: int, on_progress: Callable[[int], None]) -> datetime:
    """Store `events` events of the month before the first loading; return the end of that month."""
    end = _end_of_month(folder)
    async with pool.acquire() as connection:
        await add_organization(connection, ORGANIZATION, "Benchmark")
        await add_project(connection, PROJECT, ORGANIZATION, "Benchmark")
        await add_project(connection, OTHER_PROJECT, ORGANIZATION, "Benchmark too")
        days = [(end - timedelta(days=back)).date() for back in range(-1, _DAYS + 2)]
        await make_missing_partitions(connection, days)
        rows = await connection.fetch("SELECT batch_id FROM stored_batches")
    stored, batches = {row["batch_id"].int for row in rows}, events // BATCH_EVENTS
    done = len(stored) * BATCH_EVENTS
    on_progress(done)
    groups = iter(_groups([number for number in range(batches) if number not in stored]))

    async def work() -> None:
        nonlocal done
        async with pool.acquire() as connection:
            for group in groups:
                await _store(connection, group, end, batches)
                done += len(group) * BATCH_EVENTS
                on_progress(done)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_CONNECTIONS):
            tasks.create_task(work())
    await _finish(pool, days)
    return end


def _groups(numbers: list[int]) -> Iterator[list[int]]:
    """Adjoining numbers of batches, few at a time."""
    group: list[int] = []
    for number in numbers:
        if group and (number != group[-1] + 1 or len(group) == _WHOLE_BATCHES):
            yield group
            group = []
        group.append(number)
    if group:
        yield group


async def _store(connection: asyncpg.Connection, group: list[int], end: datetime, batches: int) -> None:
    """Store some batches, and write down that they are."""
    begin = end - timedelta(days=_DAYS)
    first, last = ((end - begin) * (number / batches) + begin for number in (group[0], group[-1] + 1))
    error = an_error(random.Random(group[0]), end)["data"]
    error["@error"]["message"] = f"Order {_MARK} cannot be charged."
    error["@user"]["identity"] = "user-0"
    async with connection.transaction():
        await connection.executemany(
            "INSERT INTO stored_batches (batch_id) VALUES ($1)", [(UUID(int=number),) for number in group]
        )
        size = len(group) * BATCH_EVENTS
        await connection.execute(_EVENTS, str(group[0]), first, size, json.dumps(error), last, timeout=600)


async def _finish(pool: asyncpg.Pool, days: list[date]) -> None:
    """Record the partitions' dates, make rollups and indexes of words, and let Postgres gather statistics."""
    async with pool.acquire() as connection:
        await connection.execute("DELETE FROM rollup_days")
        for day in days:
            begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
            await connection.execute(
                "UPDATE partition_dates SET smallest = $2, largest = $3 WHERE day = $1",
                day,
                begin - timedelta(hours=1),
                begin + timedelta(days=1),
            )
    await make_rollups(pool)
    await prepare_word_indexes(pool)
    while await build_word_index(pool) is not None:
        pass
    async with pool.acquire() as connection:
        await connection.execute(_STACK_ROWS, timeout=600)
        await connection.execute("VACUUM ANALYZE", timeout=600)


def _end_of_month(folder: Path) -> datetime:
    kept = folder / "end"
    if not kept.exists():
        kept.write_text(datetime.now(UTC).isoformat())
    return datetime.fromisoformat(kept.read_text())
