"""Events are found by their id and by the reference id that the client gave."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest

from collector.database.events import count_by_reference, find_by_reference, find_event
from collector.database.store import BatchStore
from tests.database.rows import OTHER_PROJECT, PROJECT, an_event, as_stored, days_ago, understood

pytestmark = pytest.mark.integration


async def test_an_event_comes_back_as_it_was_stored(pool: asyncpg.Pool) -> None:
    """The same value that went in, but that it is its stack's first; `data` as JSON."""
    event = an_event(tags=("a",), reference_id="order-4711")
    await BatchStore(pool).save([understood(event)])
    stored = as_stored(msgspec.structs.replace(event, is_first_occurrence=True))

    async with pool.acquire() as connection:
        assert await find_event(connection, [PROJECT], stored.id) == stored
        assert await find_event(connection, [OTHER_PROJECT], stored.id) is None
        assert await find_event(connection, [], stored.id) is None


async def test_references_are_found_in_every_age_of_leaf(pool: asyncpg.Pool) -> None:
    """The newest first, from today to long ago, and from a clock that runs ahead."""
    ages = (-2, 0, 1, 5, 20, 90)
    events = [an_event(accepted=days_ago(age), reference_id="order-4711") for age in ages]
    await BatchStore(pool).save([understood(*events, an_event(reference_id="order-4712"))])

    async def find(limit: int) -> list[Any]:
        async with pool.acquire() as connection:
            found = await find_by_reference(
                connection, [PROJECT, OTHER_PROJECT], "order-4711", now=datetime.now(UTC), limit=limit
            )
            return [event.id.bytes for event in found]

    assert await find(100) == [event.id for event in events]
    assert await find(4) == [event.id for event in events[:4]]
    async with pool.acquire() as connection:
        assert await count_by_reference(connection, [PROJECT], "order-4711") == 6
        assert await count_by_reference(connection, [OTHER_PROJECT], "order-4711") == 0


async def test_within_a_window_the_latest_date_comes_first(pool: asyncpg.Pool) -> None:
    """As a list of events is sorted everywhere else."""
    now = datetime.now(UTC).replace(microsecond=0)
    early = an_event(reference_id="order-4711", date=now - timedelta(hours=2))
    late = an_event(reference_id="order-4711", date=now - timedelta(hours=1), project_id=OTHER_PROJECT)
    await BatchStore(pool).save([understood(late, early)])

    async with pool.acquire() as connection:
        found = await find_by_reference(connection, [PROJECT, OTHER_PROJECT], "order-4711", now=now, limit=10)
    assert [event.id.bytes for event in found] == [late.id, early.id]


async def test_what_stands_for_unusable_references_can_be_looked_up(pool: asyncpg.Pool) -> None:
    """It is in no index, but it is an answer to the question which events had a bad reference."""
    events = [an_event(reference_id="invalid-reference-id") for _ in range(3)]
    await BatchStore(pool).save([understood(*events)])

    async with pool.acquire() as connection:
        found = await find_by_reference(
            connection, [PROJECT], "invalid-reference-id", now=datetime.now(UTC), limit=2
        )
        assert len(found) == 2
        assert await count_by_reference(connection, [PROJECT], "invalid-reference-id") == 3


async def test_a_look_up_uses_the_index_of_few_leaves(pool: asyncpg.Pool) -> None:
    """One that reads leaves from end to end would be found out only when it hurts."""
    await BatchStore(pool).save([understood(*[an_event(accepted=days_ago(n)) for n in range(40)])])
    plans: list[str] = []

    async with pool.acquire() as connection:
        await connection.execute("SET enable_seqscan = off")
        fetch = connection.fetch

        class Explaining:
            """Asks for the plan of what is fetched."""

            async def fetch(self, statement: str, *arguments: object) -> list[Any]:
                plans.append("\n".join(row[0] for row in await fetch(f"EXPLAIN {statement}", *arguments)))
                return []

        await find_by_reference(Explaining(), [PROJECT], "order-4711", now=datetime.now(UTC), limit=10)

    assert len(plans) == 4
    assert all("project_id_reference" in plan or "_reference on" in plan for plan in plans)
    assert not any("Seq Scan" in plan for plan in plans)
    assert plans[0].count("Index Scan") <= 3
