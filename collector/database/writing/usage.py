"""Usage: the number of events by project, outcome, and hour and month of acceptance."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from collector.database.pool import connected
from collector.database.schema.partitions import oldest_kept
from collector.domain.accounting.usage import Counts, Usage, first_hour, first_month
from collector.domain.event.outcome import DeadLetterReason, Outcome


class UsageKey(NamedTuple):
    """The key under which events are counted; the reason is empty for outcomes that need none."""

    project_id: UUID
    hour: datetime
    outcome: Outcome
    reason: str = ""


_LEAST_DAYS_KEPT: Final = 31
"""Counts by hour: the API shows a week of them."""
_ADD_HOURS: Final = """
    INSERT INTO usage (project_id, hour, outcome, reason, events)
    SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::bigint[])
    ON CONFLICT (project_id, hour, outcome, reason) DO UPDATE SET events = usage.events + excluded.events
"""
_ADD_MONTHS: Final = """
    INSERT INTO usage_months AS m (project_id, month, outcome, reason, events)
    SELECT * FROM unnest($1::uuid[], $2::date[], $3::text[], $4::text[], $5::bigint[])
    ON CONFLICT (project_id, month, outcome, reason) DO UPDATE SET events = m.events + excluded.events
"""
_READ: Final = f"""
    SELECT {{owner}} AS owner, u.is_month, u.begin,
        coalesce(sum(u.events) FILTER (WHERE u.outcome = '{Outcome.STORED}'), 0)::bigint AS total,
        coalesce(sum(u.events) FILTER (WHERE u.outcome = '{Outcome.DISCARDED}'), 0)::bigint AS discarded,
        coalesce(sum(u.events) FILTER (WHERE u.outcome = '{Outcome.DEAD_LETTERED}'
            AND u.reason = '{DeadLetterReason.TOO_LARGE}'), 0)::bigint AS too_big,
        coalesce(sum(u.events) FILTER (WHERE u.outcome = 'removed'), 0)::bigint AS deleted
    FROM (
        SELECT project_id, true AS is_month, month::timestamp AT TIME ZONE 'UTC' AS begin, outcome, reason,
            events
        FROM usage_months WHERE project_id = {{projects}} AND month >= $2
        UNION ALL
        SELECT project_id, false, hour, outcome, reason, events
        FROM usage WHERE project_id = {{projects}} AND hour >= $3
        UNION ALL
        SELECT project_id, true, date_trunc('month', day::timestamp) AT TIME ZONE 'UTC', 'removed', '', events
        FROM removed_events WHERE project_id = {{projects}} AND day >= $2
        UNION ALL
        SELECT project_id, false, day::timestamp AT TIME ZONE 'UTC', 'removed', '', events
        FROM removed_events WHERE project_id = {{projects}} AND day::timestamp AT TIME ZONE 'UTC' >= $3
    ) AS u JOIN projects p ON p.id = u.project_id
    GROUP BY 1, 2, 3
"""  # noqa: S608 - constants only
"""Only the day of removed events is known: they are counted in its first hour."""
_OF_PROJECTS: Final = _READ.format(owner="p.id", projects="ANY($1)")
_OF_ORGANIZATIONS: Final = _READ.format(
    owner="p.organization_id", projects="ANY(ARRAY(SELECT id FROM projects WHERE organization_id = ANY($1)))"
)


async def add_usage(connection: asyncpg.Connection, counts: Mapping[UsageKey, int]) -> None:
    """Add counts. At the end of a transaction and sorted, so that waits are short and cannot deadlock."""
    if not counts:
        return
    keys = sorted(counts)
    await connection.execute(_ADD_HOURS, *_columns(keys), [counts[key] for key in keys])
    months: Counter[tuple[UUID, date, Outcome, str]] = Counter()
    for key, events in counts.items():
        months[key.project_id, key.hour.date().replace(day=1), key.outcome, key.reason] += events
    await connection.execute(_ADD_MONTHS, *_columns(sorted(months)), [months[key] for key in sorted(months)])


async def forget_usage(pool: asyncpg.Pool, retention_days: int) -> int:
    """Delete the counts by hour that are no longer read, and return how many; those by month stay.

    The audit reads those of every partition.
    """
    async with connected(pool) as connection:
        kept = await oldest_kept(connection, max(retention_days, _LEAST_DAYS_KEPT)) - timedelta(days=1)
        rows = await connection.fetch("DELETE FROM usage WHERE hour < $1 RETURNING 1", kept)
    return len(rows)


async def project_usage(
    connection: asyncpg.Connection, project_ids: Sequence[UUID], now: datetime
) -> dict[UUID, Usage]:
    """Each project's usage as the API shows it; projects without any are left out."""
    return await _read(connection, _OF_PROJECTS, project_ids, now)


async def organization_usage(
    connection: asyncpg.Connection, organization_ids: Sequence[UUID], now: datetime
) -> dict[UUID, Usage]:
    """The usage of each organization: that of the projects it has now. Those without any are left out."""
    return await _read(connection, _OF_ORGANIZATIONS, organization_ids, now)


async def _read(
    connection: asyncpg.Connection, statement: str, owners: Sequence[UUID], now: datetime
) -> dict[UUID, Usage]:
    months: defaultdict[UUID, dict[datetime, Counts]] = defaultdict(dict)
    hours: defaultdict[UUID, dict[datetime, Counts]] = defaultdict(dict)
    rows = await connection.fetch(statement, owners, first_month(now).date(), first_hour(now))
    for owner, is_month, begin, *counts in rows:
        (months if is_month else hours)[owner][begin] = Counts(*counts)
    return {owner: Usage(months[owner], hours[owner]) for owner in {*months, *hours}}


def _columns(keys: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*keys, strict=True)]
