"""The rows of a deleted project are purged in steps, and are accounted for."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from collector.database.audit import read_ledger
from collector.database.owners import purge, steps
from collector.database.owners.deletion import delete_organizations, delete_projects
from collector.database.owners.organizations import add_organization
from collector.database.owners.projects import add_project
from collector.database.owners.purge import purge_deleted
from collector.database.writing.store import BatchStore
from tests.database.rows import (
    ORGANIZATION,
    OTHER_PROJECT,
    PROJECT,
    a_letter,
    an_event,
    days_ago,
    normalized,
    stored,
    today,
)
from tests.support.waiting import until

pytestmark = pytest.mark.integration

TABLES = ("events", "stacks", "dead_letters", "sessions", "user_descriptions")


@pytest.fixture
async def store(pool: asyncpg.Pool) -> BatchStore:
    """Two projects of one organization, each with events of two days and a dead letter."""
    async with pool.acquire() as connection:
        await add_organization(connection, ORGANIZATION, "Acme")
        await add_project(connection, PROJECT, ORGANIZATION, "Shop")
        await add_project(connection, OTHER_PROJECT, ORGANIZATION, "Lab")
    store = BatchStore(pool)
    for project in (PROJECT, OTHER_PROJECT):
        events = [
            an_event(project_id=project, accepted=days_ago(number % 2), reference_id=f"order-{number}")
            for number in range(7)
        ]
        letters = [a_letter(project_id=project), a_letter(project_id=project)]
        await store.save([normalized(*events, dead_letters=letters)])
    return store


async def left(pool: asyncpg.Pool, table: str) -> int:
    """The number of remaining rows of the deleted project."""
    number: int = await pool.fetchval(
        f"SELECT count(*) FROM {table} WHERE project_id = $1",  # noqa: S608 - a constant
        PROJECT,
    )
    return number


async def delete(pool: asyncpg.Pool) -> None:
    """Delete the project as the api does."""
    async with pool.acquire() as connection:
        await delete_projects(connection, [PROJECT])


async def differing(pool: asyncpg.Pool) -> dict[str, object]:
    """The differences in the ledger of Postgres."""
    ledger = await read_ledger(pool, counts_events=True)
    counted = {reason: n for (outcome, reason), n in ledger.outcomes.items() if outcome == "dead_lettered"}
    wrong: dict[str, object] = {
        str(day): pair for day, pair in (ledger.partitions or {}).items() if pair[0] != pair[1]
    }
    return wrong | ({} if counted == ledger.dead_letters else {"letters": (counted, ledger.dead_letters)})


async def test_all_rows_of_a_deleted_project_are_purged_and_the_ledger_balances(
    pool: asyncpg.Pool, store: BatchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In steps of a few rows. The other project keeps its rows."""
    del store
    for module in (purge, steps):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", 2)
    assert all([await left(pool, table) for table in TABLES[:3]])
    await delete(pool)

    removed = await purge_deleted(pool)

    assert removed == 7 + 2 + 1  # events, dead letters, and their common stack
    assert [await left(pool, table) for table in TABLES] == [0] * len(TABLES)
    assert {row["project_id"] for row in await stored(pool)} == {OTHER_PROJECT}
    assert await pool.fetchval("SELECT sum(events)::int FROM removed_events") == 7
    assert await differing(pool) == {}


_MANY_ROWS = {
    "dead_letters": """
        INSERT INTO dead_letters (id, project_id, organization_id, reason, detail, body, content_type,
                                  content_encoding, user_agent, client_ip, accepted_utc)
        SELECT gen_random_uuid(), $1, $2, 'corrupt_encoding', '', '', '', '', '', '', now()
        FROM generate_series(1, 50)
    """,
    "stacks": """
        INSERT INTO stacks (id, project_id, organization_id, type, signature_hash, signature_info, title,
                            first_occurrence, last_occurrence)
        SELECT gen_random_uuid(), $1, $2, 'log', n::text, '{}', '', now(), now()
        FROM generate_series(1, 50) AS n
    """,
    "sessions": """
        INSERT INTO sessions (project_id, start_event_id, digest, is_manual, session_id, start_utc, last_utc,
                              has_error)
        SELECT $1, gen_random_uuid(), '', $2::uuid IS NULL, '', now(), now(), false
        FROM generate_series(1, 50)
    """,
}
"""In no order, like rows on a disk that were stored over time."""


@pytest.mark.parametrize(
    ("table", "key"),
    [("events", "id"), ("dead_letters", "id"), ("stacks", "id"), ("sessions", "start_event_id")],
)
async def test_rows_are_locked_in_the_order_in_which_workers_lock_them(
    pool: asyncpg.Pool, table: str, key: str
) -> None:
    """While the purge waits for the first row, it holds none that a worker could wait for."""
    async with pool.acquire() as connection:
        await add_organization(connection, ORGANIZATION, "Acme")
        await add_project(connection, PROJECT, ORGANIZATION, "Shop")
    await delete(pool)
    if table == "events":
        accepted = [today() - timedelta(milliseconds=number) for number in range(50)]
        await BatchStore(pool).save([normalized(*[an_event(accepted=moment) for moment in accepted])])
    else:
        await pool.execute(_MANY_ROWS[table], PROJECT, ORGANIZATION)
    rows = f"SELECT {key} FROM {table} WHERE project_id = $1 ORDER BY {key}"  # noqa: S608 - constants
    async with asyncio.TaskGroup() as tasks, pool.acquire() as worker, worker.transaction():
        await worker.fetchrow(f"{rows} LIMIT 1 FOR UPDATE", PROJECT)
        removing = tasks.create_task(purge_deleted(pool))
        await until(lambda: _somebody_waits(pool), what="a removal that waits for a row")
        async with pool.acquire() as other, other.transaction():
            free = await other.fetch(f"{rows} FOR UPDATE SKIP LOCKED", PROJECT)

    assert len(free) == 49
    assert removing.result() >= 50
    assert await left(pool, table) == 0


async def _somebody_waits(pool: asyncpg.Pool) -> bool:
    found: bool = await pool.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database() AND query ~ 'DELETE FROM')"
    )
    return found


async def test_the_purge_is_done_only_when_no_worker_can_still_store(
    pool: asyncpg.Pool, store: BatchStore
) -> None:
    """A worker that looked the project up before its deletion may still store its events."""
    await delete(pool)
    await purge_deleted(pool)
    assert await pool.fetchval("SELECT emptied_utc FROM deleted_projects") is None

    await store.save([normalized(an_event())])
    assert await purge_deleted(pool) > 0
    assert await left(pool, "events") == 0

    await pool.execute(
        "UPDATE deleted_projects SET deleted_utc = deleted_utc - $1::interval", timedelta(hours=1)
    )
    await purge_deleted(pool)
    assert await pool.fetchval("SELECT emptied_utc FROM deleted_projects") is not None
    assert await purge_deleted(pool) == 0


async def test_a_project_that_another_worker_is_purging_is_skipped(
    pool: asyncpg.Pool, store: BatchStore
) -> None:
    """Without waiting."""
    del store
    await delete(pool)

    async with pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM deleted_projects FOR UPDATE")
        assert await purge_deleted(pool) == 0

    assert await purge_deleted(pool) > 0


async def test_deleting_an_organization_purges_all_its_projects(
    pool: asyncpg.Pool, store: BatchStore
) -> None:
    """And its tokens."""
    del store
    async with pool.acquire() as connection:
        gone = await delete_organizations(connection, [ORGANIZATION])

    assert set(gone.projects) == {PROJECT, OTHER_PROJECT}
    await purge_deleted(pool)
    assert await stored(pool) == []
    assert await differing(pool) == {}


async def test_a_restored_project_keeps_its_rows(pool: asyncpg.Pool, store: BatchStore) -> None:
    """If a project was restored with the same id, from a backup for example, nothing of it may be purged."""
    del store
    await delete(pool)
    async with pool.acquire() as connection:
        await add_project(connection, PROJECT, ORGANIZATION, "Shop")

    assert await purge_deleted(pool) == 0

    await delete(pool)
    assert await purge_deleted(pool) > 0


async def test_purging_an_unknown_project_does_nothing(pool: asyncpg.Pool) -> None:
    """Also a second time."""
    await delete(pool)
    await delete(pool)

    assert await purge_deleted(pool) == 0
