"""The fast path for the ordinary post: no routing, no second look at credentials just seen, a ready answer.

It takes a post only when nothing about it needs a decision: a known sender, usual headers, a length within
the limit. Everything else, every refusal above all, goes the routed way, so each rule is written once.
"""

import asyncio
from collections.abc import Coroutine
from email.utils import formatdate
from functools import lru_cache, partial
from typing import Any, Final, cast

from aiohttp import StreamReader, hdrs, web
from aiohttp.http_parser import RawRequestMessage
from multidict import MultiMapping

from collector.domain.errors import Refusal
from collector.domain.post import Post
from collector.http.client_address import address_behind
from collector.http.connection.fast_path import FastPathRequest
from collector.http.errors import refusal_response
from collector.http.responses import SECURITY_HEADERS
from collector.ingest.body.request_body import ENCODINGS, read_body
from collector.ingest.body.strict import PREFER
from collector.ingest.fast_path.auth_cache import KnownSender
from collector.ingest.post_headers import CLIENT_HEADER, CONFIG_VERSION_HEADER, header_text
from collector.ingest.senders.auth import Target, target_of, token_of
from collector.ingest.services import IngestServices

PATH: Final = "/api/v2/events"

_USUAL_CONTENT_TYPES: Final = frozenset(
    {"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8", "text/plain"}
)
_LENGTH_DIGITS: Final = 9
"""Longer ones go the routed way, where zeros in front and numbers beyond all bounds are told apart."""


class EventsFastPath:
    """Takes ordinary posts to `PATH`."""

    def __init__(self, ingest: IngestServices) -> None:
        self._ingest = ingest
        self._limit_bytes = ingest.settings.body_limit_bytes
        # Whoever is counted is counted the routed way.
        self._is_counted = ingest.settings.request_limit > 0
        self._reasons = ingest.reasons

    def take(self, message: RawRequestMessage, content: StreamReader, peer: str) -> FastPathRequest | None:
        """Queue a post whose body is there; one future answers all posts of a batch."""
        sender = self._sender(message)
        if sender is None:
            return None
        post = _post(message.headers, peer, self._ingest, sender.target, content.read_nowait())
        try:
            written = self._ingest.queue.put(post)
        except Refusal as refusal:
            written = asyncio.get_running_loop().create_future()
            written.set_exception(refusal)
        return FastPathRequest(
            message, written, partial(_accepted_now, self._ingest, sender.target), self._refuse
        )

    def __call__(self, request: web.BaseRequest) -> Coroutine[Any, Any, web.StreamResponse] | None:
        """The answer to come, once the body is there."""
        sender = self._sender(request._message)  # noqa: SLF001
        return None if sender is None else self._take_late(request, sender)

    def _sender(self, message: RawRequestMessage) -> KnownSender | None:
        """Who sends it, where nothing about it needs a decision."""
        authorization = message.headers.get(hdrs.AUTHORIZATION)
        if message.method != hdrs.METH_POST or authorization is None or self._is_counted:
            return None
        if self._reasons.refuses:
            return None
        sender = self._ingest.senders.find(authorization)
        return sender if sender is not None and self._is_ordinary(message) else None

    def _is_ordinary(self, message: RawRequestMessage) -> bool:
        headers = message.headers
        length = headers.get(hdrs.CONTENT_LENGTH)
        return (
            length is not None
            and len(length) <= _LENGTH_DIGITS
            and 0 < int(length) <= self._limit_bytes
            and not message.should_close
            and message.version == (1, 1)
            and headers.get(hdrs.CONTENT_TYPE) in _USUAL_CONTENT_TYPES
            and ",".join(headers.getall(hdrs.CONTENT_ENCODING, ())) in ENCODINGS
            and hdrs.EXPECT not in headers
            and hdrs.ORIGIN not in headers
            and PREFER not in headers
        )

    async def _take_late(self, request: web.BaseRequest, sender: KnownSender) -> web.StreamResponse:
        try:
            body = await read_body(request, self._limit_bytes, self._ingest.bodies)
            target = await self._target_still(request, sender)
            await self._ingest.queue.append(post_of(request, self._ingest, target, body))
        except Refusal as refusal:
            return self._refuse(request, refusal)
        return cast("web.StreamResponse", _Accepted(self._ingest, target))

    def _refuse(self, request: web.BaseRequest, refusal: Refusal) -> web.Response:
        self._ingest.count_refusal(refusal)
        response = refusal_response(request, refusal)
        response.headers.update(SECURITY_HEADERS)
        return response

    async def _target_still(self, request: web.BaseRequest, sender: KnownSender) -> Target:
        """The sender's target, checked again where its token may have been revoked while the body came in."""
        if self._ingest.senders.find(request.headers[hdrs.AUTHORIZATION]) is sender:
            return sender.target
        ingest = self._ingest
        token = await token_of(request, ingest.cache, ingest.clock, ingest.failed_lookups)
        return await target_of(token, None, ingest.cache)


def post_of(request: web.BaseRequest, ingest: IngestServices, target: Target, body: bytes) -> Post:
    """The post that goes to the queue, where there is a request."""
    return _post(request.headers, request.remote or "", ingest, target, body)


def _post(headers: MultiMapping[str], peer: str, ingest: IngestServices, target: Target, body: bytes) -> Post:
    return Post(
        ingest.ids.next(ingest.clock.now_ms()),
        target.organization_id,
        target.project_id,
        body,
        header_text(headers.get(hdrs.CONTENT_TYPE, "")),
        headers.get(hdrs.CONTENT_ENCODING, "").strip().lower(),
        header_text(headers.get(CLIENT_HEADER) or headers.get(hdrs.USER_AGENT) or ""),
        address_behind(peer, headers, ingest.trusted_proxies),
    )


class _Accepted:
    """The 202 as bytes: what aiohttp needs of an answer, without building one each time."""

    __slots__ = ("_ingest", "_target")

    status = 202
    keep_alive = True

    def __init__(self, ingest: IngestServices, target: Target) -> None:
        self._ingest = ingest
        self._target = target

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send it; aiohttp calls this before `write_eof`."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        transport.write(_accepted_now(self._ingest, self._target))

    async def write_eof(self) -> None:
        """Nothing is left to send."""


def _accepted_now(ingest: IngestServices, target: Target) -> bytes:
    return _accepted(target.config_version, int(ingest.clock.monotonic()))


@lru_cache(maxsize=1024)
def _accepted(config_version: int, _second: int) -> bytes:
    """The whole answer, made once a second for its Date."""
    lines = [
        "HTTP/1.1 202 Accepted",
        f"{CONFIG_VERSION_HEADER}: {config_version}",
        "Content-Length: 0",
        f"Date: {formatdate(usegmt=True)}",
        *(f"{name}: {value}" for name, value in SECURITY_HEADERS.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()
