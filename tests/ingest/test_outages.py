"""Bad days of the queue as ingest's clients see them: 503 with Retry-After, and no restart needed after."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

from collector.domain.access.projection import OrganizationEntry, ProjectEntry, Projection
from collector.domain.access.token import lookup_prefix
from collector.embedded.servers.valkey import Valkey
from collector.embedded.service import start_service
from collector.ingest import post_queue
from tests.ingest.running_ingest import BEARER, JSON, RunningIngest, running_ingest
from tests.support.factories import CLIENT_TOKEN, ORGANIZATION, PROJECT, a_token_entry
from tests.support.waiting import until

pytestmark = pytest.mark.integration

PROJECTION = Projection(
    {lookup_prefix(CLIENT_TOKEN): a_token_entry()},
    {PROJECT: ProjectEntry(ORGANIZATION)},
    {ORGANIZATION: OrganizationEntry()},
)


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[Valkey]:
    """A server of this test's own, which may be hurt."""
    service = Valkey(tmp_path)
    child = await start_service(service)
    yield service
    await child.stop()


@pytest.fixture
async def own_redis(valkey: Valkey) -> AsyncIterator[Redis]:
    """For what operators and accidents do to it."""
    async with Redis.from_url(valkey.url) as client:
        yield client


@pytest.fixture
async def ingest(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningIngest]:
    """An ingest process on it that gives up on a write sooner than usual."""
    monkeypatch.setattr(post_queue, "APPEND_SECONDS", 0.3)
    async with running_ingest(valkey.url, "", PROJECTION) as running:
        assert (await running.post()).status == 202
        yield running


async def _refused(ingest: RunningIngest) -> None:
    response = await ingest.post()
    problem = await response.json()
    assert response.status == problem["status"] == 503
    assert int(response.headers["Retry-After"]) > 0


async def _taken_again(ingest: RunningIngest) -> None:
    async def is_taken() -> bool:
        return (await ingest.post()).status == 202

    await until(is_taken, what="a post being taken again")


async def test_a_full_queue_refuses_until_there_is_room(ingest: RunningIngest, own_redis: Redis) -> None:
    """Nothing is evicted, nothing is lost; posts are 503 meanwhile."""
    await own_redis.config_set("maxmemory", 1)
    await _refused(ingest)
    await own_redis.config_set("maxmemory", "512mb")

    await _taken_again(ingest)


async def test_posts_are_refused_before_the_queue_is_full(ingest: RunningIngest, own_redis: Redis) -> None:
    """Posts leave room for tokens, counters and heartbeats."""
    used = (await own_redis.info("memory"))["used_memory"]
    await own_redis.config_set("maxmemory", int(used * 1.05))

    async def is_refused() -> bool:
        return (await ingest.post()).status == 503

    await until(is_refused, what="a refusal above the high mark")
    await own_redis.set("still", "writable")
    await own_redis.config_set("maxmemory", used * 100)

    await _taken_again(ingest)


async def test_a_read_only_queue_refuses_until_it_is_writable(
    ingest: RunningIngest, own_redis: Redis
) -> None:
    """A fail-over leaves a replica behind for a while."""
    await own_redis.replicaof("127.0.0.1", "1")
    await _refused(ingest)
    await own_redis.replicaof("NO", "ONE")

    await _taken_again(ingest)


async def test_settings_are_answered_while_nothing_can_be_written(
    ingest: RunningIngest, own_redis: Redis
) -> None:
    """A heartbeat, an event by GET and a description are 503 like a post; settings need no write."""
    await own_redis.config_set("maxmemory", 1)

    for method, path, body in (
        ("GET", "/api/v2/events/session/heartbeat?id=abc&close=true", None),
        ("GET", "/api/v2/events/submit?message=hi", None),
        ("POST", "/api/v2/events/by-ref/abcd-1234/user-description", b'{"description":"x"}'),
    ):
        answer = await ingest.request(method, path, data=body, headers=JSON | BEARER)
        assert (answer.status, (await answer.json())["status"]) == (503, 503)
        assert int(answer.headers["Retry-After"]) > 0
    assert (await ingest.request("GET", "/api/v2/projects/config")).status == 200


async def test_less_durability_is_not_ready_unless_accepted(valkey: Valkey, own_redis: Redis) -> None:
    """A 202 must not mean less than it says without the operator's word."""
    await own_redis.config_set("appendfsync", "everysec")

    async with running_ingest(valkey.url, "", PROJECTION) as strict:
        status, answer = await strict.ready()
        assert status == 503
        assert "appendfsync is everysec" in answer["checks"]["durability"]
    async with running_ingest(valkey.url, "", PROJECTION, durability="relaxed") as relaxed:
        assert (await relaxed.ready())[0] == 200


async def test_an_old_sweep_makes_ingest_not_ready_and_unknown_tokens_503(
    ingest: RunningIngest, own_redis: Redis
) -> None:
    """Without a worker ingest cannot tell an unknown token from a new one."""
    await own_redis.set("{projection}:swept", 1)

    status, answer = await ingest.ready()
    assert status == 503
    assert "is a worker running?" in answer["checks"]["tokens"]
    unknown = await ingest.post(headers=JSON | {"Authorization": "Bearer " + "x" * 40})
    assert unknown.status == 503
    assert (await ingest.post()).status == 202


async def test_a_queue_killed_and_started_again_needs_no_restart_of_ingest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was answered 202 before the kill -9 is in the stream after it."""
    monkeypatch.setattr(post_queue, "APPEND_SECONDS", 0.3)
    service = Valkey(tmp_path)
    async with AsyncExitStack() as stack:
        child = await start_service(service)
        stack.push_async_callback(child.stop)
        ingest = await stack.enter_async_context(running_ingest(service.url, "", PROJECTION))
        assert (await ingest.post(data=b'{"message":"before"}')).status == 202
        os.kill(child.pid, signal.SIGKILL)
        await child.wait()
        await _refused(ingest)
        unknown = await ingest.post(headers=JSON | {"Authorization": "Bearer " + "x" * 40})
        assert unknown.status == 503
        stack.push_async_callback((await start_service(service)).stop)
        await _taken_again(ingest)
        bodies = [post.body for post in await ingest.queued()]

    assert bodies[0] == b'{"message":"before"}'
