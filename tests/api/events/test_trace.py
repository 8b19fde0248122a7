"""How the api traces an event by its reference id: stored, waiting, dead-lettered, or not found."""

import gzip
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from collector.broker.connection import connect
from collector.broker.keys import RedisKeys
from collector.broker.queue.post_stream import PostStream
from collector.broker.queue.shards import Shards
from collector.domain.event.outcome import DeadLetterReason, Discard, DiscardReason
from collector.domain.post import USER_DESCRIPTION, Post
from tests.api.running_api import RunningApi
from tests.database.rows import (
    ORGANIZATION,
    OTHER_PROJECT,
    PROJECT,
    a_letter,
    an_event,
    normalized,
)
from tests.support.factories import a_batch, a_post
from tests.support.real_clock import real_now

pytestmark = pytest.mark.integration

REFERENCE = "order-4711"
BODY = b'[{"message":"other","reference_id":"order-4712"},{"message":"x","reference_id":"order-4711"}]'


@pytest.fixture
async def stream(redis_url: str, key_prefix: str) -> AsyncIterator[PostStream]:
    """The queue that the api reads."""
    redis = connect(redis_url, socket_timeout_seconds=5)
    keys = RedisKeys(key_prefix)
    yield PostStream(redis, keys, Shards(redis, keys))
    await redis.aclose()


def posted(body: bytes = BODY, **members: Any) -> Post:
    """Append a post to the project of these tests."""
    owner = {"project_id": PROJECT.bytes, "organization_id": ORGANIZATION.bytes}
    return a_post(**({"body": body} | owner | members))


async def traced(api: RunningApi, reference: str = REFERENCE, **parameters: str) -> Any:
    """Trace as an administrator."""
    answer = await api.get(
        "/api/v2/admin/trace", api.people.admin, params={"reference": reference, **parameters}
    )
    assert answer.status == 200
    return answer.json


async def test_a_stored_event_is_found_in_every_project_that_has_it(api: RunningApi) -> None:
    """Including those of suspended organizations. If a project is named, only that one is searched."""
    await api.pool.execute("UPDATE organizations SET is_suspended = true WHERE id <> $1", ORGANIZATION)
    mine, other = an_event(reference_id=REFERENCE), an_event(reference_id=REFERENCE, project_id=OTHER_PROJECT)
    await api.store(mine, other, an_event(reference_id="order-0000"))

    whole, part = await traced(api), await traced(api, project=PROJECT.hex)

    assert whole["verdict"] == "stored"
    assert {found["event_id"] for found in whole["stored"]} == {mine.id.hex(), other.id.hex()}
    assert [found["event_id"] for found in part["stored"]] == [mine.id.hex()]
    assert f"Stored as the event {mine.id.hex()} of the project Shop ({PROJECT.hex})" in part["said"][0]


@pytest.mark.parametrize(
    "post",
    [
        pytest.param(posted(), id="plain"),
        pytest.param(posted(gzip.compress(BODY), content_encoding="gzip"), id="compressed"),
        pytest.param(
            posted(b'{"description":"It fell"}', kind=USER_DESCRIPTION, reference_id=REFERENCE),
            id="a description",
        ),
    ],
)
async def test_an_event_that_waits_is_found_in_the_queue(
    api: RunningApi, stream: PostStream, post: Post
) -> None:
    """With its position, and whether a worker has it."""
    await stream.ensure_group()
    await stream.append(0, a_batch(posted(b'{"message":"order-4711"}')))
    await stream.append(0, a_batch(posted(b"{}"), post))
    waiting = await traced(api)
    await stream.read("worker-1", 10, 1)
    in_hand = await traced(api)

    assert waiting["verdict"] == in_hand["verdict"] == "waiting"
    (found,), (later,) = waiting["queue"]["found"], in_hand["queue"]["found"]
    assert (found["entries_before"], found["is_in_hand"], found["project_name"]) == (1, False, "Shop")
    assert found["kind"] == ("description" if post.kind else "event")
    assert (later["is_in_hand"], later["worker"], later["deliveries"]) == (True, "worker-1", 1)
    assert waiting["queue"] | {"found": []} == {"found": [], "entries": 2, "looked_at": 2, "problem": None}
    assert "not yet delivered to a worker" in waiting["said"][0]
    assert "worker-1" in in_hand["said"][0]
    assert (await traced(api, project=PROJECT.hex))["queue"]["found"]


async def test_a_dead_letter_that_holds_the_event_is_found(api: RunningApi) -> None:
    """Compressed or not, with its reason. One that cannot be decompressed is reported, not skipped."""
    plain = a_letter(reason=DeadLetterReason.TOO_DEEP, detail="Too deep.", body=BODY)
    packed = a_letter(
        reason=DeadLetterReason.TOO_MANY_EVENTS, body=gzip.compress(BODY), content_encoding="gzip"
    )
    other = a_letter(body=b'{"reference_id":"order-0000"}')
    await api.save(normalized(dead_letters=[plain, packed, other]))

    found = await traced(api)

    assert found["verdict"] == "dead_lettered"
    assert {letter["id"] for letter in found["dead_letters"]["found"]} == {plain.id.hex, packed.id.hex}
    assert (found["dead_letters"]["looked_at"], found["dead_letters"]["is_whole"]) == (3, True)
    assert any("reason too_deep: Too deep." in line for line in found["said"])

    await api.save(normalized(dead_letters=[a_letter(content_encoding="gzip")]))
    assert (await traced(api))["dead_letters"]["is_whole"] is False


async def test_an_event_that_is_not_found_is_answered_with_the_projects_counts(api: RunningApi) -> None:
    """Duplicates and discarded events are only counted."""
    event = an_event(reference_id="order-0000", accepted=real_now())
    hour = event.created_utc.replace(minute=0, second=0, microsecond=0)
    too_old = Discard(PROJECT, hour, DiscardReason.TOO_OLD)
    await api.save(normalized(event, discarded=Counter({too_old: 2})))
    await api.save(normalized(an_event(reference_id="order-0000", accepted=real_now())))

    everywhere, there = await traced(api), await traced(api, project=PROJECT.hex)

    assert everywhere["verdict"] == there["verdict"] == "not_found"
    assert everywhere["endings"] == []
    assert there["endings"] == [
        {"outcome": "discarded", "reason": "too_old", "events": 2},
        {"outcome": "duplicate", "reason": "", "events": 1},
    ]
    assert there["said"][0].startswith("Not found in the queue, in the dead letters or among the events")
    assert "2 had the outcome discarded (too_old); which ones is not known." in there["said"][1]


async def test_an_invalid_reference_id_explains_how_such_events_are_stored(api: RunningApi) -> None:
    """Under another one."""
    found = await traced(api, "short")

    assert any("data.InvalidReferenceId" in line for line in found["said"])


@pytest.mark.parametrize(
    ("bound", "value"),
    [("_LOOK_ENTRIES", 2), ("_LOOK_BYTES", 2 * len(BODY)), ("_LOOK_SECONDS", 0.0)],
)
async def test_a_search_of_the_queue_that_was_cut_short_says_so(
    api: RunningApi, stream: PostStream, monkeypatch: pytest.MonkeyPatch, bound: str, value: float
) -> None:
    """With the share that was searched."""
    monkeypatch.setattr(f"collector.api.events.trace.{bound}", value)
    for number in range(5):
        await stream.append(0, a_batch(posted(BODY.replace(b"4711", b"000%d" % number))))

    found = await traced(api)

    assert "cut short" in found["queue"]["problem"]
    assert found["queue"]["looked_at"] <= 2
    assert any("cut short" in line for line in found["said"])


async def test_without_redis_the_trace_covers_postgres(api_without_redis: RunningApi) -> None:
    """It says that the queue could not be read."""
    await api_without_redis.store(an_event(reference_id=REFERENCE))

    found = await traced(api_without_redis)

    assert found["verdict"] == "stored"
    assert found["queue"]["problem"].startswith("Redis cannot be read")


@pytest.mark.parametrize("reference", ["", "x" * 1001, "a\0b"])
async def test_an_invalid_reference_id_is_400(api: RunningApi, reference: str) -> None:
    """With the rule."""
    answer = await api.get("/api/v2/admin/trace", api.people.admin, params={"reference": reference})

    assert answer.status == 400
    assert "`reference` must be" in answer.json["title"]


async def test_an_unknown_project_is_not_found(api: RunningApi) -> None:
    """Whatever its id looks like."""
    answer = await api.get(
        "/api/v2/admin/trace", api.people.admin, params={"reference": "order-4711", "project": "x"}
    )

    assert (answer.status, answer.json["title"]) == (404, "There is no such project.")
