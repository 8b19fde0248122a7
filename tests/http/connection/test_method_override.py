"""A POST can override its method."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from collector.http.connection.method_override import METHOD_OVERRIDE, apply_method_override
from collector.http.responses import json_response
from collector.http.server import Address, Listener, application, listen
from tests.clients.traffic.messages import Message, status_of
from tests.clients.traffic.raw_http import answers_to, request_of


@pytest.mark.parametrize(
    ("method", "said", "meant"),
    [
        pytest.param("POST", ["DELETE"], "DELETE", id="another one"),
        pytest.param("POST", ["\t pAtCh "], "PATCH", id="however it is written"),
        pytest.param("POST", ["HEAD"], "GET", id="HEAD, whose answer would have no content"),
        pytest.param("POST", ["post"], "POST", id="the same one"),
        pytest.param("POST", [""], "POST", id="nothing"),
        pytest.param("POST", [" "], "POST", id="a blank"),
        pytest.param("POST", [], "POST", id="no header"),
        pytest.param("POST", ["GET", "DELETE"], "GET,DELETE", id="two, which is invalid"),
        pytest.param("POST", ["d\u0131lete"], "D?LETE", id="a letter that only looks like one"),
        pytest.param("GET", ["DELETE"], "GET", id="no POST"),
        pytest.param("PUT", ["PATCH"], "PUT", id="no POST, but something with a body"),
    ],
)
def test_only_a_post_can_override_its_method(method: str, said: list[str], meant: str) -> None:
    """As on the official server."""
    headers = CIMultiDict((METHOD_OVERRIDE, value) for value in said)

    assert apply_method_override(make_mocked_request(method, "/", headers=headers)._message).method == meant


async def _answer(request: web.Request) -> web.Response:
    return json_response({"method": request.method})


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    """An application that answers with the method that it was called with."""
    app = application()
    app.router.add_get("/thing", _answer)
    app.router.add_delete("/thing", _answer)
    running = await listen(app, Address("127.0.0.1", 0))
    yield running
    await running.close()


async def _answers(listener: Listener, *said: str) -> list[Message]:
    """The answers to posts on one connection, the last of which closes it."""
    ends = [*["keep-alive"] * (len(said) - 1), "close"]
    return await answers_to(f"http://127.0.0.1:{listener.port}", *map(_post, said, ends))


def _post(meant: str, end: str) -> bytes:
    headers = ("Host: x", "Content-Length: 2", f"Connection: {end}", f"{METHOD_OVERRIDE}: {meant}")
    return request_of("POST /thing HTTP/1.1", *headers, body=b"{}")


async def test_the_route_of_the_overriding_method_answers(listener: Listener) -> None:
    """Unread bodies are skipped, and every answer has the announced length."""
    answers = await _answers(listener, "HEAD", "delete", "GET")

    assert [answer.body for answer in answers] == [
        b'{"method":"GET"}',
        b'{"method":"DELETE"}',
        b'{"method":"GET"}',
    ]


@pytest.mark.parametrize(
    ("said", "named"),
    [
        pytest.param("PATCH", "PATCH", id="one that it does not have"),
        pytest.param("*", "*", id="a star"),
        pytest.param("<\xff'>", r"\u003C?\u0027\u003E", id="garbage"),
    ],
)
async def test_an_override_without_a_route_is_405(listener: Listener, said: str, named: str) -> None:
    """Problem JSON with the method and the allowed ones."""
    [answer] = await _answers(listener, said)

    assert (status_of(answer), answer.headers["allow"]) == (405, "DELETE,GET,HEAD")
    assert f'"instance":"{named} /thing"'.encode() in answer.body
