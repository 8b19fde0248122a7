"""The state of the server, as operators see it."""

from collections import Counter
from datetime import timedelta

import pytest

from collector.broker.connection import connect
from collector.broker.keys import RedisKeys
from collector.broker.queue.post_stream import PostStream
from collector.broker.queue.shards import Shards
from collector.domain.event.outcome import DeadLetterReason, Discard, DiscardReason
from tests.api.running_api import RunningApi
from tests.database.rows import PROJECT, a_letter, an_event, normalized
from tests.support.factories import a_batch, a_post
from tests.support.real_clock import real_now

pytestmark = pytest.mark.integration

PATH = "/api/v2/admin/overview"


async def test_the_overview_counts_what_became_of_a_days_events_and_what_is_kept(api: RunningApi) -> None:
    """Of all projects; what was accepted before is left out."""
    now = real_now()
    hour = now.replace(minute=0, second=0, microsecond=0)
    discarded = Counter(
        {
            Discard(PROJECT, hour, DiscardReason.TOO_OLD): 2,
            Discard(PROJECT, hour - timedelta(hours=30), DiscardReason.TOO_OLD): 40,
        }
    )
    letters = [
        a_letter(reason=DeadLetterReason.TOO_DEEP, body=b"123", accepted_utc=now),
        a_letter(reason=DeadLetterReason.TOO_DEEP, body=b"12", accepted_utc=now),
        a_letter(accepted_utc=now),
    ]
    await api.save(normalized(an_event(accepted=now), dead_letters=letters, discarded=discarded))

    overview = (await api.get(PATH, api.people.admin)).json

    outcomes = {(one["outcome"], one["reason"]): one["events"] for one in overview["outcomes"]}
    assert outcomes["stored", ""] == 1
    assert outcomes["discarded", "too_old"] == 2
    assert overview["dead_letters"] == [
        {"reason": "too_deep", "letters": 2, "bytes": 5},
        {"reason": "corrupt_encoding", "letters": 1, "bytes": 4},
    ]
    assert overview["event_bytes"] > 0
    assert overview["database_bytes"] > overview["event_bytes"]
    assert overview["held_posts"] == 0


async def test_days_that_are_over_without_rollups_are_counted(api: RunningApi) -> None:
    """The day that has them all, and today, are not behind."""
    now = real_now()
    for days in (0, 1, 2):
        await api.store(an_event(accepted=now - timedelta(days=days)))
    before = (await api.get(PATH, api.people.admin)).json["rollups_behind"]
    await api.pool.execute(
        "INSERT INTO rollup_days (day, has_hours, has_days, has_users) VALUES ($1, true, true, true)"
        " ON CONFLICT (day) DO UPDATE SET has_hours = true, has_days = true, has_users = true",
        (now - timedelta(days=1)).date(),
    )

    after = (await api.get(PATH, api.people.admin)).json["rollups_behind"]

    assert (before - after, after >= 1) == (1, True)


async def test_the_rest_is_shown_while_the_queue_cannot_be_read(api_without_redis: RunningApi) -> None:
    """Without numbers, which would look like an empty queue."""
    api = api_without_redis

    overview = (await api.get(PATH, api.people.admin)).json

    assert overview["queue"]["problem"].startswith("Redis cannot be read: ")
    assert [overview["queue"][name] for name in ("entries", "oldest_utc", "workers")] == [None, None, None]
    assert overview["database_bytes"] > 0


async def test_the_queue_shows_its_entries_its_oldest_and_its_workers(
    api: RunningApi, redis_url: str, key_prefix: str
) -> None:
    empty = (await api.get(PATH, api.people.admin)).json["queue"]
    keys = RedisKeys(key_prefix)
    redis = connect(redis_url, socket_timeout_seconds=5)
    stream = PostStream(redis, keys, Shards(redis, keys))
    await stream.ensure_group()
    await stream.append(0, a_batch(a_post()))
    await stream.append(0, a_batch(a_post()))
    await stream.read("worker-1", 1, 1)
    await redis.aclose()

    queue = (await api.get(PATH, api.people.admin)).json["queue"]

    assert empty == {"entries": 0, "oldest_utc": None, "workers": 0, "problem": None}
    assert (queue["entries"], queue["workers"], queue["problem"]) == (2, 1, None)
    assert queue["oldest_utc"] is not None
