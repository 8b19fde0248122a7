"""The upkeep of stored sessions: applies heartbeats to them, and updates their start events.

Jobs of the worker call these functions, possibly in several workers at the same time.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.forgetting import Aging, forget_old
from collector.database.pool import connected
from collector.database.sessions.event_changes import EventChange, change_events
from collector.database.sessions.sessions import (
    SESSION_COLUMNS,
    flush_sessions,
    row_id,
    session_from_row,
    transposed,
)
from collector.domain.event.session_key import SessionKey
from collector.domain.jsonb.text import encode_object
from collector.domain.session.session import IDLE, Beat, Session, apply_beat, start_summary

SILENCE: Final = IDLE + timedelta(minutes=1)
"""After this long without activity a session has ended. Workers write activity some seconds late."""

_LATEST_SESSIONS: Final = 10
"""A heartbeat belongs to one of its key's latest sessions, or to none."""

_ALIVE: Final = f"""
    SELECT beat.position, found.* FROM unnest($1::uuid[], $2::bytea[])
        WITH ORDINALITY AS beat (project_id, digest, position),
    LATERAL (
        SELECT is_manual, heard_utc, {SESSION_COLUMNS} FROM sessions AS s
        WHERE s.project_id = beat.project_id AND s.digest = beat.digest
        ORDER BY s.last_utc DESC LIMIT {_LATEST_SESSIONS}
    ) AS found
"""  # noqa: S608 - constants only
DUE: Final = f"""
    SELECT project_id, digest, is_manual, is_idle, heard_utc, now() AS now, {SESSION_COLUMNS} FROM sessions
    WHERE due_utc <= now() ORDER BY due_utc LIMIT $1 FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - constants only
# Along the primary key, which begins with the time at which the session's first event was accepted: few of
# the sessions before that are still alive. An index on `heard_utc` would be written with every activity.
AGING: Final = Aging("sessions", "start_event_id", "heard_utc")
_SCHEDULE: Final = """
    UPDATE sessions AS s SET is_idle = new.is_idle, due_utc = new.due_utc
    FROM unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::timestamptz[]) AS
        new (project_id, start_event_id, is_idle, due_utc)
    WHERE s.project_id = new.project_id AND s.start_event_id = new.start_event_id
"""


async def apply_beats(pool: asyncpg.Pool, beats: Sequence[Beat]) -> set[Beat]:
    """Apply heartbeats to their sessions and return those that found one. Idempotent."""
    async with connected(pool) as connection, connection.transaction():
        rows = await connection.fetch(
            _ALIVE, [UUID(bytes=beat.project_id) for beat in beats], [beat.digest for beat in beats]
        )
        candidates: defaultdict[Beat, list[tuple[Session, datetime]]] = defaultdict(list)
        for row in rows:
            beat = beats[row["position"] - 1]
            key = SessionKey(beat.project_id, beat.digest, row["is_manual"])
            candidates[beat].append((session_from_row(key, row), row["heard_utc"]))
        heard = {beat for beat, sessions in candidates.items() if apply_beat(beat, sessions)}
        found = [session for sessions in candidates.values() for session, _ in sessions]
        await flush_sessions(connection, [session for session in found if session.is_touched])
    return heard


async def update_start_events(pool: asyncpg.Pool, limit: int) -> int:
    """Write the duration of up to `limit` due sessions into their start events, and end the silent ones.

    Returns how many were due. Several workers share the work: each takes sessions that no other one holds.
    """
    async with connected(pool) as connection, connection.transaction():
        rows = await connection.fetch(DUE, limit)
        if not rows:
            return 0
        changes: list[EventChange] = []
        updates: list[tuple[object, ...]] = []
        for row in rows:
            session = session_from_row(
                SessionKey(row["project_id"].bytes, row["digest"], row["is_manual"]), row
            )
            is_idle = row["is_idle"] or row["heard_utc"] <= row["now"] - SILENCE
            value, members = start_summary(session, is_idle=is_idle)
            changes.append(
                EventChange(
                    session.key.project_id,
                    session.start_event_id,
                    encode_object(members),
                    value,
                    dropped="sessionend",
                )
            )
            # A session that has ended is due again only after new activity.
            has_ended = is_idle or session.closed_utc is not None
            due_utc = None if has_ended else row["heard_utc"] + SILENCE
            updates.append((*row_id(session), is_idle, due_utc))
        await change_events(connection, changes)
        await connection.execute(_SCHEDULE, *transposed(updates))
    return len(rows)


async def forget_sessions(pool: asyncpg.Pool, retention_days: int) -> int:
    """Delete the sessions without activity for `retention_days`, and return how many."""
    return await forget_old(pool, AGING, timedelta(days=retention_days))
