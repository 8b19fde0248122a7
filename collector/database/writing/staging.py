"""The slow path into `events`: a staging table, from which single rows can be left out.

A duplicate or a rejected row does not affect the others. It runs inside the storing transaction, at about
half the speed of the fast path.
"""

import json
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, Protocol
from uuid import UUID

import asyncpg

from collector.database.errors import DATA_FAULTS, DatabaseUnavailable
from collector.domain.event.outcome import EVENT_COLUMNS, SENT_COLUMNS, DeadLetter, DeadLetterReason, Event
from collector.domain.ids import accepted_at

_IDS: Final = ("id", "project_id", "organization_id", "stack_id")
_OTHERS: Final = tuple(name for name in EVENT_COLUMNS if name not in _IDS)
_AS_THEY_ARE: Final = ("value", "data")
_COLUMNS: Final = ", ".join(_IDS + _OTHERS)
_others: Final = attrgetter(*_OTHERS)
_STAGING: Final = "CREATE TEMP TABLE IF NOT EXISTS staging (LIKE events) ON COMMIT DELETE ROWS"
_MOVE: Final = (
    f"INSERT INTO events ({_COLUMNS}) SELECT {_COLUMNS} FROM staging"  # noqa: S608 - constants only
    ' ORDER BY project_id, reference_id COLLATE "C", id ON CONFLICT DO NOTHING RETURNING id'
)


class RejectedSink(Protocol):
    """Takes the rows that Postgres rejects."""

    def add(self, letter: DeadLetter) -> None:
        """Add one. Raises TooManyRejected to give up the transaction."""
        ...


class Staging:
    """The staging table, for one transaction."""

    def __init__(self, connection: asyncpg.Connection, rejected: RejectedSink) -> None:
        self._connection = connection
        self._rejected = rejected
        self._is_used = False

    async def store(self, events: Sequence[Event]) -> set[bytes]:
        """Insert events and return the ids of those stored; the others are duplicates or were rejected.

        A rejected row is found by halving and becomes a dead letter.
        """
        if not self._is_used:
            await self._connection.execute(_STAGING)
        stored: set[bytes] = set()
        await self._insert(events, stored)
        return stored

    async def _insert(self, events: Sequence[Event], stored: set[bytes]) -> None:
        try:
            async with self._connection.transaction():
                if self._is_used:
                    await self._connection.execute("TRUNCATE staging")
                self._is_used = True
                await self._connection.copy_records_to_table(
                    "staging",
                    records=(
                        (
                            UUID(bytes=event.id),
                            UUID(bytes=event.project_id),
                            UUID(bytes=event.organization_id),
                            UUID(bytes=event.stack_id),
                            *_others(event),
                        )
                        for event in events
                    ),
                    columns=_IDS + _OTHERS,
                )
                stored.update(row["id"].bytes for row in await self._connection.fetch(_MOVE))
        except DATA_FAULTS as error:
            # Postgres reports a row without a partition as the violation of a check without a name.
            if isinstance(error, asyncpg.CheckViolationError) and not error.constraint_name:
                raise DatabaseUnavailable(
                    "A partition was dropped in the meantime; the next attempt makes it again."
                ) from error
            if len(events) == 1:
                detail = f"{type(error).__name__}: {error}"
                self._rejected.add(dead_letter(events[0], DeadLetterReason.REJECTED_BY_DATABASE, detail))
                return
            middle = len(events) // 2
            await self._insert(events[:middle], stored)
            await self._insert(events[middle:], stored)


def dead_letter(event: Event, reason: DeadLetterReason, detail: str) -> DeadLetter:
    """A dead letter of an event, whose body is the event as JSON."""
    members = {name: getattr(event, name) for name in SENT_COLUMNS if name not in _AS_THEY_ARE}
    body = json.dumps({name: value for name, value in members.items() if value is not None}, default=str)
    # A decimal is a number in JSON, so that the letter can be replayed.
    value = b"" if event.value is None else f', "value": {event.value}'.encode()
    data = b"" if event.data is None else b', "data": ' + event.data
    return DeadLetter(
        id=UUID(bytes=event.id),
        reason=reason,
        detail=detail,
        body=body[:-1].encode() + value + data + b"}",
        accepted_utc=accepted_at(event.id),
        project_id=UUID(bytes=event.project_id),
        organization_id=UUID(bytes=event.organization_id),
        content_type="application/json",
    )
