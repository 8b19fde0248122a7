"""Traces a reference id: events that have it, dead letters that contain it, counts of events not stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg

from collector.domain.event.outcome import DeadLetterReason, Outcome

_LETTERS: Final = 10_000
"""How many dead letters are searched, newest first."""
_LETTER_BYTES: Final = 64 << 20
_PACKED: Final = 200
"""How many compressed dead letters are handed to the caller to decompress."""
_PACKED_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class TracedEvent:
    """A stored event with the reference id."""

    id: UUID
    project_id: UUID
    project_name: str
    stack_id: UUID | None
    type: str
    date: datetime
    created_utc: datetime


@dataclass(frozen=True, slots=True)
class TracedLetter:
    """A dead letter; only compressed ones, which the caller has to decompress, have their `body`."""

    id: UUID
    project_id: UUID | None
    reason: str
    detail: str
    accepted_utc: datetime
    created_utc: datetime
    content_encoding: str
    body: bytes = b""


class LetterSearch(NamedTuple):
    """The dead letters found, those to decompress, and how many were searched.

    `is_whole` is true if all dead letters were searched; unreadable stream entries do not count.
    """

    found: list[TracedLetter]
    packed: list[TracedLetter]
    searched: int
    is_whole: bool


class OutcomeCount(NamedTuple):
    """How many events had an outcome for a reason."""

    outcome: str
    reason: str
    events: int


async def projects_to_trace(connection: asyncpg.Connection) -> dict[UUID, str]:
    """The names of all projects by id, including those of suspended organizations."""
    return {row["id"]: row["name"] for row in await connection.fetch("SELECT id, name FROM projects")}


async def stored_with_reference(
    connection: asyncpg.Connection, projects: dict[UUID, str], reference_id: str, limit: int
) -> list[TracedEvent]:
    """The events of these projects that have the reference id, last accepted first."""
    rows = await connection.fetch(
        """
        WITH e AS MATERIALIZED (
            SELECT id, project_id, stack_id, type, date, created_utc FROM events
            WHERE project_id = ANY($1) AND reference_id = $2
        ) SELECT * FROM e ORDER BY id DESC LIMIT $3
        """,
        list(projects),
        reference_id,
        limit,
    )
    return [TracedEvent(project_name=projects[row["project_id"]], **row) for row in rows]


async def letters_with(
    connection: asyncpg.Connection, project_id: UUID | None, text: str, limit: int
) -> LetterSearch:
    """The dead letters of a project, or of all (None), whose bodies contain the text."""
    # One more than are searched, to know whether there are others.
    rows = await connection.fetch(
        """
        SELECT id, octet_length(body) AS size, content_encoding <> '' AS is_packed FROM dead_letters
        WHERE ($1::uuid IS NULL OR project_id = $1) AND reason <> $2
        ORDER BY id DESC LIMIT $3
        """,
        project_id,
        DeadLetterReason.UNREADABLE_ENTRY,
        _LETTERS + 1,
    )
    plain, packed = [row for row in rows if not row["is_packed"]], [row for row in rows if row["is_packed"]]
    plain_ids = _first_ids(plain[:_LETTERS], _LETTER_BYTES)
    # Postgres can search the plain ones; the caller decompresses the others.
    packed_ids = _first_ids(packed[:_PACKED], _PACKED_BYTES)
    found = await connection.fetch(
        f"{_LETTER} WHERE id = ANY($1) AND position($2 in body) > 0 ORDER BY id DESC LIMIT $3",
        plain_ids,
        text.encode(),
        limit,
    )
    to_unpack = await connection.fetch(f"{_PACKED_LETTER} WHERE id = ANY($1) ORDER BY id DESC", packed_ids)
    searched = len(plain_ids) + len(packed_ids)
    return LetterSearch(
        [TracedLetter(**row) for row in found],
        [TracedLetter(**row) for row in to_unpack],
        searched,
        is_whole=searched == len(rows) and len(found) < limit,
    )


async def unstored_outcomes(
    connection: asyncpg.Connection, project_id: UUID, since: datetime
) -> list[OutcomeCount]:
    """The outcomes of a project's events that were accepted since then but not stored."""
    rows = await connection.fetch(
        """
        SELECT outcome, reason, sum(events)::bigint AS events FROM usage
        WHERE project_id = $1 AND hour >= date_trunc('hour', $2::timestamptz) AND outcome <> $3
        GROUP BY outcome, reason ORDER BY outcome, reason
        """,
        project_id,
        since,
        Outcome.STORED,
    )
    return [OutcomeCount(**row) for row in rows]


_LETTER: Final = """
    SELECT id, project_id, reason, detail, accepted_utc, created_utc, content_encoding FROM dead_letters
"""
_PACKED_LETTER: Final = _LETTER.replace("content_encoding FROM", "content_encoding, body FROM")


def _first_ids(rows: Sequence[Any], limit_bytes: int) -> list[UUID]:
    """The ids of the first rows whose total size is within the limit; at least one."""
    totals = accumulate(row["size"] for row in rows)
    return [
        row["id"]
        for number, (row, total) in enumerate(zip(rows, totals, strict=True))
        if total <= limit_bytes or number == 0
    ]
