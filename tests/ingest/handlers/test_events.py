"""Posts of events to version 1, and rules that both versions share."""

import gzip

import pytest

from tests.clients.traffic.raw_http import request_of
from tests.ingest.running_ingest import BEARER, JSON, RunningIngest, raw_post
from tests.support.factories import CLIENT_TOKEN, PROJECT

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    "path", ["/api/v1/events", f"/api/v1/projects/{PROJECT.hex()}/events", "/api/v1/error", "//api/v1//error"]
)
async def test_version_1_is_queued_with_its_version(any_ingest: RunningIngest, path: str) -> None:
    """The worker upgrades it. Only the header `v` has the settings' version."""
    response = await any_ingest.post(path)

    assert response.status == 202
    assert response.headers["v"] == "7"
    assert "X-Exceptionless-ConfigVersion" not in response.headers
    assert await response.text() == ""
    [post] = await any_ingest.queued()
    assert (post.api_version, post.kind, post.body) == (1, "", b'{"message":"hi"}')


async def test_version_2_has_its_own_header(any_ingest: RunningIngest) -> None:
    """Contract 3.2."""
    response = await any_ingest.post()

    assert response.headers["X-Exceptionless-ConfigVersion"] == "7"
    assert "v" not in response.headers
    [post] = await any_ingest.queued()
    assert post.api_version == 2


@pytest.mark.parametrize("path", ["/api/v1/events", "/api/v2/events"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "identity"])
async def test_known_encodings_are_queued_unchanged(
    any_ingest: RunningIngest, path: str, encoding: str
) -> None:
    """Ingest decompresses nothing, not even to validate; the second post takes the fast path."""
    headers = JSON | BEARER | {"Content-Encoding": encoding}
    body = gzip.compress(b"{}")

    assert [(await any_ingest.post(path, data=body, headers=headers)).status for _ in range(2)] == [202, 202]

    posts = await any_ingest.queued()
    assert [(post.body, post.content_encoding) for post in posts] == [(body, encoding.lower())] * 2


@pytest.mark.parametrize("encoding", ["lz4", "gzip, br", "x-gzip", "compress"])
async def test_other_encodings_are_refused(any_ingest: RunningIngest, encoding: str) -> None:
    """415, where the official server would answer 202 and lose the events."""
    response = await any_ingest.post(headers=JSON | BEARER | {"Content-Encoding": encoding})

    assert response.status == 415
    assert await any_ingest.queued() == []


async def test_a_connection_is_closed_if_the_client_says_so(any_ingest: RunningIngest) -> None:
    """As .NET does on every request; also on the fast path."""
    await any_ingest.post()
    chunks = b"2\r\n{}\r\n0\r\n\r\n"

    answer = await any_ingest.raw(raw_post("Connection: close", "Transfer-Encoding: chunked", body=chunks))

    assert answer.startswith(b"HTTP/1.1 202 ")
    assert b"\r\nConnection: close\r\n" in answer


async def test_pipelined_requests_are_answered_in_their_order(any_ingest: RunningIngest) -> None:
    """Even if they take paths of different length: a post, a heartbeat, a refusal, a post."""
    known = ("Host: x", f"Authorization: Bearer {CLIENT_TOKEN}")
    answer = await any_ingest.raw(
        raw_post("Content-Length: 2", body=b"{}")
        + request_of("GET http://old.example/api/v2/projects/config?v=7 HTTP/1.1", *known)
        + request_of("GET //api/v2/events/submit?message=hi HTTP/1.1", *known)
        + request_of("GET /api/v2/projects/config HTTP/1.1", "Host: x")
        + raw_post("Content-Length: 2", "Connection: close", body=b"{}")
    )

    lines = [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ") or b"}HTTP/1.1 " in line]
    assert [line.partition(b"HTTP/1.1 ")[2][:3] for line in lines] == [b"202", b"304", b"200", b"401", b"202"]
    assert [post.body for post in await any_ingest.queued()] == [b"{}", b'{"message":"hi"}', b"{}"]
