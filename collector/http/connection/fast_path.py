"""Fast paths: handlers that bypass routing and middlewares for ordinary requests to one path.

A fast path takes a request whose body has arrived without starting a task: its answer is written as bytes. A
request whose body is still arriving it answers with a coroutine. Whatever it declines takes the slow path,
where all rules are.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from time import perf_counter
from typing import Any, Final, Protocol, cast

from aiohttp import StreamReader, hdrs, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.http_writer import StreamWriter
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestPayloadError, _ErrInfo
from multidict import CIMultiDict, MultiMapping

from collector.domain.errors import Refusal
from collector.http.client_address import TrustedProxies, counted_behind
from collector.http.connection.bounds import BoundedConnection
from collector.http.connection.limits import ConnectionLimits
from collector.http.connection.method_override import apply_method_override
from collector.http.connection.request_turns import RequestTurns

Answer = Coroutine[Any, Any, web.StreamResponse]


@dataclass(frozen=True, slots=True)
class FastPathRequest:
    """A request taken by a fast path. When `done` completes, `answer` returns the whole answer as bytes.

    `done` may fail, with a Refusal only: then `refuse` returns the answer. It is never cancelled.
    """

    message: RawRequestMessage
    done: asyncio.Future[None]
    answer: Callable[[], bytes]
    refuse: Callable[[web.BaseRequest, Refusal], web.Response]


class FastPath(Protocol):
    """Answers ordinary requests to one path."""

    def take(self, message: RawRequestMessage, content: StreamReader, peer: str) -> FastPathRequest | None:
        """Take a request whose body has arrived; None declines it."""
        ...

    def __call__(self, request: web.BaseRequest) -> Answer | None:
        """Answer a request whose body is still arriving; None declines it."""
        ...


FAST_PATHS: Final = web.AppKey("fast_paths", Mapping[str, FastPath])
"""An application's fast paths, by request path."""


def find_fast_path(fast_paths: Mapping[str, FastPath], path: str) -> FastPath | None:
    """The fast path for a path in any spelling: a client that writes `/API/` does so in every post."""
    return fast_paths.get(path) or fast_paths.get(path.removesuffix("/").lower())


@dataclass(frozen=True, slots=True)
class Shared:
    """What all connections of a listener share."""

    limits: ConnectionLimits
    turns: RequestTurns
    proxies: TrustedProxies


class FastPathConnection(BoundedConnection):
    """Offers each request to a fast path before aiohttp's own loop sees it, and answers in request order."""

    __slots__ = ("_fast_paths", "_has_begun", "_is_waiting", "_proxies", "_taken", "_turns")

    def __init__(
        self,
        manager: web.Server,
        shared: Shared,
        fast_paths: Mapping[str, FastPath],
        options: Mapping[str, Any],
    ) -> None:
        super().__init__(manager, shared.limits, options)
        self._turns = shared.turns
        self._proxies = shared.proxies
        self._fast_paths = fast_paths
        self._taken: FastPathRequest | None = None
        self._is_waiting = False
        """Whether the next request waits for its turn."""
        self._has_begun = False
        """Whether the request that aiohttp's loop takes next has had its turn."""

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, and answer what can be answered."""
        # aiohttp wakes its loop through the waiter: hide it until the fast path has seen the request.
        waiter, self._waiter = self._waiter, None
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo):
            # The parser only queues its error: a handler that is reading the body would wait for the rest.
            request = self._current_request
            if request is not None and not request.content.is_eof():
                request.content.set_exception(RequestPayloadError("the body is badly chunked"))
                self.close()
        self._proceed()

    def idle_since(self) -> float | None:
        """Since when the client has sent nothing; None while a request is being answered."""
        return super().idle_since() if self._taken is None else None

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - aiohttp's own
        """Skip aiohttp's call for each piece of a body: it would run the parser on nothing each time."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def resume_writing(self) -> None:
        """Answer the next request, which waited for the client to read its answers."""
        super().resume_writing()
        self._proceed()

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109 - aiohttp's own
        """Answer the request that was taken before closing."""
        self._close = True
        if self._taken is not None:
            await asyncio.wait([self._taken.done], timeout=timeout)
        await super().shutdown(timeout)

    def has_turn(self) -> bool:
        """Whether the request that aiohttp's loop has taken may begin; asked once for each.

        That loop takes further requests of a client that does not wait for answers without asking.
        """
        has_begun, self._has_begun = self._has_begun, False
        return has_begun

    async def turn(self, request: web.BaseRequest) -> None:
        """Wait for the turn of such a request."""
        await self._turns.turn(self._client(request.headers))

    def _proceed(self) -> None:
        """Begin the next request when it is its turn, if it can be answered now."""
        if self._is_waiting or not self._can_begin():
            return
        if self._turns.is_free:
            self._begin()
        else:
            message = self._messages[0][0]
            headers = CIMultiDict[str]() if isinstance(message, _ErrInfo) else message.headers
            self._is_waiting = True
            self._turns.wait(self._client(headers), self._begin_waiting)

    def _can_begin(self) -> bool:
        """Whether there is a request, no earlier one is pending, and the client reads its answers."""
        waiter = self._waiter
        if not self._messages or self._taken is not None or self._paused:
            return False
        return waiter is not None and not waiter.done()

    def _begin_waiting(self) -> None:
        self._is_waiting = False
        if self._can_begin():
            self._begin()

    def _begin(self) -> None:
        began = perf_counter()
        if self._take():
            self._turns.spend(perf_counter() - began)
        elif self._waiter is not None:
            self._turns.spend(self._turns.routed_seconds)
            self._has_begun = True
            self._waiter.set_result(None)

    def _client(self, headers: MultiMapping[str]) -> str:
        return counted_behind(self.peer_address, headers, self._proxies)

    def _take(self) -> bool:
        """Offer the next request to its fast path; False leaves it to aiohttp's loop."""
        message, content = self._messages[0]
        # Not for a fast path: an error of the parser, an upgrade, or a body that is still arriving.
        if isinstance(message, _ErrInfo) or self._upgraded or self._reading_paused or not content.is_eof():
            return False
        fast_path = find_fast_path(self._fast_paths, message.path)
        if fast_path is None or self.is_for_health:
            return False
        taken = fast_path.take(apply_method_override(message), content, self.peer_address)
        if taken is None:
            return False
        self._taken = taken
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        # As aiohttp's loop does when it begins a request: the parser and the client may go on.
        self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        taken.done.add_done_callback(self._answer)
        return True

    def _answer(self, done: asyncio.Future[None]) -> None:
        """Send the answer to the request that was taken, unless the client has disconnected."""
        taken, self._taken = self._taken, None
        refusal = done.exception()
        if taken is not None and self.transport is not None:
            self.transport.write(taken.answer() if refusal is None else self._refuse(taken, refusal))
        self._proceed()

    def _refuse(self, taken: FastPathRequest, refusal: BaseException) -> bytes:
        """The refusal as bytes: aiohttp's loop, which sends responses otherwise, has not seen the request."""
        writer = StreamWriter(self, self._loop)
        make_request: Any = self._request_factory
        request = make_request(taken.message, EMPTY_PAYLOAD, self, writer, self._task_handler)
        response = taken.refuse(request, cast("Refusal", refusal))
        content = response.body if isinstance(response.body, bytes) else b""
        headers = {hdrs.CONTENT_LENGTH: str(len(content)), hdrs.DATE: formatdate(usegmt=True)}
        lines = [
            f"HTTP/1.1 {response.status} {response.reason}",
            *(f"{name}: {value}" for name, value in (*response.headers.items(), *headers.items())),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + content
