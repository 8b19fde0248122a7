"""Usage: how many events ended in which outcome, by project and hour of acceptance."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from collector.domain.outcome import Outcome


class UsageKey(NamedTuple):
    """What events are counted under; the reason is empty where the outcome needs none."""

    project_id: UUID
    hour: datetime
    outcome: Outcome
    reason: str = ""


async def add_usage(connection: asyncpg.Connection, counts: Mapping[UsageKey, int]) -> None:
    """Add counts. Last in its transaction and sorted, so that workers wait briefly and never in a circle."""
    if not counts:
        return
    keys = sorted(counts)
    await connection.execute(
        """
        INSERT INTO usage (project_id, hour, outcome, reason, events)
        SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::bigint[])
        ON CONFLICT (project_id, hour, outcome, reason) DO UPDATE SET events = usage.events + excluded.events
        """,
        *(list(column) for column in zip(*keys, strict=True)),
        [counts[key] for key in keys],
    )
