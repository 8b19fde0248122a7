"""Requests taken past routing: answered in turn, refused as others are, and not forgotten at the end."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import StreamReader, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from collector.domain.errors import Refusal, Unavailable
from collector.http.connection.fast_path import FAST_PATHS, Answer, FastPathRequest
from collector.http.errors import refusal_response
from collector.http.responses import json_response
from collector.http.server import Address, Listener, application, listen
from tests.waiting import until

TAKEN = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


def a_post(body: bytes) -> bytes:
    """One that the way takes."""
    return b"POST /taken HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"


class Way:
    """Takes what is whole; a test says when it is done."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.waiting: list[asyncio.Future[None]] = []

    def take(self, message: RawRequestMessage, content: StreamReader, peer: str) -> FastPathRequest | None:
        assert peer == "127.0.0.1"
        self.bodies.append(content.read_nowait())
        self.waiting.append(asyncio.get_running_loop().create_future())
        return FastPathRequest(message, self.waiting[-1], lambda: TAKEN, self._refuse)

    def __call__(self, request: web.BaseRequest) -> Answer | None:
        return self._take_late(request)

    async def _take_late(self, request: web.BaseRequest) -> web.StreamResponse:
        self.bodies.append(await request.content.read())
        self.waiting.append(asyncio.get_running_loop().create_future())
        await self.waiting[-1]
        return web.Response(status=202)

    def _refuse(self, request: web.BaseRequest, refusal: Refusal) -> web.Response:
        return refusal_response(request, refusal)


async def _hello(_request: web.Request) -> web.Response:
    return json_response({"hello": "world"})


@pytest.fixture
def way() -> Way:
    """One that has taken nothing yet."""
    return Way()


@pytest.fixture
async def listener(way: Way) -> AsyncIterator[Listener]:
    """An application with that way beside its routes."""
    app = application()
    app.router.add_get("/hello", _hello)
    app[FAST_PATHS] = {"/taken": way}
    running = await listen(app, Address("127.0.0.1", 0))
    yield running
    await running.close()


@asynccontextmanager
async def connected(listener: Listener) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client, for a bounded time."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        try:
            yield reader, writer
        finally:
            writer.close()


async def test_answers_come_in_the_order_of_the_requests(listener: Listener, way: Way) -> None:
    """Whichever way each of them went, and however late the first is done."""
    async with connected(listener) as (reader, writer):
        writer.write(a_post(b"first") + GET + a_post(b"second") + GET)
        await until(lambda: way.bodies == [b"first"])
        async with connected(listener) as (other_reader, other_writer):
            other_writer.write(GET)
            assert b"200 OK" in await other_reader.readuntil(b'"}')
        way.waiting[0].set_result(None)
        answers = await reader.readuntil(b'"}')
        way.waiting[1].set_result(None)
        answers += await reader.readuntil(b'"}')

    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"202", b"200", b"202", b"200"]


async def test_many_requests_sent_at_once_are_all_answered(listener: Listener, way: Way) -> None:
    """More than the parser keeps in hand: it goes on as they are answered."""
    number = 100

    async with connected(listener) as (reader, writer):
        writer.write(b"".join(a_post(b"%d" % i) for i in range(number)))
        for i in range(number):
            await until(lambda taken=i + 1: len(way.waiting) == taken)  # type: ignore[misc]
            way.waiting[i].set_result(None)
        assert await reader.readexactly(number * len(TAKEN)) == TAKEN * number

    assert way.bodies == [b"%d" % i for i in range(number)]


async def test_a_refusal_is_problem_json_and_the_connection_goes_on(listener: Listener, way: Way) -> None:
    """As on the usual way."""
    async with connected(listener) as (reader, writer):
        writer.write(a_post(b"refused"))
        await until(lambda: bool(way.waiting))
        way.waiting[0].set_exception(Unavailable("The queue is full.", retry_after_seconds=7))
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        writer.write(GET)
        assert b"200 OK" in await reader.readuntil(b'"}')

    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"Content-Type: application/problem+json" in head
    assert b"Retry-After: 7\r\n" in head
    assert b"Date: " in head
    assert b'"title":"The queue is full."' in body
    assert b'"instance":"POST /taken"' in body


async def test_what_was_taken_is_answered_before_the_end(listener: Listener, way: Way) -> None:
    """A server that is told to stop owes that answer still."""
    async with connected(listener) as (reader, writer):
        writer.write(a_post(b"last"))
        await until(lambda: bool(way.waiting))
        async with asyncio.TaskGroup() as tasks:
            closing = tasks.create_task(listener.close())
            await until(lambda: is_refused(listener))
            assert not closing.done()
            way.waiting[0].set_result(None)
        assert await reader.read() == TAKEN


async def is_refused(listener: Listener) -> bool:
    """Whether no new connection is taken."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    except (OSError, IndexError):  # a closed server has no port to tell
        return True
    writer.close()
    return False


async def test_a_client_that_left_is_answered_nothing(listener: Listener, way: Way) -> None:
    """What it sent was taken all the same."""
    async with connected(listener) as (_, writer):
        writer.write(a_post(b"kept"))
        await until(lambda: bool(way.waiting))
    await until(lambda: not connections_of(listener))

    way.waiting[0].set_result(None)

    assert way.bodies == [b"kept"]


async def test_a_client_that_does_not_read_its_answers_is_not_heard(listener: Listener, way: Way) -> None:
    """Or answers would pile up in our memory; it goes on where it stopped."""
    async with connected(listener) as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b'"}')
        [connection] = connections_of(listener)
        connection.pause_writing()
        writer.write(a_post(b"late"))
        await until(lambda: bool(connection._messages))
        assert way.bodies == []
        connection.resume_writing()
        await until(lambda: way.bodies == [b"late"])
        way.waiting[0].set_result(None)
        assert await reader.readexactly(len(TAKEN)) == TAKEN


def connections_of(listener: Listener) -> list[RequestHandler]:
    """Those that are open."""
    server = listener._runner.server
    assert server is not None
    return list(server.connections)
