"""Sessions in Postgres: found, begun once, and told of activity, sorted wherever somebody may wait.

Whoever begins a session holds a lock that its key shares with others, until he has committed: who comes with
an event of the same key waits for him, looks again and finds the session.
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

TELL_AFTER: Final = timedelta(seconds=30)
"""A start event is told of all activity of this time at once: it is a row that is written anew each time."""

SESSION_COLUMNS: Final = "start_event_id, session_id, start_utc, last_utc, closed_utc, has_error"

_SESSIONS_OF_A_KEY: Final = 1000
"""More than a user can have in any age that events may have by default."""
_LOCKS: Final = 64
"""Keys share so many locks, because each takes a place in a table of the server."""
_LOCK_CLASS: Final = 0x68656164
"""Ours among the advisory locks of the database."""

Dates = Mapping[SessionKey, tuple[datetime, datetime]]

_FIND: Final = f"""
    SELECT wanted.place, found.* FROM unnest(
        $1::uuid[], $2::bytea[], $3::boolean[], $4::timestamptz[], $5::timestamptz[]
    ) WITH ORDINALITY AS wanted (project_id, digest, is_manual, first_utc, last_utc, place),
    LATERAL (
        SELECT {SESSION_COLUMNS} FROM sessions AS s
        WHERE s.project_id = wanted.project_id AND s.digest = wanted.digest
            AND s.is_manual = wanted.is_manual
            AND (s.is_manual OR s.last_utc >= wanted.first_utc - $6::interval
                                AND s.start_utc <= wanted.last_utc + $6::interval)
        LIMIT {_SESSIONS_OF_A_KEY}
    ) AS found
"""  # noqa: S608 - constants only
# Its commit need not reach the disk: that of the events, which comes after it in the log, takes it along.
_HOLD: Final = """
    SELECT set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock($1, place)
    FROM unnest($2::integer[]) AS place
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


async def find_sessions(connection: asyncpg.Connection, dates: Dates) -> dict[SessionKey, list[Session]]:
    """The sessions that events of these keys and dates can belong to."""
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
        key = keys[row["place"] - 1]
        found[key].append(session_of(key, row))
    return found


async def hold_keys(connection: asyncpg.Connection, keys: Iterable[SessionKey]) -> None:
    """Wait for whoever begins a session of one of these keys; in the locks' order, so never in a circle.

    The transaction must be a short one that does nothing but begin sessions.
    """
    await connection.execute(_HOLD, _LOCK_CLASS, sorted({key.digest[0] % _LOCKS for key in keys}))


async def begin_sessions(connection: asyncpg.Connection, sessions: Sequence[Session]) -> None:
    """Insert them; their keys must be held."""
    for some in chunked(sorted(sessions, key=_order)):
        rows = [
            (
                *id_of(session),
                session.key.digest,
                session.key.is_manual,
                storable(session.session_id),
                session.start_utc,
                session.last_utc,
                session.closed_utc,
                session.has_error,
            )
            for session in some
        ]
        await connection.execute(_BEGIN, *columns_of(rows), TELL_AFTER)


async def flush_sessions(connection: asyncpg.Connection, sessions: Sequence[Session]) -> None:
    """Tell sessions of activity. Among a transaction's last statements and sorted: see `add_usage`."""
    for some in chunked(sorted(sessions, key=_order)):
        rows = [
            (*id_of(session), session.start_utc, session.last_utc, session.closed_utc, session.has_error)
            for session in some
        ]
        await connection.execute(_TELL, *columns_of(rows), TELL_AFTER)


def session_of(key: SessionKey, row: Any) -> Session:
    """The session that `SESSION_COLUMNS` of its row say."""
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


def id_of(session: Session) -> tuple[UUID, UUID]:
    """What names its row."""
    return _uuid(session.key.project_id), UUID(session.start_event_id)


def _order(session: Session) -> tuple[bytes, bytes]:
    """That of the locks."""
    return session.key.project_id, session.start_event_id


def columns_of(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """The same as an argument for each column, as `unnest` takes them; there must be a row."""
    return [list(column) for column in zip(*rows, strict=True)]


_uuid = lru_cache(maxsize=1024)(UUID)
"""Many sessions are of the same project. The driver's own class is made in a fifth of the time."""
