"""Finds dead letters for operators: by reason, project, time or id; newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg

from collector.domain.event.outcome import DeadLetter, DeadLetterReason
from collector.domain.intake.replay import NEED_KIND, UNREPLAYABLE, is_replayable

SELECTED: Final = """
    ($1::uuid[] IS NULL OR l.id = ANY($1)) AND ($2::text IS NULL OR l.reason = $2)
    AND ($3::uuid IS NULL OR l.project_id = $3)
    AND ($4::timestamptz IS NULL OR l.created_utc >= $4) AND ($5::timestamptz IS NULL OR l.created_utc < $5)
"""
REPLAYABLE: Final = """
    octet_length(l.body) > 0 AND l.reason <> ALL($6::text[]) AND (l.kind <> '' OR l.reason <> ALL($7::text[]))
"""
"""As `is_replayable` says. A body that is stored compressed is not read for its length."""
UNREPLAYABLE_REASONS: Final = ([*UNREPLAYABLE], [*NEED_KIND])
"""The parameters of `REPLAYABLE`."""

_LIST: Final = f"""
    SELECT l.id, l.project_id, p.name AS project_name, l.reason, l.detail, l.accepted_utc, l.created_utc,
        l.kind, octet_length(l.body) AS bytes, l.removed_bytes
    FROM dead_letters l LEFT JOIN projects p ON p.id = l.project_id
    WHERE {SELECTED} AND ($6::uuid IS NULL OR l.id < $6) ORDER BY l.id DESC LIMIT $7
"""  # noqa: S608 - constants only
_COUNT: Final = f"""
    SELECT count(*) AS letters, coalesce(sum(octet_length(l.body)), 0)::bigint AS bytes,
        count(*) FILTER (WHERE {REPLAYABLE}) AS replayable
    FROM dead_letters l WHERE {SELECTED}
"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class LetterSelection:
    """Which dead letters; None is no condition. Times are those at which they became dead letters."""

    ids: tuple[UUID, ...] | None = None
    reason: DeadLetterReason | None = None
    project_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def parameters(self) -> tuple[Any, ...]:
        """The parameters of `SELECTED`."""
        ids = None if self.ids is None else list(self.ids)
        return ids, self.reason, self.project_id, self.since, self.until


class ListedLetter(NamedTuple):
    """A dead letter without its body; `removed_bytes` were dropped to keep the bounds."""

    id: UUID
    project_id: UUID | None
    project_name: str | None
    reason: str
    detail: str
    accepted_utc: datetime
    created_utc: datetime
    kind: str
    bytes: int
    removed_bytes: int

    @property
    def is_replayable(self) -> bool:
        """Whether it may be replayed."""
        return is_replayable(self.reason, self.kind, self.bytes)


class LetterCount(NamedTuple):
    """How many letters match, the bytes of their bodies, and how many of them may be replayed."""

    letters: int
    bytes: int
    replayable: int


class KeptLetter(NamedTuple):
    """A dead letter with its body, and when it became one."""

    letter: DeadLetter
    created_utc: datetime


async def list_letters(
    connection: asyncpg.Connection, selection: LetterSelection, *, limit: int, before: UUID | None = None
) -> list[ListedLetter]:
    """The last accepted ones first, from the one before `before` on."""
    rows = await connection.fetch(_LIST, *selection.parameters, before, limit)
    return [ListedLetter(**row) for row in rows]


async def count_letters(connection: asyncpg.Connection, selection: LetterSelection) -> LetterCount:
    """How many match."""
    row = await connection.fetchrow(_COUNT, *selection.parameters, *UNREPLAYABLE_REASONS)
    return LetterCount(**row)


async def read_letters(connection: asyncpg.Connection, ids: list[UUID]) -> list[KeptLetter]:
    """The letters with these ids, with their bodies, in order."""
    rows = await connection.fetch("SELECT * FROM dead_letters WHERE id = ANY($1) ORDER BY id", ids)
    return [
        KeptLetter(
            DeadLetter(
                id=row["id"],
                reason=DeadLetterReason(row["reason"]),
                detail=row["detail"],
                body=row["body"],
                accepted_utc=row["accepted_utc"],
                project_id=row["project_id"],
                organization_id=row["organization_id"],
                content_type=row["content_type"],
                content_encoding=row["content_encoding"],
                user_agent=row["user_agent"],
                client_ip=row["client_ip"],
                api_version=row["api_version"],
                kind=row["kind"],
                reference_id=row["reference_id"],
            ),
            row["created_utc"],
        )
        for row in rows
    ]
