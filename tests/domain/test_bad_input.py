"""Malformed input of every kind: its outcome is defined, and it affects nothing else."""

import json
from decimal import Decimal
from typing import Any

import pytest

from collector.domain.event.outcome import DeadLetter, DeadLetterReason, DiscardReason, Event
from collector.domain.intake.cost import (
    ALWAYS_ALLOWED_EVENTS,
    MAXIMUM_EVENTS_PER_POST,
    SENT_BYTES_PER_EVENT,
)
from collector.domain.intake.normalize import normalize, rules_from_settings
from tests.support.factories import ACCEPTED_MS, a_post

RULES = rules_from_settings(body_limit_bytes=200_000, max_event_age_days=3)
GOOD = '{"message":"good","reference_id":"order-4711"}'


def normalized(body: str | bytes, **members: Any) -> list[Any]:
    """The outcomes of a post."""
    body = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    return list(normalize(a_post(body=body, **members), RULES).results)


def only(body: str | bytes) -> tuple[Event, dict[str, Any]]:
    """The single row of a post, and its data without members of the server."""
    (event,) = normalized(body)
    assert isinstance(event, Event)
    data: dict[str, Any] = json.loads(event.data or b"", parse_float=Decimal)
    del data["@submission_client"]
    return event, data


def test_values_of_wrong_types_become_data() -> None:
    """For each member: the column has its default, and the value is kept in the data."""
    wrong = {
        "type": {"a": 1},
        "source": [1],
        "date": 5,
        "tags": {"a": 1},
        "message": ["m"],
        "geo": True,
        "value": "much",
        "count": "many",
        "data": "text",
        "reference_id": {"a": 1},
        "@user": "erika",
    }

    event, data = only(json.dumps(wrong))

    assert (event.type, event.source, event.tags, event.message, event.geo) == ("log", None, (), None, None)
    assert (event.value, event.count, event.reference_id) == (None, None, None)
    assert data == {name: value for name, value in wrong.items() if name != "@user"} | {"_@user": "erika"}


def test_ten_thousand_levels_are_a_dead_letter() -> None:
    """With the event as it was sent, alone or among others."""
    deep = '{"a":' * 10_000 + "1" + "}" * 10_000

    (alone,) = normalized(deep)
    before, among, after = normalized(f"[{GOOD},{deep},{GOOD}]")

    for letter in (alone, among):
        assert isinstance(letter, DeadLetter)
        assert (letter.reason, letter.body) == (DeadLetterReason.TOO_DEEP, deep.encode())
    assert before.message == after.message == "good"


def test_a_text_of_two_megabytes_is_cut_in_its_column_and_whole_in_data() -> None:
    """Columns have limits; data has only that of the post."""
    event, data = only(json.dumps({"message": "m" * 2_000_000, "data": {"long": "x" * 2_000_000}}))

    assert len(event.message or "") == 2000
    assert len(data["long"]) == 2_000_000


@pytest.mark.parametrize(
    ("number", "bytes_per_event"),
    [(ALWAYS_ALLOWED_EVENTS, 0), (2_000, SENT_BYTES_PER_EVENT), (MAXIMUM_EVENTS_PER_POST, 8)],
    ids=["a small post", "a larger post", "the largest post"],
)
def test_a_post_of_a_size_may_hold_a_number_of_events_and_not_one_more(
    number: int, bytes_per_event: int
) -> None:
    """However small they are: each costs a row. The post is kept as it came."""
    size = number * bytes_per_event
    allowed = "[" + "{}," * (number - 1) + "{}]"
    assert len(normalized(allowed.ljust(size))) == number

    (letter,) = normalized(("[" + "{}," * number + "{}]").ljust(size))
    assert letter.reason is DeadLetterReason.TOO_MANY_EVENTS


def test_invalid_utf_8_becomes_replacement_characters() -> None:
    """Anywhere in the post."""
    event, data = only(b'{"message":"a\xff","data":{"k\xfe":"\xc3("}}')

    assert (event.message, data) == ("a\ufffd", {"k\ufffd": "\ufffd("})


@pytest.mark.parametrize("escape", ["\\u0000", "\\ud800", "\\udc00", "\\ud800\\u0041", "\\uDBFF"])
def test_nul_and_lone_surrogates_become_replacement_characters(escape: str) -> None:
    """In texts, names and JSON within texts."""
    within = json.dumps(f'{{"identity":"{escape}"}}')
    event, data = only(f'{{"message":"m{escape}","data":{{"{escape}":["{escape}"],"@user":{within}}}}}')

    rest = "A" if "0041" in escape else ""
    assert event.message == f"m\ufffd{rest}"
    assert data == {f"\ufffd{rest}": [f"\ufffd{rest}"], "@user": {"identity": f"\ufffd{rest}"}}


def test_real_surrogate_pairs_stay() -> None:
    """Each is one character."""
    event, _ = only(b'{"message":"\\ud83d\\ude00"}')

    assert event.message == "\U0001f600"


@pytest.mark.parametrize(
    "number", ["1e999999", "-1e-999999", "1" * 5000, "1e" + "9" * 5000, "0." + "0" * 2000 + "1"]
)
def test_numbers_out_of_range_become_texts(number: str) -> None:
    """In data, and in members that expect a number."""
    event, data = only(f'{{"value":{number},"count":{number},"data":{{"n":[{number}]}}}}')

    assert (event.value, event.count) == (None, None)
    assert data == {"n": [number], "value": number, "count": number}


@pytest.mark.parametrize(
    ("date", "is_kept"),
    [
        pytest.param("0000-01-01T00:00:00Z", True, id="year 0"),
        pytest.param("0001-01-01T00:00:00Z", False, id="the first moment, which .NET writes for no date"),
        pytest.param("0001-01-01T00:00:00+14:00", False, id="before the first moment"),
        pytest.param("9999-12-31T23:59:59.9999999Z", False, id="the last moment"),
        pytest.param("9999-12-31T23:59:59-14:00", False, id="after the last moment"),
        pytest.param("10000-01-01", True, id="year 10000"),
        pytest.param("2025-02-30", True, id="no day"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_impossible_dates_become_the_time_of_acceptance(date: str, *, is_kept: bool) -> None:
    """A text that is not a date is kept in the data."""
    event, data = only(json.dumps({"date": date}))

    assert event.date.timestamp() * 1000 == ACCEPTED_MS
    assert data == ({"date": date} if is_kept else {})


def test_a_very_old_date_is_too_old() -> None:
    """It is valid."""
    (discard,) = normalized('{"date":"0001-06-01T00:00:00Z"}')

    assert discard.reason is DiscardReason.TOO_OLD


def test_of_equal_names_the_last_wins() -> None:
    """As in the JSON parsers of the clients."""
    event, data = only('{"message":"a","message":"b","data":{"x":1},"data":{"y":1,"y":2}}')

    assert (event.message, data) == ("b", {"y": 2})


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        pytest.param("", [], id="an empty body"),
        pytest.param(" \r\n", [], id="white space"),
        pytest.param("[]", ["[]"], id="an empty array"),
        pytest.param("null", ["null"], id="null"),
        pytest.param("[null,null]", ["[null,null]"], id="an array of nulls"),
        pytest.param("{}", [None], id="an empty object"),
        pytest.param("\ufeff{}", [None], id="an empty object after a byte order mark"),
        pytest.param('"text"', ['"text"'], id="a JSON text"),
        pytest.param("NaN", ["NaN"], id="invalid JSON"),
    ],
)
def test_an_empty_body_is_no_event(body: str, messages: list[str | None]) -> None:
    """A body with any text is a log line."""
    assert [event.message for event in normalized(body)] == messages


POISON = [
    pytest.param('{"a":' * 600 + "1" + "}" * 600, id="many levels"),
    pytest.param('{"message":"\\ud800\\u0000"}', id="escapes that no database takes"),
    pytest.param('{"value":1e999999,"data":{"n":[1e999999]}}', id="a number beyond any range"),
    pytest.param('{"data":{"@error":[1],"@request":"x","@user":5}}', id="known objects of other types"),
    pytest.param('{"date":"1066-10-14T09:00:00Z"}', id="a date of old"),
    pytest.param('{"type":"heartbeat"}', id="a heartbeat"),
    pytest.param('{"reference_id":"not one"}', id="a bad reference"),
    pytest.param(
        '{"data":{"@error":{"inner":' + '{"inner":' * 400 + "1" + "}" * 402, id="errors within errors"
    ),
]


@pytest.mark.parametrize("levels", [128, 129, 511])
def test_levels_of_json_within_a_text_are_added_to_those_around_it(levels: int) -> None:
    """If there are too many the text stays a text, so that encoding never fails."""
    text = '{"a":' * levels + "1" + "}" * levels
    extra = f'{{"ExtendedData":{{"__ExceptionInfo":{json.dumps(text)}}}}}'

    (event,) = normalized('{"Inner":' * 505 + extra + "}" * 505, api_version=1)

    assert isinstance(event, Event)
    assert (b"@ext" in (event.data or b"")) is (levels == 128)
    assert (b"__ExceptionInfo" in (event.data or b"")) is (levels > 128)


@pytest.mark.parametrize("poison", POISON)
@pytest.mark.parametrize("api_version", [1, 2])
def test_one_malformed_event_of_fifty_affects_only_itself(poison: str, api_version: int) -> None:
    """The others are stored as if it were missing."""
    events = [GOOD] * 49
    events.insert(20, poison + "}" * (poison.count("{") - poison.count("}")))

    results = normalized(f"[{','.join(events)}]", api_version=api_version)

    assert len(results) == 50
    good = [result for place, result in enumerate(results) if place != 20]
    assert {(event.message, event.reference_id) for event in good} == {("good", "order-4711")}
