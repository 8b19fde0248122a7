"""Heartbeats of sessions, from the client's request to what a worker collects."""

import pytest

from collector.broker.heartbeats import Heartbeats
from collector.broker.keys import RedisKeys
from collector.domain.event.session_key import digest_of_key
from collector.domain.session.session import Beat
from collector.ingest.backpressure import Backpressure
from tests.clients.traffic.raw_http import request_of
from tests.ingest.projections import LOGIN, LOST_PROJECT, UPLOAD_ONLY, a_projection
from tests.ingest.running_ingest import BEARER, RunningIngest, running_ingest
from tests.support.factories import CLIENT_TOKEN, PROJECT

pytestmark = pytest.mark.integration

PATH = "/api/v2/events/session/heartbeat"


async def _beats(ingest: RunningIngest, key_prefix: str) -> list[Beat]:
    return await Heartbeats(ingest.redis, RedisKeys(key_prefix)).due(10)


@pytest.mark.parametrize("target", [PATH, f"http://old.example:80{PATH}", f"/{PATH}"])
@pytest.mark.parametrize(
    ("query", "key", "closes"),
    [
        pytest.param("id=0123456789abcdef&close=false", "0123456789abcdef", False, id="alive"),
        pytest.param("id=0123456789abcdef&close=True", "0123456789abcdef", True, id="closed by .NET"),
        pytest.param("id=a+b@c.d&close=true", "a+b@c.d", True, id="an identity as it is"),
        pytest.param("id=Smith%20&%20Sons&close=true", "Smith & Sons", True, id="one with an ampersand"),
    ],
)
async def test_a_heartbeat_is_kept_for_the_worker(
    any_ingest: RunningIngest,
    key_prefix: str,
    target: str,
    query: str,
    key: str,
    closes: bool,  # noqa: FBT001
) -> None:
    """200 without a body: anything else makes the client's timer throw."""
    answer = await any_ingest.raw(
        request_of(
            f"GET {target}?{query} HTTP/1.1",
            "Host: x",
            "Connection: close",
            f"Authorization: Bearer {CLIENT_TOKEN}",
        )
    )

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")
    assert b"Cache-Control: no-store\r\n" in answer
    [beat] = await _beats(any_ingest, key_prefix)
    assert (beat.project_id, beat.digest) == (PROJECT, digest_of_key(key))
    assert (beat.beaten_ms == 0, beat.closed_ms > 0) == (closes, closes)


@pytest.mark.parametrize("query", ["", "?close=true", "?id=&close=true"])
async def test_a_heartbeat_without_an_id_is_200_and_not_kept(
    any_ingest: RunningIngest, key_prefix: str, query: str
) -> None:
    """As on the official server."""
    response = await any_ingest.request("GET", PATH + query)

    assert (response.status, await response.text()) == (200, "")
    assert await _beats(any_ingest, key_prefix) == []


async def test_heartbeats_are_not_kept_while_submission_is_disabled(redis_url: str, key_prefix: str) -> None:
    """200 all the same (contract 3.8)."""
    async with running_ingest(redis_url, key_prefix, a_projection(), submission_disabled=True) as ingest:
        response = await ingest.request("GET", f"{PATH}?id=abc&close=false")

        assert response.status == 200
        assert await _beats(ingest, key_prefix) == []


@pytest.mark.parametrize(
    ("token", "status"),
    [
        pytest.param(None, 401, id="no token"),
        pytest.param(LOGIN, 401, id="no project"),
        pytest.param(UPLOAD_ONLY, 403, id="lacking scope"),
        pytest.param(LOST_PROJECT, 404, id="project gone"),
    ],
)
async def test_refusals_are_problem_json(
    any_ingest: RunningIngest, key_prefix: str, token: str | None, status: int
) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    response = await any_ingest.request("GET", f"{PATH}?id=abc&close=false", headers=headers)

    assert (response.status, (await response.json())["status"]) == (status, status)
    assert await _beats(any_ingest, key_prefix) == []


async def test_a_head_request_is_no_heartbeat(any_ingest: RunningIngest) -> None:
    """It is 405."""
    assert (await any_ingest.request("HEAD", f"{PATH}?id=abc", headers=BEARER)).status == 405


async def test_heartbeats_beyond_a_projects_share_of_the_memory_are_refused(
    redis_url: str, key_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503: clients repeat heartbeats by themselves."""
    monkeypatch.setattr(Backpressure, "limit_bytes", lambda _: 1)
    async with running_ingest(redis_url, key_prefix, a_projection()) as ingest:
        kept = await ingest.request("GET", f"{PATH}?id=first&close=false")
        refused = await ingest.request("GET", f"{PATH}?id=second&close=false")

    assert (kept.status, refused.status) == (200, 503)
