"""Stacks that are valid as they stand; a test names only what it is about."""

from typing import Any
from uuid import UUID

import asyncpg

from tests.database.rows import ORGANIZATION, PROJECT, today


async def a_stack_row(pool: asyncpg.Pool, stack_id: UUID, **members: Any) -> None:
    """An open stack of some logs."""
    values: dict[str, Any] = {
        "id": stack_id,
        "project_id": PROJECT,
        "organization_id": ORGANIZATION,
        "type": "log",
        "signature_hash": f"hash of {stack_id}",
        "signature_info": b'{"Type":"log","Source":"Shop"}',
        "title": "Shop",
        "total_occurrences": 3,
        "first_occurrence": today(),
        "last_occurrence": today(),
        "tags": ["a"],
    } | members
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    await pool.execute(
        f"INSERT INTO stacks ({', '.join(values)}) VALUES ({places})",  # noqa: S608 - names of columns
        *values.values(),
    )
