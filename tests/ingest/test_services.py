"""Ingest over HTTP with a real queue: the edge sequence (contract 3.2), and the contents of the stream."""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
from multidict import CIMultiDict

from collector.domain.access.projection import ProjectEntry, Projection
from collector.domain.access.token import lookup_prefix
from collector.domain.reasons import REASONS
from tests.ingest.projections import (
    LOGIN,
    LOGIN_SUSPENDED,
    LOST_PROJECT,
    OTHER_PROJECT,
    SUSPENDED,
    UPLOAD_ONLY,
    a_projection,
)
from tests.ingest.running_ingest import BEARER, JSON, RunningIngest, raw_post, running_ingest
from tests.support.factories import CLIENT_TOKEN, ORGANIZATION, PROJECT, a_token_entry
from tests.support.waiting import until

pytestmark = pytest.mark.integration

TOKEN_SUSPENDED, NO_PROJECT, EXPIRED = "t" * 40, "n" * 40, "e" * 40


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": aiohttp.encode_basic_auth(user, password)}


def _projection() -> Projection:
    """The usual projection, with the tokens of this module."""
    usual = a_projection()
    entries = {
        TOKEN_SUSPENDED: a_token_entry(TOKEN_SUSPENDED, organization_ids=(SUSPENDED,)),
        NO_PROJECT: a_token_entry(NO_PROJECT, project_id=None),
        EXPIRED: a_token_entry(EXPIRED, expires_ms=1),
    }
    tokens = usual.tokens | {lookup_prefix(token): entry for token, entry in entries.items()}
    return Projection(tokens, usual.projects, usual.organizations)


@pytest.fixture
async def ingest(redis_url: str, key_prefix: str) -> AsyncIterator[RunningIngest]:
    """An ingest process with a small body limit."""
    async with running_ingest(redis_url, key_prefix, _projection(), body_limit_bytes=1000) as running:
        yield running


async def test_a_post_is_answered_202_with_an_empty_body_and_the_config_version(
    ingest: RunningIngest,
) -> None:
    """As the official clients need it: exactly 202, no body, the version of the settings."""
    response = await ingest.post()

    assert response.status == 202
    assert response.headers["Content-Length"] == "0"
    assert response.headers["X-Exceptionless-ConfigVersion"] == "7"
    assert "Server" not in response.headers
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    [post] = await ingest.queued()
    assert post.body == b'{"message":"hi"}'
    assert (post.project_id, post.organization_id) == (PROJECT, ORGANIZATION)
    assert post.client_ip == "127.0.0.1"


async def test_the_fast_path_gives_the_same_answer(ingest: RunningIngest) -> None:
    """And queues the same."""
    routed, direct = await ingest.post(), await ingest.post()

    assert direct.status == routed.status == 202
    own = {name: direct.headers[name] for name in ("Date", "X-Request-ID")}
    assert dict(direct.headers) == dict(routed.headers) | own
    first, second = await ingest.queued()
    assert msgspec.structs.replace(second, id=first.id) == first
    assert second.id > first.id


async def test_a_body_that_arrives_late_takes_the_fast_path(ingest: RunningIngest) -> None:
    """A batch of events is longer than one packet."""
    await ingest.post()
    head = raw_post("Content-Length: 4")
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
        for part in (head, b"{", b"}  " + head, b"null"):
            writer.write(part)
            await writer.drain()
            await ingest.ready()  # answered, so the server has seen the part before
        answers = await reader.readuntil(b"\r\n\r\n") + await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    assert answers.count(b"HTTP/1.1 202 Accepted\r\n") == 2
    late = (await ingest.queued())[1:]
    assert [post.body for post in late] == [b"{}  ", b"null"]
    assert re.findall(r"X-Request-Id: (\S+)", answers.decode()) == [post.id.hex() for post in late]


async def test_an_accepted_post_is_answered_with_the_id_of_its_event(ingest: RunningIngest) -> None:
    """First on the slow path, then on the fast one; a client that sends an id gets that back."""
    answered = [(await ingest.post()).headers.getall("X-Request-Id") for _ in range(3)]

    assert answered == [[post.id.hex()] for post in await ingest.queued()]
    for sent, is_kept in (("a-trace-of-the-proxy", True), ("no id: too odd", False)):
        headers = JSON | BEARER | {"X-Request-Id": sent}
        assert ((await ingest.post(headers=headers)).headers["X-Request-Id"] == sent) is is_kept


async def test_a_refusal_has_an_id_that_a_client_can_quote(ingest: RunningIngest) -> None:
    refused = await ingest.post(headers=JSON | {"X-Request-Id": "quoted-by-a-client"})

    assert (refused.status, refused.headers["X-Request-Id"]) == (401, "quoted-by-a-client")
    assert b"\r\nX-Request-Id: " in await ingest.raw(b"POST\r\n\r\n")


async def test_a_new_configuration_version_is_sent_immediately(ingest: RunningIngest) -> None:
    """Also to senders whose answer was cached."""
    await ingest.post()
    assert (await ingest.post()).headers["X-Exceptionless-ConfigVersion"] == "7"
    await ingest.projection.put_project(PROJECT, ProjectEntry(ORGANIZATION, config_version=8))

    async def is_told() -> bool:
        return (await ingest.post()).headers["X-Exceptionless-ConfigVersion"] == "8"

    await until(is_told)


async def test_a_page_of_any_origin_may_post_and_read_the_answer(ingest: RunningIngest) -> None:
    """Browsers send a preflight without a token, and need the exposed headers. Twice, for the fast path."""
    origin = {"Origin": "https://shop.example"}
    asked = origin | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-exceptionless-client",
    }
    async with ingest.session.options(ingest.url + "/api/v2/events", headers=asked) as preflight:
        assert preflight.status == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == "*"
        assert preflight.headers["Access-Control-Allow-Methods"] == "POST"
        assert preflight.headers["Access-Control-Allow-Headers"] == asked["Access-Control-Request-Headers"]
        assert preflight.headers["Access-Control-Max-Age"] == "300"
    await ingest.post()
    for headers in (JSON | BEARER | origin, JSON | origin):
        response = await ingest.post(headers=headers)
        assert response.status == (202 if "Authorization" in headers else 401)
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in response.headers
        assert "X-Exceptionless-ConfigVersion" in response.headers["Access-Control-Expose-Headers"]
        assert response.headers["Vary"] == "Origin"


async def test_options_without_an_origin_is_no_preflight(ingest: RunningIngest) -> None:
    """405 with the allowed methods."""
    async with ingest.session.options(ingest.url + "/api/v2/events") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "POST"


async def test_the_body_is_queued_unchanged(ingest: RunningIngest) -> None:
    """Ingest neither decompresses nor parses it. Headers that the worker needs are queued, too."""
    body = gzip.compress(b"no json at all {")
    headers = JSON | BEARER | {
        "Content-Encoding": "gzip",
        "Content-Type": "text/plain; charset=latin-1",
        "X-Exceptionless-Client": "exceptionless/6.2",
    }  # fmt: skip

    response = await ingest.post(data=body, headers=headers)

    assert response.status == 202
    [post] = await ingest.queued()
    assert post.body == body
    assert post.content_encoding == "gzip"
    assert post.content_type == "text/plain; charset=latin-1"
    assert post.user_agent == "exceptionless/6.2"


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"headers": JSON | {"Authorization": f"Token {CLIENT_TOKEN}"}}, id="token scheme"),
        pytest.param({"headers": JSON | _basic("client", CLIENT_TOKEN)}, id="basic with client"),
        pytest.param({"headers": JSON | _basic(CLIENT_TOKEN, "")}, id="basic, empty password"),
        pytest.param({"headers": JSON, "params": {"access_token": CLIENT_TOKEN}}, id="access_token"),
        pytest.param({"headers": JSON, "params": {"apikey": CLIENT_TOKEN}}, id="apikey"),
        pytest.param({"path": f"/api/v2/projects/{PROJECT.hex()}/events"}, id="with the project in the path"),
        pytest.param({"path": "//api/v2//events"}, id="with doubled slashes"),
        pytest.param({"headers": {"Content-Type": "TEXT/PLAIN ; charset=x"} | BEARER}, id="text in capitals"),
        pytest.param(
            {
                "path": f"/api/v2/projects/{PROJECT.hex()}/events",
                "headers": JSON | {"Authorization": f"Bearer {LOGIN}"},
            },
            id="a login token with the project in the path",
        ),
    ],
)
async def test_every_accepted_form_of_a_post_is_queued(
    ingest: RunningIngest, options: dict[str, Any]
) -> None:
    """Contract 1.1 and 3.1."""
    response = await ingest.post(**options)

    assert response.status == 202
    assert len(await ingest.queued()) == 1


REFUSALS = [
    pytest.param({"headers": JSON}, 401, id="no credentials"),
    pytest.param({"headers": JSON | {"Authorization": "Bearer " + "x" * 40}}, 401, id="unknown token"),
    pytest.param(
        {"headers": JSON | {"Authorization": f"Bearer {CLIENT_TOKEN[:-1]}x"}}, 401, id="wrong secret part"
    ),
    pytest.param({"headers": JSON | {"Authorization": "Bearer short"}}, 401, id="an impossible token"),
    pytest.param({"headers": JSON | {"Authorization": f"Bearer {EXPIRED}"}}, 401, id="expired"),
    pytest.param(
        {"headers": JSON | {"Authorization": f"Bearer {TOKEN_SUSPENDED}"}}, 401, id="suspended organization"
    ),
    pytest.param({"headers": JSON | _basic("me@example.com", "password")}, 401, id="password"),
    pytest.param({"headers": JSON | {"Authorization": f"Bearer {UPLOAD_ONLY}"}}, 403, id="lacking scope"),
    pytest.param(
        {"headers": JSON | {"Authorization": f"Bearer {LOGIN_SUSPENDED}"}}, 402, id="user of a suspended one"
    ),
    pytest.param({"data": b"", "headers": JSON | BEARER | {"Content-Length": "0"}}, 411, id="length 0"),
    pytest.param({"data": b"x" * 1001}, 413, id="too long by its length"),
    pytest.param({"headers": BEARER | {"Content-Type": "application/xml"}}, 415, id="content type"),
    pytest.param({"headers": BEARER, "skip_auto_headers": ["Content-Type"]}, 415, id="missing content type"),
    pytest.param({"headers": JSON | BEARER | {"Content-Encoding": "lz9"}}, 415, id="unknown encoding"),
    pytest.param(
        {"headers": [*(JSON | BEARER).items(), *[("Content-Encoding", "gzip")] * 2]}, 415, id="encoded twice"
    ),
    pytest.param({"headers": JSON | {"Authorization": f"Bearer {LOGIN}"}}, 400, id="no project"),
    pytest.param({"headers": JSON | {"Authorization": f"Bearer {NO_PROJECT}"}}, 400, id="no default project"),
    pytest.param({"headers": JSON | {"Authorization": f"Bearer {LOST_PROJECT}"}}, 404, id="project gone"),
    pytest.param({"path": f"/api/v2/projects/{OTHER_PROJECT.hex()}/events"}, 404, id="another project"),
    pytest.param(
        {
            "path": f"/api/v2/projects/{OTHER_PROJECT.hex()}/events",
            "headers": JSON | {"Authorization": f"Bearer {LOGIN}"},
        },
        404,
        id="another organization's project",
    ),
    pytest.param({"path": "/api/v2/projects/no-such-id/events"}, 404, id="no id in the path"),
    pytest.param(
        {"path": "/api/v2/projects/537650f3b77efe23a47914f4/events"}, 404, id="an id of another kind"
    ),
    pytest.param({"path": "/api/v2/nothing"}, 404, id="no route"),
]


@pytest.mark.parametrize("is_known", [False, True], ids=["from a stranger", "from a known sender"])
@pytest.mark.parametrize(("options", "status"), REFUSALS)
async def test_every_refusal_is_problem_json_and_queues_nothing(
    ingest: RunningIngest,
    options: dict[str, Any],
    status: int,
    is_known: bool,  # noqa: FBT001
) -> None:
    """Clients parse every body as JSON, and the status decides what they do."""
    if is_known:
        assert (await ingest.post()).status == 202
        assert len(await ingest.queued()) == 1
    response = await ingest.post(**options)
    problem = await response.json()

    assert response.status == status
    assert response.content_type == "application/problem+json"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["instance"].startswith("POST /")
    assert CLIENT_TOKEN not in await response.text()
    assert "X-Exceptionless-ConfigVersion" not in response.headers
    assert response.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)
    assert await ingest.queued() == []


@pytest.mark.parametrize(
    ("options", "status"),
    [
        pytest.param({"data": b"x" * 5000, "headers": JSON}, 401, id="401 before 413"),
        pytest.param({"data": b"", "headers": {"Content-Length": "0"}}, 401, id="401 before 411"),
        pytest.param(
            {"data": b"x" * 5000, "headers": {"Authorization": f"Bearer {LOGIN_SUSPENDED}"}},
            413,
            id="413 before 402",
        ),
        pytest.param({"data": b"x" * 5000, "headers": BEARER}, 413, id="413 before 415"),
        pytest.param(
            {"headers": {"Authorization": f"Bearer {LOGIN}", "Content-Type": "a/b"}}, 415, id="415 before 400"
        ),
    ],
)
async def test_the_first_reason_in_the_sequence_decides(
    ingest: RunningIngest, options: dict[str, Any], status: int
) -> None:
    """In the order of contract 3.2."""
    assert (await ingest.post(**options)).status == status


async def test_a_chunked_body_is_taken_up_to_the_limit_and_refused_above(ingest: RunningIngest) -> None:
    """.NET sends compressed bodies without a length."""

    async def chunks(count: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"x" * 100

    assert (await ingest.post(data=chunks(10))).status == 202
    assert (await ingest.post(data=chunks(11))).status == 413
    assert [len(post.body) for post in await ingest.queued()] == [1000]


async def test_neither_length_nor_chunks_is_an_empty_body(ingest: RunningIngest) -> None:
    """202 and no event (contract 10, row 20)."""
    answer = await ingest.raw(raw_post("Connection: close"))

    assert answer.startswith(b"HTTP/1.1 202 ")
    assert await ingest.queued() == []


async def test_the_absolute_form_and_bytes_outside_utf_8_in_headers_are_taken(ingest: RunningIngest) -> None:
    """The old Node client sends the whole URL; an odd user agent must not damage the batch."""
    headers = ("Connection: close", "User-Agent: a\xff\xfeb", "Content-Length: 2")
    answer = await ingest.raw(raw_post(*headers, body=b"{}", target="http://example.com/api/v2/events"))

    assert answer.startswith(b"HTTP/1.1 202 ")
    [post] = await ingest.queued()
    assert post.user_agent == "a??b"


async def test_a_body_that_is_cut_off_queues_nothing(ingest: RunningIngest) -> None:
    """The client disconnected in the middle and got no 202."""
    _, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
    writer.write(raw_post("Content-Length: 100", body=b"{"))
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await ingest.post()).status == 202

    assert [post.body for post in await ingest.queued()] == [b'{"message":"hi"}']


@pytest.mark.parametrize("is_known", [False, True], ids=["from a stranger", "from a known sender"])
@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        pytest.param([f"Content-Length: {'0' * 5000}2"], b"{}", b"400", id="a length of 5001 digits"),
        pytest.param(["Content-Length: 0002"], b"{}", b"202", id="a length with zeros in front"),
        pytest.param(["Content-Length: 2", "Expect: cake"], b"{}", b"417", id="an unknown expectation"),
        pytest.param(["Transfer-Encoding: gzip, chunked"], b"0\r\n\r\n", b"415", id="a transfer encoding"),
    ],
)
async def test_odd_heads_are_answered_with_json_or_nothing(
    ingest: RunningIngest,
    headers: list[str],
    body: bytes,
    status: bytes,
    is_known: bool,  # noqa: FBT001
) -> None:
    """Neither a 5xx nor text, on either path."""
    if is_known:
        await ingest.post()
    answer = await ingest.raw(raw_post("Connection: close", *headers, body=body))

    assert answer.split(b" ", 2)[1] == status
    assert answer.endswith(b"\r\n\r\n") or b"application/problem+json" in answer


async def test_a_body_with_malformed_chunks_is_refused_immediately(ingest: RunningIngest) -> None:
    """Not after the half minute that a slow client gets."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
        writer.write(raw_post("Transfer-Encoding: chunked", body=b'5\r\n{"ema\r\n'))
        await ingest.ready()  # answered, so the server has seen the part before
        writer.write(b"zz\r\n\r\n")
        answer = await reader.read()
        writer.close()

    assert b" 400 Bad Request" in answer.partition(b"\r\n")[0]
    assert answer.count(b"HTTP/1.") == 1
    assert await ingest.queued() == []


@pytest.mark.parametrize("is_known", [False, True], ids=["from a stranger", "from a known sender"])
async def test_a_token_revoked_while_the_body_arrives_is_refused(
    ingest: RunningIngest,
    is_known: bool,  # noqa: FBT001
) -> None:
    """The head was read before the revocation, the rest after it."""
    if is_known:
        await ingest.post()
        await ingest.queued()
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
        writer.write(raw_post("Content-Length: 4", "Connection: keep-alive", body=b"{"))
        await ingest.ready()
        await ingest.projection.remove_tokens([lookup_prefix(CLIENT_TOKEN)])
        while (await ingest.post()).status != 401:
            pass
        await ingest.queued()
        writer.write(b"}  ")
        answer = await reader.readuntil(b"\r\n")
        writer.close()

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert await ingest.queued() == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"GARBAGE\r\n\r\n", id="no request line"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -4\r\n\r\n", id="negative length"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n", id="garbled length"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
            id="length and chunks",
        ),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n\r\n", id="a header too long"),
    ],
)
async def test_invalid_http_is_answered_with_problem_json(
    ingest: RunningIngest, request_bytes: bytes
) -> None:
    """Errors of the parser bypass every middleware, and still are JSON."""
    head, _, body = (await ingest.raw(request_bytes)).partition(b"\r\n\r\n")

    assert b" 400 Bad Request" in head.partition(b"\r\n")[0]
    assert b"application/problem+json" in head
    assert b"Server:" not in head
    assert b'"status":400' in body


async def test_a_request_line_that_is_too_long_is_explained(ingest: RunningIngest) -> None:
    """A long filter is valid HTTP."""
    answer = await ingest.raw(b"GET /?filter=" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")

    assert b" 400 Bad Request" in answer.partition(b"\r\n")[0]
    assert b"address, or one of its headers, is too long" in answer


async def test_a_revoked_token_is_refused_immediately(ingest: RunningIngest) -> None:
    """Also by an ingest process that has it in its cache."""
    assert (await ingest.post()).status == 202
    await ingest.projection.remove_tokens([lookup_prefix(CLIENT_TOKEN)])

    async def is_refused() -> bool:
        return (await ingest.post()).status == 401

    await until(is_refused)


async def test_many_concurrent_posts_all_arrive(ingest: RunningIngest) -> None:
    """Group commit neither loses nor duplicates any."""
    answers = await asyncio.gather(*(ingest.post(data=b'{"n":%d}' % number) for number in range(200)))

    assert {answer.status for answer in answers} == {202}
    bodies: list[bytes] = []
    while posts := await ingest.queued():
        bodies += [post.body for post in posts]
    assert sorted(bodies) == sorted(b'{"n":%d}' % number for number in range(200))


async def test_submission_can_be_switched_off(redis_url: str, key_prefix: str) -> None:
    """503 with Retry-After, so that clients keep their events."""
    async with running_ingest(redis_url, key_prefix, _projection(), submission_disabled=True) as ingest:
        response = await ingest.post()

        assert response.status == 503
        assert int(response.headers["Retry-After"]) > 0


async def test_only_a_trusted_proxy_can_report_the_clients_address(redis_url: str, key_prefix: str) -> None:
    """X-Forwarded-For from other peers is ignored."""
    headers = JSON | BEARER | {"X-Forwarded-For": "198.51.100.1, 203.0.113.9, 127.0.0.2"}
    async with running_ingest(
        redis_url, key_prefix, _projection(), trusted_proxies=("127.0.0.0/8",)
    ) as ingest:
        await ingest.post(headers=headers)
        [trusted] = await ingest.queued()
    async with running_ingest(redis_url, key_prefix, _projection()) as ingest:
        await ingest.post(headers=headers)
        [untrusted] = await ingest.queued()

    assert trusted.client_ip == "203.0.113.9"
    assert untrusted.client_ip == "127.0.0.1"


@pytest.mark.parametrize("prefer", ["handling=strict", None], ids=["slow path", "fast path"])
async def test_all_lines_of_the_trusted_header_count_on_both_paths(
    redis_url: str, key_prefix: str, prefer: str | None
) -> None:
    """Forged earlier lines, ports and mapped addresses change nothing."""
    lines = [
        ("X-Forwarded-For", "198.51.100.66"),
        ("X-Real-IP", "198.51.100.66"),
        ("X-Forwarded-For", "[::ffff:203.0.113.9]:5123, 127.0.0.2:80"),
    ]
    headers = CIMultiDict([*(JSON | BEARER).items(), *lines])
    if prefer:
        headers["Prefer"] = prefer
    async with running_ingest(
        redis_url, key_prefix, _projection(), trusted_proxies=("127.0.0.0/8",)
    ) as ingest:
        for _ in range(3):  # the first post caches the sender
            assert (await ingest.post(headers=headers)).status == 202

        assert [post.client_ip for post in await ingest.queued()] == ["203.0.113.9"] * 3


async def test_health_and_metrics_show_the_state(ingest: RunningIngest) -> None:
    """Ready with `always`, fresh tokens and a correct clock. Refusals are counted by status."""
    await ingest.post(headers=JSON)
    async with ingest.session.get(ingest.url + "/health/live") as live:
        assert live.status == 200
    assert await ingest.ready() == (
        200,
        {"status": "ready", "checks": {reason.name: "ok" for reason in REASONS}},
    )
    async with ingest.session.get(ingest.url + "/metrics") as metrics:
        text = await metrics.text()
        assert 'headrace_posts_refused_total{status="401"} 1.0' in text
        assert 'headrace_durability{fsync="always"} 1.0' in text
