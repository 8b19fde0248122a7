"""Rules for every route of ingest."""

import asyncio
import json
import re
from typing import Any

import pytest

from collector.domain.access.token import TokenEntry
from collector.ingest.post_queue import PostQueue
from collector.ingest.routes import ROUTES
from collector.ingest.senders.token_cache import TokenCache
from tests.clients.traffic.raw_http import request_of
from tests.ingest.running_ingest import BEARER, JSON, RunningIngest, raw_post
from tests.support.factories import CLIENT_TOKEN, PROJECT

pytestmark = pytest.mark.integration

BODY = b'{"description":"x"}'
VALUES = {"projectId": PROJECT.hex(), "referenceId": "abcd-1234", "type": "usage"}


def _path(pattern: str) -> str:
    """A path of the route with existing ids."""
    values = VALUES | {"id": "0" * 32 if "/error/" in pattern else PROJECT.hex()}
    return re.sub(r"\{(\w+):(?:[^{}]|\{[^}]*\})+\}", lambda found: values[found[1]], pattern)


EVERY_ROUTE = [
    pytest.param(route.method, _path(route.path), id=f"{route.method} {_path(route.path)}")
    for route in ROUTES
]


def test_every_route_of_the_contract_exists() -> None:
    """Sections 3.1 and 6."""
    project = f"projects/{PROJECT.hex()}"
    submits = {f"{place}events/submit{kind}" for place in ("", f"{project}/") for kind in ("", "/usage")}

    assert {(route.method, _path(route.path)) for route in ROUTES} == {
        ("POST", "/api/v2/events"),
        ("POST", f"/api/v2/{project}/events"),
        ("POST", "/api/v1/events"),
        ("POST", f"/api/v1/{project}/events"),
        ("POST", "/api/v1/error"),
        *{("GET", f"/api/{version}/{path}") for version in ("v1", "v2") for path in submits},
        ("GET", "/api/v2/events/session/heartbeat"),
        ("POST", "/api/v2/events/by-ref/abcd-1234/user-description"),
        ("POST", f"/api/v2/{project}/events/by-ref/abcd-1234/user-description"),
        ("PATCH", f"/api/v1/error/{'0' * 32}"),
        ("GET", "/api/v2/projects/config"),
        ("GET", "/api/v1/project/config"),
        ("GET", f"/api/v2/{project}/config"),
    }


@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
async def test_pages_of_any_origin_may_send_requests_and_read_answers(
    any_ingest: RunningIngest, method: str, path: str
) -> None:
    """The preflight has no token. Answers, refusals too, allow the page's origin."""
    origin = {"Origin": "https://shop.example"}
    asked = origin | {
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,user-agent,x-exceptionless-client",
    }
    preflight = await any_ingest.request("OPTIONS", path, headers=asked)
    refused = await any_ingest.request(method, path, headers=JSON | origin)

    assert preflight.status == 204
    assert preflight.headers["Access-Control-Allow-Methods"] == method
    assert preflight.headers["Access-Control-Allow-Headers"] == asked["Access-Control-Request-Headers"]
    assert (refused.status, refused.content_type) == (401, "application/problem+json")
    for answer in (preflight, refused):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "X-Exceptionless-ConfigVersion" in answer.headers["Access-Control-Expose-Headers"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in answer.headers


@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
async def test_odd_targets_and_closing_connections_are_served(
    any_ingest: RunningIngest, method: str, path: str
) -> None:
    """The absolute form of old Node clients, double slashes after a server's URL, and .NET's close."""
    body = b"" if method == "GET" else BODY
    for target in (path, f"http://collector.example:8080{path}", path.replace("/", "//")):
        headers = [
            "Host: x",
            "Connection: close",
            "Content-Type: application/json",
            f"Authorization: Bearer {CLIENT_TOKEN}",
            *([f"Content-Length: {len(body)}"] if body else []),
        ]
        answer = await any_ingest.raw(request_of(f"{method} {target} HTTP/1.1", *headers, body=body))
        head, _, content = answer.partition(b"\r\n\r\n")
        assert head.split(b" ", 2)[1] in {b"200", b"202"}
        assert b"\r\nConnection: close" in head
        assert content == b"" or (content[:1] == b"{" and path.endswith("config"))


@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
async def test_paths_have_other_spellings(any_ingest: RunningIngest, method: str, path: str) -> None:
    """With a trailing slash or capitals; clients drop their events on 404."""
    fixed = {part for part in path.split("/") if part not in {*VALUES.values(), "0" * 32}}
    capitals = "/".join(part.upper() if part in fixed else part for part in path.split("/"))
    body = None if method == "GET" else BODY
    for target in (f"{path}/", capitals, f"{capitals}/", f"{capitals}/?x=1"):
        taken = await any_ingest.request(method, target, headers=JSON | BEARER, data=body)
        refused = await any_ingest.request(method, target, headers=JSON)
        assert taken.status in {200, 202}, target
        assert refused.status == 401


@pytest.mark.parametrize("path", ["/api/v2/events/", "/API/V2/Events"])
async def test_the_fast_path_takes_other_spellings(
    any_ingest: RunningIngest, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """A client writes the same path in each post."""
    looked_up: list[str] = []
    look_up = TokenCache.token

    async def counted(cache: TokenCache, lookup: str, *rest: Any) -> TokenEntry | None:
        looked_up.append(lookup)
        return await look_up(cache, lookup, *rest)

    monkeypatch.setattr(TokenCache, "token", counted)
    async with asyncio.timeout(10):
        while True:
            known = len(looked_up)
            assert (await any_ingest.post(path)).status == 202
            if len(looked_up) == known:
                break


@pytest.mark.parametrize(
    "path",
    [
        "/api/v2/event\u017f",
        "/api/v2/events/submit/a/b/",
        "/api/v2/projects/short/events/",
        "/HEALTH",
        "/api/v3/",
    ],
)
async def test_unknown_paths_are_not_found(any_ingest: RunningIngest, path: str) -> None:
    """Including letters that only look the same, and values that violate a constraint."""
    answer = await any_ingest.request("GET", path)

    assert (answer.status, answer.content_type) == (404, "application/problem+json")


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (
            "projects/short/events",
            "`projectId` in the path is malformed: an id has 32 hexadecimal characters.",
        ),
        (
            f"projects/{'z' * 24}/events",
            "`projectId` in the path is malformed: an id has 32 hexadecimal characters.",
        ),
        (
            "events/by-ref/a_b/user-description",
            "`referenceId` in the path is malformed: a reference id has 8 to 100 letters, digits or `-`.",
        ),
    ],
)
async def test_a_malformed_id_is_404_with_the_rule(
    any_ingest: RunningIngest, path: str, sentence: str
) -> None:
    """404, as on the official server."""
    answer = await any_ingest.post(f"/api/v2/{path}", data=BODY)

    assert answer.status == 404
    assert (await answer.json())["title"].endswith(sentence)


async def test_an_unknown_id_is_404(any_ingest: RunningIngest) -> None:
    answer = await any_ingest.post(f"/api/v2/projects/{'ab' * 16}/events")

    assert (answer.status, (await answer.json())["title"]) == (404, "Project not found.")


async def test_ids_and_references_keep_their_case(any_ingest: RunningIngest) -> None:
    """Only the fixed parts of a path are case-insensitive."""
    path = "/API/V2/Events/BY-REF/AbCd-1234/User-Description/"
    assert (await any_ingest.post(path, data=BODY)).status == 202
    assert (await any_ingest.request("GET", "/API/v2/EVENTS/Submit/MyType/?message=Hi%2FHo")).status == 200

    described, submitted = await any_ingest.queued()
    assert described.reference_id == "AbCd-1234"
    assert json.loads(submitted.body) == {"type": "MyType", "message": "Hi/Ho"}


@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
async def test_a_post_can_override_its_method_for_any_route(
    any_ingest: RunningIngest, method: str, path: str
) -> None:
    """For networks that only let POST through. Routes that expect no body ignore it."""
    request = raw_post(
        "Connection: close",
        f"Content-Length: {len(BODY)}",
        f"X-HTTP-Method-Override: {method.lower()}",
        body=BODY,
        target=path,
    )
    taken = await any_ingest.raw(request)
    refused = await any_ingest.raw(request.replace(CLIENT_TOKEN.encode(), b"x" * 40))

    assert taken.split(b" ", 2)[1] in {b"200", b"202"}
    assert refused.startswith(b"HTTP/1.1 401 ")
    assert f'"instance":"{method} {path}"'.encode() in refused


@pytest.mark.parametrize("is_late", [False, True], ids=["whole", "with a body that comes late"])
async def test_the_fast_path_leaves_overridden_methods_alone(
    any_ingest: RunningIngest, *, is_late: bool
) -> None:
    assert (await any_ingest.post()).status == 202
    length = f"Content-Length: {len(BODY)}"
    another = raw_post(length, "X-HTTP-Method-Override: DELETE")
    the_same = raw_post(length, "X-HTTP-Method-Override: POST")
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", any_ingest.port)
        for part in [another, BODY, the_same, BODY] if is_late else [another + BODY + the_same + BODY]:
            writer.write(part)
            await writer.drain()
            await any_ingest.ready()  # answered, so the server has seen the part before
        answers = await reader.readuntil(b"DELETE /api/v2/events") + await reader.readuntil(b"HTTP/1.1 202 ")
        writer.close()
        await writer.wait_closed()

    assert answers.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: POST\r\n" in answers
    assert [post.body for post in await any_ingest.queued()] == [b'{"message":"hi"}', BODY]


@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
async def test_an_unexpected_error_is_503_with_json(
    any_ingest: RunningIngest, method: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients keep their events on 503, and drop them on most other statuses."""

    async def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(TokenCache, "project", fail)
    response = await any_ingest.request(method, path, headers=JSON | BEARER, data=BODY)

    assert (response.status, (await response.json())["status"]) == (503, 503)
    assert int(response.headers["Retry-After"]) > 0


async def test_an_unexpected_error_outside_the_handlers_is_503_too(
    any_ingest: RunningIngest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(PostQueue, "append", fail)

    assert (await any_ingest.post("/api/v1/events")).status == 503
