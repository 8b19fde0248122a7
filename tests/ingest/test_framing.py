"""How bodies are announced: `Expect: 100-continue`, and chunks in HTTP/1.0."""

import asyncio

import pytest

from tests.clients.traffic.raw_http import request_of
from tests.ingest.running_ingest import RunningIngest, raw_post
from tests.support.factories import CLIENT_TOKEN

pytestmark = pytest.mark.integration

EXPECT = "Expect: 100-continue"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("is_known", [False, True], ids=["from a stranger", "from a known sender"])
async def test_a_body_that_is_wanted_is_asked_for_once(
    any_ingest: RunningIngest,
    is_known: bool,  # noqa: FBT001
) -> None:
    """Then the post is queued."""
    if is_known:
        await any_ingest.post()
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", any_ingest.port)
        for _ in range(2):
            writer.write(raw_post("Content-Length: 2", EXPECT))
            assert await reader.readuntil(b"\r\n\r\n") == CONTINUE
            writer.write(b"{}")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 202 ")
        writer.close()

    assert [post.body for post in await any_ingest.queued()][-2:] == [b"{}", b"{}"]


async def test_a_body_that_has_arrived_is_not_asked_for(any_ingest: RunningIngest) -> None:
    """A client need not wait."""
    answer = await any_ingest.raw(raw_post("Content-Length: 2", EXPECT, "Connection: close", body=b"{}"))

    assert answer.startswith(b"HTTP/1.1 202 ")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param(raw_post("Content-Length: 1001", EXPECT), b"413", id="too long"),
        pytest.param(
            request_of("POST /api/v2/events HTTP/1.1", "Host: x", "Content-Length: 2", EXPECT),
            b"401",
            id="without credentials",
        ),
        pytest.param(raw_post("Content-Length: 2", EXPECT, "Content-Encoding: xz"), b"415", id="packed"),
        pytest.param(raw_post("Content-Length: 2", EXPECT, target="/nowhere"), b"404", id="nowhere"),
    ],
)
async def test_a_body_that_is_refused_is_not_asked_for(
    any_ingest: RunningIngest, head: bytes, status: bytes
) -> None:
    """The answer comes instead, and closes the connection: the client may send the body or not."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", any_ingest.port)
        writer.write(head)
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"\r\nConnection: close\r\n" in answer
    assert b"\r\nServer: " not in answer


async def test_a_chunked_body_in_http_1_0_is_refused(any_ingest: RunningIngest) -> None:
    """Its framing is faulty (RFC 9112, 6.1): the connection is closed, and nothing after it is read."""
    post = request_of(
        "POST /api/v2/events HTTP/1.0",
        "Host: x",
        "Connection: keep-alive",
        "Content-Type: application/json",
        f"Authorization: Bearer {CLIENT_TOKEN}",
        "Transfer-Encoding: chunked",
        body=b"2\r\n{}\r\n0\r\n\r\n",
    )
    answer = await any_ingest.raw(post + post)

    assert answer.startswith(b"HTTP/1.0 400 ")
    assert b"\r\nServer: " not in answer
    assert answer.count(b"HTTP/1.0 ") == 1
    assert await any_ingest.queued() == []
