"""From the decompressed bytes of a post to its raw events."""

import tracemalloc
from typing import Any

import pytest

from collector.domain.event.outcome import DeadLetterReason
from collector.domain.intake.body import TooDeep, decode_text, parse_events, raw_events
from collector.domain.intake.cost import MAXIMUM_EVENTS_PER_POST
from collector.domain.intake.decompress import UnstorablePost

DEEP = "[" * 600 + "]" * 600


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        pytest.param("\u00e4".encode(), "application/json", "\u00e4", id="UTF-8 by default"),
        pytest.param("\u00e4".encode("latin-1"), "text/plain; charset=ISO-8859-1", "\u00e4", id="Latin 1"),
        pytest.param("\u00e4".encode("cp1252"), 'text/plain;charset="windows-1252"', "\u00e4", id="quoted"),
        pytest.param(
            "\u00e4".encode("utf-16"), "text/plain; charset=UTF-16", "\u00e4", id="UTF-16 with a mark"
        ),
        pytest.param("\ufeff{}".encode(), "", "{}", id="a byte order mark is skipped"),
        pytest.param(b"a\xffb", "text/plain; charset=utf-8", "a\ufffdb", id="invalid UTF-8"),
        pytest.param("\u00e4".encode(), "text/plain; charset=klingon", "\u00e4", id="an unknown charset"),
        pytest.param(
            rb"\ud800", "text/plain; charset=unicode_escape", r"\ud800", id="no charset but a codec"
        ),
        pytest.param(b"+2AA-", "text/plain; charset=utf-7", "+2AA-", id="a charset that makes surrogates"),
        pytest.param(b"\x00\xd8", "text/plain; charset=utf-16-le", "\ufffd", id="a surrogate in UTF-16"),
    ],
)
def test_text_is_decoded_in_its_charset(body: bytes, content_type: str, text: str) -> None:
    """Undecodable bytes are replaced, so the result can always be stored."""
    assert decode_text(body, content_type) == text


@pytest.mark.parametrize(
    ("text", "events"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param(" \t\r\n", [], id="blanks"),
        pytest.param("one line", [{"message": "one line"}], id="a line"),
        pytest.param(" one \r\n\r\n two\rthree\n", ["one", "two", "three"], id="lines, trimmed, none blank"),
        pytest.param('{"a": 1}', [{"a": 1}], id="an object"),
        pytest.param(' \n {"a": 1} \n', [{"a": 1}], id="an object among blanks"),
        pytest.param('[{"a": 1}, null, {"b": 2}]', [{"a": 1}, None, {"b": 2}], id="an array with a null"),
        pytest.param("{not json", ["{not json"], id="like an object but text"),
        pytest.param("[not json\n]", ["[not json", "]"], id="like an array but text"),
        pytest.param("[null]", ["[null]"], id="an array without events is text"),
        pytest.param("[]", ["[]"], id="an empty array is text"),
        pytest.param('[{"a": 1},\n5]', ['[{"a": 1},', "5]"], id="one wrong element: all of it is text"),
        pytest.param("5", ["5"], id="a number is text"),
        pytest.param('"text"', ['"text"'], id="a JSON string is text"),
        pytest.param("a\0b", ["a\ufffdb"], id="NUL in text"),
    ],
)
def test_a_text_is_json_or_lines(text: str, events: list[Any]) -> None:
    """As lenient as the official server: every post becomes events or log lines."""
    expected = [{"message": event} if isinstance(event, str) else event for event in events]

    assert parse_events(text) == expected


def test_an_event_that_nests_too_deep_does_not_affect_its_neighbours() -> None:
    """It is set aside alone, with its position."""
    deep = f'{{"a": {DEEP}}}'

    assert parse_events(f'[{{"b": 1}}, {deep}, null]') == [{"b": 1}, TooDeep(deep), None]


def test_a_single_event_that_nests_too_deep_is_set_aside() -> None:
    """512 levels pass, 513 do not."""
    assert parse_events('{"a": ' + "[" * 511 + "]" * 511 + "}") != []
    assert isinstance(parse_events('{"a": ' + "[" * 511 + "]" * 511 + "}")[0], dict)
    assert isinstance(parse_events('{"a": ' + "[" * 512 + "]" * 512 + "}")[0], TooDeep)


def test_levels_are_counted_from_the_event_not_from_the_array_around_it() -> None:
    """So an event is treated the same alone and in a batch."""
    event = '{"a": ' + "[" * 511 + "]" * 511 + "}"

    assert parse_events(f"[{event}]") == parse_events(event)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"a": ' + DEEP, id="an object cut off"),
        pytest.param("[" + DEEP, id="an array cut off"),
        pytest.param(f'[{{"a": {DEEP}}}, 5]', id="a neighbour of the wrong kind"),
    ],
)
def test_deep_nesting_in_invalid_json_is_text(text: str) -> None:
    """Lines of text have no depth."""
    assert parse_events(text) == [{"message": text}]


def _array_of(event: str, number: int) -> bytes:
    return f"[{','.join([event] * number)}]".encode()


@pytest.mark.parametrize(
    ("whole", "one_more"),
    [
        pytest.param(b"a\n" * MAXIMUM_EVENTS_PER_POST, b"a", id="lines"),
        pytest.param(b" \r\n" * 1000 + b"a\r\n" * MAXIMUM_EVENTS_PER_POST, b"a", id="lines and empty ones"),
        pytest.param(_array_of("{}", MAXIMUM_EVENTS_PER_POST)[:-1], b",null]", id="objects"),
        pytest.param(
            _array_of('{"a":[5,5]}', MAXIMUM_EVENTS_PER_POST)[:-1],
            b',{"\\ud800":5}]',
            id="an escape to repair",
        ),
        pytest.param(
            b'[{"a":' + DEEP.encode() + b"}," + _array_of("{}", MAXIMUM_EVENTS_PER_POST - 1)[1:-1],
            b",{}]",
            id="one of them too deep",
        ),
    ],
)
def test_the_events_of_a_post_are_limited(whole: bytes, one_more: bytes) -> None:
    """However small they are: each becomes a row, and all rows of a post are in memory together."""
    end = b"]" if one_more.endswith(b"]") else b""
    assert len(raw_events(whole + end, "")) == MAXIMUM_EVENTS_PER_POST
    with pytest.raises(UnstorablePost) as raised:
        raw_events(whole + one_more, "")
    assert raised.value.reason is DeadLetterReason.TOO_MANY_EVENTS


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" + "a," * MAXIMUM_EVENTS_PER_POST + "]", id="invalid JSON"),
        pytest.param("[" + "null," * MAXIMUM_EVENTS_PER_POST + "null]", id="no event"),
        pytest.param("[" + "{}," * MAXIMUM_EVENTS_PER_POST + "5]", id="not only events"),
    ],
)
def test_a_line_with_many_commas_is_one_event(text: str) -> None:
    """Only arrays of events have elements."""
    assert parse_events(text) == [{"message": text}]


def test_too_many_events_are_refused_before_decoding() -> None:
    """A post of a kilobyte must not use hundreds of megabytes before it is refused."""
    bodies = [b"a\n" * 1_000_000, _array_of("{}", 600_000)]
    for body in bodies:
        tracemalloc.start()
        with pytest.raises(UnstorablePost):
            raw_events(body, "")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 48 * 1024 * 1024
