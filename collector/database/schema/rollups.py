"""Rollups: the number of events by project, stack, type, and hour or day of their dates.

A transaction that stores events appends what it adds to `event_hours`, which is folded in later: see
`rollup_changes`. `event_days` sums the hours up once a day of acceptance is over; a later change of that
day's hours makes its days invalid until they are made again. `rollup_days` records which days of acceptance
have which. What changes hours holds a shared advisory lock on their day; making rollups takes the exclusive
lock, so that it misses no change and counts none twice.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from collector.database.pool import connected
from collector.database.schema.partitions import partition_days, partition_name
from collector.database.schema.rollup_changes import OUTDATE_DAYS, fold_days, lock_days
from collector.domain.accounting.user_sketch import UserSketch
from collector.domain.dates.time_range import TimeRange
from collector.domain.ids import accepted_at, ids_of_day

NO_STACK: Final = UUID(int=0)
"""The stack of events that have none, which were stored before there were stacks."""
OUTDATE_USERS: Final = (
    "UPDATE rollup_days SET has_users = false, outdated_utc = now() WHERE day = ANY($1::date[]) AND has_users"
)
"""Belongs to every change of the users of stored events, after `lock_days`."""

USER: Final = "coalesce(e.data #>> '{@user,identity}', e.data #>> '{@user_description,email_address}')"
"""The user of an event, as the field `user` of filters has it."""
USER_HASH: Final = f"hashtextextended({USER}, 0)"
"""What sketches of users are made from; the function that partitioning by hash relies on."""

_DAY: Final = timedelta(days=1)
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_BUILD_SECONDS: Final = 240.0
"""For the rollups of one day; less than a run of the job may take."""
_COMPARE_SECONDS: Final = 600.0
_SKETCHES: Final = 5000
"""Sketches in memory, and written together."""
_ROWS_READ: Final = 100
"""Rows read together; each has all users of a stack in an hour."""
_PAUSE: Final = timedelta(minutes=10)
"""After a change of its events a day's rollups are not made again, and after a failure not tried again."""
_SMALL_PARTITION_BYTES: Final = 256 << 20
"""A day that is not over gets its rollups only up to this size, because its changes add up meanwhile."""

_COLUMNS: Final = ("day", "project_id", "stack_id", "type", "is_first_occurrence", "begin_utc")
_KEY: Final = ", ".join(_COLUMNS)
_KEYS: Final = (
    f"unnest($1::date[], $2::uuid[], $3::uuid[], $4::text[], $5::boolean[], $6::timestamptz[]) AS k ({_KEY})"
)
_SAME: Final = (
    f"({', '.join(f'h.{name}' for name in _COLUMNS)}) = ({', '.join(f'k.{name}' for name in _COLUMNS)})"
)

_STATE: Final = """
    SELECT p.day, greatest(p.smallest, $1) AS smallest, least(p.largest, $2) AS largest,
        coalesce(r.has_hours, false) AS has_hours,
        coalesce(r.has_hours AND r.has_days AND NOT p.is_behind, false) AS has_days,
        coalesce(r.has_users AND NOT p.is_behind, false) AS has_users
    FROM (
        SELECT *, day IN (SELECT day FROM event_hour_changes) AS is_behind FROM partition_dates
    ) AS p LEFT JOIN rollup_days AS r USING (day)
    WHERE p.smallest < $2 AND p.largest >= $1 ORDER BY p.day
"""
_DAY_STATES: Final = """
    SELECT d.day, d.day < (now() AT TIME ZONE 'UTC')::date AS is_over,
        pg_relation_size(to_regclass(d.partition)) AS bytes,
        coalesce(r.has_hours, false) AS has_hours, coalesce(r.has_days, false) AS has_days,
        coalesce(r.has_users, false) AS has_users,
        coalesce(r.outdated_utc > now() - $3::interval, false) AS rests
    FROM unnest($1::date[], $2::text[]) AS d (day, partition) LEFT JOIN rollup_days AS r USING (day)
    ORDER BY d.day DESC
"""
_LEAVE_ALONE: Final = """
    INSERT INTO rollup_days (day, has_hours, outdated_utc)
    SELECT $1, false, now() WHERE to_regclass($2) IS NOT NULL
    ON CONFLICT (day) DO UPDATE SET outdated_utc = excluded.outdated_utc
"""
_MAKE_HOURS: Final = """
    WITH counted_too AS (DELETE FROM event_hour_changes WHERE day = $1)
    INSERT INTO event_hours {hours} ORDER BY 2, 6, 3, 4, 5
"""
"""In one snapshot: the events that it counts are those whose changes it removes."""
_HOURS_OF_EVENTS: Final = f"""
    SELECT $1::date AS day, project_id, coalesce(stack_id, '{NO_STACK}') AS stack_id, type,
        is_first_occurrence, date_trunc('hour', date, 'UTC') AS begin_utc,
        count(*) AS events, count(count) AS counted, coalesce(sum(count), 0)::bigint AS count_sum,
        min(date) AS earliest, max(date) AS latest
    FROM {{partition}} GROUP BY 2, 3, 4, 5, 6
"""  # noqa: S608 - constants only
_DAYS_OF_HOURS: Final = """
    SELECT day, project_id, stack_id, type, is_first_occurrence,
        date_trunc('day', begin_utc, 'UTC') AS begin_utc,
        sum(events)::bigint AS events, sum(counted)::bigint AS counted, sum(count_sum)::bigint AS count_sum,
        min(earliest) AS earliest, max(latest) AS latest
    FROM event_hours WHERE day = $1 GROUP BY 1, 2, 3, 4, 5, 6
"""
_DIFFERENT: Final = """
    WITH one AS ({one}), other AS ({other})
    SELECT count(*) FROM (
        (TABLE one EXCEPT ALL TABLE other) UNION ALL (TABLE other EXCEPT ALL TABLE one)
    ) AS different
"""
_ROLLED_HOURS: Final = """
    SELECT day, project_id, stack_id, type, is_first_occurrence, begin_utc, sum(events)::bigint,
        sum(counted)::bigint, sum(count_sum)::bigint, min(earliest), max(latest)
    FROM current_event_hours WHERE day = $1 GROUP BY 1, 2, 3, 4, 5, 6
"""
_ROLLED_DAYS: Final = "SELECT * FROM event_days WHERE day = $1"

_SUBTRACT: Final = f"""
    WITH locked AS MATERIALIZED (
        SELECT {_KEY} FROM event_hours AS h JOIN {_KEYS} USING ({_KEY})
        ORDER BY day, project_id, stack_id, type COLLATE "C", is_first_occurrence, begin_utc FOR UPDATE OF h
    )
    UPDATE event_hours AS h SET
        events = h.events - k.events, counted = h.counted - k.counted, count_sum = h.count_sum - k.count_sum
    FROM unnest($1, $2, $3, $4, $5, $6, $7::bigint[], $8::bigint[], $9::bigint[])
            AS k ({_KEY}, events, counted, count_sum)
        JOIN locked USING ({_KEY})
    WHERE {_SAME}
"""  # noqa: S608 - constants only
_REMOVE_EMPTY: Final = f"DELETE FROM event_hours AS h USING {_KEYS} WHERE {_SAME} AND h.events = 0"  # noqa: S608
_EDGE: Final = """
    (SELECT e.date FROM events AS e
        WHERE e.project_id = h.project_id AND {stack} AND e.type = h.type
            AND e.is_first_occurrence = h.is_first_occurrence AND e.id >= $7 AND e.id < $8
            AND e.date >= h.begin_utc AND e.date < h.begin_utc + interval '1 hour'
        ORDER BY e.date {order} LIMIT 1)
"""
_SAME_STACK: Final = ("e.stack_id = h.stack_id", f"h.stack_id = '{NO_STACK}' AND e.stack_id IS NULL")
"""Two conditions: an index serves each of them, but not both together."""
_EDGES: Final = ", ".join(_EDGE.format(stack=condition, order="{order}") for condition in _SAME_STACK)
_BOUND: Final = f"{{column}} = coalesce({_EDGES}, h.{{column}})"
_FIND_BOUNDS: Final = f"""
    UPDATE event_hours AS h SET
        {_BOUND.format(column="earliest", order="ASC")}, {_BOUND.format(column="latest", order="DESC")}
    FROM {_KEYS} WHERE {_SAME}
"""  # noqa: S608 - constants only
_COUNT_REMOVED: Final = """
    INSERT INTO removed_events AS r (project_id, day, events)
    SELECT * FROM unnest($1::uuid[], $2::date[], $3::bigint[])
    ON CONFLICT (project_id, day) DO UPDATE SET events = r.events + excluded.events
"""


class RolledDay(NamedTuple):
    """A day of acceptance: the dates asked about that its events lie between, and which rollups it has."""

    day: date
    smallest: datetime
    largest: datetime
    has_hours: bool
    has_days: bool
    has_users: bool


@dataclass(frozen=True, slots=True)
class RemovedEvent:
    """The columns of a deleted event that its rollups need."""

    id: UUID
    project_id: UUID
    stack_id: UUID | None
    type: str
    is_first_occurrence: bool
    date: datetime
    count: int | None


REMOVED_COLUMNS: Final = tuple(RemovedEvent.__slots__)


async def rolled_days(connection: asyncpg.Connection, dates: TimeRange) -> list[RolledDay]:
    """The days of acceptance that may have events with these dates, in order."""
    rows = await connection.fetch(_STATE, dates.begin or _EARLIEST, dates.end or _LATEST)
    return [RolledDay(**row) for row in rows]


async def subtract_events(connection: asyncpg.Connection, removed: Sequence[RemovedEvent]) -> None:
    """Take deleted events out of their rollups, and count them for the audit, in the deleting transaction.

    `lock_days` must come before the deletion, and nothing that locks events after this.
    """
    if not removed:
        return
    days = sorted({day_of(event.id) for event in removed})
    await fold_days(connection, days)
    changes: defaultdict[tuple[object, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    for event in removed:
        hour = event.date.replace(minute=0, second=0, microsecond=0)
        day, stack_id = day_of(event.id), event.stack_id or NO_STACK
        change = changes[day, event.project_id, stack_id, event.type, event.is_first_occurrence, hour]
        change[0] += 1
        change[1] += event.count is not None
        change[2] += event.count or 0
    keys = sorted(changes)
    sums = ([changes[key][place] for key in keys] for place in range(3))
    await connection.execute(_SUBTRACT, *_arrays(keys), *sums)
    await connection.execute(_REMOVE_EMPTY, *_arrays(keys))
    for day in days:
        of_day = _arrays([key for key in keys if key[0] == day])
        await connection.execute(_FIND_BOUNDS, *of_day, *ids_of_day(day))
    await connection.execute(OUTDATE_DAYS, days)
    numbers = Counter((event.project_id, day_of(event.id)) for event in removed)
    await connection.execute(
        _COUNT_REMOVED, *_arrays(sorted(numbers)), [numbers[key] for key in sorted(numbers)]
    )


async def make_rollups(pool: asyncpg.Pool) -> int:
    """Make the rollups that are missing, the newest day first, each day in its own transaction.

    Hours are missing for partitions from before there were rollups, days and sketches of users for every day
    that is over. Returns how many were made. A day that fails does not keep the others from being made: the
    errors are raised at the end.
    """
    made, failed = 0, dict[date, Exception]()
    # Counts of all days first: users take longer, because their events are read.
    for is_missing, make in ((_lacks_counts, _make_counts), (_lacks_users, _make_users)):
        async with connected(pool) as connection:
            states = await _day_states(connection, await partition_days(connection))
        for day in [state.day for state in states if is_missing(state)]:
            try:
                async with (
                    asyncio.timeout(_BUILD_SECONDS),
                    connected(pool) as connection,
                    connection.transaction(),
                ):
                    await lock_days(connection, [day], exclusively=True)
                    # Another worker, a late event and the end of retention may have been faster.
                    (state,) = await _day_states(connection, [day])
                    if is_missing(state):
                        await make(connection, state)
                        made += 1
            except Exception as error:  # noqa: BLE001 - the other days must be made; raised below
                failed[day] = error
                async with connected(pool) as connection:
                    await connection.execute(_LEAVE_ALONE, day, partition_name(day))
    if failed:
        days = ", ".join(f"{day} ({type(error).__name__}: {error})" for day, error in failed.items())
        raise ExceptionGroup(f"rollups could not be made for {days}", list(failed.values()))
    return made


async def count_differences(connection: asyncpg.Connection, day: date) -> int | None:
    """How many rows of a day's rollups differ from its events; None if it has no rollups yet."""
    state = await connection.fetchrow("SELECT has_hours, has_days FROM rollup_days WHERE day = $1", day)
    if state is None or not state["has_hours"]:
        return None
    counted = _HOURS_OF_EVENTS.format(partition=partition_name(day))
    found: int = await connection.fetchval(
        _DIFFERENT.format(one=counted, other=_ROLLED_HOURS), day, timeout=_COMPARE_SECONDS
    )
    if state["has_days"]:
        found += await connection.fetchval(_DIFFERENT.format(one=_DAYS_OF_HOURS, other=_ROLLED_DAYS), day)
    return found


def day_of(event_id: UUID) -> date:
    """The day of acceptance of an event, which names its partition."""
    return accepted_at(event_id.bytes).date()


class _DayState(NamedTuple):
    """Which rollups a day of acceptance has, and whether it is to be left alone for now.

    `bytes` is the size of its partition, None if that was dropped.
    """

    day: date
    is_over: bool
    bytes: int | None
    has_hours: bool
    has_days: bool
    has_users: bool
    rests: bool


async def _day_states(connection: asyncpg.Connection, days: Sequence[date]) -> list[_DayState]:
    rows = await connection.fetch(_DAY_STATES, days, [partition_name(day) for day in days], _PAUSE)
    return [_DayState(**row) for row in rows]


def _lacks_counts(state: _DayState) -> bool:
    """Whether its hours, or the sums of its hours, are to be made now."""
    if state.bytes is None or state.rests:
        return False
    if not state.is_over:
        return not state.has_hours and state.bytes <= _SMALL_PARTITION_BYTES
    return not (state.has_hours and state.has_days)


def _lacks_users(state: _DayState) -> bool:
    """Whether its sketches are to be made now, which needs the other rollups."""
    may_be_made = state.bytes is not None and state.is_over and not state.rests
    return may_be_made and state.has_days and not state.has_users


async def _make_counts(connection: asyncpg.Connection, state: _DayState) -> None:
    """Make the hours if they are missing, and their sums once the day is over."""
    day = state.day
    if not state.has_hours:
        await connection.execute("DELETE FROM event_hours WHERE day = $1", day)
        counted = _HOURS_OF_EVENTS.format(partition=partition_name(day))
        await connection.execute(_MAKE_HOURS.format(hours=counted), day, timeout=_BUILD_SECONDS)
    if state.is_over:
        await fold_days(connection, [day])
        await connection.execute("DELETE FROM event_days WHERE day = $1", day)
        await connection.execute(
            f"INSERT INTO event_days {_DAYS_OF_HOURS} ORDER BY 2, 3, 4, 5, 6", day, timeout=_BUILD_SECONDS
        )
    await connection.execute(
        "INSERT INTO rollup_days (day, has_hours, has_days) VALUES ($1, true, $2)"
        " ON CONFLICT (day) DO UPDATE SET has_hours = true, has_days = excluded.has_days",
        day,
        state.is_over,
    )


async def _make_users(connection: asyncpg.Connection, state: _DayState) -> None:
    """Make the sketches of users, from the events."""
    day = state.day
    await connection.execute("DELETE FROM user_hours WHERE day = $1", day)
    await connection.execute("DELETE FROM stack_user_days WHERE day = $1", day)
    hours: dict[tuple[UUID, str, datetime], UserSketch] = {}
    stacks: dict[tuple[UUID, UUID, str, datetime], UserSketch] = {}
    statement = f"""
        SELECT project_id, stack_id, type, begin_utc, array_agg(hash) FROM (
            SELECT project_id, coalesce(stack_id, '{NO_STACK}') AS stack_id, type,
                date_trunc('hour', date, 'UTC') AS begin_utc, {USER_HASH} AS hash
            FROM {partition_name(day)} AS e WHERE {USER} IS NOT NULL GROUP BY 1, 2, 3, 4, 5
        ) AS u GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    """  # noqa: S608 - constants only
    project: UUID | None = None
    async for project_id, stack_id, type_, hour, hashes in connection.cursor(
        statement, prefetch=_ROWS_READ, timeout=_BUILD_SECONDS
    ):
        # Rows come by project and stack: what is there of another one is complete.
        if project_id != project:
            await _add_users(connection, day, hours)
            project, hours = project_id, {}
        hours.setdefault((project_id, type_, hour), UserSketch()).add(hashes)
        key = project_id, stack_id, type_, hour.replace(hour=0)
        if key not in stacks and len(stacks) >= _SKETCHES:
            await _add_stack_users(connection, day, stacks)
            stacks = {}
        stacks.setdefault(key, UserSketch()).add(hashes)
    await _add_users(connection, day, hours)
    await _add_stack_users(connection, day, stacks)
    await connection.execute("UPDATE rollup_days SET has_users = true WHERE day = $1", day)


async def _add_users(
    connection: asyncpg.Connection, day: date, hours: Mapping[tuple[UUID, str, datetime], UserSketch]
) -> None:
    await connection.executemany(
        "INSERT INTO user_hours (day, project_id, type, begin_utc, sketch) VALUES ($1, $2, $3, $4, $5)",
        [(day, *key, sketch.packed) for key, sketch in hours.items()],
    )


async def _add_stack_users(
    connection: asyncpg.Connection, day: date, stacks: Mapping[tuple[UUID, UUID, str, datetime], UserSketch]
) -> None:
    await connection.executemany(
        "INSERT INTO stack_user_days (day, project_id, stack_id, type, begin_utc, users, sketch)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        [(day, *key, sketch.count, sketch.packed) for key, sketch in stacks.items()],
    )


def _arrays(keys: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*keys, strict=True)]
