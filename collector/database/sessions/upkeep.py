"""What becomes of sessions later: heartbeats are told to them, their ends to their start events.

Who does it: jobs of the worker, and each of them may run in several workers at once.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from collector.database.pool import connected
from collector.database.sessions.event_changes import EventChange, change_events
from collector.database.sessions.sessions import (
    SESSION_COLUMNS,
    columns_of,
    flush_sessions,
    id_of,
    session_of,
)
from collector.domain.event.session_key import SessionKey
from collector.domain.ids import lowest_id
from collector.domain.jsonb.text import encode_object
from collector.domain.session.session import IDLE, Beat, Session, apply_beat, start_summary

SILENCE: Final = IDLE + timedelta(minutes=1)
"""Not heard of for so long a session has ended: workers tell of its last activity some seconds later."""

_LATEST_SESSIONS: Final = 10
"""A heartbeat is of one of the last sessions of its key, or of none that is there."""
_FORGET_CHUNK: Final = 10_000

_ALIVE: Final = f"""
    SELECT heard.place, found.* FROM unnest($1::uuid[], $2::bytea[])
        WITH ORDINALITY AS heard (project_id, digest, place),
    LATERAL (
        SELECT is_manual, heard_utc, {SESSION_COLUMNS} FROM sessions AS s
        WHERE s.project_id = heard.project_id AND s.digest = heard.digest
        ORDER BY s.last_utc DESC LIMIT {_LATEST_SESSIONS}
    ) AS found
"""  # noqa: S608 - constants only
DUE: Final = f"""
    SELECT project_id, digest, is_manual, is_idle, heard_utc, now() AS now, {SESSION_COLUMNS} FROM sessions
    WHERE due_utc <= now() ORDER BY due_utc LIMIT $1 FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - constants only
# By the primary key, which begins with the time that the session's first event was accepted: few are heard of
# for so long. An index over what is heard would be written with every change of a row.
FORGET: Final = """
    DELETE FROM sessions WHERE (start_event_id, project_id) IN (
        SELECT start_event_id, project_id FROM sessions
        WHERE start_event_id < $3 AND heard_utc < now() - $1::interval
        ORDER BY start_event_id LIMIT $2 FOR UPDATE SKIP LOCKED
    ) RETURNING 1
"""
_TOLD: Final = """
    UPDATE sessions AS s SET is_idle = told.is_idle, due_utc = told.due_utc
    FROM unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::timestamptz[]) AS
        told (project_id, start_event_id, is_idle, due_utc)
    WHERE s.project_id = told.project_id AND s.start_event_id = told.start_event_id
"""


async def hear(pool: asyncpg.Pool, beats: Sequence[Beat]) -> set[Beat]:
    """Tell sessions of heartbeats, and answer those that found theirs; doing it twice changes nothing."""
    async with connected(pool) as connection, connection.transaction():
        rows = await connection.fetch(
            _ALIVE, [UUID(bytes=beat.project_id) for beat in beats], [beat.digest for beat in beats]
        )
        candidates: defaultdict[Beat, list[tuple[Session, datetime]]] = defaultdict(list)
        for row in rows:
            beat = beats[row["place"] - 1]
            key = SessionKey(beat.project_id, beat.digest, row["is_manual"])
            candidates[beat].append((session_of(key, row), row["heard_utc"]))
        heard = {beat for beat, sessions in candidates.items() if apply_beat(beat, sessions)}
        touched = [session for of in candidates.values() for session, _ in of if session.is_touched]
        await flush_sessions(connection, touched)
    return heard


async def update_start_events(pool: asyncpg.Pool, limit: int) -> int:
    """Tell the start events of up to `limit` sessions how long those are, and end the silent ones.

    Answers how many were due. Several workers share the work: each takes sessions that no other one holds.
    """
    async with connected(pool) as connection, connection.transaction():
        rows = await connection.fetch(DUE, limit)
        if not rows:
            return 0
        idle = [row["is_idle"] or row["heard_utc"] <= row["now"] - SILENCE for row in rows]
        sessions = [session_of(_key_of(row), row) for row in rows]
        await change_events(connection, map(_change_of_start, sessions, idle))
        told = [
            (*id_of(session), is_idle, None if is_idle or session.closed_utc else row["heard_utc"] + SILENCE)
            for session, is_idle, row in zip(sessions, idle, rows, strict=True)
        ]
        await connection.execute(_TOLD, *columns_of(told))
    return len(rows)


async def forget_sessions(pool: asyncpg.Pool, retention_days: int) -> int:
    """Delete the sessions that were not heard of for so long, and answer how many."""
    forgotten, age = 0, timedelta(days=retention_days)
    while True:
        async with connected(pool) as connection:
            now: datetime = await connection.fetchval("SELECT now()")
            rows = await connection.fetch(FORGET, age, _FORGET_CHUNK, lowest_id(now - age))
        forgotten += len(rows)
        if len(rows) < _FORGET_CHUNK:
            return forgotten


def _change_of_start(session: Session, is_idle: bool) -> EventChange:  # noqa: FBT001 - for map
    value, members = start_summary(session, is_idle=is_idle)
    return EventChange(
        session.key.project_id, session.start_event_id, encode_object(members), value, dropped="sessionend"
    )


def _key_of(row: Any) -> SessionKey:
    return SessionKey(row["project_id"].bytes, row["digest"], row["is_manual"])
