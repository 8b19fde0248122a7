"""The id of a request: in the answer and in the log lines about it, on a real port."""

import re
from collections.abc import AsyncIterator

import pytest
import structlog
from aiohttp import ClientSession, web
from structlog.testing import capture_logs

from collector.http.request_id import prefer_request_id
from collector.http.responses import json_response
from collector.http.server import Address, application, listen

MADE = r"[0-9a-f]{32}"


async def _logs(_request: web.Request) -> web.Response:
    structlog.get_logger().info("worked")
    return json_response({})


async def _renames(request: web.Request) -> web.Response:
    prefer_request_id(request, "the-id-of-an-event")
    structlog.get_logger().info("worked")
    return json_response({})


async def _fails(_request: web.Request) -> web.Response:
    raise RuntimeError("a bug")


@pytest.fixture
async def url() -> AsyncIterator[str]:
    app = application()
    app.router.add_get("/logs", _logs)
    app.router.add_get("/renames", _renames)
    app.router.add_get("/fails", _fails)
    running = await listen(app, Address("127.0.0.1", 0))
    try:
        yield f"http://127.0.0.1:{running.port}"
    finally:
        await running.close()


async def ask(url: str, sent: str | None = None) -> tuple[str, list[str]]:
    """The id in the answer, and those of the lines that were logged."""
    headers = {} if sent is None else {"X-Request-Id": sent}
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        async with ClientSession() as session, session.get(url, headers=headers) as answer:
            found = answer.headers.getall("X-Request-Id")
    assert len(found) == 1
    return found[0], [line["request_id"] for line in lines if "request_id" in line]


@pytest.mark.parametrize("path", ["/logs", "/fails"])
async def test_answers_and_log_lines_carry_an_id_of_their_own(url: str, path: str) -> None:
    """Of each request a new one, also if the handler fails."""
    first, second = await ask(url + path), await ask(url + path)

    assert re.fullmatch(MADE, first[0])
    assert first[0] != second[0]
    assert (first[1], second[1]) == ([first[0]], [second[0]])


async def test_an_id_that_a_proxy_has_made_is_kept(url: str) -> None:
    """Then its log and ours can be compared; nothing that a handler prefers replaces it."""
    sent = "01a20846-fe00-7000-accb-fa87c8900000"

    assert await ask(f"{url}/logs", sent) == (sent, [sent])
    assert await ask(f"{url}/renames", sent) == (sent, [sent])


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "short",
        "x" * 65,
        "-leading-hyphen",
        "with spaces in it",
        'quo"ted-id',
        "umlaut-ä-in-it",
        "../../etc/passwd",
    ],
)
async def test_what_has_another_shape_is_replaced(url: str, sent: str) -> None:
    """Headers are foreign text: only an id of bounded length and alphabet comes into a log."""
    found, logged = await ask(f"{url}/logs", sent)

    assert re.fullmatch(MADE, found)
    assert logged == [found]


async def test_a_handler_may_know_a_better_id(url: str) -> None:
    """For the answer and for the lines from then on."""
    assert await ask(f"{url}/renames") == ("the-id-of-an-event", ["the-id-of-an-event"])


async def test_a_request_that_matches_no_route_has_an_id(url: str) -> None:
    assert re.fullmatch(MADE, (await ask(f"{url}/nowhere"))[0])
