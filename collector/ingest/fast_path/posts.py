"""The fast path for ordinary posts: no routing, cached authentication, a prepared answer.

It takes a post only if nothing about it needs a decision: a cached sender, common headers, a length within
the limit. Everything else, above all every refusal, takes the slow path, so that each rule has one place.
"""

import asyncio
from binascii import hexlify
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
from collector.http.request_id import REQUEST_ID, prefer_request_id, sent_request_id
from collector.http.responses import SECURITY_HEADERS
from collector.ingest.body.request_body import ENCODINGS, read_body
from collector.ingest.body.strict import PREFER
from collector.ingest.fast_path.auth_cache import CachedSender
from collector.ingest.post_headers import CLIENT_HEADER, CONFIG_VERSION_HEADER, header_text
from collector.ingest.senders.auth import Target, authenticate, find_target
from collector.ingest.services import IngestServices

PATH: Final = "/api/v2/events"

_HEAD: Final = f"HTTP/1.1 202 Accepted\r\n{REQUEST_ID}: ".encode()
_COMMON_CONTENT_TYPES: Final = frozenset(
    {"application/json", "application/json; charset=utf-8", "application/json;charset=utf-8", "text/plain"}
)
_LENGTH_DIGITS: Final = 9
"""Longer values take the slow path, which tells leading zeros from excessive numbers."""


class EventsFastPath:
    """Answers ordinary posts to `PATH`."""

    def __init__(self, ingest: IngestServices) -> None:
        self._ingest = ingest
        self._limit_bytes = ingest.settings.body_limit_bytes
        # With a limit on requests, all posts take the slow path, which counts them.
        self._is_counted = ingest.settings.request_limit > 0
        self._reasons = ingest.reasons
        self._auth_cache = ingest.auth_cache

    def take(self, message: RawRequestMessage, content: StreamReader, peer: str) -> FastPathRequest | None:
        """Queue a post whose body has arrived; all posts of a batch share one future."""
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
            message,
            written,
            partial(_accepted_now, self._ingest, sender.target, post.id, message.headers),
            self._refuse,
        )

    def __call__(self, request: web.BaseRequest) -> Coroutine[Any, Any, web.StreamResponse] | None:
        """Answer a post whose body is still arriving; None declines it."""
        sender = self._sender(request._message)  # noqa: SLF001
        return None if sender is None else self._queue_when_read(request, sender)

    def _sender(self, message: RawRequestMessage) -> CachedSender | None:
        """The sender, or None if anything about the post needs a decision."""
        authorization = message.headers.get(hdrs.AUTHORIZATION)
        # Cheapest checks first: most requests that are declined fail one of these.
        if message.method != hdrs.METH_POST or authorization is None or self._is_counted:
            return None
        if self._reasons.refuses:
            return None
        sender = self._auth_cache.find(authorization)
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
            and headers.get(hdrs.CONTENT_TYPE) in _COMMON_CONTENT_TYPES
            and ",".join(headers.getall(hdrs.CONTENT_ENCODING, ())) in ENCODINGS
            and hdrs.EXPECT not in headers
            and hdrs.ORIGIN not in headers
            and PREFER not in headers
        )

    async def _queue_when_read(self, request: web.BaseRequest, sender: CachedSender) -> web.StreamResponse:
        try:
            body = await read_body(request, self._limit_bytes, self._ingest.inflight_bodies)
            target = sender.target
            # The token may have been revoked while the body arrived: check it again unless still cached.
            if self._auth_cache.find(request.headers[hdrs.AUTHORIZATION]) is not sender:
                ingest = self._ingest
                token = await authenticate(request, ingest.cache, ingest.clock, ingest.failed_lookups)
                target = await find_target(token, None, ingest.cache)
            post = build_post(request, self._ingest, target, body)
            await self._ingest.queue.append(post)
        except Refusal as refusal:
            return self._refuse(request, refusal)
        return cast("web.StreamResponse", _Accepted(self._ingest, target, post.id))

    def _refuse(self, request: web.BaseRequest, refusal: Refusal) -> web.Response:
        self._ingest.count_refusal(refusal)
        response = refusal_response(request, refusal)
        response.headers.update(SECURITY_HEADERS)
        return response


def build_post(request: web.BaseRequest, ingest: IngestServices, target: Target, body: bytes) -> Post:
    """The post as it is queued, with the headers and the client's address of the request."""
    post = _post(request.headers, request.remote or "", ingest, target, body)
    prefer_request_id(request, post.id.hex())
    return post


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
    """The 202 as prepared bytes, in the form in which aiohttp sends a response."""

    __slots__ = ("_ingest", "_post_id", "_target")

    status = 202
    keep_alive = True

    def __init__(self, ingest: IngestServices, target: Target, post_id: bytes) -> None:
        self._ingest = ingest
        self._target = target
        self._post_id = post_id

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send the answer; aiohttp calls this before `write_eof`."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has disconnected")
        transport.write(_accepted_now(self._ingest, self._target, self._post_id, request.headers))

    async def write_eof(self) -> None:
        """Nothing is left to send."""


def _accepted_now(
    ingest: IngestServices, target: Target, post_id: bytes, headers: MultiMapping[str]
) -> bytes:
    sent = sent_request_id(headers) if REQUEST_ID in headers else None
    return (
        _HEAD
        + (hexlify(post_id) if sent is None else sent.encode())
        + _accepted(target.config_version, int(ingest.clock.monotonic()))
    )


@lru_cache(maxsize=1024)
def _accepted(config_version: int, _second: int) -> bytes:
    """The answer after the request's id, cached for a second because of its Date."""
    lines = [
        "",
        f"{CONFIG_VERSION_HEADER}: {config_version}",
        "Content-Length: 0",
        f"Date: {formatdate(usegmt=True)}",
        *(f"{name}: {value}" for name, value in SECURITY_HEADERS.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()
