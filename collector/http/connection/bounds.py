"""Limits on a connection: whether it is served, how soon a request arrives, how long a client may stall."""

import asyncio
import fcntl
import termios
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from collector.http.connection.limits import HEALTH_REQUEST_SECONDS, ConnectionLimits

FIRST_REQUEST_SECONDS: Final = 15.0
"""How long a new connection may take to send the head of its first request."""

STALLED_SECONDS: Final = 60.0
"""How long a client may read nothing while an answer waits for it in memory."""

_TOO_MANY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 5\r\n"
    b"Connection: close\r\nContent-Length: 72\r\n\r\n"
    b'{"type":"about:blank","title":"Too many open connections.","status":503}'
)


def unread_bytes(transport: asyncio.WriteTransport) -> int:
    """Bytes that the client has not read: in our buffer, and in the kernel's (which only Linux reports).

    Our buffer alone would make a slow client look stalled: the kernel asks for more only after it has sent
    a third of its own buffer, which may be 1.4 MB.
    """
    queued = array("i", [0])
    with suppress(OSError):
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queued)
    return transport.get_write_buffer_size() + queued[0]


@contextmanager
def cancel_on_disconnect(request: web.BaseRequest) -> Iterator[None]:
    """Cancel the current task if the client disconnects during the block, or has disconnected before it."""
    connection, task = request.protocol, asyncio.current_task()
    if not isinstance(connection, BoundedConnection) or task is None:
        raise TypeError("the request is not being handled by one of our connections")
    if connection.transport is None:
        task.cancel()
    connection.task_for_client = task
    try:
        yield
    finally:
        connection.task_for_client = None


class BoundedConnection(RequestHandler):
    """aiohttp's connection with limits. Beyond those of all connections it only answers health checks."""

    __slots__ = ("_first_request", "_limits", "_stalled", "is_for_health", "task_for_client")

    def __init__(self, manager: web.Server, limits: ConnectionLimits, options: Mapping[str, Any]) -> None:
        super().__init__(manager, **options)
        self._limits = limits
        self.is_for_health = False
        """Whether everything but a health check is refused on this connection."""
        self._first_request: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self.task_for_client: asyncio.Task[Any] | None = None
        """A task to cancel when the connection is lost."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request, if there are not too many connections."""
        super().connection_made(transport)
        seconds = FIRST_REQUEST_SECONDS
        if not self._limits.add(self, self.peer_address):
            seconds, self.is_for_health = HEALTH_REQUEST_SECONDS, True
            if not self._limits.add_for_health(self, self.peer_address):
                self.refuse()
                return
        self._first_request = self._loop.call_later(seconds, self._close_if_silent)

    def refuse(self) -> None:
        """Answer that there are too many connections, and close this one."""
        if self.transport is not None:
            self.transport.write(_TOO_MANY)
        self.force_close()

    @property
    def peer_address(self) -> str:
        """The address at the other end, or the path of a Unix socket."""
        peer = self.peername
        return str(peer[0]) if isinstance(peer, tuple) else peer or ""

    def idle_since(self) -> float | None:
        """Since when the client has sent nothing; None while a request is being answered."""
        waiter = self._waiter
        if waiter is None or waiter.done() or self._messages:
            return None
        return self._next_keepalive_close_time - self._keepalive_timeout

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop the timers, and cancel what runs for this client alone."""
        for pending in (self._first_request, self._stalled, self.task_for_client):
            if pending is not None:
                pending.cancel()
        # aiohttp's loop would begin a request that arrived in the same moment, and fail with a logged error.
        if self._waiter is not None and self._waiter.done() and self._task_handler is not None:
            self._task_handler.cancel()
        self._limits.remove(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to watch the client: answers are piling up in memory."""
        super().pause_writing()
        self._expect_progress()

    def resume_writing(self) -> None:
        """Stop watching: the client has read enough."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()

    def _close_if_silent(self) -> None:
        if self._request_count:
            return
        if self.is_for_health:
            self.refuse()
        else:
            self.force_close()

    def _expect_progress(self) -> None:
        """Check after `STALLED_SECONDS` whether the client has read some of what is unread now."""
        if self.transport is not None:
            unread = unread_bytes(self.transport)
            self._stalled = self._loop.call_later(STALLED_SECONDS, self._cut_if_stalled, unread)

    def _cut_if_stalled(self, unread_before: int) -> None:
        if self.transport is not None and unread_bytes(self.transport) >= unread_before:
            self.transport.abort()
        else:
            self._expect_progress()
