"""Users' descriptions wait for their events, and are written into them once."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from collector.database.schema.rollups import make_rollups
from collector.database.sessions import user_descriptions
from collector.database.sessions.user_descriptions import (
    Described,
    apply_descriptions,
    forget_descriptions,
    keep_descriptions,
)
from collector.database.writing.store import BatchStore
from collector.domain.event.outcome import Event, UserDescription
from tests.database.histories import age_outdated
from tests.database.rows import (
    ORGANIZATION,
    OTHER_PROJECT,
    PROJECT,
    an_event,
    days_ago,
    normalized,
    post_id,
    stored,
)
from tests.support.real_clock import real_days_ago, real_now

pytestmark = pytest.mark.integration

TEXT = b'{"email_address":"me@example.com","description":"It broke."}'


def a_young_event(**members: Any) -> Event:
    """An event accepted just now by Postgres's clock: the first look-ups search the latest partitions."""
    return an_event(accepted=real_now(), **members)


def _description(reference_id: str = "order-4711", text: bytes = TEXT, **members: Any) -> UserDescription:
    values = {"id": post_id(), "project_id": PROJECT.bytes, "organization_id": ORGANIZATION.bytes}
    return UserDescription(reference_id=reference_id, description=text, **(values | members))


async def _keep(pool: asyncpg.Pool, *descriptions: UserDescription) -> None:
    async with pool.acquire() as connection:
        await keep_descriptions(connection, descriptions)


async def _let_time_pass(pool: asyncpg.Pool, by: timedelta = timedelta(hours=1)) -> None:
    await pool.execute(
        "UPDATE user_descriptions"
        " SET due_utc = due_utc - $1::interval, stored_utc = stored_utc - $1::interval",
        by,
    )


async def _waiting(pool: asyncpg.Pool) -> int:
    number: int = await pool.fetchval("SELECT count(*) FROM user_descriptions")
    return number


async def _references(pool: asyncpg.Pool) -> list[str]:
    rows = await pool.fetch("SELECT reference_id FROM user_descriptions ORDER BY id")
    return [row["reference_id"] for row in rows]


async def _data(pool: asyncpg.Pool) -> list[dict[str, Any]]:
    return [msgspec.json.decode(row["data"]) for row in await stored(pool)]


async def test_a_description_is_written_into_its_event(pool: asyncpg.Pool) -> None:
    """Other members of its data stay, and the description is deleted."""
    # Ids of the same millisecond are in no order, and rows are read in that of their ids.
    later = an_event(accepted=real_now() + timedelta(milliseconds=2))
    await BatchStore(pool).save([normalized(a_young_event(reference_id="order-4711"), later)])
    await _keep(pool, _description())

    assert await apply_descriptions(pool, 10) == Described(due=1, applied=1)
    described, other = await _data(pool)
    assert described == {
        "answer": 42,
        "@user_description": {"email_address": "me@example.com", "description": "It broke."},
    }
    assert other == {"answer": 42}
    assert await _waiting(pool) == 0


async def test_a_description_waits_for_its_event(pool: asyncpg.Pool) -> None:
    """It overtook the event, or its client sends the event later."""
    await _keep(pool, _description())
    early = [await apply_descriptions(pool, 10), await apply_descriptions(pool, 10)]
    await BatchStore(pool).save([normalized(a_young_event(reference_id="order-4711"))])
    await _let_time_pass(pool)

    assert early == [Described(due=1), Described()]
    assert await apply_descriptions(pool, 10) == Described(due=1, applied=1)
    assert "@user_description" in (await _data(pool))[0]


async def test_an_old_event_is_found_after_a_few_look_ups(pool: asyncpg.Pool) -> None:
    """The first look-ups search the latest partitions, later ones all of them."""
    await BatchStore(pool).save([normalized(an_event(accepted=days_ago(5), reference_id="order-4711"))])
    await _keep(pool, _description())
    applied = []
    for _ in range(4):
        applied.append((await apply_descriptions(pool, 10)).applied)
        await _let_time_pass(pool)

    assert applied == [0, 0, 0, 1]


async def test_the_pause_between_look_ups_grows_up_to_a_limit(pool: asyncpg.Pool) -> None:
    """Ten minutes, however often the event was not found."""
    await _keep(pool, _description())
    await pool.execute("UPDATE user_descriptions SET tries = 1000000")

    await apply_descriptions(pool, 10)

    row = await pool.fetchrow("SELECT due_utc - now() AS pause FROM user_descriptions")
    assert timedelta(minutes=9) < row["pause"] <= timedelta(minutes=10)


async def test_an_event_is_found_by_its_own_id(pool: asyncpg.Pool) -> None:
    """The first version of the API names events in this way."""
    event = a_young_event()
    await BatchStore(pool).save([normalized(event)])
    await _keep(pool, _description(event.id.hex()))

    assert (await apply_descriptions(pool, 10)).applied == 1


async def test_another_projects_event_is_not_described(pool: asyncpg.Pool) -> None:
    """Neither by reference nor by id."""
    event = a_young_event(project_id=OTHER_PROJECT, reference_id="order-4711")
    await BatchStore(pool).save([normalized(event)])
    await _keep(pool, _description(), _description(event.id.hex()))

    assert await apply_descriptions(pool, 10) == Described(due=2)


async def test_the_placeholder_for_invalid_references_finds_no_event(pool: asyncpg.Pool) -> None:
    """Any number of events have it."""
    await BatchStore(pool).save([normalized(a_young_event(reference_id="invalid-reference-id"))])
    await _keep(pool, _description("invalid-reference-id"))

    assert (await apply_descriptions(pool, 10)).applied == 0


async def test_of_several_descriptions_of_an_event_the_last_one_wins(pool: asyncpg.Pool) -> None:
    """In the order in which the user sent them."""
    await BatchStore(pool).save([normalized(a_young_event(reference_id="order-4711"))])
    first, last = _description(text=b'{"description":"one"}'), _description(text=b'{"description":"two"}')
    await _keep(pool, last, first)

    assert await apply_descriptions(pool, 10) == Described(due=2, applied=2)
    assert (await _data(pool))[0]["@user_description"] == {"description": "two"}


async def test_a_description_that_postgres_rejects_does_not_block_others(pool: asyncpg.Pool) -> None:
    """It should not exist at all; it is deleted and counted."""
    references = [f"reference-{number}" for number in range(3)]
    await BatchStore(pool).save([normalized(*(a_young_event(reference_id=each) for each in references))])
    texts = (TEXT, b'{"description":"\\u0000"}', TEXT)
    await _keep(pool, *(_description(each, text) for each, text in zip(references, texts, strict=True)))

    assert await apply_descriptions(pool, 10) == Described(due=3, applied=2, refused=1)
    assert await _waiting(pool) == 0


async def test_several_workers_share_the_descriptions(pool: asyncpg.Pool) -> None:
    """Each description is written once, and no worker waits for another."""
    references = [f"reference-{number}" for number in range(30)]
    await BatchStore(pool).save([normalized(*(a_young_event(reference_id=each) for each in references))])
    await _keep(pool, *map(_description, references))

    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(apply_descriptions(pool, 10)) for _ in range(3)]

    applied = sum(run.result().applied for run in runs) + (await apply_descriptions(pool, 100)).applied
    assert (applied, await _waiting(pool)) == (30, 0)
    assert all("@user_description" in data for data in await _data(pool))


@pytest.mark.parametrize(("retention_days", "waited_days"), [(30, 4), (1, 2)])
async def test_descriptions_of_events_that_never_came_are_deleted(
    pool: asyncpg.Pool, retention_days: int, waited_days: int
) -> None:
    """Clients keep events for three days, and after retention they cannot exist."""
    await _keep(pool, _description())
    await _let_time_pass(pool, timedelta(days=waited_days))
    await _keep(pool, _description())

    assert await forget_descriptions(pool, retention_days) == 1
    assert await _waiting(pool) == 1


async def test_the_newest_descriptions_of_a_project_replace_its_oldest(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By number and by bytes; those of other projects stay."""
    monkeypatch.setattr(user_descriptions, "WAITING_OF_PROJECT", 3)
    monkeypatch.setattr(user_descriptions, "BYTES_OF_PROJECT", 3 * len(TEXT))
    await _keep(pool, _description("other", project_id=OTHER_PROJECT.bytes))
    for number in range(5):
        await _keep(pool, _description(f"order-{number}"))
    by_number = await _references(pool)
    await _keep(pool, _description("order-5", TEXT + b" " * len(TEXT)))

    assert by_number == ["other", "order-2", "order-3", "order-4"]
    assert await _references(pool) == ["other", "order-4", "order-5"]


async def test_a_description_that_is_inserted_twice_is_stored_once(pool: asyncpg.Pool) -> None:
    """Its id is that of its post."""
    description = _description()
    await _keep(pool, description, description)

    assert [row["id"] for row in await pool.fetch("SELECT id FROM user_descriptions")] == [
        UUID(bytes=description.id)
    ]


async def test_the_user_that_a_description_names_is_counted(pool: asyncpg.Pool) -> None:
    """Also after the users of the event's day have been counted: they are counted again."""
    event = an_event(accepted=real_days_ago(1), reference_id="order-4711")
    await BatchStore(pool).save([normalized(event)])
    await make_rollups(pool)
    assert await pool.fetchval("SELECT count(*) FROM user_hours") == 0

    await _keep(pool, _description())
    assert await apply_descriptions(pool, 10) == Described(1, 1)
    assert not await pool.fetchval(
        "SELECT has_users FROM rollup_days WHERE day = $1", real_days_ago(1).date()
    )

    await age_outdated(pool)
    await make_rollups(pool)
    assert await pool.fetchval("SELECT users FROM stack_user_days") == 1
