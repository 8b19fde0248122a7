"""Indexes of words: each finds the events of one day's partition whose text contains a run of letters.

Built after the day is over, so that storing does not pay for them, one after another, the newest day first.
The catalog alone says which days have one: an index that is not valid was interrupted and is built again, and
an index goes with its partition. Days without one are searched without, more slowly.
"""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

import asyncpg

from collector.database.pool import connected
from collector.database.schema.partitions import partition_days, partition_name
from collector.domain.dates.time_range import TimeRange

SEARCHED_TEXT: Final = (
    "searched_text({of}message, {of}source, {of}type, {of}reference_id, {of}tags, {of}data)"
)
"""The indexed expression; `of` is empty, or an alias of the events with a point."""
BUILD_SECONDS: Final = 6 * 3600.0
"""The longest build of one index: a day of 100 million events takes some three hours."""

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_LOCK_WAIT: Final = "10s"
"""Waiting for another builder of the same partition blocks neither readers nor writers."""

_CLASS: Final = """
    SELECT quote_ident(n.nspname) FROM pg_opclass AS o
    JOIN pg_am AS a ON a.oid = o.opcmethod JOIN pg_namespace AS n ON n.oid = o.opcnamespace
    WHERE a.amname = 'gin' AND o.opcname = 'gin_trgm_ops' ORDER BY o.oid LIMIT 1
"""
_DAYS: Final = """
    SELECT d.day, (now() AT TIME ZONE 'UTC')::date > d.day AS is_over, i.indisvalid AS is_valid
    FROM unnest($1::date[]) AS d (day)
    LEFT JOIN pg_index AS i ON i.indexrelid = to_regclass('events_' || to_char(d.day, 'YYYYMMDD') || '_words')
    ORDER BY d.day DESC
"""
_INDEXED: Final = """
    SELECT p.day, greatest(c.reltuples, 0)::float8 AS events, least(p.largest, $2) AS latest
    FROM partition_dates AS p
    JOIN pg_class AS c ON c.oid = to_regclass('events_' || to_char(p.day, 'YYYYMMDD'))
    JOIN pg_index AS i ON i.indexrelid = to_regclass('events_' || to_char(p.day, 'YYYYMMDD') || '_words')
    WHERE p.smallest < $2 AND p.largest >= $1 AND i.indisvalid ORDER BY p.day
"""


class IndexedDay(NamedTuple):
    """A day whose partition has an index of words, about how many events it has, and no later date."""

    day: date
    events: float
    latest: datetime


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
    """Build the index of the newest day that is over and has none; returns that day.

    None also if another process works on the partition or it was dropped meanwhile. An index that cannot be
    built, for want of disk space perhaps, is removed again before the error is raised; its day is added to
    `failed`, whose days have their turn again after all others.
    """
    failed = set() if failed is None else failed
    async with connected(pool) as connection:
        schema = await connection.fetchval(_CLASS)
        days = await connection.fetch(_DAYS, await partition_days(connection))
        missing = [row["day"] for row in days if row["is_over"] and not row["is_valid"]]
        if failed.issuperset(missing):
            failed.clear()
        day = next((day for day in missing if day not in failed), None)
        if schema is None or day is None:
            return None
        failed.add(day)
        async with _settings(connection):
            is_built = await _build(connection, day, schema)
        failed.discard(day)
        return day if is_built else None


async def day_indexes(connection: asyncpg.Connection, days: Collection[date]) -> list[DayIndex]:
    """The state of the index of words of each of the days."""
    rows = await connection.fetch(_DAYS, days)
    return [
        DayIndex(row["day"], exists=row["is_valid"] is not None, is_invalid=row["is_valid"] is False)
        for row in rows
    ]


async def count_word_indexes(pool: asyncpg.Pool) -> IndexedDays:
    """How far building is."""
    async with connected(pool) as connection:
        days = await connection.fetch(_DAYS, await partition_days(connection))
    indexed = sum(bool(row["is_valid"]) for row in days)
    return IndexedDays(indexed, sum(row["is_over"] and not row["is_valid"] for row in days))


async def indexed_days(connection: asyncpg.Connection, dates: TimeRange) -> list[IndexedDay]:
    """The days of acceptance that have an index and may have events with these dates, in order."""
    rows = await connection.fetch(_INDEXED, dates.begin or _EARLIEST, dates.end or _LATEST)
    return [IndexedDay(**row) for row in rows]


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


async def _build(connection: asyncpg.Connection, day: date, schema: str) -> bool:
    partition = partition_name(day)
    name = f"{partition}_words"
    try:
        # What an interruption has left. Behind a server process that still builds it, this waits in vain.
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        # Transactions that began before must end first, however long they take.
        await connection.execute("SET lock_timeout = 0")
        await connection.execute(
            f"CREATE INDEX CONCURRENTLY {name} ON {partition}"
            f" USING gin ({SEARCHED_TEXT.format(of='')} {schema}.gin_trgm_ops)",
            timeout=BUILD_SECONDS,
        )
    except (asyncpg.UndefinedTableError, asyncpg.LockNotAvailableError):
        return False
    except asyncpg.PostgresError:
        # It takes room on the disk and time to be written to, and finds nothing.
        if not connection.is_closed():
            await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        raise
    return True
