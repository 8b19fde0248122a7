"""Validation of posts with strict handling."""

import gzip
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from collector.domain.errors import BadRequest
from collector.domain.intake.strict import MAXIMUM_FAULTS, Faults, find_faults, is_strict
from tests.support.factories import a_post

LIMIT = 100_000


def faults(body: Any, **members: Any) -> Faults:
    """The faults of a post with this body."""
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return find_faults(a_post(body=content, **members), LIMIT)


GOOD: dict[str, Any] = {
    "type": "usage",
    "source": "build",
    "message": "x" * 2000,
    "date": "2026-11-22T12:41:20.1234567+02:00",
    "tags": ["a", "b"],
    "value": 1.5,
    "count": 2,
    "geo": "40.5,-74.25",
    "reference_id": "abcd-1234",
    "data": {"@user": {"identity": "me"}, "anything": [1, None]},
    "unknown": {"more": 1},
    "@request": '{"path":"/"}',
    "@version": "1.2.3",
}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(GOOD, id="an event"),
        pytest.param([GOOD, GOOD], id="an array of them"),
        pytest.param({"Type": "log", "ReferenceId": "abcd1234"}, id="as .NET names them"),
        pytest.param({"type": None, "message": "", "tags": [], "value": None}, id="nulls and an empty value"),
        pytest.param({}, id="an empty object"),
        pytest.param({"geo": "203.0.113.7"}, id="an address as place"),
    ],
)
def test_a_valid_post_has_no_fault(body: Any) -> None:
    """Unknown members are data."""
    assert faults(body) == {}


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        pytest.param({"type": "t" * 101}, {"type"}, id="a long type"),
        pytest.param({"type": 1}, {"type"}, id="a number as type"),
        pytest.param({"message": "m" * 2001, "source": ["x"]}, {"message", "source"}, id="two fields"),
        pytest.param({"date": "yesterday"}, {"date"}, id="an invalid date"),
        pytest.param({"date": 5}, {"date"}, id="a number as date"),
        pytest.param({"tags": "a,b"}, {"tags"}, id="tags in one text"),
        pytest.param({"tags": ["t" * 101]}, {"tags"}, id="a long tag"),
        pytest.param({"tags": [str(number) for number in range(51)]}, {"tags"}, id="too many tags"),
        pytest.param({"value": "1"}, {"value"}, id="a text as value"),
        pytest.param({"count": 1.5}, {"count"}, id="half a count"),
        pytest.param({"count": -1}, {"count"}, id="a negative count"),
        pytest.param({"geo": "91,0"}, {"geo"}, id="beyond the pole"),
        pytest.param({"geo": 5}, {"geo"}, id="a number as place"),
        pytest.param({"data": [1]}, {"data"}, id="a list as data"),
        pytest.param({"reference_id": "short"}, {"reference_id"}, id="a short reference id"),
        pytest.param({"data": {"@error": "oops"}}, {"data.@error"}, id="a text as error"),
        pytest.param({"@user": 5}, {"@user"}, id="a number as user"),
    ],
)
def test_every_invalid_field_is_named(event: dict[str, Any], fields: set[str]) -> None:
    """In an array, with the event's position."""
    assert faults(event).keys() == fields
    assert faults([GOOD, event]).keys() == {f"[1].{field}" for field in fields}


def test_a_number_that_cannot_be_stored_is_a_fault() -> None:
    """It would become a text in the event's data."""
    assert faults(b'{"value":1e999999}').keys() == {"value"}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        pytest.param(b'[{"type":"log"},5,null]', {"[1]", "[2]"}, id="no objects"),
        pytest.param(b"5", {"body"}, id="a number"),
        pytest.param(b"[]", {"body"}, id="an empty array"),
        pytest.param(b"[null]", {"body", "[0]"}, id="null alone"),
        pytest.param(rb'{"message":"a\u0000b"}', {"body"}, id="NUL"),
        pytest.param(rb'[{"message":"\ud800"}]', {"body"}, id="half a character"),
        pytest.param(b'[{},{"a":' + b"[" * 600 + b"]" * 600 + b"}]", {"[1]"}, id="too deep"),
        pytest.param(b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}", {"body"}, id="far too deep"),
    ],
)
def test_a_fault_of_a_whole_event_names_its_position(body: bytes, fields: set[str]) -> None:
    """Nothing of it could be stored as intended."""
    assert faults(body).keys() == fields


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"body": b""}, id="nothing"),
        pytest.param({"body": b" \t"}, id="blanks"),
        pytest.param({"body": b'{"type":"log"'}, id="cut off"),
        pytest.param({"body": b'[{"type":"log"},]'}, id="a comma too many"),
        pytest.param({"body": b'[{"type":"log"}'}, id="an array cut off"),
        pytest.param({"body": b"hello"}, id="text"),
        pytest.param({"body": b'{"message":"\xff"}'}, id="no UTF-8"),
        pytest.param({"body": b"{}", "content_encoding": "gzip"}, id="not compressed"),
        pytest.param(
            {"body": gzip.compress(b"{}")[:-3], "content_encoding": "gzip"}, id="truncated compression"
        ),
        pytest.param({"body": gzip.compress(b" " * LIMIT + b"{}"), "content_encoding": "gzip"}, id="a bomb"),
        pytest.param({"body": b"[" + b"{}," * 25_000 + b"{}]"}, id="too many events"),
    ],
)
def test_an_unreadable_body_is_a_bad_request(members: dict[str, Any]) -> None:
    """There is no field to name."""
    with pytest.raises(BadRequest):
        find_faults(a_post(**members), 10 * LIMIT if len(members) == 1 else LIMIT)


def test_a_syntax_error_is_reported_with_its_position() -> None:
    """In bytes."""
    with pytest.raises(BadRequest, match=r"not valid JSON: .*\(byte 24\)"):
        faults(b'[{"type":"log"},{"type":oops}]')


@pytest.mark.parametrize("body", [b"started\nstopped", b"[info] started", b"{simple text"])
def test_text_is_accepted_as_lines(body: bytes) -> None:
    """If the content type says that it is text."""
    assert faults(body, content_type="text/plain") == {}
    with pytest.raises(BadRequest):
        faults(body, content_type="application/json")


def test_json_in_text_is_checked() -> None:
    """The first character decides, not the content type."""
    assert faults({"value": "x"}, content_type="text/plain").keys() == {"value"}


def test_other_charsets_are_decoded() -> None:
    """As by the worker."""
    body = '{"message":"für"}'.encode("latin-1")

    assert faults(body, content_type="application/json; charset=latin-1") == {}


def test_version_1_is_only_checked_for_valid_json() -> None:
    """Its members are different ones."""
    assert faults({"Tags": "a", "Date": 5}, api_version=1) == {}
    assert faults(b"[5]", api_version=1).keys() == {"body", "[0]"}


def test_an_event_that_would_be_discarded_for_its_age_is_a_fault() -> None:
    """By the worker's rule: the time of acceptance and the sender's offset decide."""
    post = a_post(body=b'[{"date":"2020-01-01T00:00:00+02:00"},{},{"date":"9999-01-01"}]')

    found = find_faults(post, LIMIT, timedelta(days=3))

    assert found == {"[0].date": ["The date must not lie more than 3 days back: older events are discarded."]}
    assert find_faults(post, LIMIT, None) == {}


def test_faults_are_bounded() -> None:
    """An answer must not be larger than the post."""
    found = faults([{"value": "x"}] * 1000)

    assert sum(map(len, found.values())) == MAXIMUM_FAULTS


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param([], False, id="none"),
        pytest.param(["handling=strict"], True, id="plain"),
        pytest.param(['Handling = "Strict"'], True, id="quoted, in any case"),
        pytest.param(["respond-async, wait=10; foo, handling=strict; x=y"], True, id="among others"),
        pytest.param(["respond-async", "handling=strict"], True, id="in a separate header"),
        pytest.param(["handling=lenient, handling=strict"], False, id="the first counts"),
        pytest.param(["handling=lenient"], False, id="lenient"),
        pytest.param(["mishandling=strict"], False, id="another name"),
        pytest.param(["handling"], False, id="no value"),
        pytest.param(["handling=stricter"], False, id="another value"),
    ],
)
def test_strict_handling_is_requested_by_prefer(headers: list[str], expected: bool) -> None:  # noqa: FBT001
    """RFC 7240."""
    assert is_strict(headers) is expected
