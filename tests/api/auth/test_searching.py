"""Searches do not delay other requests, and end when the client disconnects."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import UUID

import asyncpg
import pytest

from collector.api.auth.authentication import Identity
from collector.api.auth.searching import turn_key
from collector.api.core.service import searches_beside_others
from tests.api.running_api import EMAIL, PASSWORD, RunningApi, running_api
from tests.database.rows import ORGANIZATION, PROJECT, an_event
from tests.support.waiting import until

pytestmark = pytest.mark.integration

SEARCHES = ("events?filter=absent", "events?include=total", "events?sort=value", "events/count", "stacks")
LOOK_UPS = (
    "events",
    "events?sort=date&limit=100",
    "events/by-ref/nothing-1",
    "events?filter=id:abc",
    "projects",
)


@pytest.fixture
async def small_api(database_url: str, redis_url: str, key_prefix: str) -> AsyncIterator[RunningApi]:
    """An api with two connections, one of which may be used for searches."""
    async with running_api(database_url, redis_url, key_prefix, database_connections=2) as running:
        yield running


async def test_lookups_do_not_wait_for_searches(small_api: RunningApi) -> None:
    """While searches use all slots, everything else is answered; the searches are answered later."""
    event = an_event()
    await small_api.store(event)
    user = small_api.people.user
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        slot = small_api.parts.search_slots.slot("somebody", longest_seconds=15)
        async with slot:
            searches = [group.create_task(small_api.get(f"/api/v2/{path}", user)) for path in SEARCHES]
            for path in (*LOOK_UPS, f"events/{event.id.hex()}"):
                assert (await small_api.get(f"/api/v2/{path}", user)).status == 200
            login = {"email": EMAIL, "password": PASSWORD}
            assert (await small_api.post("/api/v2/auth/login", body=login)).status == 200
            made = await small_api.post(f"/api/v2/projects/{PROJECT.hex}/tokens", user)
            assert made.status == 201
            assert not any(search.done() for search in searches)
    assert [search.result().status for search in searches] == [200] * len(SEARCHES)


async def test_all_searches_of_an_organization_share_its_turns(api: RunningApi) -> None:
    """A person's login and a program's token are one client; another organization gets its slot."""
    slots = api.parts.search_slots
    async with AsyncExitStack() as held:
        blocker = await asyncpg.connect(api.parts.settings.database_url)
        held.push_async_callback(blocker.close)
        await held.enter_async_context(blocker.transaction())
        await blocker.execute("LOCK TABLE events, stacks IN ACCESS EXCLUSIVE MODE")
        tokens = (api.people.user, api.people.program)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            searches = [
                group.create_task(api.get("/api/v2/stacks", token)) for token in tokens for _ in range(4)
            ]
            await until(lambda: sum(slots._running.values()) == slots._total - 1)
            other = group.create_task(api.get("/api/v2/stacks", api.people.other_program))
            await until(lambda: sum(slots._running.values()) == slots._total)
            assert sorted(slots._running.values()) == [1, slots._total - 1]
            await blocker.execute("ROLLBACK")
    assert {search.result().status for search in (*searches, other)} == {200}


async def test_filters_are_checked_in_turn_and_apart_from_searches(api: RunningApi) -> None:
    """A large one takes many milliseconds, during which nothing else would be answered."""
    path, checks = "/api/v2/search/validate?query=a", api.parts.filter_checks
    async with asyncio.timeout(20), asyncio.TaskGroup() as group, checks.slot("somebody"):
        waiting = [group.create_task(api.get(path, token)) for token in (api.people.user, api.people.program)]
        await until(lambda: sum(map(len, checks._waiting.values())) == 2)
        assert list(checks._waiting) == [f"organization:{ORGANIZATION.hex}"]
        assert (await api.get("/api/v2/stacks", api.people.user)).status == 200
    assert [check.result().json["is_valid"] for check in waiting] == [True, True]


def test_a_person_of_several_organizations_uses_up_no_turns_of_theirs() -> None:
    """And does not wait for those who do: they may be in one with somebody hostile. A program has one."""
    several, one = (UUID(int=1), UUID(int=2)), (UUID(int=3),)

    assert turn_key(_identity(several, is_token=False)) == f"user:{PERSON.hex}"
    assert turn_key(_identity((), is_token=False)) == f"user:{PERSON.hex}"
    assert turn_key(_identity(one, is_token=False)) == f"organization:{one[0].hex}"
    assert turn_key(_identity(one, is_token=True)) == f"organization:{one[0].hex}"


PERSON = UUID(int=9)


def _identity(organizations: tuple[UUID, ...], *, is_token: bool) -> Identity:
    return Identity(frozenset({"user"}), organizations, PERSON, is_token)


@pytest.mark.parametrize(
    ("url", "number"),
    [
        pytest.param("postgresql://u:p@127.0.0.1:5432/d", 2, id="by address"),
        pytest.param("postgresql://localhost/d", 2, id="by name"),
        pytest.param("postgresql://db.example/d", None, id="another machine, of unknown size"),
    ],
)
def test_searches_leave_half_of_this_machine_to_others(
    monkeypatch: pytest.MonkeyPatch, url: str, number: int | None
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: set(range(5)))

    assert searches_beside_others(url) == number


@pytest.mark.parametrize("path", [*SEARCHES, *LOOK_UPS[:4]])
async def test_a_search_ends_when_its_client_disconnects(
    api: RunningApi, database_url: str, path: str
) -> None:
    """The query stops in Postgres, and the connection can be used again."""
    blocker = await asyncpg.connect(database_url)
    try:
        async with asyncio.timeout(20), blocker.transaction():
            await blocker.execute("LOCK TABLE events, stacks IN ACCESS EXCLUSIVE MODE")
            asking = asyncio.ensure_future(api.get(f"/api/v2/{path}", api.people.user))
            await until(lambda: _waits(api))
            asking.cancel()
            # The statement timeout would also stop it, but only after ten seconds.
            await until(lambda: _is_idle(api), seconds=5)
    finally:
        await blocker.close()

    assert (await api.get(f"/api/v2/{path}", api.people.user)).status == 200


async def _waits(api: RunningApi) -> bool:
    return bool(await _number(api, "Lock"))


async def _is_idle(api: RunningApi) -> bool:
    return not await _number(api, "active")


async def _number(api: RunningApi, what: str) -> int:
    number: int = await api.pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND application_name = 'headrace-api' AND (state = $1 OR wait_event_type = $1)",
        what,
    )
    return number
