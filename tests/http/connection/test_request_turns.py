"""Requests begin in turn by client: thousands of one client's do not delay another's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import StreamReader, web
from aiohttp.http_parser import RawRequestMessage

from collector.domain.errors import Refusal
from collector.http.client_address import NO_PROXIES, TrustedProxies, trusted_proxies
from collector.http.connection import request_turns
from collector.http.connection.fast_path import FAST_PATHS, Answer, FastPathRequest
from collector.http.connection.request_turns import ROUTED_SECONDS, TICK_SECONDS, RequestTurns
from collector.http.responses import json_response
from collector.http.server import Address, application, listen

FLOOD = "127.0.0.2"
VICTIM = "127.0.0.3"
MANY = 300
IN_A_TICK = round(TICK_SECONDS / ROUTED_SECONDS)


class Noting:
    """A fast path and a route that note whose requests began, in order."""

    def __init__(self) -> None:
        self.port = 0
        self.begun: list[str] = []

    def take(self, message: RawRequestMessage, content: StreamReader, peer: str) -> FastPathRequest:
        """Answer at once, but take a whole turn for it."""
        content.read_nowait()
        self.begun.append(peer)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return FastPathRequest(message, done, lambda: b"HTTP/1.1 202 \r\nContent-Length: 0\r\n\r\n", _refuse)

    def __call__(self, request: web.BaseRequest) -> Answer | None:  # noqa: ARG002 - the protocol
        """Decline requests whose body is still arriving."""
        return None

    async def route(self, request: web.Request) -> web.Response:
        """Note the client that the proxy names, if there is one."""
        self.begun.append(request.headers.get("X-Forwarded-For", request.remote or ""))
        return json_response({})


def _refuse(_request: web.BaseRequest, _refusal: Refusal) -> web.Response:
    raise NotImplementedError


@asynccontextmanager
async def serving(proxies: TrustedProxies = NO_PROXIES) -> AsyncIterator[Noting]:
    """A server with the fast path `/fast` and the route `/route`."""
    noting = Noting()
    app = application()
    app.router.add_get("/route", noting.route)
    app[FAST_PATHS] = {"/fast": noting}
    listener = await listen(app, Address("127.0.0.1", 0), proxies=proxies)
    noting.port = listener.port
    try:
        async with asyncio.timeout(10):
            yield noting
    finally:
        await listener.close()


@asynccontextmanager
async def connections(
    server: Noting, ip: str, number: int
) -> AsyncIterator[list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]:
    """Connections from this address."""
    opened = [
        await asyncio.open_connection("127.0.0.1", server.port, local_addr=(ip, 0)) for _ in range(number)
    ]
    yield opened
    for _, writer in opened:
        writer.close()


def a_request(path: str, client: str = "") -> bytes:
    """A request, maybe of a client that a proxy names."""
    named = f"X-Forwarded-For: {client}\r\n" if client else ""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{named}\r\n".encode()


async def test_a_client_with_many_connections_does_not_delay_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """All requests arrive in the same moment, the other client's last."""
    for path in ("/route", "/fast"):
        async with (
            serving() as server,
            connections(server, FLOOD, MANY) as flood,
            connections(server, VICTIM, 1) as victim,
        ):
            # So that the fast path fills a tick with as many as routes do.
            monkeypatch.setattr(
                "collector.http.connection.fast_path.perf_counter", _Steps(ROUTED_SECONDS).__next__
            )
            for _, writer in (*flood, *victim):
                writer.write(a_request(path))
            for reader, _ in (*flood, *victim):
                await reader.readuntil(b"\r\n\r\n")

        assert len(server.begun) == MANY + 1
        assert server.begun.index(VICTIM) <= IN_A_TICK * 3, path


class _Steps:
    """A clock that advances with every look at it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._now = 0.0

    def __next__(self) -> float:
        self._now += self.seconds
        return self._now


async def test_requests_sent_without_waiting_for_answers_take_turns_as_well() -> None:
    """Some dozens on each of few connections."""
    async with (
        serving() as server,
        connections(server, FLOOD, 20) as flood,
        connections(server, VICTIM, 1) as victim,
    ):
        for _, writer in flood:
            writer.write(a_request("/route") * 15)
        victim[0][1].write(a_request("/route"))
        for reader, _ in flood:
            for _ in range(15):
                await reader.readuntil(b"\r\n\r\n")
        await victim[0][0].readuntil(b"\r\n\r\n")

    assert len(server.begun) == MANY + 1
    assert server.begun.index(VICTIM) <= IN_A_TICK * 3


async def test_clients_of_a_trusted_proxy_take_turns_with_each_other() -> None:
    """All come from the proxy's address."""
    async with (
        serving(trusted_proxies(["127.0.0.2"], "x-forwarded-for")) as server,
        connections(server, "127.0.0.2", MANY + 1) as behind,
    ):
        for number, (_, writer) in enumerate(behind):
            writer.write(a_request("/route", "192.0.2.1" if number < MANY else "192.0.2.2"))
        for reader, _ in behind:
            await reader.readuntil(b"\r\n\r\n")

    assert server.begun.index("192.0.2.2") <= IN_A_TICK * 3


async def test_a_client_that_disconnects_while_it_waits_is_forgotten() -> None:
    """Nothing of it is kept, and the others get their turns."""
    turns = RequestTurns()
    begun: list[asyncio.Task[None]] = []
    turns.spend(TICK_SECONDS)
    waiting = [asyncio.create_task(turns.turn(FLOOD)) for _ in range(3)]
    last = asyncio.create_task(turns.turn(VICTIM))
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    last.add_done_callback(begun.append)
    await last
    await asyncio.sleep(0)

    assert begun == [last]
    assert turns.is_free


async def test_fewer_requests_begin_while_they_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few as one in each round of the loop; as many as before once they take little again."""
    clock = _Steps(TICK_SECONDS * 3)
    monkeypatch.setattr(request_turns, "perf_counter", clock.__next__)
    turns, begun = RequestTurns(), list[int]()

    async def rounds(number: int) -> list[int]:
        found = []
        for _ in range(number):
            before = len(begun)
            await asyncio.sleep(0)
            found.append(len(begun) - before)
        return found

    def begin() -> None:
        turns.spend(turns.routed_seconds)
        begun.append(1)

    turns.spend(TICK_SECONDS)
    for _ in range(1000):
        turns.wait(FLOOD, begin)
    assert await rounds(6) == [5, 3, 2, 1, 1, 1]
    clock.seconds = 0.0
    assert (await rounds(30))[-1] == IN_A_TICK


async def test_a_request_that_fails_to_begin_holds_up_no_other() -> None:
    """The error is the loop's to report; those who wait behind it still get their turns."""
    turns, begun, loop = RequestTurns(), list[str](), asyncio.get_running_loop()
    reported: list[object] = []
    loop.set_exception_handler(lambda _, context: reported.append(context.get("exception")))
    error = RuntimeError("the transport is gone")

    def fail() -> None:
        raise error

    try:
        turns.spend(2 * TICK_SECONDS)
        turns.wait(FLOOD, fail)
        turns.wait(VICTIM, lambda: begun.append(VICTIM))
        async with asyncio.timeout(10):
            await turns.turn(FLOOD)
    finally:
        loop.set_exception_handler(None)

    assert begun == [VICTIM]
    assert reported == [error]
