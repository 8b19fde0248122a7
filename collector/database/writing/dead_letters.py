"""Dead letters: data that can never be stored, kept with its bytes and the reason, within bounds.

Every bound holds in the transaction that writes: a project that is over its share keeps the reason of a
letter without its body, and a project with too many letters only the count. A job then makes room again at
the cost of the oldest ones. Whatever is removed, the outcome stays counted in `usage`, and letters that no
longer exist are counted in `removed_dead_letters`, so that the audit still adds up.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from collector.database.pool import connected
from collector.database.text import storable
from collector.domain.event.outcome import DeadLetter
from collector.domain.ids import lowest_id

LETTERS_OF_PROJECT: Final = 10_000
BYTES_OF_PROJECT: Final = 16 << 20
BYTES_IN_ALL: Final = 256 << 20
"""If there are many projects with dead letters, each has an equal part of this."""
_KEPT_SHARE: Final = 0.75
"""What is left after making room, so that room is not made for every letter."""

_DETAIL_LENGTH: Final = 1000
"""In characters. Postgres may quote the whole row in its error, and the body has that already."""
_ROWS_AT_ONCE: Final = 5000
_NO_PROJECT: Final = UUID(int=0)

_TOTALS: Final = """
    SELECT t.project_id, t.letters, t.bytes FROM dead_letter_totals t WHERE t.project_id = ANY($1)
"""
_ADD_TO_TOTALS: Final = """
    INSERT INTO dead_letter_totals AS t (project_id, letters, bytes)
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[])
    ON CONFLICT (project_id) DO UPDATE
        SET letters = t.letters + excluded.letters, bytes = t.bytes + excluded.bytes
"""
_COUNT_REMOVED: Final = """
    INSERT INTO removed_dead_letters AS r (project_id, reason, letters)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[])
    ON CONFLICT (project_id, reason) DO UPDATE SET letters = r.letters + excluded.letters
"""
_OF_PROJECT: Final = f"(project_id = $1 OR project_id IS NULL AND $1 = '{_NO_PROJECT}')"
_LOCK: Final = "SELECT FROM dead_letter_totals WHERE project_id = $1 FOR UPDATE"
"""First in a step: letters of a storing transaction are then either measured or added, never lost."""
_MEASURE: Final = f"""
    UPDATE dead_letter_totals SET (letters, bytes) = (
        SELECT count(*), coalesce(sum(octet_length(body)), 0) FROM dead_letters WHERE {_OF_PROJECT}
    ) WHERE project_id = $1
"""  # noqa: S608 - constants only
_REMOVE_BODIES: Final = f"""
    UPDATE dead_letters SET removed_bytes = octet_length(body), body = '' WHERE id IN (
        SELECT id FROM (
            SELECT id, sum(octet_length(body)) OVER (ORDER BY id DESC) AS newer_bytes
            FROM dead_letters WHERE {_OF_PROJECT} AND octet_length(body) > 0
        ) AS each WHERE newer_bytes > $2
    )
"""  # noqa: S608 - constants only
_REMOVE_OLDEST: Final = f"""
    DELETE FROM dead_letters WHERE id IN (
        SELECT id FROM dead_letters WHERE {_OF_PROJECT} ORDER BY id DESC OFFSET $2
    ) RETURNING project_id, reason
"""  # noqa: S608 - constants only
_REMOVE: Final = "DELETE FROM dead_letters WHERE id = ANY($1) RETURNING id, project_id, reason"
_REMOVE_OLD: Final = """
    DELETE FROM dead_letters WHERE id IN (
        SELECT id FROM dead_letters WHERE id < $1 ORDER BY id LIMIT $2
    ) RETURNING project_id, reason
"""


async def keep_dead_letters(connection: asyncpg.Connection, letters: Sequence[DeadLetter]) -> None:
    """Insert dead letters as far as the bounds allow; one that exists already is left as it is."""
    if not letters:
        return
    owners = sorted({_owner(letter.project_id) for letter in letters})
    room = await _room(connection, owners)
    added: Counter[UUID] = Counter()
    added_bytes: Counter[UUID] = Counter()
    removed: Counter[tuple[UUID, str]] = Counter()
    rows: list[tuple[object, ...]] = []
    for letter in sorted(letters, key=lambda letter: letter.id):
        owner = _owner(letter.project_id)
        letters_left, bytes_left = room[owner]
        if added[owner] >= letters_left:
            removed[owner, letter.reason] += 1
            continue
        size = len(letter.body)
        is_kept = added_bytes[owner] + size <= bytes_left
        added[owner] += 1
        added_bytes[owner] += size if is_kept else 0
        rows.append(
            (
                letter.id,
                letter.project_id,
                letter.organization_id,
                letter.reason,
                storable(letter.detail[:_DETAIL_LENGTH]),
                letter.body if is_kept else b"",
                0 if is_kept else size,
                storable(letter.content_type),
                storable(letter.content_encoding),
                storable(letter.user_agent),
                storable(letter.client_ip),
                letter.accepted_utc,
                letter.api_version,
                storable(letter.kind),
                storable(letter.reference_id),
            )
        )
    await connection.executemany(
        """
        INSERT INTO dead_letters (id, project_id, organization_id, reason, detail, body, removed_bytes,
                                  content_type, content_encoding, user_agent, client_ip, accepted_utc,
                                  api_version, kind, reference_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
        ON CONFLICT (id) DO NOTHING
        """,
        rows,
    )
    await connection.execute(
        _ADD_TO_TOTALS, owners, [added[owner] for owner in owners], [added_bytes[owner] for owner in owners]
    )
    await _count_removed(connection, removed)


async def bound_dead_letters(pool: asyncpg.Pool, retention_days: int) -> int:
    """Make room: remove letters older than retention, then bodies and letters of projects near their bounds.

    Returns the number of letters that no longer exist. Each step is a transaction of its own.
    """
    deleted = 0
    async with connected(pool) as connection:
        now: datetime = await connection.fetchval("SELECT now()")
        oldest = lowest_id(now - timedelta(days=retention_days))
        while True:
            async with connection.transaction():
                rows = await connection.fetch(_REMOVE_OLD, oldest, _ROWS_AT_ONCE)
                for owner in sorted({_owner(owner) for owner, _ in rows}):
                    await connection.execute(_LOCK, owner)
                    await connection.execute(_MEASURE, owner)
                await _count_removed(connection, Counter((_owner(owner), reason) for owner, reason in rows))
            deleted += len(rows)
            if len(rows) < _ROWS_AT_ONCE:
                break
        share = await _share(connection)
        crowded = await connection.fetch(
            "SELECT project_id FROM dead_letter_totals WHERE letters > $1 OR bytes > $2 ORDER BY project_id",
            LETTERS_OF_PROJECT * _KEPT_SHARE,
            share * _KEPT_SHARE,
        )
        for (owner,) in crowded:
            async with connection.transaction():
                await connection.execute(_LOCK, owner)
                rows = await connection.fetch(_REMOVE_OLDEST, owner, round(LETTERS_OF_PROJECT * _KEPT_SHARE))
                await connection.execute(_REMOVE_BODIES, owner, round(share * _KEPT_SHARE))
                await connection.execute(_MEASURE, owner)
                await _count_removed(connection, Counter((_owner(owner), reason) for owner, reason in rows))
            deleted += len(rows)
    return deleted


async def remove_letters(
    connection: asyncpg.Connection, owners: Iterable[UUID | None], ids: Sequence[UUID]
) -> list[UUID]:
    """Remove letters of these projects, in a transaction; returns the ids of those that existed.

    They count as removed from now on, so the audit still adds up.
    """
    locked = sorted(set(map(_owner, owners)))
    for owner in locked:
        await connection.execute(_LOCK, owner)
    rows = await connection.fetch(_REMOVE, ids)
    for owner in locked:
        await connection.execute(_MEASURE, owner)
    await _count_removed(connection, Counter((_owner(row["project_id"]), row["reason"]) for row in rows))
    return [row["id"] for row in rows]


async def fullness(connection: asyncpg.Connection) -> float:
    """The share of its room that the project with the fullest dead letters has used.

    At 1.0 the job makes room: the oldest letters lose their bodies, or their rows.
    """
    share: float = await connection.fetchval(
        "SELECT coalesce(max(greatest(letters / $1::float, bytes / $2::float)), 0) FROM dead_letter_totals",
        LETTERS_OF_PROJECT * _KEPT_SHARE,
        await _share(connection) * _KEPT_SHARE,
    )
    return share


async def _room(connection: asyncpg.Connection, owners: Sequence[UUID]) -> dict[UUID, tuple[int, int]]:
    """How many letters, and bytes of bodies, of each project have room. Not exact beside other workers."""
    share = await _share(connection)
    totals = {row["project_id"]: row for row in await connection.fetch(_TOTALS, owners)}
    return {
        owner: (LETTERS_OF_PROJECT - totals[owner]["letters"], share - totals[owner]["bytes"])
        if owner in totals
        else (LETTERS_OF_PROJECT, share)
        for owner in owners
    }


async def _share(connection: asyncpg.Connection) -> int:
    """The bytes of bodies that one project may keep."""
    projects: int = await connection.fetchval("SELECT count(*) FROM dead_letter_totals WHERE bytes > 0")
    return min(BYTES_OF_PROJECT, BYTES_IN_ALL // max(1, projects))


async def _count_removed(connection: asyncpg.Connection, removed: Counter[tuple[UUID, str]]) -> None:
    if removed:
        keys = sorted(removed)
        await connection.execute(
            _COUNT_REMOVED,
            [owner for owner, _ in keys],
            [reason for _, reason in keys],
            [removed[key] for key in keys],
        )


def _owner(project_id: UUID | None) -> UUID:
    return project_id or _NO_PROJECT
