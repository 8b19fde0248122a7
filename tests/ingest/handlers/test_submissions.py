"""GET submit: events from tracking pixels and shell scripts."""

from typing import Any

import msgspec
import pytest

from tests.ingest.projections import LOGIN, LOGIN_SUSPENDED, LOST_PROJECT, OTHER_PROJECT, UPLOAD_ONLY
from tests.ingest.running_ingest import BEARER, RunningIngest
from tests.support.factories import CLIENT_TOKEN, ORGANIZATION, PROJECT

pytestmark = pytest.mark.integration

PROJECT_PATH = f"projects/{PROJECT.hex()}"


async def _events(ingest: RunningIngest) -> list[Any]:
    return [msgspec.json.decode(post.body) for post in await ingest.queued()]


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        pytest.param("events/submit", None, id="plain"),
        pytest.param("events/submit/usage", "usage", id="with a type"),
        pytest.param(f"{PROJECT_PATH}/events/submit", None, id="with a project"),
        pytest.param(f"{PROJECT_PATH}/events/submit/my%20own", "my own", id="with both"),
    ],
)
async def test_each_of_the_eight_routes_queues_an_event(
    any_ingest: RunningIngest, version: str, path: str, kind: str | None
) -> None:
    """200 without a body, and not cacheable, so that every request arrives."""
    headers = BEARER | {"User-Agent": "curl/8", "Content-Encoding": "gzip", "Content-Type": "text/plain"}
    response = await any_ingest.request(
        "GET", f"/api/{version}/{path}?message=hi+there&color=red", headers=headers
    )

    assert (response.status, await response.text()) == (200, "")
    assert response.headers["v" if version == "v1" else "X-Exceptionless-ConfigVersion"] == "7"
    assert response.headers["Cache-Control"] == "no-store"
    [post] = await any_ingest.queued()
    expected = {"message": "hi there", "data": {"color": "red"}} | ({"type": kind} if kind else {})
    assert msgspec.json.decode(post.body) == expected
    assert (post.project_id, post.organization_id) == (PROJECT, ORGANIZATION)
    assert (post.content_type, post.content_encoding, post.api_version) == ("application/json", "", 2)
    assert (post.user_agent, post.client_ip) == ("curl/8", "127.0.0.1")


async def test_a_pixel_needs_no_header(any_ingest: RunningIngest) -> None:
    """The token in the query string does not become data."""
    response = await any_ingest.request(
        "GET", f"/api/v2/events/submit?access_token={CLIENT_TOKEN}&type=usage", headers={}
    )

    assert response.status == 200
    assert await _events(any_ingest) == [{"type": "usage"}]


async def test_excluded_parameters_never_reach_the_queue(any_ingest: RunningIngest) -> None:
    """By the project's own `@@DataExclusions`."""
    await any_ingest.request("GET", "/api/v2/events/submit?Password=x&my_secret_key=y&color=red")

    assert await _events(any_ingest) == [{"data": {"color": "red"}}]


@pytest.mark.parametrize("query", ["", "?", f"?access_token={CLIENT_TOKEN}", "?message=", "?=x"])
async def test_without_usable_parameters_nothing_is_queued(any_ingest: RunningIngest, query: str) -> None:
    """200 (contract 3.7)."""
    response = await any_ingest.request("GET", f"/api/v2/events/submit{query}")

    assert response.status == 200
    assert response.headers["X-Exceptionless-ConfigVersion"] == "7"
    assert await any_ingest.queued() == []


async def test_undecodable_bytes_become_text(any_ingest: RunningIngest) -> None:
    """Never a 5xx, and always storable."""
    answer = await any_ingest.raw(
        b"GET /api/v2/events/submit?message=%ff%00x&\xff=\xfe&a=%ed%a0%80 HTTP/1.1\r\nHost: x\r\n"
        b"Connection: close\r\nAuthorization: Bearer " + CLIENT_TOKEN.encode() + b"\r\n\r\n"
    )

    status = answer.split(b" ", 2)[1]
    assert status in {b"200", b"400"}
    assert len(await any_ingest.queued()) == (1 if status == b"200" else 0)


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE"])
async def test_only_get_submits(any_ingest: RunningIngest, method: str) -> None:
    """A program that checks a link with HEAD posts nothing."""
    response = await any_ingest.request(method, "/api/v2/events/submit?message=hi")

    assert response.status == 405
    assert response.headers["Allow"] == "GET"
    assert await any_ingest.queued() == []


@pytest.mark.parametrize(
    ("path", "token", "status"),
    [
        pytest.param("/api/v2/events/submit", None, 401, id="no token"),
        pytest.param("/api/v2/events/submit", UPLOAD_ONLY, 403, id="lacking scope"),
        pytest.param("/api/v2/events/submit", LOGIN_SUSPENDED, 402, id="user of a suspended organization"),
        pytest.param("/api/v2/events/submit", LOGIN, 400, id="no project"),
        pytest.param("/api/v2/events/submit", LOST_PROJECT, 404, id="project gone"),
        pytest.param(
            f"/api/v2/projects/{OTHER_PROJECT.hex()}/events/submit", CLIENT_TOKEN, 404, id="another project"
        ),
        pytest.param("/api/v2/projects/none/events/submit", CLIENT_TOKEN, 404, id="no id"),
        pytest.param("/api/v2/events/submit?" + "x" * 9000, CLIENT_TOKEN, 400, id="far too long"),
    ],
)
async def test_refusals_are_problem_json(
    any_ingest: RunningIngest, path: str, token: str | None, status: int
) -> None:
    """As for posts, and nothing is queued."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    separator = "&" if "?" in path else "?"
    response = await any_ingest.request("GET", f"{path}{separator}message=hi", headers=headers)

    assert response.status == status
    assert (await response.json())["status"] == status
    assert "X-Exceptionless-ConfigVersion" not in response.headers
    assert await any_ingest.queued() == []
