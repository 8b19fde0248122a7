"""The bytes that the .NET client sends."""

import json
from datetime import timedelta, timezone
from typing import Any, Final

from tests.clients.traffic.messages import Message
from tests.clients.traffic.raw_http import answers_to, chunked, gzipped, request_of
from tests.end_to_end.running import RunningUp
from tests.support.real_clock import real_now

AGENT: Final = {"ip_address": "127.0.0.1", "user_agent": "exceptionless", "version": "6.2.0.0"}
"""What is stored of who it is."""
_COMPRESSED_ABOVE: Final = 4096


def ticks_now(hours: int = 2) -> str:
    """A moment in the past, as .NET writes it: seven digits of a second, and the offset."""
    moment = (real_now() - timedelta(seconds=1)).astimezone(timezone(timedelta(hours=hours)))
    return f"{moment:%Y-%m-%dT%H:%M:%S}.1234567{moment:%z}"[:-2] + ":00"


def event(**members: Any) -> dict[str, Any]:
    """An event with all members, including null ones."""
    nothing = dict.fromkeys(("source", "message", "geo", "value", "count", "reference_id"))
    return {"type": "log", "date": ticks_now(), "tags": [], **nothing, "data": {}, **members}


def headers(up: RunningUp, *more: str) -> list[str]:
    """Headers in the order in which HttpClient writes them."""
    host = up.ready.url.removeprefix("http://")
    return [
        f"Host: {host}",
        "Accept: application/json",
        "User-Agent: exceptionless/6.2.0.0",
        f"Authorization: Bearer {up.ready.client_token}",
        "Connection: close",
        *more,
    ]


async def post(up: RunningUp, events: list[dict[str, Any]]) -> Message:
    """Post as the client does: compressed and in chunks if the JSON has over 4096 characters."""
    text = json.dumps(events, ensure_ascii=False, separators=(",", ":"))
    line = "POST /api/v2/events HTTP/1.1"
    kind = "Content-Type: application/json; charset=utf-8"
    if len(text) > _COMPRESSED_ABOVE:
        more, body = ["Transfer-Encoding: chunked", kind, "Content-Encoding: gzip"], chunked(gzipped(text))
    else:
        more, body = [kind, f"Content-Length: {len(text.encode())}"], text.encode()
    [answer] = await answers_to(up.ready.url, request_of(line, *headers(up, *more), body=body))
    return answer
