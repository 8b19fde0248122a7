"""Users' descriptions of events, up to the queue."""

import gzip
from typing import Any

import pytest

from tests.ingest.projections import LOGIN, OTHER_PROJECT
from tests.ingest.running_ingest import BEARER, JSON, RunningIngest
from tests.support.factories import CLIENT_TOKEN, PROJECT

pytestmark = pytest.mark.integration

PATH = "/api/v2/events/by-ref/abcd-1234/user-description"
BODY = b'{"email_address":"me@example.com","description":"It broke."}'
GZIP = JSON | BEARER | {"Content-Encoding": "gzip"}
EVENT = "0192f3a4b5c67def8123456789abcdef"


@pytest.mark.parametrize(
    ("path", "token"),
    [
        pytest.param(PATH, CLIENT_TOKEN, id="of the token's project"),
        pytest.param(
            f"/api/v2/projects/{PROJECT.hex()}/events/by-ref/abcd-1234/user-description",
            LOGIN,
            id="of a project in the path",
        ),
    ],
)
async def test_a_description_is_queued(any_ingest: RunningIngest, path: str, token: str) -> None:
    """202 without a body; the event need not exist yet."""
    response = await any_ingest.post(path, data=BODY, headers=JSON | {"Authorization": f"Bearer {token}"})

    assert (response.status, await response.text()) == (202, "")
    assert response.headers["X-Exceptionless-ConfigVersion"] == "7"
    [post] = await any_ingest.queued()
    assert (post.kind, post.reference_id, post.body) == ("user_description", "abcd-1234", BODY)
    assert (post.project_id, post.content_type, post.content_encoding) == (PROJECT, "application/json", "")


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(gzip.compress(BODY), {"Content-Encoding": "gzip"}, id="compressed"),
        pytest.param(
            BODY.decode().encode("utf-16"), {"Content-Type": "application/json; charset=utf-16"}, id="utf-16"
        ),
        pytest.param(BODY, {"Content-Type": "application/problem+json"}, id="another JSON"),
    ],
)
async def test_descriptions_are_queued_in_one_form(
    any_ingest: RunningIngest, body: bytes, headers: dict[str, str]
) -> None:
    """So the worker need not know the others."""
    assert (await any_ingest.post(PATH, data=body, headers=JSON | BEARER | headers)).status == 202

    [post] = await any_ingest.queued()
    assert (post.body, post.content_encoding) == (BODY, "")


async def test_version_1_names_the_event_by_id(any_ingest: RunningIngest) -> None:
    """And its members have other names."""
    body = b'{"UserEmail":"me@example.com","UserDescription":"It broke."}'
    response = await any_ingest.request("PATCH", f"/api/v1/error/{EVENT}", data=body, headers=JSON | BEARER)

    assert response.status == 202
    assert response.headers["v"] == "7"
    [post] = await any_ingest.queued()
    assert (post.kind, post.reference_id, post.body) == ("user_description", EVENT, BODY)


@pytest.mark.parametrize("body", [b"", b"{}", b' {"Description":null} '])
async def test_version_1_accepts_an_empty_description(any_ingest: RunningIngest, body: bytes) -> None:
    """200, and nothing is queued."""
    response = await any_ingest.request("PATCH", f"/api/v1/error/{EVENT}", data=body, headers=JSON | BEARER)

    assert (response.status, await response.text()) == (200, "")
    assert await any_ingest.queued() == []


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b'{"UserEmail":"me"}', {}, 422, id="no address"),
        pytest.param(b" " * 1001, {}, 413, id="too long"),
        pytest.param(BODY, {"Content-Encoding": "lzma"}, 415, id="an unknown encoding"),
    ],
)
async def test_version_1_refuses_invalid_descriptions(
    any_ingest: RunningIngest, body: bytes, headers: dict[str, str], status: int
) -> None:
    """Nothing is queued."""
    headers = JSON | BEARER | headers
    response = await any_ingest.request("PATCH", f"/api/v1/error/{EVENT}", data=body, headers=headers)

    assert response.status == status
    assert await any_ingest.queued() == []


@pytest.mark.parametrize(
    ("options", "status", "fields"),
    [
        pytest.param({"data": b'{"email_address":"me"}'}, 422, {"email_address"}, id="no address"),
        pytest.param({"data": b"{}"}, 422, {"description"}, id="not stated"),
        pytest.param({"data": b'{"description":"x","data":1}'}, 422, {"data"}, id="invalid data"),
        pytest.param({"data": b"{"}, 400, None, id="invalid JSON"),
        pytest.param({"data": b"[]"}, 400, None, id="not an object"),
        pytest.param({"data": b""}, 400, None, id="no body"),
        pytest.param({"data": BODY, "headers": GZIP}, 400, None, id="not in the stated encoding"),
        pytest.param({"data": gzip.compress(b" " * 2000 + BODY), "headers": GZIP}, 400, None,
                     id="opens to more than is taken"),
        pytest.param({"data": b" " * 1001}, 413, None, id="too long"),
        pytest.param({"data": BODY, "headers": BEARER | {"Content-Type": "text/plain"}}, 415, None,
                     id="text"),
        pytest.param({"data": BODY, "headers": JSON}, 401, None, id="no token"),
        pytest.param({"data": BODY, "headers": JSON | {"Authorization": f"Bearer {LOGIN}"}}, 400, None,
                     id="no project"),
        pytest.param({"data": BODY, "path": PATH.replace("abcd-1234", "short")}, 404, None,
                     id="no reference"),
        pytest.param({"data": BODY, "path": f"/api/v2/projects/{OTHER_PROJECT.hex()}{PATH[7:]}"}, 404, None,
                     id="another organization's project"),
    ],
)  # fmt: skip
async def test_refusals_are_problem_json(
    any_ingest: RunningIngest, options: dict[str, Any], status: int, fields: set[str] | None
) -> None:
    """With the fault of each field. Clients do not repeat them."""
    response = await any_ingest.post(**({"path": PATH} | options))
    problem = await response.json()

    assert response.status == problem["status"] == status
    assert problem.get("errors", {}).keys() == (fields or set())
    assert await any_ingest.queued() == []
