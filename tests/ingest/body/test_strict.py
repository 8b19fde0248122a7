"""Strict handling over HTTP: validated before the answer, all or nothing."""

import asyncio
import gzip
import tracemalloc
from typing import Any

import msgspec
import pytest

from tests.ingest.projections import a_projection
from tests.ingest.running_ingest import BEARER, JSON, RunningIngest, raw_post, running_ingest

pytestmark = pytest.mark.integration

STRICT = JSON | BEARER | {"Prefer": "handling=strict"}


@pytest.mark.parametrize("path", ["/api/v2/events", "/api/v1/events"])
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(b'[{"message":"a"},{"message":"b"}]', {}, id="small"),
        pytest.param(gzip.compress(b'{"message":"a"}'), {"Content-Encoding": "gzip"}, id="compressed"),
    ],
)
async def test_a_valid_post_is_queued_unchanged(
    any_ingest: RunningIngest, path: str, body: bytes, headers: dict[str, str]
) -> None:
    """The answer says that the preference was applied; a cached sender gets the same."""
    for _ in range(2):
        response = await any_ingest.post(path, data=body, headers=STRICT | headers)
        assert response.status == 202
        assert response.headers["Preference-Applied"] == "handling=strict"

    assert [post.body for post in await any_ingest.queued()] == [body, body]


@pytest.mark.parametrize("is_known", [False, True], ids=["from a stranger", "from a known sender"])
async def test_one_invalid_event_refuses_the_post_and_names_each_fault(
    any_ingest: RunningIngest,
    is_known: bool,  # noqa: FBT001
) -> None:
    """Index, field and rule. Nothing is queued, not even the valid events."""
    if is_known:
        await any_ingest.post()
        await any_ingest.queued()
    events = [{"message": "fine"}, {"reference_id": "x", "value": "much"}]
    response = await any_ingest.post(data=msgspec.json.encode(events), headers=STRICT)

    assert response.status == 422
    assert response.content_type == "application/problem+json"
    assert (await response.json())["errors"] == {
        "[1].reference_id": ["The reference_id field must be 8 to 100 letters, digits or `-`."],
        "[1].value": ["The value field must be a number within the supported range."],
    }
    assert "Preference-Applied" not in response.headers
    assert await any_ingest.queued() == []


@pytest.mark.parametrize(
    ("options", "status"),
    [
        pytest.param({"data": b'{"message":'}, 400, id="invalid JSON"),
        pytest.param(
            {"data": b"rubbish", "headers": STRICT | {"Content-Encoding": "br"}}, 400, id="not compressed"
        ),
        pytest.param({"headers": STRICT | {"Content-Type": "a/b"}}, 415, id="still the edge sequence"),
        pytest.param({"headers": JSON | {"Prefer": "handling=strict"}}, 401, id="still authenticated"),
    ],
)
async def test_an_unreadable_body_is_refused(
    any_ingest: RunningIngest, options: dict[str, Any], status: int
) -> None:
    """And not queued."""
    response = await any_ingest.post(**({"headers": STRICT} | options))

    assert (response.status, (await response.json())["status"]) == (status, status)
    assert await any_ingest.queued() == []


async def test_an_empty_body_is_refused(any_ingest: RunningIngest) -> None:
    """Without strict handling it is 202 and no event."""
    answer = await any_ingest.raw(raw_post("Connection: close", "Prefer: handling=strict"))

    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("prefer", ["handling=lenient", "respond-async"])
async def test_other_preferences_change_nothing(any_ingest: RunningIngest, prefer: str) -> None:
    """RFC 7240: unknown preferences are ignored."""
    response = await any_ingest.post(data=b"{rubbish", headers=STRICT | {"Prefer": prefer})

    assert response.status == 202
    assert "Preference-Applied" not in response.headers


async def test_many_concurrent_validations_are_all_answered(any_ingest: RunningIngest) -> None:
    """In a limited number of threads."""
    good, bad = gzip.compress(b'{"message":"x"}'), gzip.compress(b'{"message":5}')
    headers = STRICT | {"Content-Encoding": "gzip"}
    answers = await asyncio.gather(
        *(any_ingest.post(data=good if number % 2 else bad, headers=headers) for number in range(40))
    )

    assert sorted(answer.status for answer in answers) == [202] * 20 + [422] * 20
    queued = 0
    while posts := await any_ingest.queued():
        queued += len(posts)
    assert queued == 20


async def test_bombs_of_one_sender_bound_their_memory_and_do_not_delay_others(
    redis_url: str, key_prefix: str
) -> None:
    """50 MB in 50 KB, and many events in a few bytes, by many requests together."""
    bomb = gzip.compress(b'[{"message":"' + b"x" * 50_000_000 + b'"}]')
    many = gzip.compress(b"[" + b",".join([b"{}"] * 500) + b"]")
    packed = STRICT | {"Content-Encoding": "gzip"}
    async with running_ingest(redis_url, key_prefix, a_projection()) as ingest, asyncio.timeout(60):
        tracemalloc.start()
        try:
            bombs = [
                asyncio.ensure_future(ingest.post(data=body, headers=packed))
                for body in (bomb, many)
                for _ in range(5)
            ]
            posts = [await ingest.post() for _ in range(3)]
            is_over = all(post.done() for post in bombs)
            answers = await asyncio.gather(*bombs)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert {post.status for post in posts} == {202}
    assert not is_over
    assert {answer.status for answer in answers} <= {202, 400, 429}
    assert peak_bytes < 40_000_000
