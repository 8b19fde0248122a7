"""Numbers of stacks and events: stacks are counted, events are summed up from the workers' usage counts.

Counting the events themselves would read all of them. Usage is kept by the hour of acceptance, and partitions
by its day, so over the retention both give the same number, except for events that people have deleted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from collector.domain.event.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of one project, or of all projects of an organization."""

    projects: int = 0
    stacks: int = 0
    events: int = 0


NOTHING: Final = Statistics()

_COUNTS: Final = """
    (SELECT count(*) FROM stacks s WHERE s.project_id = p.id) AS stacks,
    (SELECT coalesce(sum(u.events), 0)::bigint FROM usage u
     WHERE u.project_id = p.id AND u.outcome = $2 AND u.hour >= $3) AS events
"""


async def statistics_of_projects(
    connection: asyncpg.Connection, project_ids: Sequence[UUID], since: datetime
) -> dict[UUID, Statistics]:
    """By project, with the events accepted since then."""
    rows = await connection.fetch(
        f"SELECT p.id, {_COUNTS} FROM projects p WHERE p.id = ANY($1)",  # noqa: S608 - constants only
        project_ids,
        Outcome.STORED,
        since,
    )
    return {row["id"]: Statistics(1, row["stacks"], row["events"]) for row in rows}


async def statistics_of_organizations(
    connection: asyncpg.Connection, organization_ids: Sequence[UUID], since: datetime
) -> dict[UUID, Statistics]:
    """By organization, with the events accepted since then; organizations without projects are left out."""
    rows = await connection.fetch(
        f"""
        SELECT organization_id, count(*) AS projects, sum(stacks)::bigint AS stacks,
               sum(events)::bigint AS events
        FROM (SELECT p.organization_id, {_COUNTS} FROM projects p WHERE p.organization_id = ANY($1)) AS each
        GROUP BY organization_id
        """,  # noqa: S608 - constants only
        organization_ids,
        Outcome.STORED,
        since,
    )
    return {row["organization_id"]: Statistics(row["projects"], row["stacks"], row["events"]) for row in rows}
