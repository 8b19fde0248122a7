"""Indexes of words: they find the events of a day's partition whose text contains a run of letters.

A day that is over has one index. The present day, and a very large one, has several, each for a range of
ids, built in steps while its events come, so that few events are without, and storing pays for none. The
catalog alone says which ranges have one: an index that is not valid was interrupted and is built again, and
indexes go with their partition. What has none is searched more slowly.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

import asyncpg

from collector.database.pool import connected
from collector.database.schema.partitions import partition_days, partition_name
from collector.database.schema.word_index_parts import (
    LARGE_EVENTS,
    MOST_PARTS,
    IdRange,
    Part,
    PartitionHeap,
    Range,
    chosen_ranges,
    gaps_between,
    ids_of_range,
    next_part,
    range_of_index,
)
from collector.domain.dates.time_range import TimeRange
from collector.domain.ids import DAY_MS, accepted_ms, ids_of_day

SEARCHED_TEXT: Final = (
    "searched_text({of}message, {of}source, {of}type, {of}reference_id, {of}tags, {of}data)"
)
"""The indexed expression; `of` is empty, or an alias of the events with a point."""
BUILD_SECONDS: Final = 6 * 3600.0
"""The longest build of one index. `LARGE_EVENTS` take some ten minutes, and transactions must end before."""
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_LOCK_WAIT: Final = "10s"
"""Waiting for another builder of the same partition blocks neither readers nor writers."""

_SETTLED_MS: Final = 10_000
"""What was accepted more recently may still be stored; each event that comes after its index costs 80 µs."""
_NAME: Final = r"^events_\d{8}_words(_\d{8}_\d{8})?$"

_CLASS: Final = """
    SELECT quote_ident(n.nspname) FROM pg_opclass AS o
    JOIN pg_am AS a ON a.oid = o.opcmethod JOIN pg_namespace AS n ON n.oid = o.opcnamespace
    WHERE a.amname = 'gin' AND o.opcname = 'gin_trgm_ops' ORDER BY o.oid LIMIT 1
"""
_DAYS: Final = f"""
    SELECT d.day, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms,
        coalesce(array_agg(w.relname::text) FILTER (WHERE i.indisvalid), '{{}}') AS valid,
        coalesce(array_agg(w.relname::text) FILTER (WHERE NOT i.indisvalid), '{{}}') AS invalid
    FROM unnest($1::date[]) AS d (day)
    LEFT JOIN (pg_index AS i JOIN pg_class AS w ON w.oid = i.indexrelid AND w.relname ~ '{_NAME}')
        ON i.indrelid = to_regclass('events_' || to_char(d.day, 'YYYYMMDD'))
    GROUP BY d.day ORDER BY d.day DESC
"""  # noqa: S608 - constants only
_INDEXED: Final = f"""
    SELECT p.day, least(p.largest, $2) AS latest, array_agg(w.relname::text) AS names,
        coalesce(max(greatest(c.reltuples, 0) / greatest(c.relpages, 1) * pg_relation_size(c.oid))
            / current_setting('block_size')::int, 0)::float8 AS events
    FROM partition_dates AS p
    JOIN pg_class AS c ON c.oid = to_regclass('events_' || to_char(p.day, 'YYYYMMDD'))
    JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisvalid
    JOIN pg_class AS w ON w.oid = i.indexrelid AND w.relname ~ '{_NAME}'
    WHERE p.smallest < $2 AND p.largest >= $1 GROUP BY p.day ORDER BY p.day
"""  # noqa: S608 - constants only


class IndexedDay(NamedTuple):
    """A day of acceptance with indexes of words, and about how many events it has; `latest`: no later date.

    Events with ids in `indexed` are in an index, one for each of these ranges; those in `rest` are in none.
    """

    day: date
    events: float
    latest: datetime
    indexed: tuple[IdRange, ...]
    rest: tuple[IdRange, ...] = ()


class IndexedDays(NamedTuple):
    """How many of the days that are over have an index of words, and how many have none yet."""

    indexed: int
    missing: int


class DayIndex(NamedTuple):
    """Whether a day's partition has an index of words; an invalid one is being built, or was interrupted."""

    day: date
    exists: bool
    is_invalid: bool


async def prepare_word_indexes(pool: asyncpg.Pool) -> str | None:
    """Create the extension that the indexes need; returns what is missing, as a sentence for the operator."""
    async with connected(pool) as connection:
        if await connection.fetchval(_CLASS) is None:
            try:
                await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            except asyncpg.PostgresError as error:
                # Another worker may have been faster.
                if await connection.fetchval(_CLASS) is None:
                    return f"Postgres lacks the extension pg_trgm ({error}): searches read all events."
        if not await seen_letters(connection, "д"):
            return "LC_CTYPE has no letters beyond ASCII: searches for words with others read all events."
    return None


async def build_word_index(pool: asyncpg.Pool, failed: set[date] | None = None) -> date | None:
    """Build the index that is missed most; returns its day.

    That is one for what has come in today, if it is much, then one of the newest day that is over. None also
    if another process works on the partition or it was dropped meanwhile. An index that cannot be built, for
    want of disk space perhaps, is removed again before the error is raised; its day is added to `failed`,
    whose days have their turn again after all others.
    """
    failed = set() if failed is None else failed
    async with connected(pool) as connection:
        schema = await connection.fetchval(_CLASS)
        if schema is None:
            return None
        async with _settings(connection):
            days = await _days(connection, await partition_days(connection))
            missing = [day for day in days if day.is_over and (day.gaps or day.useless)]
            if failed.issuperset(day.day for day in missing):
                failed.clear()
            for day in [*(day for day in days if day.is_present), *missing]:
                if day.day in failed:
                    continue
                failed.add(day.day)
                is_built = await _build_for(connection, day, schema)
                failed.discard(day.day)
                if is_built is not None:
                    return day.day if is_built else None
    return None


async def day_indexes(connection: asyncpg.Connection, days: Collection[date]) -> list[DayIndex]:
    """The state of the index of words of each of the days."""
    rows = await connection.fetch(_DAYS, days)
    return [
        DayIndex(row["day"], exists=bool(row["valid"] or row["invalid"]), is_invalid=bool(row["invalid"]))
        for row in rows
    ]


async def count_word_indexes(pool: asyncpg.Pool) -> IndexedDays:
    """How far building is."""
    async with connected(pool) as connection:
        days = [day for day in await _days(connection, await partition_days(connection)) if day.is_over]
    missing = sum(bool(day.gaps) for day in days)
    return IndexedDays(len(days) - missing, missing)


async def count_unindexed_events(pool: asyncpg.Pool) -> int:
    """About how many events of the present day no index of words covers yet."""
    async with connected(pool) as connection:
        days = await _days(connection, await partition_days(connection))
        today = next((day for day in days if day.is_present), None)
        heap = None if today is None else await PartitionHeap.of(connection, today.day)
        if today is None or heap is None:
            return 0
        until = (*today.indexed[-1:], (0, 0))[0][1]
        return heap.events - await heap.events_before(until)


async def indexed_days(connection: asyncpg.Connection, dates: TimeRange) -> list[IndexedDay]:
    """The days of acceptance that have indexes and may have events with these dates, in order."""
    rows = await connection.fetch(_INDEXED, dates.begin or _EARLIEST, dates.end or _LATEST)
    found = []
    for row in rows:
        indexed = chosen_ranges(row["names"])
        rest = gaps_between(indexed)
        ids = (tuple(ids_of_range(row["day"], each) for each in ranges) for ranges in (indexed, rest))
        found.append(IndexedDay(row["day"], row["events"], row["latest"], *ids))
    return found


async def seen_letters(connection: asyncpg.Connection, characters: Collection[str]) -> set[str]:
    """Those of the characters that are letters or digits for the extension; it goes by LC_CTYPE."""
    schema = await connection.fetchval(_CLASS)
    if schema is None:
        return set()
    rows = await connection.fetch(
        f"SELECT c FROM unnest($1::text[]) AS c WHERE cardinality({schema}.show_trgm(c)) > 0",  # noqa: S608
        list(characters),
    )
    return {row["c"] for row in rows}


@asynccontextmanager
async def _settings(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Build with one process, and wait for locks for a bounded time."""
    await connection.execute(f"SET max_parallel_maintenance_workers = 0; SET lock_timeout = '{_LOCK_WAIT}'")
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("RESET max_parallel_maintenance_workers; RESET lock_timeout")


class _Day(NamedTuple):
    """A partition, what its indexes cover, and those that are of no use."""

    day: date
    now_ms: int
    indexed: tuple[Range, ...]
    useless: tuple[str, ...]

    @property
    def gaps(self) -> tuple[Range, ...]:
        """What no index covers."""
        return gaps_between(self.indexed)

    @property
    def is_over(self) -> bool:
        return self.now_ms >= DAY_MS

    @property
    def is_present(self) -> bool:
        return 0 <= self.now_ms < DAY_MS


async def _days(connection: asyncpg.Connection, days: Sequence[date]) -> list[_Day]:
    """The partitions of these days, the newest first."""
    found = []
    for row in await connection.fetch(_DAYS, days):
        indexed = chosen_ranges(row["valid"])
        useless = [name for name in row["valid"] if range_of_index(name) not in indexed]
        begin = accepted_ms(ids_of_day(row["day"])[0].bytes)
        found.append(_Day(row["day"], row["now_ms"] - begin, indexed, (*row["invalid"], *useless)))
    return found


async def _build_for(connection: asyncpg.Connection, day: _Day, schema: str) -> bool | None:
    """Build an index of the day; None if it needs none now, false if that is impossible now."""
    try:
        # What interruptions and merges have left. Behind a server process that still builds it, this waits in
        # vain.
        for name in day.useless:
            await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        part = await _due(connection, day)
        if part is None:
            return None
        await _build(connection, day.day, part, schema)
    except (asyncpg.UndefinedTableError, asyncpg.DuplicateTableError, asyncpg.LockNotAvailableError):
        return False
    return True


async def _due(connection: asyncpg.Connection, day: _Day) -> Range | None:
    """The range to build an index for."""
    heap = await PartitionHeap.of(connection, day.day)
    if heap is None:
        return None
    # A day that is over: one index for all of it, unless it is too large.
    if day.is_over and day.gaps and heap.events <= LARGE_EVENTS:
        return 0, DAY_MS
    gaps = [(begin, end) for begin, end in day.gaps if day.is_over or begin < day.now_ms - _SETTLED_MS]
    if day.is_present and gaps and gaps[-1][1] == DAY_MS:
        gaps[-1] = gaps[-1][0], day.now_ms - _SETTLED_MS

    async def counted(part: Range) -> Part:
        before = await heap.events_before(part[0])
        return Part(*part, await heap.events_before(part[1]) - before)

    if day.is_over:
        due: Range | None = gaps[0] if gaps else None
    else:
        parts = [await counted(part) for part in day.indexed] if len(day.indexed) > MOST_PARTS else []
        due = next_part(parts, [await counted(gap) for gap in gaps], events=heap.events)
    if due is None or due not in gaps or (await counted(due)).events <= LARGE_EVENTS:
        return due
    middle = await heap.time_after(await heap.events_before(due[0]) + LARGE_EVENTS)
    return (due[0], middle) if due[0] < middle < due[1] else due


async def _build(connection: asyncpg.Connection, day: date, part: Range, schema: str) -> None:
    partition, is_whole = partition_name(day), part == (0, DAY_MS)
    begin, end = ids_of_range(day, part)
    name = f"{partition}_words" if is_whole else f"{partition}_words_{part[0]:08d}_{part[1]:08d}"
    # The second comparison is not made for new events.
    condition = "" if is_whole else f" WHERE id < '{end}' AND id >= '{begin}'"
    try:
        # Transactions that began before must end first, however long they take.
        await connection.execute("SET lock_timeout = 0")
        if not is_whole:
            # Without, the planner takes the part for nearly empty, and makes the text of all its events.
            await connection.execute(f"ANALYZE {partition} (id)")
        await connection.execute(
            f"CREATE INDEX CONCURRENTLY {name} ON {partition}"
            f" USING gin ({SEARCHED_TEXT.format(of='')} {schema}.gin_trgm_ops){condition}",
            timeout=BUILD_SECONDS,
        )
    except (asyncpg.UndefinedTableError, asyncpg.DuplicateTableError):
        raise
    except asyncpg.PostgresError:
        # It takes room on the disk and time to be written to, and finds nothing.
        if not connection.is_closed():
            await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        raise
