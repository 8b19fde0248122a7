"""Finds sessions in Postgres, inserts each once, and writes their activity; locks are taken in a fixed order.

A transaction that inserts a session holds an advisory lock, shared by many keys, until it has committed. A
transaction with an event of the same key waits for that lock, looks again and finds the session.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import asyncpg
from asyncpg.pgproto.pgproto import UUID

from collector.database.chunks import chunked
from collector.database.text import storable
from collector.domain.event.session_key import SessionKey
from collector.domain.session.cache import MAX_ROW_LAG
from collector.domain.session.session import IDLE, Session

FLUSH_AFTER: Final = timedelta(seconds=30)
"""A start event is updated once for all activity of this time, because each update rewrites its row."""

SESSION_COLUMNS: Final = "start_event_id, session_id, start_utc, last_utc, closed_utc, has_error"

_SESSIONS_OF_A_KEY: Final = 1000
"""More than a user can have in any age that events may have by default."""
_LOCKS: Final = 64
"""Keys share these locks, because the server's lock table is limited."""
_LOCK_CLASS: Final = 0x68656164
"""Ours among the advisory locks of the database."""

Dates = Mapping[SessionKey, tuple[datetime, datetime]]

_FIND: Final = f"""
    SELECT wanted.position, found.* FROM unnest(
        $1::uuid[], $2::bytea[], $3::boolean[], $4::timestamptz[], $5::timestamptz[]
    ) WITH ORDINALITY AS wanted (project_id, digest, is_manual, first_utc, last_utc, position),
    LATERAL (
        SELECT {SESSION_COLUMNS} FROM sessions AS s
        WHERE s.project_id = wanted.project_id AND s.digest = wanted.digest
            AND s.is_manual = wanted.is_manual
            AND (s.is_manual OR s.last_utc >= wanted.first_utc - $6::interval
                                AND s.start_utc <= wanted.last_utc + $6::interval)
        LIMIT {_SESSIONS_OF_A_KEY}
    ) AS found
"""  # noqa: S608 - constants only
# The commit need not wait for the disk: that of the events comes later in the log and flushes both.
_HOLD: Final = """
    SELECT set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock($1, lock)
    FROM unnest($2::integer[]) AS lock
"""
_BEGIN: Final = """
    INSERT INTO sessions (project_id, start_event_id, digest, is_manual, session_id, start_utc, last_utc,
                          closed_utc, has_error, due_utc)
    SELECT new.*, CASE WHEN new.closed_utc IS NULL THEN now() + $10::interval ELSE now() END
    FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::boolean[], $5::text[], $6::timestamptz[],
                $7::timestamptz[], $8::timestamptz[], $9::boolean[]) AS
        new (project_id, start_event_id, digest, is_manual, session_id,
             start_utc, last_utc, closed_utc, has_error)
"""
_FLUSH: Final = """
    WITH locked AS MATERIALIZED (
        SELECT new.* FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[],
                                 $5::timestamptz[], $6::boolean[]) AS
            new (project_id, start_event_id, start_utc, last_utc, closed_utc, has_error)
        JOIN sessions AS s USING (project_id, start_event_id)
        ORDER BY s.project_id, s.start_event_id FOR NO KEY UPDATE OF s
    )
    UPDATE sessions AS s SET
        start_utc = least(s.start_utc, new.start_utc),
        last_utc = greatest(s.last_utc, new.last_utc),
        closed_utc = coalesce(s.closed_utc, new.closed_utc),
        has_error = s.has_error OR new.has_error,
        is_idle = false,
        heard_utc = now(),
        due_utc = least(s.due_utc, CASE WHEN new.closed_utc IS NULL THEN now() + $7::interval ELSE now() END)
    FROM locked AS new
    WHERE s.project_id = new.project_id AND s.start_event_id = new.start_event_id
"""


async def find_sessions(connection: asyncpg.Connection, dates: Dates) -> dict[SessionKey, list[Session]]:
    """The sessions that can take events of these keys, given the first and last date of each key."""
    if not dates:
        return {}
    keys = list(dates)
    rows = await connection.fetch(
        _FIND,
        [_uuid(key.project_id) for key in keys],
        [key.digest for key in keys],
        [key.is_manual for key in keys],
        [dates[key][0] for key in keys],
        [dates[key][1] for key in keys],
        IDLE + MAX_ROW_LAG,
    )
    found: defaultdict[SessionKey, list[Session]] = defaultdict(list)
    for row in rows:
        key = keys[row["position"] - 1]
        found[key].append(session_from_row(key, row))
    return found


async def hold_keys(connection: asyncpg.Connection, keys: Iterable[SessionKey]) -> None:
    """Lock these keys, waiting for transactions that insert sessions of them; sorted, so it cannot deadlock.

    The transaction must be short and do nothing but insert sessions.
    """
    await connection.execute(_HOLD, _LOCK_CLASS, sorted({key.digest[0] % _LOCKS for key in keys}))


async def begin_sessions(connection: asyncpg.Connection, sessions: Sequence[Session]) -> None:
    """Insert sessions whose keys are held."""
    for chunk in chunked(sorted(sessions, key=_locking_order)):
        rows = [
            (
                *row_id(session),
                session.key.digest,
                session.key.is_manual,
                storable(session.session_id),
                session.start_utc,
                session.last_utc,
                session.closed_utc,
                session.has_error,
            )
            for session in chunk
        ]
        await connection.execute(_BEGIN, *transposed(rows), FLUSH_AFTER)


async def flush_sessions(connection: asyncpg.Connection, sessions: Sequence[Session]) -> None:
    """Write sessions' activity. Belongs to a transaction's last statements and is sorted: see `add_usage`."""
    for chunk in chunked(sorted(sessions, key=_locking_order)):
        rows = [
            (*row_id(session), session.start_utc, session.last_utc, session.closed_utc, session.has_error)
            for session in chunk
        ]
        await connection.execute(_FLUSH, *transposed(rows), FLUSH_AFTER)


def session_from_row(key: SessionKey, row: Any) -> Session:
    """The session in a row with `SESSION_COLUMNS`."""
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
    """The driver writes `datetime.min` as `-infinity`, and reads that without a time zone."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def row_id(session: Session) -> tuple[UUID, UUID]:
    """The primary key of its row."""
    return _uuid(session.key.project_id), UUID(session.start_event_id)


def _locking_order(session: Session) -> tuple[bytes, bytes]:
    return session.key.project_id, session.start_event_id


def transposed(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """The columns of at least one row, as arguments for `unnest`."""
    return [list(column) for column in zip(*rows, strict=True)]


_uuid = lru_cache(maxsize=1024)(UUID)
"""Cached, because many sessions are of one project. The driver's own class is five times as fast."""
