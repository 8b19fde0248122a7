"""An imitation of browsers with the two JavaScript clients: the preflight and the post."""

import json
from typing import Any

import pytest

from tests.clients.stored import Reader, as_stored, new_reference_id, written
from tests.clients.traffic.messages import Message, status_of
from tests.clients.traffic.raw_http import answers_to, request_of
from tests.end_to_end.running import RunningUp
from tests.support.real_clock import real_now

pytestmark = pytest.mark.end_to_end

ORIGIN = "Origin: https://shop.example.org"
AGENT = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def event(**members: Any) -> dict[str, Any]:
    """An event with a date as browsers write it."""
    date = real_now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"type": "log", "date": date, "message": "from a page", "tags": [], "data": {}, **members}


async def from_a_page(
    up: RunningUp, path: str, asked: str, headers: list[str], events: list[dict[str, Any]]
) -> tuple[Message, Message]:
    """Send the preflight and the post over one connection."""
    host = f"Host: {up.ready.url.removeprefix('http://')}"
    ask = ["Access-Control-Request-Method: POST", f"Access-Control-Request-Headers: {asked}"]
    preflight = request_of(f"OPTIONS {path} HTTP/1.1", host, AGENT, ORIGIN, *ask, "Sec-Fetch-Mode: cors")
    body = json.dumps(events).encode()
    length = ["Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close"]
    post = request_of(f"POST {path} HTTP/1.1", host, AGENT, ORIGIN, *headers, *length, body=body)
    answer, posted = await answers_to(up.ready.url, preflight, post)
    return answer, posted


def names_in(answer: Message, header: str) -> set[str]:
    """The names in a list, in lower case."""
    return {name.strip().lower() for name in answer.headers.get(header, "").split(",")}


async def test_a_page_with_the_newer_client(up: RunningUp, reader: Reader) -> None:
    """It sends a bearer token, and may read the settings' version. The browser sends its own user agent."""
    own = new_reference_id()
    sent = event(reference_id=own)

    preflight, posted = await from_a_page(
        up,
        "/api/v2/events",
        "authorization,content-type",
        [f"Authorization: Bearer {up.ready.client_token}"],
        [sent],
    )

    assert status_of(preflight) in {200, 204}
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert names_in(preflight, "access-control-allow-headers") >= {"authorization", "content-type"}
    assert "post" in names_in(preflight, "access-control-allow-methods")
    assert status_of(posted) == 202
    assert posted.headers["access-control-allow-origin"] == "*"
    assert "x-exceptionless-configversion" in names_in(posted, "access-control-expose-headers")
    assert posted.headers["x-exceptionless-configversion"].isdecimal()
    client = {"ip_address": "127.0.0.1", "user_agent": AGENT.removeprefix("User-Agent: ").lower()}
    assert written(await reader.event(own)) == as_stored(sent, client)


async def test_a_page_with_the_older_client(up: RunningUp, reader: Reader) -> None:
    """The token is in the query; the client's name is in a separate header."""
    own = new_reference_id()
    sent = event(reference_id=own)

    preflight, posted = await from_a_page(
        up,
        f"/api/v2/events?access_token={up.ready.client_token}",
        "content-type,x-exceptionless-client",
        ["X-Exceptionless-Client: exceptionless-js/1.6.4"],
        [sent],
    )

    assert status_of(preflight) in {200, 204}
    assert "x-exceptionless-client" in names_in(preflight, "access-control-allow-headers")
    assert status_of(posted) == 202
    client = {"ip_address": "127.0.0.1", "user_agent": "exceptionless-js", "version": "1.6.4"}
    assert written(await reader.event(own)) == as_stored(sent, client)


async def test_a_page_can_read_why_it_was_refused(up: RunningUp) -> None:
    """Without the header for its origin it would see a network error and send again endlessly."""
    _, refused = await from_a_page(
        up,
        "/api/v2/events",
        "authorization,content-type",
        ["Authorization: Bearer no-such-token-at-all"],
        [event()],
    )

    assert status_of(refused) == 401
    assert refused.headers["access-control-allow-origin"] == "*"
    assert json.loads(refused.body)["status"] == 401
