"""A connection of the HTTP server, tuned so that every answer keeps the contract.

A request says what its sender means: doubled slashes are folded, paths have other spellings, a method may be
overridden. The parser's own errors are problem JSON, a connection must say something soon and read its
answers, and only so many are open at once. What an application's direct ways take is answered in its turn.
"""

import asyncio
import fcntl
import termios
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

import structlog
from aiohttp import hdrs, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.http_writer import StreamWriter
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler, RequestPayloadError, _ErrInfo

from collector.http.errors import problem
from collector.http.fast_path import DirectWay, FastPathRequest, as_bytes
from collector.http.method_override import apply_method_override
from collector.http.path_spelling import PathSpelling, spelled_as_usual

if TYPE_CHECKING:
    from collector.domain.errors import Refusal

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "1; mode=block",
}

FIRST_REQUEST_SECONDS: Final = 15.0
"""How long a new connection may take to send the head of its first request."""

STALLED_SECONDS: Final = 60.0
"""How long a client may read nothing of an answer that waits for it in memory."""

_CONTINUE: Final = "100-continue"

_TOO_MANY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 5\r\n"
    b"Connection: close\r\nContent-Length: 75\r\n\r\n"
    b'{"type":"about:blank","title":"Too many connections at once.","status":503}'
)

_log = structlog.get_logger()


def protocols(
    runner: web.AppRunner,
    direct: Mapping[str, DirectWay],
    connections: int,
    on_refused: Callable[[], None],
) -> Callable[[], asyncio.Protocol]:
    """What makes the protocol of each connection; the runner's own server keeps track of them."""
    manager: Any = runner.server
    spelling = PathSpelling(runner.app.router.resources())
    manager.request_handler = _dispatched(manager.request_handler, direct)
    manager.request_factory = _normalized(manager.request_factory, spelling)
    options = {"loop": asyncio.get_running_loop(), **manager._kwargs}  # noqa: SLF001
    return lambda: _Connection(manager, connections, direct, options, on_refused)


def unread_bytes(transport: asyncio.WriteTransport) -> int:
    """What the client has yet to take from memory, and from the kernel: how much that is it says on Linux.

    By memory alone a slow client seems to read nothing for long: the kernel asks for more once it has sent
    a third of its buffer, which may be 1.4 MB.
    """
    queued = array("i", [0])
    with suppress(OSError):
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queued)
    return transport.get_write_buffer_size() + queued[0]


@contextmanager
def while_connected(request: web.BaseRequest) -> Iterator[None]:
    """What is done in the block is done for the client alone: it is cancelled when the connection is lost."""
    connection, task = request.protocol, asyncio.current_task()
    if not isinstance(connection, _Connection) or task is None:
        raise TypeError("this is no request that a connection of ours is handling")
    with connection.asked_by(task):
        yield


class _Connection(RequestHandler):
    """One connection; aiohttp's, with bounds and with errors for our clients."""

    __slots__ = ("_asking", "_connections", "_direct", "_first_request", "_on_refused", "_stalled", "_taken")

    def __init__(
        self,
        manager: web.Server,
        connections: int,
        direct: Mapping[str, DirectWay],
        options: Mapping[str, Any],
        on_refused: Callable[[], None],
    ) -> None:
        super().__init__(manager, **options)
        self._on_refused = on_refused
        self._connections = connections
        self._direct = direct
        self._asking: asyncio.Task[Any] | None = None
        self._first_request: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._taken: FastPathRequest | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self._manager._connections) > self._connections:  # type: ignore[union-attr]  # noqa: SLF001
            self._on_refused()
            self.transport.write(_TOO_MANY)  # type: ignore[union-attr]
            self.force_close()
        else:
            self._first_request = self._loop.call_later(FIRST_REQUEST_SECONDS, self._close_if_silent)

    def data_received(self, data: bytes) -> None:
        waiter, self._waiter = self._waiter, None  # Nobody is woken before the fast path has looked.
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo):
            self._end_broken_body()
        self._proceed()

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's own
        """Called for each piece of a body that is read; aiohttp parses nothing once more each time."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_progress()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
        self._proceed()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._first_request is not None:
            self._first_request.cancel()
        if self._stalled is not None:
            self._stalled.cancel()
        if self._asking is not None:
            self._asking.cancel()
        super().connection_lost(exc)

    @contextmanager
    def asked_by(self, task: asyncio.Task[Any]) -> Iterator[None]:
        """Cancel the task when the connection is lost, or at once where that has happened already."""
        if self.transport is None:
            task.cancel()
        self._asking = task
        try:
            yield
        finally:
            self._asking = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - ours says it for people
    ) -> web.StreamResponse:
        """Answer what the parser refuses, and what went wrong past every handler, with problem JSON."""
        if request.writer.output_size > 0:
            raise ConnectionError("part of an answer is out already; nothing more can be said")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("request failed outside its handler", exc_info=exc)
            said = problem(request, status, "Something went wrong on our side.")
        elif isinstance(exc, LineTooLong):
            said = problem(request, status, "The request's address, or one of its headers, is too long.")
        else:
            said = problem(request, status, "The request is no valid HTTP.")
        response = _Nameless(body=said.body, status=status, headers={**said.headers, **SECURITY_HEADERS})
        response.force_close()
        return response

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109 - aiohttp's own
        """Answer what was taken before anything is closed."""
        self._close = True
        if self._taken is not None:
            await asyncio.wait([self._taken.done], timeout=timeout)
        await super().shutdown(timeout)

    def _proceed(self) -> None:
        """Answer the next request, once the one before has its answer and the client reads its answers."""
        waiter = self._waiter
        if not self._messages or self._taken is not None or self._paused:
            return
        if waiter is not None and not waiter.done() and not self._take():
            waiter.set_result(None)

    def _take(self) -> bool:
        """Whether a fast path takes the next request: then the usual loop does not hear of it."""
        message, content = self._messages[0]
        if isinstance(message, _ErrInfo) or self._upgraded or self._reading_paused or not content.is_eof():
            return False
        way = _direct_way(self._direct, message.path)
        taken = None if way is None else way.take(apply_method_override(message), content, self._peer())
        if taken is None:
            return False
        self._taken = taken
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        self._forget_message()
        taken.done.add_done_callback(self._answer)
        return True

    def _forget_message(self) -> None:
        """As aiohttp's own loop does: the parser may go on, and so may the client."""
        self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()

    def _answer(self, done: asyncio.Future[None]) -> None:
        """Send the answer of what was taken, unless the client is gone."""
        taken, self._taken = self._taken, None
        refusal = done.exception()
        if taken is not None and self.transport is not None:
            answer = taken.answer() if refusal is None else self._refused(taken, refusal)
            self.transport.write(answer)
        self._proceed()

    def _refused(self, taken: FastPathRequest, refusal: BaseException) -> bytes:
        writer = StreamWriter(self, self._loop)
        make_request: Any = self._request_factory
        request = make_request(taken.message, EMPTY_PAYLOAD, self, writer, self._task_handler)
        return as_bytes(taken.refuse(request, cast("Refusal", refusal)))

    def _peer(self) -> str:
        peer = self.peername
        return str(peer[0]) if isinstance(peer, tuple) else peer or ""

    def _end_broken_body(self) -> None:
        """Tell the handler that its body will not come; the parser only queues its complaint."""
        request = self._current_request
        if request is not None and not request.content.is_eof():
            request.content.set_exception(RequestPayloadError("the body is badly chunked"))
            self.close()

    def _expect_progress(self) -> None:
        """Something of what is waiting to be read now must be read soon."""
        if self.transport is not None:
            unread = unread_bytes(self.transport)
            self._stalled = self._loop.call_later(STALLED_SECONDS, self._cut_if_stalled, unread)

    def _cut_if_stalled(self, unread_before: int) -> None:
        if self.transport is not None and unread_bytes(self.transport) >= unread_before:
            self.transport.abort()
        else:
            self._expect_progress()

    def _close_if_silent(self) -> None:
        if not self._request_count:
            self.force_close()


class _Nameless(web.Response):
    """Without aiohttp's name for the server: no application is there to remove it."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        del self.headers[hdrs.SERVER]


def _dispatched(routed: Callable[[Any], Any], direct: Mapping[str, DirectWay]) -> Callable[[Any], Any]:
    def dispatch(request: web.BaseRequest) -> Any:
        way = _direct_way(direct, request._message.path)  # noqa: SLF001
        answer = None if way is None else way(request)
        if answer is not None:
            return answer
        expected = request.headers.get(hdrs.EXPECT)
        if expected is not None and expected.lower() != _CONTINUE:
            return _expectation_failed(request)
        return routed(request)

    return dispatch


async def _expectation_failed(request: web.BaseRequest) -> web.StreamResponse:
    """Before aiohttp does, in text."""
    title = "The only expectation that can be met is 100-continue."
    response = problem(request, HTTPStatus.EXPECTATION_FAILED, title)
    response.headers.update(SECURITY_HEADERS)
    return response


def _direct_way(ways: Mapping[str, DirectWay], path: str) -> DirectWay | None:
    """In another spelling, too: a client that writes one does so in each of its posts."""
    return ways.get(path) or ways.get(path.removesuffix("/").lower())


def _normalized(
    make_request: Callable[..., web.BaseRequest], spelling: PathSpelling
) -> Callable[..., web.BaseRequest]:
    def normalize(message: RawRequestMessage, *rest: Any) -> web.BaseRequest:
        return make_request(
            spelled_as_usual(_collapse_slashes(apply_method_override(message)), spelling), *rest
        )

    return normalize


def _collapse_slashes(message: RawRequestMessage) -> RawRequestMessage:
    if "//" not in message.path or "//" not in (path := message.url.raw_path):
        return message
    while "//" in path:
        path = path.replace("//", "/")
    return message._replace(url=message.url.with_path(path, encoded=True, keep_query=True))
