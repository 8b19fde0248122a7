"""What operators see of events and stacks while an api runs."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from collector.admin import events, projects
from collector.admin.events import ListOptions
from collector.broker.connection import connect
from collector.broker.keys import RedisKeys
from collector.database.owners.projects import add_project
from collector.domain.errors import BadRequest, Conflict, NotFound
from collector.process.lifecycle import Stop
from tests.api.running_api import RunningApi
from tests.database.rows import ORGANIZATION, OTHER_PROJECT, PROJECT, an_event, today
from tests.support.real_clock import real_days_ago, real_now

pytestmark = pytest.mark.integration

NEW = UUID("01a00000-0000-7000-8000-0000000000cc")


async def listed(api: RunningApi, options: ListOptions) -> list[str | None]:
    """The messages of the listed events."""
    return [each.event.message async for each in events.newest(api.parts, options)]


async def test_the_newest_events_come_first_up_to_the_number_asked_for(api: RunningApi) -> None:
    """For all projects or one by name; by filter and by time."""
    dates = [today() - timedelta(days=1, minutes=number) for number in range(3)]
    await api.store(*(an_event(message=f"m{number}", date=date) for number, date in enumerate(dates)))
    await api.store(an_event(message="other", date=dates[2] - timedelta(minutes=1), project_id=OTHER_PROJECT))

    assert await listed(api, ListOptions()) == ["m0", "m1", "m2", "other"]
    assert await listed(api, ListOptions(limit=2)) == ["m0", "m1"]
    assert await listed(api, ListOptions(project="shop")) == ["m0", "m1", "m2"]
    assert await listed(api, ListOptions(project=OTHER_PROJECT.hex)) == ["other"]
    assert await listed(api, ListOptions("message:m1")) == ["m1"]
    assert await listed(api, ListOptions(time="last hour")) == []
    with pytest.raises(BadRequest):
        await listed(api, ListOptions("message:("))
    with pytest.raises(NotFound):
        await listed(api, ListOptions(project="nothing"))


async def test_stacks_are_listed_with_their_titles(api: RunningApi) -> None:
    """The most recent occurrence first."""
    await api.store(an_event(source="a", date=today() - timedelta(days=2)))
    await api.store(an_event(source="b", date=today() - timedelta(days=1)))

    found = await events.stacks(api.parts, ListOptions())

    assert [each.row["project"] for each in found] == ["Shop", "Shop"]
    assert found[0].view.last_occurrence > found[1].view.last_occurrence
    assert len(await events.stacks(api.parts, ListOptions(limit=1))) == 1


async def test_new_events_are_followed_in_the_order_in_which_they_are_stored(
    api: RunningApi, redis_url: str, key_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Including those that waited in the queue for an hour. Each is shown once, and a stop ends it."""
    monkeypatch.setattr("collector.admin.events._ROUND_SECONDS", 0.01)
    redis = connect(redis_url, socket_timeout_seconds=5)
    keys = RedisKeys(key_prefix)
    long_ago = real_days_ago(1)
    waiting = f"{int(long_ago.timestamp() * 1000)}-0"
    await redis.xadd(keys.stream(0), {b"v": b"1"}, id=waiting)
    await api.store(an_event(message="before", accepted=long_ago - timedelta(hours=2)))
    stop, seen = Stop(), asyncio.Queue[str | None]()

    async def follow() -> None:
        async for each in events.followed(api.parts, ListOptions("type:log", limit=5), stop):
            seen.put_nowait(each.event.message)
        seen.put_nowait("end")

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(follow())
        assert await seen.get() == "before"
        await api.store(an_event(message="no log", type="usage", accepted=real_now()))
        await api.store(an_event(message="new", accepted=real_now()))
        assert await seen.get() == "new"
        await api.store(an_event(message="late", accepted=long_ago))
        assert await seen.get() == "late"
        await redis.xdel(keys.stream(0), waiting)
        await api.store(an_event(message="newer", accepted=real_now()))
        assert await seen.get() == "newer"
        stop.request()
        assert await seen.get() == "end"
    assert seen.empty()
    await redis.aclose()


async def test_the_ids_of_followed_events_are_bounded(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.admin.events._MOST_SEEN", 4)
    seen = events.Seen()
    ids = [UUID(bytes=an_event().id) for _ in range(10)]

    for event_id in ids:
        seen.add([event_id])
        assert len(seen) <= 4
    assert api.url


async def test_a_unique_name_can_replace_an_id(api: RunningApi) -> None:
    """In any case. If several match, the error lists them."""
    assert (await projects.show(api.parts, "SHOP")).id == PROJECT.hex
    made = await projects.create(api.parts, "Shop", "umbrella")
    with pytest.raises(Conflict) as refused:
        await projects.show(api.parts, "Shop")

    assert made.organization_name == "Umbrella"
    assert f"{PROJECT.hex} (of Acme)" in refused.value.title
    assert f"{made.id} (of Umbrella)" in refused.value.title
    assert (await projects.show(api.parts, made.id)).name == "Shop"
    assert [each.id for each in await projects.list_all(api.parts, "acme")] == [PROJECT.hex]


async def test_only_some_of_many_matches_are_listed(api: RunningApi) -> None:
    async with api.pool.acquire() as connection:
        for number in range(30):
            await add_project(connection, UUID(int=NEW.int + number), ORGANIZATION, "Same")
    with pytest.raises(Conflict, match="and more") as refused:
        await projects.show(api.parts, "same")

    assert refused.value.title.count("(of Acme)") == 10


async def test_a_trace_takes_a_projects_name(api: RunningApi) -> None:
    await api.store(an_event(reference_id="order-4711"))

    assert (await events.trace(api.parts, "order-4711", "shop")).verdict == "stored"
    assert (await events.trace(api.parts, "order-4711", "lab")).verdict == "not_found"
    with pytest.raises(NotFound):
        await events.trace(api.parts, "order-4711", "nothing")
