"""Users' descriptions of events: kept until their event is stored, then written into it and deleted.

A description may arrive before its event is stored, and in any order. An event that is not found is looked up
again with growing pauses, until retention has passed. Those that wait are bounded: a project's oldest ones
make room for its newest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

import asyncpg

from collector.database.errors import DATA_FAULTS
from collector.database.pool import connected
from collector.database.schema.rollup_changes import lock_days
from collector.database.schema.rollups import OUTDATE_USERS, day_of
from collector.database.sessions.event_changes import EventChange, change_events
from collector.domain.event.outcome import UserDescription
from collector.domain.ids import lowest_id, parse_uuid

LONGEST_WAIT: Final = timedelta(days=3)
"""For the event: as long as clients keep events that they could not send."""
WAITING_OF_PROJECT: Final = 1000
BYTES_OF_PROJECT: Final = 4 << 20
LONGEST_PAUSE: Final = timedelta(minutes=10)
"""Between two look-ups of an event that is not stored."""

_QUICK_TRIES: Final = 3
"""Look-ups in the latest partitions only; after that in all of them."""
_FIRST_ID: Final = UUID(int=0)

_KEEP: Final = """
    INSERT INTO user_descriptions (id, project_id, reference_id, description)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[]) ON CONFLICT DO NOTHING
"""
_OVER: Final = """
    SELECT id FROM (
        SELECT id, row_number() OVER newest AS number, sum(octet_length(description)) OVER newest AS bytes
        FROM user_descriptions WHERE project_id = ANY($1)
        WINDOW newest AS (PARTITION BY project_id ORDER BY id DESC)
    ) AS each WHERE number > $2 OR bytes > $3
"""
_REMOVE: Final = """
    DELETE FROM user_descriptions WHERE id = ANY(ARRAY(
        SELECT id FROM user_descriptions WHERE id = ANY($1) ORDER BY id FOR UPDATE SKIP LOCKED))
"""
DUE: Final = """
    SELECT id, project_id, reference_id, description, tries, now() AS now FROM user_descriptions
    WHERE due_utc <= now() ORDER BY due_utc, id LIMIT $1 FOR UPDATE SKIP LOCKED
"""
# Repeats the condition of the partitions' unique index literally: otherwise every partition would be scanned.
_BY_REFERENCE: Final = """
    SELECT wanted.id AS description_id, (
        SELECT array_agg(e.id) FROM events AS e
        WHERE e.project_id = wanted.project_id AND e.reference_id = wanted.reference_id
            AND e.reference_id <> 'invalid-reference-id' AND e.id >= $4
    ) AS event_ids
    FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS wanted (id, project_id, reference_id)
"""
FORGET: Final = "DELETE FROM user_descriptions WHERE stored_utc < now() - $1::interval RETURNING 1"
_POSTPONE: Final = """
    UPDATE user_descriptions
    SET tries = tries + 1, due_utc = now() + least(interval '1 second' * 2 ^ least(tries, 20), $2::interval)
    WHERE id = ANY($1)
"""


@dataclass(frozen=True, slots=True)
class Described:
    """The result of one run, in descriptions: due, written into their events, rejected by Postgres."""

    due: int = 0
    applied: int = 0
    refused: int = 0


async def keep_descriptions(connection: asyncpg.Connection, descriptions: Sequence[UserDescription]) -> None:
    """Insert descriptions in the transaction that stores their batch; no value of theirs can make it fail."""
    if descriptions:
        await connection.execute(
            _KEEP,
            [UUID(bytes=description.id) for description in descriptions],
            [UUID(bytes=description.project_id) for description in descriptions],
            [description.reference_id for description in descriptions],
            [description.description for description in descriptions],
        )
        projects = sorted({UUID(bytes=description.project_id) for description in descriptions})
        over = await connection.fetch(_OVER, projects, WAITING_OF_PROJECT, BYTES_OF_PROJECT)
        if over:
            await connection.execute(_REMOVE, [row["id"] for row in over])


async def apply_descriptions(pool: asyncpg.Pool, limit: int) -> Described:
    """Write up to `limit` descriptions that are due into their events, all in one transaction.

    Several workers share the work: each takes descriptions that no other one holds.
    """
    async with connected(pool) as connection, connection.transaction():
        rows = await connection.fetch(DUE, limit)
        if not rows:
            return Described()
        event_ids = await _find_events(connection, rows)
        # Before the events are locked, as deletions do. A description may name the user of its event.
        days = {day_of(event_id) for event_id in event_ids.values()}
        await lock_days(connection, days)
        done, refused = await _apply(connection, rows, event_ids)
        await connection.execute(OUTDATE_USERS, sorted(days))
        await connection.execute("DELETE FROM user_descriptions WHERE id = ANY($1)", [*done, *refused])
        missing = {row["id"] for row in rows}.difference(done, refused)
        if missing:
            await connection.execute(_POSTPONE, sorted(missing), LONGEST_PAUSE)
    return Described(len(rows), len(done), len(refused))


async def forget_descriptions(pool: asyncpg.Pool, retention_days: int) -> int:
    """Delete the descriptions whose event did not arrive in time, and return how many."""
    longest = min(timedelta(days=retention_days), LONGEST_WAIT)
    async with connected(pool) as connection:
        rows = await connection.fetch(FORGET, longest)
    return len(rows)


async def _find_events(connection: asyncpg.Connection, rows: Sequence[Any]) -> dict[UUID, UUID]:
    """The stored event of each description: the latest one with the reference id, or the one of that id."""
    today = datetime.combine(rows[0]["now"].date(), time(), rows[0]["now"].tzinfo)
    begin = lowest_id(today - timedelta(days=1))
    quick = [row for row in rows if row["tries"] < _QUICK_TRIES]
    patient = [row for row in rows if row["tries"] >= _QUICK_TRIES]
    # The older API names an event by its own id. One query each, because such descriptions are rare.
    by_id: dict[UUID, UUID] = {}
    for row in rows:
        event_id = parse_uuid(row["reference_id"])
        if event_id is not None and await connection.fetchval(
            "SELECT true FROM events WHERE project_id = $1 AND id = $2", row["project_id"], event_id
        ):
            by_id[row["id"]] = event_id
    # The latest partitions first; a description that found nothing there a few times searches all.
    return {
        **by_id,
        **await _find_by_reference(connection, quick, begin),
        **await _find_by_reference(connection, patient, _FIRST_ID),
    }


async def _find_by_reference(
    connection: asyncpg.Connection, rows: Sequence[Any], begin: UUID
) -> dict[UUID, UUID]:
    if not rows:
        return {}
    found = await connection.fetch(
        _BY_REFERENCE,
        [row["id"] for row in rows],
        [row["project_id"] for row in rows],
        [row["reference_id"] for row in rows],
        begin,
    )
    return {row["description_id"]: max(row["event_ids"]) for row in found if row["event_ids"]}


async def _apply(
    connection: asyncpg.Connection, rows: Sequence[Any], event_ids: dict[UUID, UUID]
) -> tuple[set[UUID], set[UUID]]:
    """The ids of descriptions that are in their events now, and of those that Postgres rejects."""
    ready = [row for row in rows if row["id"] in event_ids]
    try:
        async with connection.transaction():
            # Ids begin with their time: of several descriptions of one event the last one sent wins.
            latest = {event_ids[row["id"]]: row for row in sorted(ready, key=itemgetter("id"))}
            changed = await change_events(
                connection,
                [
                    EventChange(
                        row["project_id"].bytes,
                        event_id.bytes,
                        b'{"@user_description":%b}' % row["description"],
                    )
                    for event_id, row in latest.items()
                ],
            )
    except DATA_FAULTS:
        # One bad description fails all of them: apply them one by one to find it.
        if len(ready) == 1:
            return set(), {ready[0]["id"]}
        one_by_one = [await _apply(connection, [row], event_ids) for row in ready]
        return set().union(*(done for done, _ in one_by_one)), set().union(*(bad for _, bad in one_by_one))
    return {row["id"] for row in ready if event_ids[row["id"]].bytes in changed}, set()
