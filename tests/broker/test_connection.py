"""A start against an unsuitable server ends with one clear line."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from collector.broker import connection
from collector.broker.connection import check_server, connect
from collector.broker.durability import read_durability
from collector.broker.keys import RedisKeys
from collector.broker.permissions import api_commands, ingest_commands, worker_commands
from collector.embedded.servers.valkey import Valkey
from collector.embedded.service import start_service
from collector.process.lifecycle import ServerError
from tests.support import queue_states
from tests.support.queue_states import Operator, State


@pytest.mark.integration
async def test_a_new_enough_server_is_accepted(redis: Redis, redis_url: str) -> None:
    """Including a Valkey, which calls itself Redis 7.2.4."""
    await check_server(redis, redis_url)


@pytest.mark.integration
async def test_a_wrong_password_ends_the_start_immediately(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting cannot help, and the line does not repeat the password."""
    monkeypatch.setattr(connection, "_START_WAIT_SECONDS", 30.0)
    host = redis_url.rpartition("@")[2]
    wrong = f"redis://:wrongpassword@{host}"
    client = connect(wrong, socket_timeout_seconds=5)

    with pytest.raises(ServerError, match="refused us") as caught:
        await check_server(client, wrong)
    await client.aclose()

    assert "wrongpassword" not in str(caught.value)


async def test_an_unreachable_server_is_reported_with_what_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a bounded wait."""
    monkeypatch.setattr(connection, "_START_WAIT_SECONDS", 0.3)
    url = "redis://user:secret@127.0.0.1:1/0"
    client = connect(url, socket_timeout_seconds=1)

    with pytest.raises(ServerError) as caught:
        await check_server(client, url)
    await client.aclose()

    assert str(caught.value).startswith("cannot reach Redis at redis://user:***@127.0.0.1:1/0 (")
    assert "is a Valkey or Redis running there?" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param("redis://h:port/0", "redis://h:port/0", id="an invalid port"),
        pytest.param("redis://:piece/other@h:1/0", "redis://:***@h:1/0", id="a slash in the password"),
        pytest.param("redis://h:1/0?colour=red", "redis://h:1/0?colour=red", id="an unknown option"),
    ],
)
def test_an_invalid_url_is_shown_without_its_password(url: str, shown: str) -> None:
    """In one line, whatever the client library says about it."""
    with pytest.raises(ServerError) as refused:
        connect(url, socket_timeout_seconds=1)

    assert str(refused.value).startswith(f"{shown} cannot be understood")


def test_a_server_that_is_too_old_is_refused() -> None:
    """The stream commands that the worker needs came with 7.0."""
    with pytest.raises(ServerError, match=r"version 6\.2\.14; Headrace needs Redis 7\.0"):
        connection._check_version({"redis_version": "6.2.14"}, "redis://h")


def test_valkey_is_judged_by_its_own_version() -> None:
    """Its `redis_version` never changes."""
    connection._check_version({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, "redis://h")


@pytest.mark.integration
async def test_the_embedded_server_keeps_the_promise(redis: Redis) -> None:
    """It runs with `always` and `noeviction`."""
    found = await read_durability(redis)

    assert found.fsync == "always"
    assert found.eviction == "noeviction"
    assert found.keeps_promise


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    """The operator of a server that may be put into any state."""
    service = Valkey(tmp_path)
    child = await start_service(service)
    operator = Operator(service)
    await operator.begin()
    yield operator
    await operator.close()
    await child.stop()


@pytest.mark.integration
@pytest.mark.parametrize(
    "state", [queue_states.busy, queue_states.read_only, queue_states.master_down, queue_states.full]
)
async def test_a_start_does_not_wait_for_the_server_to_recover(operator: Operator, state: State) -> None:
    """The readiness says what the process waits for; a restart would not help."""
    everything = [*ingest_commands(RedisKeys()), *worker_commands(RedisKeys())]
    async with state(operator):
        await check_server(operator.default, "redis://h", everything)


@pytest.mark.integration
async def test_a_command_that_the_user_may_not_run_is_named(operator: Operator) -> None:
    """Required ones only; missing `INFO` and `CONFIG` show in the readiness."""
    await operator.redis.execute_command("ACL", "SETUSER", "default", "-info", "-config")
    for commands in (ingest_commands(RedisKeys()), api_commands(RedisKeys()), worker_commands(RedisKeys())):
        await check_server(operator.default, "redis://h", commands)
    await operator.redis.execute_command("ACL", "SETUSER", "default", "-xadd", "-time")
    with pytest.raises(ServerError) as refused:
        await check_server(operator.default, "redis://h", ingest_commands(RedisKeys()))
    await operator.redis.execute_command("ACL", "SETUSER", "default", "-eval")
    with pytest.raises(ServerError) as without_scripts:
        await check_server(operator.default, "redis://h", ingest_commands(RedisKeys()))

    assert str(refused.value) == (
        "Redis at redis://h does not let our user do XADD on posts:{0}, XADD on posts:{0}:2, TIME;"
        " allow it with ACL SETUSER."
    )
    assert "does not let our user do EVAL;" in str(without_scripts.value)
