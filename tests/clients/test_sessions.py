"""Sessions of each client: they start, stay alive and end, and their events refer to them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.clients.installation import Node
from tests.clients.js_client import AGENTS, NEW, OLD, JsClient, Starter
from tests.clients.stored import Reader, as_stored, new_reference_id, session_in, written
from tests.clients.traffic import net_client
from tests.clients.traffic.messages import Exchange, status_of
from tests.clients.traffic.raw_http import answers_to, request_of
from tests.clients.traffic.relay import HEARTBEAT, Relay, relaying
from tests.end_to_end.running import RunningUp
from tests.support.waiting import until

pytestmark = pytest.mark.end_to_end


async def heartbeats(relay: Relay, count: int) -> list[Exchange]:
    """Wait for this number of answered heartbeats."""
    await until(lambda: len(relay.exchanges(HEARTBEAT)) >= count, 20, f"{count} answered heartbeats")
    return relay.exchanges(HEARTBEAT)


async def end_session(client: JsClient, relay: Relay, *name: str) -> None:
    """Send a heartbeat, then the end of the session."""
    await client.call("submitSessionHeartbeat", *name)
    await heartbeats(relay, 1)
    await client.call("submitSessionEnd", *name)

    exchanges = await heartbeats(relay, 2)
    assert [exchange.query["close"] for exchange in exchanges] == [["false"], ["true"]]
    assert [(exchange.status, exchange.answer.body) for exchange in exchanges] == [(200, b"")] * 2


async def test_sessions_start_stay_alive_and_end(
    node: Node, up: RunningUp, reader: Reader, tmp_path: Path
) -> None:
    """Several in one test, because ends are written only every few seconds."""

    async def lives(session: Callable[[Starter, Reader], Awaitable[None]], kind: str) -> None:
        directory = tmp_path / f"{session.__name__}-{kind}"
        directory.mkdir()
        async with relaying(up.ready.url) as relay:
            await session(Starter(node, kind, relay, up.ready.client_token, directory), reader)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(lives(session_with_an_id, NEW))
        tasks.create_task(lives(session_of_a_user, NEW))
        tasks.create_task(lives(session_of_a_user, OLD))


async def session_with_an_id(starter: Starter, reader: Reader) -> None:
    """The client names the session: its start has a reference id, and its events refer to that."""
    own = new_reference_id()
    async with starter.started(["useSessions", True, 60_000, True]) as client:
        await client.submit(["createLog", "within it"], ["setReferenceId", own])
        await client.submit(
            ["createException", {"thrown": {"type": "Error", "message": "oh", "members": {}}}]
        )
        start, sent, error = await client.send(3)
        session_id = start["reference_id"]
        stored = await reader.event(own)
        await end_session(client, starter.relay)

    agent = AGENTS[starter.kind]
    assert written(stored) == as_stored(sent, agent)
    assert stored["data"]["@ref:session"] == error["data"]["@ref:session"] == session_id
    ended = await reader.event_with(session_id, lambda data: "sessionend" in data)
    assert ended["value"] >= 0
    summary = {"sessionend": ended["data"]["sessionend"], "haserror": True}
    assert written(ended) == {**as_stored(start, agent, summary), "value": ended["value"]}


async def session_of_a_user(starter: Starter, reader: Reader) -> None:
    """The start is derived if the client sent none. A heartbeat's id is not encoded, whatever it contains."""
    own = new_reference_id()
    identity = f"jane+{own}&co@example.org"
    async with starter.started(["setUserIdentity", identity, "Jane"]) as client:
        await client.submit(["createLog", "shop", "as Jane", "Info"], ["setReferenceId", own])
        [sent] = await client.send(1)
        stored = await reader.event(own)
        await end_session(client, starter.relay, identity)

    session = session_in(stored)
    assert written(stored) == as_stored(sent, AGENTS[starter.kind], session)
    start = await reader.event_with(session["@ref:session"], lambda data: "sessionend" in data)
    assert (start["type"], start["date"]) == ("session", stored["date"])
    assert start["data"]["@user"] == {"identity": identity, "name": "Jane"}
    assert start["data"]["@environment"] == sent["data"]["@environment"]


@pytest.mark.parametrize("close", ["True", "False"])
async def test_a_heartbeat_of_the_net_client(up: RunningUp, close: str) -> None:
    """The id is an e-mail address, not encoded, and the parameters are spelled as .NET does."""
    line = f"GET /api/v2/events/session/heartbeat?id=jane@example.org&close={close} HTTP/1.1"

    [answer] = await answers_to(up.ready.url, request_of(line, *net_client.headers(up)))

    assert (status_of(answer), answer.body) == (200, b"")
