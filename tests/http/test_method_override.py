"""A POST that says which method is meant is answered as that one."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from collector.http.method_override import METHOD_OVERRIDE, as_meant
from collector.http.responses import json_response
from collector.http.server import Address, Listener, application, listen


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
        pytest.param("POST", ["GET", "DELETE"], "GET,DELETE", id="two, so none that there is"),
        pytest.param("POST", ["d\u0131lete"], "D?LETE", id="a letter that only looks like one"),
        pytest.param("GET", ["DELETE"], "GET", id="no POST"),
        pytest.param("PUT", ["PATCH"], "PUT", id="no POST, but something with a body"),
    ],
)
def test_only_a_post_may_mean_another_method(method: str, said: list[str], meant: str) -> None:
    """As the official server has it."""
    headers = CIMultiDict((METHOD_OVERRIDE, value) for value in said)

    assert as_meant(make_mocked_request(method, "/", headers=headers)._message).method == meant


async def _answer(request: web.Request) -> web.Response:
    return json_response({"method": request.method})


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    """An application that says by which method it was asked."""
    app = application()
    app.router.add_get("/thing", _answer)
    app.router.add_delete("/thing", _answer)
    running = await listen(app, Address("127.0.0.1", 0))
    yield running
    await running.close()


async def _answers(listener: Listener, *said: str) -> bytes:
    """What comes to posts on one connection, the last of which ends it."""
    request = (
        "POST /thing HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nX-HTTP-Method-Override: {}\r\n{}\r\n{{}}"
    )
    last = len(said) - 1
    sent = "".join(
        request.format(method, "Connection: close\r\n" if place == last else "")
        for place, method in enumerate(said)
    )
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(sent.encode("latin-1"))
        answers = await reader.read()
        writer.close()
        await writer.wait_closed()
    return answers


async def test_the_route_of_the_method_that_is_meant_answers(listener: Listener) -> None:
    """Bodies that it does not read are passed over, and every answer has the content that it announces."""
    answers = await _answers(listener, "HEAD", "delete", "GET")

    contents = [answer.partition(b"\r\n\r\n")[2] for answer in answers.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert contents == [b'{"method":"GET"}', b'{"method":"DELETE"}', b'{"method":"GET"}']


@pytest.mark.parametrize(
    ("said", "named"),
    [
        pytest.param("PATCH", "PATCH", id="one that it does not have"),
        pytest.param("*", "*", id="a star"),
        pytest.param("<\xff'>", r"\u003C?\u0027\u003E", id="rubbish"),
    ],
)
async def test_a_method_that_no_route_has_is_405_as_ever(listener: Listener, said: str, named: str) -> None:
    """Problem JSON that names it, and the methods that there are."""
    answer = await _answers(listener, said)

    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: DELETE,GET,HEAD\r\n" in answer
    assert f'"instance":"{named} /thing"'.encode() in answer
