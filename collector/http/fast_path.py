"""Ways past routing and middlewares, by path: what one may take, and the bytes that it answers with.

A way takes a request at once when its whole body is there, or as a coroutine while the body is still coming.
Whatever it leaves goes the usual way, where every rule is.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Final, Protocol

from aiohttp import StreamReader, hdrs, web
from aiohttp.http_parser import RawRequestMessage

from collector.domain.errors import Refusal

Answer = Coroutine[Any, Any, web.StreamResponse]


@dataclass(frozen=True, slots=True)
class FastPathRequest:
    """A request that was taken at once. Once `done` is, `answer` makes the whole answer as bytes.

    `done` may fail, with a Refusal only: then `refuse` makes the answer. It is never cancelled.
    """

    message: RawRequestMessage
    done: asyncio.Future[None]
    answer: Callable[[], bytes]
    refuse: Callable[[web.BaseRequest, Refusal], web.Response]


class DirectWay(Protocol):
    """What takes ordinary requests to one path."""

    def take(self, message: RawRequestMessage, content: StreamReader, peer: str) -> FastPathRequest | None:
        """Take a request whose body has arrived, or leave it."""
        ...

    def __call__(self, request: web.BaseRequest) -> Answer | None:
        """The answer to come, for one whose body is still coming; None to leave it."""
        ...


DIRECT: Final = web.AppKey("direct", Mapping[str, DirectWay])
"""An application's direct ways."""


def as_bytes(response: web.Response) -> bytes:
    """A whole answer, for where nothing else sends it."""
    body = response.body
    content = body if isinstance(body, bytes) else b""
    headers = {hdrs.CONTENT_LENGTH: str(len(content)), hdrs.DATE: formatdate(usegmt=True)}
    lines = [
        f"HTTP/1.1 {response.status} {response.reason}",
        *(f"{name}: {value}" for name, value in (*response.headers.items(), *headers.items())),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content
