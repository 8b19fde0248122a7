"""Dead letters stay within their bounds, by the writing transaction and a job; every one is counted."""

from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from collector.database.audit import read_ledger
from collector.database.writing import dead_letters
from collector.database.writing.dead_letters import bound_dead_letters, keep_dead_letters
from collector.domain.event.outcome import DeadLetter, DeadLetterReason
from collector.domain.ids import PostIds
from tests.database.rows import OTHER_PROJECT, PROJECT
from tests.support.real_clock import real_now

pytestmark = pytest.mark.integration

_ids = PostIds()


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten letters and a hundred bytes of a project, 160 bytes in all."""
    monkeypatch.setattr(dead_letters, "LETTERS_OF_PROJECT", 10)
    monkeypatch.setattr(dead_letters, "BYTES_OF_PROJECT", 100)
    monkeypatch.setattr(dead_letters, "BYTES_IN_ALL", 160)


async def _keep(
    pool: asyncpg.Pool, number: int, *, size: int = 10, project: UUID | None = PROJECT, days_ago: int = 0
) -> None:
    """Write letters in one transaction."""
    accepted = real_now() - timedelta(days=days_ago)
    ids = PostIds() if days_ago else _ids  # which never go back in time
    letters = [
        DeadLetter(
            UUID(bytes=ids.next(round(accepted.timestamp() * 1000))),
            DeadLetterReason.CORRUPT_ENCODING,
            "cut off",
            b"x" * size,
            accepted,
            project,
        )
        for _ in range(number)
    ]
    async with pool.acquire() as connection, connection.transaction():
        await keep_dead_letters(connection, letters)


async def _kept(pool: asyncpg.Pool) -> list[tuple[int, int]]:
    """The size of each body that is there and of each that was removed, the oldest first."""
    rows = await pool.fetch("SELECT octet_length(body), removed_bytes FROM dead_letters ORDER BY id")
    return [tuple(row) for row in rows]


async def _counted(pool: asyncpg.Pool) -> int:
    """The letters that the audit compares with the outcomes."""
    return sum((await read_ledger(pool, counts_events=False)).dead_letters.values())


async def test_beyond_its_bytes_a_project_keeps_the_reason_without_the_body(pool: asyncpg.Pool) -> None:
    """Within one transaction and over several; other projects keep theirs."""
    await _keep(pool, 2, size=40)
    await _keep(pool, 2, size=15)
    await _keep(pool, 1, size=40, project=OTHER_PROJECT)

    assert await _kept(pool) == [(40, 0), (40, 0), (15, 0), (0, 15), (40, 0)]
    assert await _counted(pool) == 5


async def test_beyond_its_letters_a_project_keeps_the_count(pool: asyncpg.Pool) -> None:
    """The audit still adds up."""
    for project in (PROJECT, None):
        await _keep(pool, 7, size=1, project=project)
        await _keep(pool, 7, size=1, project=project)

    assert len(await _kept(pool)) == 20
    assert await _counted(pool) == 28


async def test_the_job_makes_room_at_the_cost_of_the_oldest(pool: asyncpg.Pool) -> None:
    """Of bodies and of letters, so that the newest can be looked at."""
    await _keep(pool, 10, size=10)
    await _keep(pool, 2, size=10)
    assert await bound_dead_letters(pool, 30) == 2
    assert await _kept(pool) == [(0, 10)] * 1 + [(10, 0)] * 7

    await _keep(pool, 2, size=10)

    assert (await _kept(pool))[-2:] == [(10, 0), (10, 0)]
    assert await _counted(pool) == 14


async def test_many_projects_share_what_there_is_in_all(pool: asyncpg.Pool) -> None:
    """One alone may keep a hundred bytes, four of them forty each."""
    for number in range(1, 5):
        await _keep(pool, 4, size=10, project=UUID(int=number))
    await _keep(pool, 4, size=10, project=UUID(int=1))
    await bound_dead_letters(pool, 30)

    sizes = await pool.fetch("SELECT sum(octet_length(body))::int FROM dead_letters GROUP BY project_id")
    assert [size for (size,) in sizes] == [30] * 4
    assert await _counted(pool) == 20


async def test_letters_older_than_retention_are_counted_and_removed(pool: asyncpg.Pool) -> None:
    """As events are; also those of no known project."""
    await _keep(pool, 3, days_ago=31)
    await _keep(pool, 2, days_ago=31, project=None)
    await _keep(pool, 1, days_ago=1)

    assert await bound_dead_letters(pool, 30) == 5

    assert await _kept(pool) == [(10, 0)]
    assert await _counted(pool) == 6
    totals = await pool.fetchrow("SELECT sum(letters)::int, sum(bytes)::int FROM dead_letter_totals")
    assert tuple(totals) == (1, 10)
