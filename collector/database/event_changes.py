"""Changes to events that are stored: only what the worker itself has to say of them later.

Never made in a storing transaction. Each leaf is asked by itself, and rows are locked in the order of their
ids, so that two who change the same events wait for each other but never in a circle.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

import asyncpg

from collector.domain.identifiers import DAY_MS, accepted_ms, first_id_of


@dataclass(frozen=True, slots=True)
class EventChange:
    """What is said of one event: `members` (JSON) go into its data after `dropped` was taken out of it.

    A `value` of None leaves the event's as it is.
    """

    project_id: bytes
    event_id: bytes
    members: bytes
    value: Decimal | None = None
    dropped: str | None = None


_CHANGE: Final = """
    WITH wanted AS (
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::jsonb[], $4::numeric[], $5::text[])
            AS wanted (project_id, id, members, value, dropped)
    ), locked AS (
        SELECT e.project_id, e.id FROM events AS e JOIN wanted USING (project_id, id)
        WHERE e.id >= $6 AND e.id < $7 ORDER BY e.project_id, e.id FOR UPDATE OF e
    )
    UPDATE events AS e SET
        value = coalesce(wanted.value, e.value),
        data = CASE WHEN wanted.dropped IS NULL THEN coalesce(e.data, '{}')
                    ELSE coalesce(e.data, '{}') - wanted.dropped END || wanted.members
    FROM wanted JOIN locked USING (project_id, id)
    WHERE e.project_id = wanted.project_id AND e.id = wanted.id AND e.id >= $6 AND e.id < $7
    RETURNING e.id
"""


async def change_events(connection: asyncpg.Connection, changes: Iterable[EventChange]) -> set[bytes]:
    """Make the changes, one at most to each event, and answer the ids of the events that are there."""
    found: set[bytes] = set()
    for day, of_day in sorted(_by_day(changes).items()):
        rows = await connection.fetch(
            _CHANGE,
            [UUID(bytes=change.project_id) for change in of_day],
            [UUID(bytes=change.event_id) for change in of_day],
            [change.members for change in of_day],
            [change.value for change in of_day],
            [change.dropped for change in of_day],
            first_id_of(day * DAY_MS),
            first_id_of((day + 1) * DAY_MS),
        )
        found |= {row["id"].bytes for row in rows}
    return found


def _by_day(changes: Iterable[EventChange]) -> dict[int, Sequence[EventChange]]:
    by_day: defaultdict[int, list[EventChange]] = defaultdict(list)
    for change in changes:
        by_day[accepted_ms(change.event_id) // DAY_MS].append(change)
    return dict(by_day)
