"""Periodic statements scan no large table, according to Postgres's plans."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from collector.database.forgetting import Aging
from collector.database.owners import purge
from collector.database.sessions import upkeep, user_descriptions
from collector.database.writing import batch_ids
from collector.domain.ids import lowest_id
from tests.database.rows import PROJECT, today

pytestmark = pytest.mark.integration

_ROWS = 20_000
_AGE = timedelta(days=2)
_FILL = {
    "sessions": """
        INSERT INTO sessions (project_id, start_event_id, digest, is_manual, session_id, start_utc, last_utc,
                              has_error)
        SELECT gen_random_uuid(), id, sha256(id::text::bytea), false, '', now(), now(), false
        FROM unnest($1::uuid[]) AS id
    """,
    "user_descriptions": """
        INSERT INTO user_descriptions (id, project_id, reference_id, description)
        SELECT id, gen_random_uuid(), 'order-4711', '{}' FROM unnest($1::uuid[]) AS id
    """,
    "stored_batches": "INSERT INTO stored_batches SELECT id FROM unnest($1::uuid[]) AS id",
    "dead_letters": """
        INSERT INTO dead_letters (id, project_id, reason, detail, body, content_type, content_encoding,
                                  user_agent, client_ip, accepted_utc)
        SELECT id, gen_random_uuid(), 'too_large', '', '', '', '', '', '', now()
        FROM unnest($1::uuid[]) AS id
    """,
    "stacks": """
        INSERT INTO stacks (id, project_id, organization_id, type, signature_hash, signature_info, title,
                            first_occurrence, last_occurrence)
        SELECT id, gen_random_uuid(), gen_random_uuid(), 'log', id::text, '{}', '', now(), now()
        FROM unnest($1::uuid[]) AS id
    """,
}


@pytest.fixture
async def large(pool: asyncpg.Pool) -> asyncpg.Pool:
    """Tables full of young rows, analyzed."""
    ids = [lowest_id(today() + timedelta(milliseconds=number)) for number in range(_ROWS)]
    for table, fill in _FILL.items():
        await pool.execute(fill, ids)
        await pool.execute(f"ANALYZE {table}")
    return pool


async def _plan(pool: Any, statement: str, *arguments: Any) -> str:
    return "\n".join(row[0] for row in await pool.fetch(f"EXPLAIN {statement}", *arguments))


@pytest.mark.parametrize("aging", [upkeep.AGING, batch_ids.AGING], ids=lambda aging: aging.table)
async def test_deleting_old_rows_scans_no_table_whose_rows_are_all_old(
    large: asyncpg.Pool, aging: Aging
) -> None:
    """As after a shorter retention: joined by id, ten thousand rows were looked for in the whole table."""
    age_all = f"UPDATE {aging.table} SET {aging.moment} = now() - interval '3 days'"  # noqa: S608 - ours
    await large.execute(age_all)
    await large.execute(f"VACUUM ANALYZE {aging.table}")
    begin, end = UUID(int=0), lowest_id(today() + timedelta(days=1))
    step_end = await large.fetchval(aging.step_end, begin, end, _ROWS // 10)

    plans = [
        await _plan(large, aging.step_end, begin, end, _ROWS // 10),
        await _plan(large, aging.step, begin, step_end, _AGE),
    ]

    for plan in plans:
        assert "Seq Scan" not in plan
        assert f"{aging.key} > " in plan.split("Index Cond: ")[1]


async def test_deleting_old_descriptions_scans_no_table(large: asyncpg.Pool) -> None:
    """There is an index that fits."""
    async with large.acquire() as connection:
        await connection.execute("SET enable_seqscan = off")
        assert "Seq Scan" not in await _plan(connection, user_descriptions.FORGET, _AGE)


@pytest.mark.parametrize("table", ["sessions", "user_descriptions", "dead_letters", "stacks"])
async def test_purging_a_project_scans_no_table(large: asyncpg.Pool, table: str) -> None:
    """It runs every 15 seconds while there is a project to purge."""
    key = "start_event_id" if table == "sessions" else "id"

    plan = await _plan(large, purge.delete_some(table, key), PROJECT, 1000)

    assert "Seq Scan" not in plan


async def test_due_rows_are_found_by_an_index(large: asyncpg.Pool) -> None:
    """They are looked up every few seconds."""
    await large.execute("UPDATE sessions SET due_utc = now() + interval '1 hour'")
    await large.execute("UPDATE user_descriptions SET due_utc = now() + interval '1 hour'")
    await large.execute("ANALYZE sessions, user_descriptions")

    plans = [await _plan(large, module.DUE, 100) for module in (upkeep, user_descriptions)]

    assert [plan for plan in plans if "Seq Scan" in plan] == []
