"""The fast path of a connection: answers in order, refusals, disconnects and shutdown."""

import asyncio
import gc
import logging
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
from tests.support.waiting import until

TAKEN = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


def a_post(body: bytes) -> bytes:
    """A request that the fast path takes."""
    return b"POST /taken HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"


class HeldPath:
    """A fast path whose answers wait until a test completes them."""

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
def path() -> HeldPath:
    """A fast path that has taken nothing yet."""
    return HeldPath()


@pytest.fixture
async def listener(path: HeldPath) -> AsyncIterator[Listener]:
    """An application with that fast path and a route."""
    app = application()
    app.router.add_get("/hello", _hello)
    app[FAST_PATHS] = {"/taken": path}
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


async def test_answers_come_in_the_order_of_the_requests(listener: Listener, path: HeldPath) -> None:
    """Also if the fast path and routes answer in turn, and the first answer is late."""
    async with connected(listener) as (reader, writer):
        writer.write(a_post(b"first") + GET + a_post(b"second") + GET)
        await until(lambda: path.bodies == [b"first"])
        async with connected(listener) as (other_reader, other_writer):
            other_writer.write(GET)
            assert b"200 OK" in await other_reader.readuntil(b'"}')
        path.waiting[0].set_result(None)
        answers = await reader.readuntil(b'"}')
        path.waiting[1].set_result(None)
        answers += await reader.readuntil(b'"}')

    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"202", b"200", b"202", b"200"]


async def test_many_pipelined_requests_are_all_answered(listener: Listener, path: HeldPath) -> None:
    """The parser queues only some of them and continues as they are answered."""
    number = 100

    async with connected(listener) as (reader, writer):
        writer.write(b"".join(a_post(b"%d" % i) for i in range(number)))
        for i in range(number):
            await until(lambda taken=i + 1: len(path.waiting) == taken)  # type: ignore[misc]
            path.waiting[i].set_result(None)
        assert await reader.readexactly(number * len(TAKEN)) == TAKEN * number

    assert path.bodies == [b"%d" % i for i in range(number)]


async def test_a_refusal_is_problem_json_and_the_connection_stays_open(
    listener: Listener, path: HeldPath
) -> None:
    """As on the slow path."""
    async with connected(listener) as (reader, writer):
        writer.write(a_post(b"refused"))
        await until(lambda: bool(path.waiting))
        path.waiting[0].set_exception(Unavailable("The queue is full.", retry_after_seconds=7))
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


async def test_a_taken_request_is_answered_before_the_server_stops(
    listener: Listener, path: HeldPath
) -> None:
    """The client may not have to repeat it."""
    async with connected(listener) as (reader, writer):
        writer.write(a_post(b"last"))
        await until(lambda: bool(path.waiting))
        async with asyncio.TaskGroup() as tasks:
            closing = tasks.create_task(listener.close())
            await until(lambda: is_refused(listener))
            assert not closing.done()
            path.waiting[0].set_result(None)
        assert await reader.read() == TAKEN


async def is_refused(listener: Listener) -> bool:
    """Whether new connections are refused."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    except (OSError, IndexError):  # a closed server has no port
        return True
    writer.close()
    return False


async def test_a_client_that_disconnected_gets_no_answer(listener: Listener, path: HeldPath) -> None:
    """Its request has been taken nevertheless."""
    async with connected(listener) as (_, writer):
        writer.write(a_post(b"kept"))
        await until(lambda: bool(path.waiting))
    await until(lambda: not connections_of(listener))

    path.waiting[0].set_result(None)

    assert path.bodies == [b"kept"]


async def test_a_request_that_arrives_with_the_end_of_its_connection_is_no_error(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    """Clients that send requests and disconnect would fill the log."""
    async with connected(listener) as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b'"}')
        [connection] = connections_of(listener)
        ended = asyncio.Event()
        assert connection._task_handler is not None
        connection._task_handler.add_done_callback(lambda _task: ended.set())
        connection.data_received(GET)
        connection.connection_lost(None)
        await ended.wait()
        del connection
        gc.collect()

    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_requests_wait_while_the_client_does_not_read_answers(
    listener: Listener, path: HeldPath
) -> None:
    """Answers must not pile up in memory; the connection continues when the client reads again."""
    async with connected(listener) as (reader, writer):
        writer.write(GET)
        await reader.readuntil(b'"}')
        [connection] = connections_of(listener)
        connection.pause_writing()
        writer.write(a_post(b"late"))
        await until(lambda: bool(connection._messages))
        assert path.bodies == []
        connection.resume_writing()
        await until(lambda: path.bodies == [b"late"])
        path.waiting[0].set_result(None)
        assert await reader.readexactly(len(TAKEN)) == TAKEN


def connections_of(listener: Listener) -> list[RequestHandler]:
    """The open connections."""
    server = listener._runner.server
    assert server is not None
    return list(server.connections)
