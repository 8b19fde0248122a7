"""Normalizing posts: every event ends in exactly one outcome."""

import gzip
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import thread_time
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.domain.event.outcome import DeadLetter, DeadLetterReason, Discard, DiscardReason, Event
from collector.domain.ids import event_id
from collector.domain.intake.normalize import make_batch, normalize, rules_from_settings
from collector.domain.project.rules import DEFAULT_RULES, ProjectRules
from tests.conftest import SCALE
from tests.support.factories import ACCEPTED_MS, a_batch, a_post

RULES = rules_from_settings(body_limit_bytes=200_000, max_event_age_days=3)
NOW = datetime.fromtimestamp(ACCEPTED_MS / 1000, UTC)
OLD = (NOW - timedelta(days=4)).isoformat()
DEEP = "[" * 600 + "]" * 600


def test_events_keep_their_position_in_the_post() -> None:
    """A null has a position but is not an event, so ids show where an event stood."""
    post = a_post(body=b'[{"message":"a"},null,{"message":"b"}]')

    results = normalize(post, RULES).results

    assert [(result.id, result.message) for result in results if isinstance(result, Event)] == [
        (event_id(post.id, 0), "a"),
        (event_id(post.id, 2), "b"),
    ]


def test_every_kind_of_outcome_is_distinguished() -> None:
    """Stored, discarded and dead-lettered events of one post do not affect each other."""
    body = f'[{{"message":"new"}},{{"date":"{OLD}"}},{{"date":"{OLD}"}},{{"x":{DEEP}}}]'
    batch = a_batch(a_post(body=body.encode()), a_post(body=b"cut off", content_encoding="gzip"))

    normalized = make_batch(batch.id, [normalize(post, RULES) for post in batch.posts])

    assert normalized.id == UUID(bytes=batch.id)
    assert normalized.post_count == 2
    assert [event.message for event in normalized.events] == ["new"]
    project = UUID(bytes=batch.posts[0].project_id)
    hour = NOW.replace(minute=0, second=0)
    assert normalized.discarded == Counter({Discard(project, hour, DiscardReason.TOO_OLD): 2})
    assert [letter.reason for letter in normalized.dead_letters] == ["too_deep", "corrupt_encoding"]


def test_a_post_that_cannot_be_decompressed_is_kept_unchanged() -> None:
    """For repair: with its bytes and the relevant request headers."""
    body = gzip.compress(b"x" * 1000)[:-1]
    post = a_post(body=body, content_encoding="gzip", content_type="text/plain")

    (letter,) = normalize(post, RULES).results

    assert isinstance(letter, DeadLetter)
    assert (letter.id.bytes, letter.body, letter.accepted_utc) == (event_id(post.id, 0), body, NOW)
    assert (letter.content_type, letter.content_encoding) == ("text/plain", "gzip")
    assert (letter.user_agent, letter.client_ip) == (post.user_agent, post.client_ip)


def test_an_event_that_is_too_deep_is_kept_alone() -> None:
    """As plain JSON, under the id it would have had."""
    event = f'{{"a":{DEEP}}}'
    post = a_post(body=gzip.compress(f"[null,{event}]".encode()), content_encoding="gzip")

    (letter,) = normalize(post, RULES).results

    assert isinstance(letter, DeadLetter)
    assert letter.id.bytes == event_id(post.id, 1)
    assert (letter.body, letter.content_encoding) == (event.encode(), "")


def test_a_body_may_decompress_to_ten_times_the_limit() -> None:
    """Not a byte more."""
    rules = rules_from_settings(body_limit_bytes=100, max_event_age_days=0)

    (stored,) = normalize(a_post(body=gzip.compress(b"x" * 1000), content_encoding="gzip"), rules).results
    (refused,) = normalize(a_post(body=gzip.compress(b"x" * 1001), content_encoding="gzip"), rules).results

    assert isinstance(stored, Event)
    assert isinstance(refused, DeadLetter)
    assert refused.reason == "too_large"


def test_a_maximum_age_of_zero_is_no_limit() -> None:
    """For imports of old events."""
    rules = rules_from_settings(body_limit_bytes=200_000, max_event_age_days=0)

    (event,) = normalize(a_post(body=b'{"date":"1999-12-31T23:59:59Z"}'), rules).results

    assert isinstance(event, Event)
    assert event.date == datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_a_replay_gives_the_same_result() -> None:
    """Ids, dates and everything else, whenever it happens."""
    body = f'[{{"date":"9999-01-01"}},{{"message":5}},{{"date":"{OLD}"}},{{"x":{DEEP}}}]'
    post = a_post(body=body.encode())

    assert normalize(post, RULES) == normalize(post, RULES)


@pytest.mark.parametrize(
    ("body", "weight"),
    [
        pytest.param(b"a\n" * 3, 3, id="three lines"),
        pytest.param(gzip.compress(b"[" + b"{}," * 99 + b"{}]"), 100, id="a hundred events"),
        pytest.param(gzip.compress(b'"' * 160_000), 100, id="an event of a hundred"),
        pytest.param(f'[{{"date":"{OLD}"}},{{}}]'.encode(), 2, id="one that is too old weighs as any other"),
        pytest.param(gzip.compress(b'"' * 3_000_000), 1, id="values that cannot be stored"),
    ],
)
def test_the_weight_of_a_post_is_its_number_of_events(body: bytes, weight: int) -> None:
    """The worker bounds its memory by it."""
    encoding = "gzip" if body.startswith(b"\x1f") else ""

    assert normalize(a_post(body=body, content_encoding=encoding), RULES).weight == weight


_ATOMS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.datetimes().map(datetime.isoformat),
)
_NAMES = st.sampled_from(
    [
        "id",
        "type",
        "Type",
        "source",
        "date",
        "Date",
        "tags",
        "message",
        "geo",
        "value",
        "count",
        "data",
        "Data",
        "reference_id",
        "ReferenceId",
        "project_id",
        "@error",
        "@simple_error",
        "@request",
        "@environment",
        "@stack",
        "@user",
        "@user_description",
        "user_agent",
        "UserAgent",
        "stack_trace",
        "StackTrace",
        "inner",
        "post_data",
        "Cookies",
        "signature_data",
        "ExtendedData",
        "Inner",
        "Code",
        "OccurrenceDate",
        "__ExceptionInfo",
        "@submission_client",
        "a",
        "a1",
        "_@error",
    ]
)
_JSON = st.recursive(
    _ATOMS,
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.dictionaries(
            _NAMES | st.text(st.characters(exclude_categories=["Cs"]), max_size=20), inner, max_size=8
        )
    ),
    max_leaves=12,  # larger inputs fail Hypothesis's health check now and then
)
_EVENTS = st.dictionaries(_NAMES, _JSON | st.dictionaries(_NAMES, _JSON, max_size=8), max_size=12)


@given(
    body=st.binary(),
    encoding=st.sampled_from(["", "gzip", "deflate", "br", "zstd", "x"]),
    kind=st.text(max_size=40),
)
@example(body=zlib.compress(b"\xff\xfe{\x00}\x00"), encoding="deflate", kind="charset=utf-16")
@example(body=b'{"a":"\\ud800', encoding="", kind="charset=utf-7")
def test_any_bytes_end_in_outcomes(body: bytes, encoding: str, kind: str) -> None:
    """Nothing raises, ids are unique, and rows hold only values that Postgres accepts."""
    post = a_post(body=body, content_encoding=encoding, content_type=kind)

    results = normalize(post, RULES).results

    assert _are_storable(results)
    assert encoding != "x" or [type(result) for result in results] == [DeadLetter]


_PROJECTS = [
    DEFAULT_RULES,
    ProjectRules(
        {"@@DataExclusions": "a*,identity", "@@IncludePrivateInformation": "false"}, delete_bot_data=True
    ),
]


@settings(max_examples=20 * SCALE)
@given(
    events=st.lists(st.none() | _EVENTS, min_size=1, max_size=6),
    age=st.sampled_from([0, 3]),
    api_version=st.sampled_from([1, 2]),
    project=st.sampled_from(_PROJECTS),
)
def test_any_json_has_one_outcome_for_each_event(
    events: list[dict[str, Any] | None], age: int, api_version: int, project: ProjectRules
) -> None:
    """One result for each element of the array, or for each log line."""
    body = msgspec.json.encode(events)
    rules = replace(RULES, max_age=timedelta(days=age) if age else None)

    results = normalize(a_post(body=body, api_version=api_version), rules, project).results

    assert len(results) == (sum(event is not None for event in events) or 1)
    assert _are_storable(results)
    assert age or all(isinstance(result, Event) for result in results if not _is_discarded_by_name(result))


def _is_discarded_by_name(result: object) -> bool:
    return isinstance(result, Discard) and result.reason in {DiscardReason.HEARTBEAT, DiscardReason.BOT}


def _are_storable(results: Sequence[object]) -> bool:
    rows = [result for result in results if isinstance(result, Event | DeadLetter)]
    texts = [
        text
        for row in rows
        if isinstance(row, Event)
        for text in (row.type, row.message, row.source, row.reference_id, row.geo, *row.tags)
        if text is not None
    ]
    data = [row.data for row in rows if isinstance(row, Event)]
    assert len({row.id for row in rows}) == len(rows)
    assert all(text and "\0" not in text and text.encode() for text in texts)
    assert all(msgspec.json.decode(text or b"", type=dict[str, Any])["@submission_client"] for text in data)
    assert not any(b"\\u0000" in (text or b"").replace(b"\\\\", b"") for text in data)
    return True


@pytest.mark.parametrize("body", [b"", b" \r\n\t "])
def test_a_post_without_events_has_no_results(body: bytes) -> None:
    """It was accepted, and there is nothing to store."""
    assert normalize(a_post(body=body), RULES).results == []


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        pytest.param(
            b'{"email_address":"me@example.com","description":"It broke.","data":{"pin":1,"a":2}}',
            [{"description": "It broke.", "data": {"a": 2}}],
            id="the text stays",
        ),
        pytest.param(b'{"email_address":"me@example.com"}', [], id="an address alone"),
    ],
)
def test_a_description_follows_the_projects_settings(body: bytes, kept: list[dict[str, Any]]) -> None:
    """Excluded members are removed, and the address without private information."""
    project = ProjectRules({"@@DataExclusions": "pin", "@@IncludePrivateInformation": "false"})
    post = a_post(body=body, kind="user_description", reference_id="order-4711")

    found = make_batch(post.id, [normalize(post, RULES, project)]).descriptions

    assert [msgspec.json.decode(each.description) for each in found] == kept


def test_a_description_of_an_event_is_no_event() -> None:
    """It is kept in version 2's form until its event is stored."""
    body = gzip.compress(b'{"EmailAddress":"me@example.com","description":"It broke.","x":1}')
    post = a_post(body=body, content_encoding="gzip", kind="user_description", reference_id="order-4711")

    normalized = make_batch(post.id, [normalize(post, RULES)])

    [description] = normalized.descriptions
    assert (normalized.events, normalized.dead_letters) == ([], [])
    assert (description.id, description.project_id) == (post.id, post.project_id)
    assert description.reference_id == "order-4711"
    assert msgspec.json.decode(description.description) == {
        "email_address": "me@example.com",
        "description": "It broke.",
    }


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"body": b"{}"}, id="empty"),
        pytest.param({"body": b""}, id="an empty body"),
        pytest.param({"body": b"\xff\x00"}, id="invalid JSON"),
        pytest.param({"body": b"[]"}, id="an array"),
        pytest.param({"body": b'{"description":' + DEEP.encode() + b"}"}, id="many levels"),
        pytest.param({"body": b'{"description":5}'}, id="not a text"),
        pytest.param({"body": b'{"email_address":"nobody"}'}, id="no address"),
        pytest.param({"reference_id": ""}, id="of no event"),
        pytest.param({"reference_id": "order/4711"}, id="no reference id"),
    ],
)
def test_an_invalid_description_is_a_dead_letter(members: dict[str, Any]) -> None:
    """Ingest refuses those, but a different version may have accepted it. Its bytes are kept."""
    usual = {"body": b'{"description":"It broke."}', "reference_id": "order-4711"}
    post = a_post(**({"kind": "user_description"} | usual | members))

    (letter,) = normalize(post, RULES).results

    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.body) == ("invalid_description", post.body)
    assert letter.detail


def test_events_of_a_deleted_project_are_discarded() -> None:
    """With that reason, even if they are too old or unreadable. Descriptions are dropped."""
    body = f'[{{"message":"new"}},{{"date":"{OLD}"}},{{"x":{DEEP}}}]'
    posts = [
        a_post(body=body.encode()),
        a_post(body=b"cut off", content_encoding="gzip"),
        a_post(kind="user_description", reference_id="order-4711", body=b'{"description":"It broke."}'),
    ]

    batch = make_batch(a_batch().id, [normalize(post, RULES, None) for post in posts])

    assert (batch.events, batch.dead_letters, batch.descriptions) == ([], [], [])
    (discard,) = batch.discarded
    assert discard.reason == DiscardReason.PROJECT_GONE
    assert batch.discarded[discard] == 4


def test_a_post_of_an_unknown_kind_is_a_dead_letter() -> None:
    """An ingest process of a later version may queue it."""
    (letter,) = normalize(a_post(kind="attachment"), RULES).results

    assert isinstance(letter, DeadLetter)
    assert letter.reason == "unknown_kind"


@pytest.mark.parametrize(
    "body", [b"[" + b"{}," * 63 + b"null,{}]", b"a\n" * 64], ids=["the fast path", "the slow path"]
)
def test_a_post_that_takes_too_long_is_a_dead_letter_of_the_same_weight(body: bytes) -> None:
    """The weight decides how an entry is split, and must not depend on the speed of the machine."""
    post = a_post(body=body)
    usual = normalize(post, RULES)

    costly = normalize(post, replace(RULES, seconds_per_post=-1.0))

    (letter,) = costly.results
    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.body) == (DeadLetterReason.TOO_COSTLY, body)
    assert (costly.weight, len(usual.results)) == (usual.weight, 64)


def test_the_worst_exclusions_do_not_hold_up_a_post() -> None:
    """Patterns of 137 lengths, and 90 KB of names that almost match them."""
    patterns = ", ".join(f"*{'ab' * length}*" for length in range(20, 138))[:10_000]
    names = ",".join(f'"{number}{"ba" * 19}":1' for number in range(2_000))
    project = ProjectRules({"@@DataExclusions": patterns})
    body = f'{{"data":{{"mine":{{{names}}}}}}}'.encode()

    started = thread_time()
    (event,) = normalize(a_post(body=body), RULES, project).results

    assert isinstance(event, Event)
    assert thread_time() - started < 1.0
