"""Usage is shown with organizations and projects, one by one and in lists."""

from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from collector.broker.connection import connect
from collector.broker.counters.request_counters import RequestCounters
from collector.broker.keys import RedisKeys
from collector.database.owners.projects import add_project
from collector.database.writing.usage import UsageKey, add_usage
from collector.domain.event.outcome import Outcome
from collector.http.throttle import counted_organization
from tests.api.running_api import RunningApi, running_api
from tests.database.rows import ORGANIZATION, PROJECT, an_event, today
from tests.support.fakes import FakeClock, clock_of

pytestmark = pytest.mark.integration


@pytest.fixture
def clock() -> FakeClock:
    """Noon of the day on which the events happen."""
    return clock_of(today())


PATHS = ("/api/v2/projects", "/api/v2/organizations")
NOTHING = {"total": 0, "blocked": 0, "discarded": 0, "too_big": 0, "deleted": 0}


async def shown(api: RunningApi) -> list[dict[str, Any]]:
    """The usage of the project and the organization, each from a list and on its own."""
    views = []
    for path, id_ in zip(PATHS, (PROJECT, ORGANIZATION), strict=True):
        (listed,) = (await api.get(path, api.people.user)).json
        views += [listed, (await api.get(f"{path}/{id_.hex}", api.people.user)).json]
    return views


async def test_usage_counts_the_outcomes_of_events_by_month(api: RunningApi) -> None:
    """The last twelve months, with zeros where nothing happened. Deleted events still count as stored."""
    event = an_event()
    await api.store(event, an_event(), an_event())
    await api.request("DELETE", f"/api/v2/events/{event.id.hex()}", api.people.user)
    month = event.created_utc.replace(day=1, hour=0, minute=0, second=0, microsecond=0)

    for view in await shown(api):
        assert len(view["usage"]) == 12
        assert view["usage"] == sorted(view["usage"], key=lambda each: each["date"])
        by_date = {datetime.fromisoformat(each.pop("date")): each for each in view["usage"]}
        assert by_date.pop(month) == NOTHING | {"limit": -1, "total": 3, "deleted": 1}
        assert all(each == NOTHING | {"limit": -1} for each in by_date.values())


async def test_the_last_hours_are_listed(api: RunningApi) -> None:
    """Those with events."""
    hour = api.parts.clock.now().replace(minute=0, second=0, microsecond=0)
    async with api.pool.acquire() as connection:
        await add_usage(
            connection,
            {
                UsageKey(PROJECT, hour, Outcome.STORED): 5,
                UsageKey(PROJECT, hour, Outcome.DISCARDED, "bot"): 2,
                UsageKey(PROJECT, hour, Outcome.DEAD_LETTERED, "too_large"): 1,
            },
        )

    for view in await shown(api):
        (entry,) = (each for each in view["usage_hours"] if datetime.fromisoformat(each["date"]) == hour)
        assert entry.pop("date").endswith(":00:00Z")
        assert entry == NOTHING | {"total": 5, "discarded": 2, "too_big": 1}


async def test_each_of_many_projects_has_its_own_usage(api: RunningApi) -> None:
    """Also if they are read in chunks."""
    hour = api.parts.clock.now().replace(minute=0, second=0, microsecond=0)
    ids = [UUID(int=number + 1) for number in range(205)]
    async with api.pool.acquire() as connection:
        for number, id_ in enumerate(ids):
            await add_project(connection, id_, ORGANIZATION, f"Project {number:03}")
        counts = {UsageKey(id_, hour, Outcome.STORED): number for number, id_ in enumerate(ids)}
        await add_usage(connection, counts)

    views = (await api.get("/api/v2/projects?limit=205", api.people.user)).json

    assert [sum(month["total"] for month in view["usage"]) for view in views] == list(range(205))


async def test_a_limit_is_shown_with_every_month(api: RunningApi) -> None:
    """Also for a project, whose organization has the limit."""
    await api.pool.execute("UPDATE organizations SET monthly_event_limit = 1000")

    for view in await shown(api):
        assert {each["limit"] for each in view["usage"]} == {1000}


async def test_people_see_that_their_programs_have_used_up_their_requests(
    database_url: str, redis_url: str, key_prefix: str
) -> None:
    """If requests are limited."""
    async with running_api(database_url, redis_url, key_prefix, request_limit=2, clock=FakeClock()) as api:
        path = f"/api/v2/organizations/{ORGANIZATION.hex}"
        before = await api.get(path, api.people.user)
        await use_up(2, api, redis_url, key_prefix)
        after = await api.get(path, api.people.user)

    assert [answer.json["is_over_request_limit"] for answer in (before, after)] == [False, True]


async def use_up(requests: int, api: RunningApi, redis_url: str, key_prefix: str) -> None:
    """Count requests of the organization's programs in this quarter of an hour."""
    redis, now_seconds = connect(redis_url, socket_timeout_seconds=5), api.parts.clock.now_ms() // 1000
    counters = RequestCounters(redis, RedisKeys(key_prefix))
    for _ in range(requests):
        await counters.count(counted_organization(ORGANIZATION.hex), now_seconds)
    await redis.aclose()
