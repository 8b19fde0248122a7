"""Sessions in Postgres: found or begun while events are stored, told of activity, ended when they are silent.

A storing transaction only reads the sessions that are there, and tells them of activity among its last
statements. It holds the row of a session's key from the beginning only where it begins a session: then
another one with an event of the same key waits for it, looks again and finds the session.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from collector.database.event_changes import EventChange, change_events
from collector.database.pool import connected
from collector.database.text import storable
from collector.domain.json_text import encoded
from collector.domain.outcome import Event
from collector.domain.session import IDLE, Beat, Session, is_heard, told_of
from collector.domain.session_assignment import Assignment, assign, dates_by_key
from collector.domain.session_key import SessionKey

TELL_AFTER: Final = timedelta(seconds=30)
"""A start event is told of all activity of this time at once: it is a row that is written anew each time."""
_SESSIONS_OF_A_KEY: Final = 1000
"""More than a user can have in any age that events may have by default."""
_LATEST_SESSIONS: Final = 10
"""A heartbeat is of one of the last sessions of its key, or of none that is there."""
_FORGET_CHUNK: Final = 10_000

_Dates = Mapping[SessionKey, tuple[datetime, datetime]]

_COLUMNS: Final = "start_event_id, session_id, start_utc, last_utc, closed_utc, has_error"
_FIND: Final = f"""
    SELECT wanted.place, found.* FROM unnest(
        $1::uuid[], $2::bytea[], $3::boolean[], $4::timestamptz[], $5::timestamptz[]
    ) WITH ORDINALITY AS wanted (project_id, digest, is_manual, first_utc, last_utc, place),
    LATERAL (
        SELECT {_COLUMNS} FROM sessions AS s
        WHERE s.project_id = wanted.project_id AND s.digest = wanted.digest
            AND s.is_manual = wanted.is_manual
            AND (s.is_manual OR s.last_utc >= wanted.first_utc - $6::interval
                                AND s.start_utc <= wanted.last_utc + $6::interval)
        LIMIT {_SESSIONS_OF_A_KEY}
    ) AS found
"""  # noqa: S608 - constants only
_HOLD: Final = """
    INSERT INTO session_keys (project_id, digest)
    SELECT * FROM unnest($1::uuid[], $2::bytea[])
    ON CONFLICT (project_id, digest) DO UPDATE SET seen_utc = excluded.seen_utc
"""
_BEGIN: Final = """
    INSERT INTO sessions (project_id, start_event_id, digest, is_manual, session_id, start_utc, last_utc,
                          closed_utc, has_error, due_utc)
    SELECT told.*, CASE WHEN told.closed_utc IS NULL THEN now() + $10::interval ELSE now() END
    FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::boolean[], $5::text[], $6::timestamptz[],
                $7::timestamptz[], $8::timestamptz[], $9::boolean[]) AS
        told (project_id, start_event_id, digest, is_manual, session_id,
              start_utc, last_utc, closed_utc, has_error)
"""
_TELL: Final = """
    WITH locked AS MATERIALIZED (
        SELECT told.* FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[],
                                  $5::timestamptz[], $6::boolean[]) AS
            told (project_id, start_event_id, start_utc, last_utc, closed_utc, has_error)
        JOIN sessions AS s USING (project_id, start_event_id)
        ORDER BY s.project_id, s.start_event_id FOR NO KEY UPDATE OF s
    )
    UPDATE sessions AS s SET
        start_utc = least(s.start_utc, told.start_utc),
        last_utc = greatest(s.last_utc, told.last_utc),
        closed_utc = coalesce(s.closed_utc, told.closed_utc),
        has_error = s.has_error OR told.has_error,
        is_idle = false,
        heard_utc = now(),
        due_utc = least(s.due_utc, CASE WHEN told.closed_utc IS NULL THEN now() + $7::interval ELSE now() END)
    FROM locked AS told
    WHERE s.project_id = told.project_id AND s.start_event_id = told.start_event_id
"""
_ALIVE: Final = f"""
    SELECT heard.place, found.* FROM unnest($1::uuid[], $2::bytea[])
        WITH ORDINALITY AS heard (project_id, digest, place),
    LATERAL (
        SELECT is_manual, heard_utc, {_COLUMNS} FROM sessions AS s
        WHERE s.project_id = heard.project_id AND s.digest = heard.digest
        ORDER BY s.last_utc DESC LIMIT {_LATEST_SESSIONS}
    ) AS found
"""  # noqa: S608 - constants only
_DUE: Final = f"""
    SELECT project_id, digest, is_manual, is_idle, heard_utc, now() AS now, {_COLUMNS} FROM sessions
    WHERE due_utc <= now() ORDER BY due_utc LIMIT $1 FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - constants only
_TOLD: Final = """
    UPDATE sessions AS s SET is_idle = told.is_idle, due_utc = told.due_utc
    FROM unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::timestamptz[]) AS
        told (project_id, start_event_id, is_idle, due_utc)
    WHERE s.project_id = told.project_id AND s.start_event_id = told.start_event_id
"""


async def assign_sessions(connection: asyncpg.Connection, events: Sequence[Event]) -> Assignment:
    """Give events their sessions and begin those that there are not yet; before any event is inserted.

    What it answers as touched must be told (`tell_sessions`) in the same transaction.
    """
    dates = dates_by_key(events)
    if not dates:
        return Assignment(list(events))
    known = await _find(connection, dates)
    result = assign(events, known)
    if not result.new:
        return result
    to_begin = {session.key: dates[session.key] for session in result.new}
    await _hold(connection, to_begin)
    # Another transaction may have begun them before we held their keys.
    result = assign(events, {**known, **await _find(connection, to_begin)})
    await _begin(connection, result.new)
    return result


async def tell_sessions(connection: asyncpg.Connection, sessions: Sequence[Session]) -> None:
    """Tell sessions of activity. Among a transaction's last statements and sorted: see `add_usage`."""
    if sessions:
        rows = [
            (*_id_of(session), session.start_utc, session.last_utc, session.closed_utc, session.has_error)
            for session in sorted(sessions, key=_id_of)
        ]
        await connection.execute(_TELL, *_columns(rows), TELL_AFTER)


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
            candidates[beat].append((_session(key, row), row["heard_utc"]))
        heard = {beat for beat, sessions in candidates.items() if is_heard(beat, sessions)}
        touched = [session for of in candidates.values() for session, _ in of if session.is_touched]
        await tell_sessions(connection, touched)
    return heard


async def tell_start_events(pool: asyncpg.Pool, limit: int) -> int:
    """Tell the start events of up to `limit` sessions how long those are, and end the silent ones.

    Answers how many were due. Several workers share the work: each takes sessions that no other one holds.
    """
    async with connected(pool) as connection, connection.transaction():
        rows = await connection.fetch(_DUE, limit)
        if not rows:
            return 0
        idle = [row["is_idle"] or row["heard_utc"] <= row["now"] - IDLE for row in rows]
        sessions = [_session(_key_of(row), row) for row in rows]
        await change_events(connection, map(_change_of_start, sessions, idle))
        told = [
            (*_id_of(session), is_idle, None if is_idle or session.closed_utc else row["heard_utc"] + IDLE)
            for session, is_idle, row in zip(sessions, idle, rows, strict=True)
        ]
        await connection.execute(_TOLD, *_columns(told))
    return len(rows)


async def forget_sessions(pool: asyncpg.Pool, retention_days: int) -> int:
    """Delete the sessions that were not heard of for so long, with their keys, and answer how many."""
    forgotten = 0
    for table, column in (("session_keys", "seen_utc"), ("sessions", "heard_utc")):
        while True:
            async with connected(pool) as connection:
                rows = await connection.fetch(
                    f"DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM {table}"  # noqa: S608
                    f" WHERE {column} < now() - $1::interval LIMIT $2) RETURNING 1",
                    timedelta(days=retention_days),
                    _FORGET_CHUNK,
                )
            forgotten += len(rows) if table == "sessions" else 0
            if len(rows) < _FORGET_CHUNK:
                break
    return forgotten


async def _find(connection: asyncpg.Connection, dates: _Dates) -> dict[SessionKey, list[Session]]:
    """The sessions that events of these keys and dates can belong to."""
    keys = list(dates)
    rows = await connection.fetch(
        _FIND,
        [UUID(bytes=key.project_id) for key in keys],
        [key.digest for key in keys],
        [key.is_manual for key in keys],
        [dates[key][0] for key in keys],
        [dates[key][1] for key in keys],
        IDLE,
    )
    found: defaultdict[SessionKey, list[Session]] = defaultdict(list)
    for row in rows:
        key = keys[row["place"] - 1]
        found[key].append(_session(key, row))
    return found


async def _hold(connection: asyncpg.Connection, keys: Iterable[SessionKey]) -> None:
    """Wait for whoever begins a session of one of these keys; in their order, so never in a circle."""
    ordered = sorted({(UUID(bytes=key.project_id), key.digest) for key in keys})
    await connection.execute(_HOLD, *_columns(ordered))


async def _begin(connection: asyncpg.Connection, sessions: Sequence[Session]) -> None:
    if sessions:
        rows = [
            (
                *_id_of(session),
                session.key.digest,
                session.key.is_manual,
                storable(session.session_id),
                session.start_utc,
                session.last_utc,
                session.closed_utc,
                session.has_error,
            )
            for session in sorted(sessions, key=_id_of)
        ]
        await connection.execute(_BEGIN, *_columns(rows), TELL_AFTER)


def _change_of_start(session: Session, is_idle: bool) -> EventChange:  # noqa: FBT001 - for map
    value, members = told_of(session, is_idle=is_idle)
    return EventChange(
        session.key.project_id, session.start_event_id, encoded(members), value, dropped="sessionend"
    )


def _session(key: SessionKey, row: Any) -> Session:
    return Session(
        key,
        row["start_event_id"].bytes,
        row["session_id"],
        _in_utc(row["start_utc"]),
        _in_utc(row["last_utc"]),
        row["closed_utc"] and _in_utc(row["closed_utc"]),
        row["has_error"],
    )


def _in_utc(moment: datetime) -> datetime:
    """The driver writes the first moment there is as `-infinity`, and reads that without its time zone."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _key_of(row: Any) -> SessionKey:
    return SessionKey(row["project_id"].bytes, row["digest"], row["is_manual"])


def _id_of(session: Session) -> tuple[UUID, UUID]:
    return UUID(bytes=session.key.project_id), UUID(bytes=session.start_event_id)


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
