"""Every kind of reply of the queue's server: what posts, readiness and metrics show meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientError, ClientSession

from collector.domain.reasons import (
    CLOCK,
    CONNECTIONS,
    DISK_SHORT,
    DURABILITY,
    MEMORY_LIMIT,
    QUEUE_FULL,
    QUEUE_UNAVAILABLE,
    REASONS,
    SUBMISSION_DISABLED,
    TOKENS,
    Reason,
)
from collector.embedded.servers.ports import free_port
from collector.embedded.servers.valkey import Valkey
from collector.embedded.service import start_service
from collector.ingest import post_queue, process, readiness
from collector.ingest.senders.token_cache import TokenCache
from collector.process.lifecycle import Stop, TaskDied
from tests.ingest.projections import a_projection
from tests.ingest.running_ingest import BEARER, JSON, RunningIngest, raw_post, running_ingest
from tests.support import queue_states
from tests.support.queue_states import ClusterNode, Operator, SlowlyLoading, State
from tests.support.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
async def valkey(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Valkey]:
    """A server for this module, which is put into every state."""
    service = Valkey(tmp_path_factory.mktemp("valkey"))
    child = await start_service(service)
    yield service
    await child.stop()


@pytest.fixture
async def operator(valkey: Valkey) -> AsyncIterator[Operator]:
    """Its operator."""
    async with _operating(valkey) as operator:
        yield operator


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes are given up sooner than usual."""
    monkeypatch.setattr(post_queue, "APPEND_SECONDS", 0.3)


@asynccontextmanager
async def _operating(valkey: Valkey) -> AsyncIterator[Operator]:
    operator = Operator(valkey)
    await operator.begin()
    yield operator
    await operator.close()


async def _is_refused_for(ingest: RunningIngest, reason: Reason) -> None:
    """By a post, in the readiness with the same sentence, and in the metric."""

    async def is_seen() -> bool:
        status, answer = await ingest.ready()
        return status == 503 and answer["checks"][reason.name].startswith(reason.sentence.rstrip("."))

    await until(is_seen, what=f"{reason.name} in the readiness")

    async def is_refused() -> bool:
        response = await ingest.post()
        said = await response.json() if response.status != 202 else {}
        return (response.status, said.get("title")) == (503, reason.sentence)

    await until(is_refused, what=f"a post that is refused for {reason.name}")
    assert f'headrace_refusing{{reason="{reason.name}"}} 1.0' in await _metrics(ingest)


async def _is_taken(ingest: RunningIngest, seconds: float = 10) -> None:
    """Without a restart; readiness and metrics show no reason any more."""

    async def is_ready() -> bool:
        return (await ingest.ready())[0] == 200

    async def is_taken() -> bool:
        return (await ingest.post()).status == 202

    await until(is_taken, seconds, what="a post being taken again")
    await until(is_ready, what="being ready again")
    metrics = await _metrics(ingest)
    assert all(f'headrace_refusing{{reason="{reason.name}"}} 0.0' in metrics for reason in REASONS)


async def _metrics(ingest: RunningIngest) -> str:
    async with ingest.session.get(ingest.url + "/metrics") as answer:
        return await answer.text()


REFUSED = [
    pytest.param(queue_states.busy, QUEUE_UNAVAILABLE, "BUSY", id="BUSY"),
    pytest.param(queue_states.full, QUEUE_FULL, "", id="OOM"),
    pytest.param(queue_states.read_only, QUEUE_UNAVAILABLE, "read only replica", id="READONLY"),
    pytest.param(queue_states.master_down, QUEUE_UNAVAILABLE, "MASTER is down", id="MASTERDOWN"),
    pytest.param(queue_states.no_replicas, QUEUE_UNAVAILABLE, "NOREPLICAS", id="NOREPLICAS"),
    pytest.param(queue_states.misconfigured, QUEUE_UNAVAILABLE, "MISCONF", id="MISCONF"),
    pytest.param(queue_states.no_scripts, QUEUE_UNAVAILABLE, "no permissions", id="NOPERM"),
    pytest.param(queue_states.no_appends, QUEUE_UNAVAILABLE, "no permissions", id="NOPERM in a script"),
    pytest.param(queue_states.other_password, QUEUE_UNAVAILABLE, "invalid username-password", id="WRONGPASS"),
    pytest.param(queue_states.no_info, MEMORY_LIMIT, "INFO does not report", id="NOPERM INFO"),
    pytest.param(queue_states.no_config, DURABILITY, "appendfsync is unknown", id="NOPERM CONFIG"),
    pytest.param(queue_states.no_limit, MEMORY_LIMIT, "set maxmemory", id="no maxmemory"),
    pytest.param(queue_states.less_durable, DURABILITY, "appendfsync is everysec", id="everysec"),
    pytest.param(queue_states.evicting, DURABILITY, "allkeys-lru", id="eviction"),
]


@pytest.mark.parametrize(("state", "reason", "detail"), REFUSED)
async def test_posts_are_refused_until_the_state_of_the_queue_ends(
    valkey: Valkey, operator: Operator, state: State, reason: Reason, detail: str
) -> None:
    """The reason shows the server's reply, and no restart is needed."""
    async with running_ingest(valkey.url, "", a_projection()) as ingest:
        assert (await ingest.post()).status == 202
        async with state(operator):
            await _is_refused_for(ingest, reason)
            assert detail in str((await ingest.ready())[1]["checks"][reason.name])
        await _is_taken(ingest)


@pytest.mark.parametrize(("state", "reason", "detail"), [each for each in REFUSED if each.id in {
    "BUSY", "OOM", "READONLY", "MASTERDOWN", "NOREPLICAS", "MISCONF", "NOPERM INFO", "no maxmemory",
}])  # fmt: skip
async def test_ingest_starts_in_a_state_of_the_queue_and_waits_for_its_end(
    valkey: Valkey, operator: Operator, state: State, reason: Reason, detail: str
) -> None:
    """Restarts meanwhile do not fail."""
    async with AsyncExitStack() as stack:
        async with running_ingest(valkey.url, "", a_projection()):  # sweeps while it can
            pass
        async with state(operator):
            opened = running_ingest(valkey.url, "", None)
            ingest = await stack.enter_async_context(opened)
            status, answer = await ingest.ready()
            assert (status, answer["checks"][reason.name] == "ok") == (503, False)
            assert detail in answer["checks"][reason.name]
        await _is_taken(ingest)


@pytest.mark.parametrize("state", [queue_states.no_limit, queue_states.no_info, queue_states.less_durable])
async def test_an_operator_may_accept_less(valkey: Valkey, operator: Operator, state: State) -> None:
    """With `relaxed`."""
    async with (
        running_ingest(valkey.url, "", a_projection(), durability="relaxed") as ingest,
        state(operator),
    ):
        assert (await ingest.ready())[0] == 200
        assert (await ingest.post()).status == 202


async def test_posts_are_refused_while_a_cluster_has_no_slots(tmp_path: Path) -> None:
    """CLUSTERDOWN, which the driver removes from the message."""
    service = ClusterNode(tmp_path)
    child = await start_service(service)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(child.stop)
        operator = await stack.enter_async_context(_operating(service))
        await queue_states.assign_slots(operator)
        ingest = await stack.enter_async_context(running_ingest(service.url, "", a_projection()))
        async with queue_states.cluster_down(operator):
            await _is_refused_for(ingest, QUEUE_UNAVAILABLE)
        await _is_taken(ingest)


async def test_posts_are_refused_while_the_queue_loads_its_data(tmp_path: Path) -> None:
    """LOADING, also when ingest starts."""
    service = Valkey(tmp_path)
    async with AsyncExitStack() as stack:
        child = await start_service(service)
        async with (
            running_ingest(service.url, "", a_projection()) as ingest,
            ingest.redis.pipeline(transaction=False) as pipeline,
        ):
            for number in range(60_000):
                pipeline.set(f"key:{number}", number)
            await pipeline.execute()
        await child.stop()
        slow = SlowlyLoading(tmp_path)
        stack.push_async_callback((await start_service(slow)).stop)
        ingest = await stack.enter_async_context(running_ingest(slow.url, "", None))
        status, answer = await ingest.ready()
        assert status == 503
        assert answer["checks"][QUEUE_UNAVAILABLE.name] != "ok"
        await _is_taken(ingest, 60)


async def test_an_info_without_maxmemory_is_no_limit(valkey: Valkey) -> None:
    """Some managed servers answer like this, and to CONFIG too."""
    async with _censored(valkey.url, b"maxmemory") as url, running_ingest(url, "", a_projection()) as ingest:
        await _is_refused_for(ingest, MEMORY_LIMIT)


async def test_a_clock_that_is_off_refuses_posts(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events would be filed under the wrong day."""
    async with running_ingest(valkey.url, "", a_projection()) as ingest:
        monkeypatch.setattr(readiness, "CLOCK_SKEW_SECONDS", -1.0)
        await _is_refused_for(ingest, CLOCK)
        monkeypatch.undo()
        await _is_taken(ingest)


async def test_a_disk_that_is_short_refuses_posts(
    valkey: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk the queue's server would stop."""
    free = [100]
    monkeypatch.setattr(readiness, "_free_bytes", lambda _folder: free[0])
    settings = {"queue_disk": str(tmp_path), "queue_disk_free_bytes": 101}
    async with running_ingest(valkey.url, "", a_projection(), **settings) as ingest:
        await _is_refused_for(ingest, DISK_SHORT)
        assert "HEADRACE_QUEUE_DISK_FREE_BYTES" in str(await ingest.ready())
        free[0] = 200
        await _is_taken(ingest)


async def test_disabled_submission_is_a_reason(valkey: Valkey) -> None:
    """It shows in the readiness and the metric."""
    async with running_ingest(valkey.url, "", a_projection(), submission_disabled=True) as ingest:
        await _is_refused_for(ingest, SUBMISSION_DISABLED)


async def test_tokens_that_are_not_fresh_refuse_unknown_ones(valkey: Valkey, operator: Operator) -> None:
    """Known tokens are still accepted."""
    async with running_ingest(valkey.url, "", a_projection()) as ingest:
        await operator.redis.delete("{projection}:swept")
        unknown = await ingest.post(headers=JSON | {"Authorization": "Bearer " + "x" * 40})
        assert (unknown.status, (await unknown.json())["title"]) == (503, TOKENS.sentence)
        assert TOKENS.name in str(await ingest.ready())
        assert (await ingest.post(headers=JSON | BEARER)).status == 202


async def test_too_many_connections_are_a_reason_for_a_while(valkey: Valkey) -> None:
    """Clients on other connections see it in the readiness."""
    async with running_ingest(valkey.url, "", a_projection(), connections=1) as ingest:
        await ingest.ready()  # on a connection that stays open
        answer = await ingest.raw(raw_post("Content-Length: 2", body=b"{}"))
        assert CONNECTIONS.sentence.encode() in answer
        assert (await ingest.ready())[1]["checks"][CONNECTIONS.name] == CONNECTIONS.sentence
        assert f'headrace_refusing{{reason="{CONNECTIONS.name}"}} 1.0' in await _metrics(ingest)


@asynccontextmanager
async def _censored(url: str, word: bytes) -> AsyncIterator[str]:
    """A server that replaces a word in every answer, inside the block."""
    address = urlsplit(url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection(address.hostname, address.port)

        async def pass_on(source: asyncio.StreamReader, to: asyncio.StreamWriter, hidden: bytes) -> None:
            while piece := await source.read(1 << 20):
                to.write(piece.replace(hidden, b"x" * len(hidden)) if hidden else piece)
            to.close()

        await asyncio.gather(pass_on(reader, requests, b""), pass_on(answers, writer, word))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"redis://:{address.password}@127.0.0.1:{port}/0"
        server.close()


async def test_ingest_stops_when_a_background_task_dies(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests are answered first, and the error names the task."""
    died = asyncio.Event()

    async def die(_cache: TokenCache) -> None:
        await died.wait()
        raise KeyError("x")

    monkeypatch.setattr(TokenCache, "follow", die)
    port = free_port()
    environ = {"REDIS_URL": valkey.url, "HEADRACE_PORT": str(port)}
    running = asyncio.ensure_future(process.run(environ, Stop()))

    async def is_alive() -> bool:
        try:
            async with (
                ClientSession() as session,
                session.get(f"http://127.0.0.1:{port}/health/live") as live,
            ):
                return live.status == 200
        except ClientError:
            return False

    await until(is_alive)
    died.set()
    async with asyncio.timeout(20):
        with pytest.raises(ExceptionGroup) as ended:
            await running

    assert ended.group_contains(TaskDied, match="the background task 'evictions' died of KeyError: 'x'")
