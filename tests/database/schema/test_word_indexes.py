"""Indexes of words are built for the days that are over, whatever interrupts them."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlsplit

import asyncpg
import pytest

from collector.database.pool import close_pool, create_pool
from collector.database.schema import word_index_parts, word_indexes
from collector.database.schema.migrations import migrate
from collector.database.schema.partitions import maintain_partitions, make_missing_partitions, partition_name
from collector.database.schema.word_indexes import (
    IndexedDays,
    build_word_index,
    count_unindexed_events,
    count_word_indexes,
    indexed_days,
    prepare_word_indexes,
    seen_letters,
)
from collector.database.writing.store import BatchStore
from collector.domain.dates.time_range import TimeRange
from collector.domain.ids import DAY_MS
from tests.conftest import Servers
from tests.database.rows import an_event, normalized
from tests.database.word_parts import build_parts
from tests.support.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
async def now(pool: asyncpg.Pool) -> datetime:
    """By Postgres's clock; today and the three days before have an event each, and the extension is there."""
    now: datetime = await pool.fetchval("SELECT now()")
    days = [now - timedelta(days=age) for age in range(4)]
    await BatchStore(pool).save([normalized(*(an_event(accepted=day, date=day) for day in days))])
    assert await prepare_word_indexes(pool) is None
    return now


async def valid(pool: asyncpg.Pool) -> list[str]:
    """The names of the indexes that can be used."""
    rows = await pool.fetch(
        "SELECT i.indexrelid::regclass::text AS name FROM pg_index AS i"
        " WHERE i.indexrelid::regclass::text ~ '_words' AND i.indisvalid ORDER BY 1"
    )
    return [row["name"] for row in rows]


async def test_days_that_are_over_get_an_index_the_newest_first(pool: asyncpg.Pool, now: datetime) -> None:
    days = [now.date() - timedelta(days=age) for age in (1, 2, 3)]
    assert await count_word_indexes(pool) == IndexedDays(0, 3)

    assert [await build_word_index(pool) for _ in range(4)] == [*days, None]

    assert await count_word_indexes(pool) == IndexedDays(3, 0)
    async with pool.acquire() as connection:
        found = await indexed_days(connection, TimeRange(now - timedelta(days=2, hours=1)))
    assert [(day.day, day.events) for day in found] == [(days[1], 1.0), (days[0], 1.0)]
    assert all(now - timedelta(days=3) < day.latest for day in found)


async def test_an_interrupted_index_is_built_again(pool: asyncpg.Pool, now: datetime) -> None:
    """The server leaves one behind that is not valid; a search does not count on it."""
    day = now.date() - timedelta(days=1)
    partition = partition_name(day)
    async with pool.acquire() as reader, reader.transaction():
        # An open snapshot keeps the build waiting.
        await reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await reader.execute(f"LOCK TABLE {partition} IN ROW EXCLUSIVE MODE")
        building = asyncio.create_task(build_word_index(pool))
        await until(lambda: pool.fetchval("SELECT EXISTS (SELECT FROM pg_stat_progress_create_index)"))
        await pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONC%'"
            " AND datname = current_database()"
        )
        with pytest.raises(Exception, match=r"terminat|closed"):
            await building
    assert await valid(pool) == []
    assert await pool.fetchval("SELECT to_regclass($1) IS NOT NULL", f"{partition}_words")
    assert await count_word_indexes(pool) == IndexedDays(0, 3)

    assert await build_word_index(pool) == day

    assert await valid(pool) == [f"{partition}_words"]


async def test_what_cannot_be_built_is_removed(
    pool: asyncpg.Pool, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, or here a text that cannot be made. The day is tried again after all others."""
    day, failed = now.date() - timedelta(days=1), set[date]()
    with monkeypatch.context() as patch:
        patch.setattr(word_indexes, "SEARCHED_TEXT", "((1 / (length(message) - 5))::text)")
        with pytest.raises(asyncpg.DivisionByZeroError):
            await build_word_index(pool, failed)
    assert failed == {day}
    assert await pool.fetchval("SELECT to_regclass($1) IS NULL", f"{partition_name(day)}_words")
    async with pool.acquire() as connection:
        assert await connection.fetchval("SHOW lock_timeout") == "0"
    others = [day - timedelta(days=1), day - timedelta(days=2)]
    assert [await build_word_index(pool, failed) for _ in range(4)] == [*others, day, None]


async def test_a_partition_that_is_dropped_meanwhile_ends_the_build(
    pool: asyncpg.Pool, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = now.date() - timedelta(days=1)

    async def days(_: object) -> list[object]:
        await pool.execute(f"DROP TABLE {partition_name(gone)}")
        return [gone]

    monkeypatch.setattr(word_indexes, "partition_days", days)

    assert await build_word_index(pool) is None


async def test_an_index_that_another_process_builds_is_left_to_it(
    pool: asyncpg.Pool, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_indexes, "_LOCK_WAIT", "50ms")
    partition = partition_name(now.date() - timedelta(days=1))
    await pool.execute(f"CREATE INDEX {partition}_words ON {partition} (date)")
    await pool.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = $1::text::regclass", f"{partition}_words"
    )
    async with pool.acquire() as other, other.transaction():
        await other.execute(f"LOCK TABLE {partition} IN SHARE UPDATE EXCLUSIVE MODE")

        assert await build_word_index(pool) is None

    assert await build_word_index(pool) == now.date() - timedelta(days=1)


async def test_an_index_goes_with_its_partition(pool: asyncpg.Pool, now: datetime) -> None:
    """One that is made again on that day has none, and is not searched by one."""
    while await build_word_index(pool) is not None:
        pass
    await maintain_partitions(pool, 1, 0)
    changes = await maintain_partitions(pool, 1, 0)
    assert changes.dropped == now.date() - timedelta(days=3)
    async with pool.acquire() as connection:
        await make_missing_partitions(connection, [changes.dropped])
        found = await indexed_days(connection, TimeRange())

    assert [day.day for day in found] == [now.date() - timedelta(days=age) for age in (2, 1)]
    assert await count_word_indexes(pool) == IndexedDays(2, 1)


async def test_events_that_come_late_are_found_by_the_index(pool: asyncpg.Pool, now: datetime) -> None:
    await build_word_index(pool)
    late = an_event(accepted=now - timedelta(days=1), place=1, message="unheardof")
    await BatchStore(pool).save([normalized(late)])

    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        text = word_indexes.SEARCHED_TEXT.format(of="")
        where = f"FROM {partition_name(now.date() - timedelta(days=1))} WHERE {text} LIKE '%unheardof%'"
        plan = await connection.fetch(f"EXPLAIN SELECT {where}")
        assert await connection.fetchval(f"SELECT count(*) {where}") == 1
    assert any("_words" in row[0] for row in plan)


class Today:
    """The present day, whose events are stored over the day; so few of them are worth an index."""

    step = 100

    def __init__(self, pool: asyncpg.Pool, patch: pytest.MonkeyPatch, now: datetime) -> None:
        self._pool = pool
        self._patch = patch
        self._now = now
        self._begin = now.replace(hour=0, minute=0, second=0, microsecond=0)
        self.name = f"{partition_name(now.date())}_words"
        self.day = now.date()
        self._length = (now - self._begin) / 12

    async def store(self, hour: int, events: int = step) -> None:
        """Store events of one of twelve equal parts of the day so far, its last; six fill a block."""
        accepted = self._begin + self._length * (hour + 0.5)
        later = self._now - self._begin - self._length * (hour + 1)
        self._patch.setattr(word_indexes, "_SETTLED_MS", int(later.total_seconds() * 1000))
        rows = [an_event(accepted=accepted, place=place, message=MESSAGE) for place in range(events)]
        await BatchStore(self._pool).save([normalized(*rows)])

    async def ranges(self) -> list[str]:
        """Of the indexes that are valid."""
        return [
            name.removeprefix(self.name) for name in await valid(self._pool) if name.startswith(self.name)
        ]


MESSAGE = " ".join(f"word{number}" for number in range(150))


@pytest.fixture
async def today(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> Today:
    monkeypatch.setattr(word_index_parts, "STEP_EVENTS", Today.step // 2)
    await prepare_word_indexes(pool)
    return Today(pool, monkeypatch, await pool.fetchval("SELECT now()"))


async def test_what_comes_in_today_gets_an_index_whenever_it_is_much(
    pool: asyncpg.Pool, today: Today
) -> None:
    await today.store(0, 10)
    assert await build_word_index(pool) is None, "few events are read quickly"
    for hour in (1, 2):
        await today.store(hour)
        unindexed = await count_unindexed_events(pool)
        assert 0.7 * today.step < unindexed < 1.5 * today.step

        assert await build_word_index(pool) == today.day
        assert await build_word_index(pool) is None
        assert await count_unindexed_events(pool) < today.step / 2

    first, second = await today.ranges()
    assert first.startswith("_00000000_")
    assert second.startswith(f"_{first[-8:]}_"), "they adjoin"
    assert await count_word_indexes(pool) == IndexedDays(0, 0)


async def test_many_parts_are_merged_and_those_they_replace_dropped(
    pool: asyncpg.Pool, today: Today, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word_indexes, "MOST_PARTS", 2)
    monkeypatch.setattr(word_index_parts, "MOST_PARTS", 2)
    for hour in range(3):
        await today.store(hour)
        assert await build_word_index(pool) == today.day
    parts = await today.ranges()

    assert await build_word_index(pool) == today.day
    merged = f"_00000000_{parts[-1][-8:]}"
    assert sorted(await today.ranges()) == sorted([*parts, merged])
    async with pool.acquire() as connection:
        (day,) = await indexed_days(connection, TimeRange())
    assert len(day.indexed) == len(day.rest) == 1, "searched by the large one"

    assert await build_word_index(pool) is None
    assert await today.ranges() == [merged]


async def test_an_interrupted_part_is_dropped_and_a_lost_one_built_again(
    pool: asyncpg.Pool, today: Today
) -> None:
    for hour in (0, 1):
        await today.store(hour)
        await build_word_index(pool)
    first, second = await today.ranges()
    await pool.execute(f"DROP INDEX {today.name}{first}")
    await pool.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = $1::text::regclass",
        f"{today.name}{second}",
    )
    async with pool.acquire() as connection:
        assert await indexed_days(connection, TimeRange()) == []

    assert await build_word_index(pool) == today.day

    assert await pool.fetchval("SELECT to_regclass($1) IS NULL", f"{today.name}{second}")
    (both,) = await today.ranges()
    assert both.startswith("_00000000_")
    assert both[-8:] > second[-8:]


async def test_two_workers_build_a_part_once(pool: asyncpg.Pool, today: Today) -> None:
    await today.store(0)

    built = await asyncio.gather(build_word_index(pool), build_word_index(pool), return_exceptions=True)

    assert today.day in built
    await build_word_index(pool)
    assert len(await today.ranges()) == 1
    assert await build_word_index(pool) is None


@pytest.mark.parametrize("largest", [1_000_000, 60], ids=["by one index", "a very large one by parts"])
async def test_a_day_that_is_over_is_covered(
    pool: asyncpg.Pool, now: datetime, monkeypatch: pytest.MonkeyPatch, largest: int
) -> None:
    """Whatever parts it had."""
    monkeypatch.setattr(word_indexes, "LARGE_EVENTS", largest)
    yesterday = now.date() - timedelta(days=1)
    begin = datetime.combine(yesterday, time(), UTC)
    for hour in range(4):
        rows = [
            an_event(accepted=begin + timedelta(hours=hour), place=place, message=MESSAGE)
            for place in range(40)
        ]
        await BatchStore(pool).save([normalized(*rows)])
    await build_parts(pool, yesterday, [(0, DAY_MS // 24)])

    while await build_word_index(pool) is not None:
        pass

    names = [name for name in await valid(pool) if partition_name(yesterday) in name]
    if largest > 1000:
        assert names == [f"{partition_name(yesterday)}_words"]
    else:
        assert len(names) > 2
        assert names[-1].endswith(f"_{DAY_MS}")
    assert await count_word_indexes(pool) == IndexedDays(3, 0)
    async with pool.acquire() as connection:
        assert not any(day.rest for day in await indexed_days(connection, TimeRange()))


@pytest.fixture
async def pool_of_c(servers: Servers) -> AsyncIterator[asyncpg.Pool]:
    """A pool on a database whose LC_CTYPE knows no letters beyond ASCII."""
    name = f"headrace_test_{secrets.token_hex(6)}"
    url = urlsplit(servers.database_url)._replace(path=f"/{name}").geturl()
    admin = await asyncpg.connect(servers.database_url)
    try:
        await admin.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER libc LOCALE 'C'"
        )
        await migrate(url)
        pool = await create_pool(url, max_size=2)
        yield pool
        await close_pool(pool)
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


async def test_a_database_that_knows_only_ascii_letters_is_noticed(
    pool_of_c: asyncpg.Pool, pool: asyncpg.Pool
) -> None:
    reason = await prepare_word_indexes(pool_of_c)

    assert reason is not None
    assert "LC_CTYPE" in reason
    async with pool_of_c.acquire() as connection:
        assert await seen_letters(connection, "дa") == {"a"}
    assert await prepare_word_indexes(pool) is None


async def test_without_the_extension_nothing_is_built(pool: asyncpg.Pool, database_url: str) -> None:
    """The start warns a role that may not create it; searches go on without."""
    now: datetime = await pool.fetchval("SELECT now()")
    await BatchStore(pool).save([normalized(an_event(accepted=now - timedelta(days=1)))])
    role = f"headrace_test_{secrets.token_hex(6)}"
    await pool.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")
    await pool.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    url = urlsplit(database_url)
    theirs = await create_pool(
        url._replace(netloc=f"{role}:{role}@{url.hostname}:{url.port}").geturl(), max_size=1
    )
    try:
        reason = await prepare_word_indexes(theirs)
        built = await build_word_index(theirs)
        counted = await count_word_indexes(theirs)
    finally:
        await close_pool(theirs)
        await pool.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

    assert reason is not None
    assert "pg_trgm" in reason
    assert built is None
    assert counted == IndexedDays(0, 1)
