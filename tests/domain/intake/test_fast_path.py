"""The fast path gives the same rows as the slow path, and leaves every decision to it."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.domain.event.build import Sender, build_event
from collector.domain.event.outcome import DiscardReason, Event
from collector.domain.intake.body import raw_events
from collector.domain.intake.fast_path import build_plain_event, decode_plain_events
from collector.domain.jsonb.text import decode_number
from tests.support.factories import a_post

SENDER = Sender.of(a_post())
THREE_DAYS = timedelta(days=3)

_decoder = msgspec.json.Decoder(float_hook=decode_number)
_encoder = msgspec.json.Encoder(order="sorted", decimal_format="number")


def plainly(body: bytes) -> list[Any] | None:
    """The rows from the fast path; None if it does not accept the body."""
    found = decode_plain_events(body, "application/json")
    if found is None:
        return None
    return [
        _comparable(build_plain_event(plain, n, SENDER, THREE_DAYS)) for n, plain in enumerate(found) if plain
    ]


def carefully(body: bytes) -> list[Any]:
    """The rows from the slow path."""
    return [
        _comparable(build_event(raw, place, SENDER, THREE_DAYS))
        for place, raw in enumerate(raw_events(body, "application/json"))
        if isinstance(raw, dict)
    ]


def _comparable(result: Event | DiscardReason) -> Any:
    """All columns, numbers with all digits, and `data` as `jsonb` stores it: sorted, without equal names."""
    if isinstance(result, DiscardReason):
        return result
    columns = msgspec.structs.asdict(result)
    return columns | {"value": str(result.value), "data": _as_kept(_as_kept(result.data or b""))}


def _as_kept(data: bytes) -> bytes:
    """Twice, because `-0e0` becomes `-0`, and that becomes `0`."""
    return _encoder.encode(_decoder.decode(data))


DEFAULT_RULES = [
    pytest.param(b'{"message":"hello"}', id="a message"),
    pytest.param(b"{}", id="an empty body"),
    pytest.param(b'[{"message":"a"},null,{"message":"b"}]', id="an array with a hole"),
    pytest.param(b'{"data":{}}', id="empty data"),
    pytest.param(b'{"data":{ \n }}', id="white space for data"),
    pytest.param(b'{"data":{"a":1 \t} }', id="white space at the end"),
    pytest.param(b'{"data":null}', id="null data"),
    pytest.param(b'{"data":{"@submission_client":{"ip_address":"forged"}}}', id="a forged client"),
    pytest.param(b'{"data":{"\\u0040submission_client":1,"a":1,"a":2}}', id="names twice"),
    pytest.param(b'{"data":{"@user":{"identity":"x"},"@environment":null,"@level":"Warn"}}', id="objects"),
    pytest.param(b'{"data":{"@ref:session":"abc","@user":{"identity":"x"}}}', id="a session"),
    pytest.param(b'{"type":"session","reference_id":"order-4711"}', id="a session's start"),
    pytest.param(b'{"data":{"a":[1,1.50,-0.0,1e5,1E-7,12345678901234567890123]}}', id="numbers"),
    pytest.param(b'{"data":{"a":[5' + b",1e41" * 32 + b"]}}", id="few numbers to be spelled out"),
    pytest.param(b'{"data":{"a":[5' + b",1e40" * 99 + b"]}}", id="many that are not"),
    pytest.param(b'{"data":{"a":["' + b"3e41" * 99 + b'"]}}', id="a text like numbers to be spelled out"),
    pytest.param(b'{"data":{"hash":"a3e1234b","other":"9e9999"}}', id="digits that are no numbers"),
    pytest.param(
        '{"message":"Gr\u00fc\u00dfe \U0001f600","data":{"\u00e9":"\u00e9"}}'.encode(), id="beyond ASCII"
    ),
    pytest.param(b'{"message":"\\ud83d\\ude00","data":{"a":"\\uD83D\\uDE00"}}', id="escaped pairs"),
    pytest.param(b'{"message":"tab\\tquote\\" \\u00e9 slash\\/"}', id="escapes"),
    pytest.param(b'{"type":" ","tags":["a","A","","b"],"value":1.50,"count":3}', id="columns"),
    pytest.param(b'{"geo":"40.5, -74","reference_id":"order-4711","source":"shop"}', id="more columns"),
    pytest.param(b'{"date":"2025-10-09T08:00:00.1234567+02:00"}', id="a date with an offset"),
    pytest.param(b'{"date":"2025-10-01T08:00:00Z"}', id="too old"),
    pytest.param(b'{"date":"2125-10-01T08:00:00+01:00"}', id="in the future"),
    pytest.param(b'{"date":"0001-01-01T00:00:00Z"}', id="not set"),
    pytest.param(b'{"message":"' + b"m" * 3000 + b'","type":"' + b"t" * 100 + b'"}', id="long texts"),
]


@pytest.mark.parametrize("body", DEFAULT_RULES)
def test_an_ordinary_event_takes_the_fast_path(body: bytes) -> None:
    """And gives the slow path's row."""
    assert plainly(body) == carefully(body)


CAREFUL = [
    pytest.param(b"hello", id="text"),
    pytest.param(b"", id="nothing"),
    pytest.param(b"[]", id="no event"),
    pytest.param(b"[null]", id="null alone"),
    pytest.param(b'[{"message":"a"},5]', id="not only events"),
    pytest.param(b'{"message":"a"', id="cut off"),
    pytest.param(b'{"name":"value"}', id="an unknown member"),
    pytest.param(b'{"Message":"hello"}', id="another spelling"),
    pytest.param(b'{"message":5}', id="another type"),
    pytest.param(b'{"type":"' + b"t" * 101 + b'"}', id="a type that is too long"),
    pytest.param(b'{"source":"' + b"s" * 2001 + b'"}', id="a source that is too long"),
    pytest.param(b'{"message":"\xff"}', id="not UTF-8"),
    pytest.param(b'{"data":{"a":"\xff"}}', id="not UTF-8 within data"),
    pytest.param(b'{"data":{"a":"\\u0000"}}', id="NUL"),
    pytest.param(b'{"data":{"a":"\\ud800"}}', id="half a surrogate pair"),
    pytest.param(b'{"data":{"a":1e1001}}', id="a number beyond numeric"),
    pytest.param(b'{"data":{"a":-1.5E-99999}}', id="a number too close to zero"),
    pytest.param(b'{"data":{"a":[ 0.1e+1234]}}', id="a number beyond numeric in an array"),
    pytest.param(b'{"data":{"a":' + b"1" * 1001 + b"}}", id="a number of many digits"),
    pytest.param(b'{"data":{"a":0.' + b"1" * 999 + b"e99}}", id="many digits and an exponent"),
    pytest.param(b'{"data":{"a":[5' + b",1e41" * 33 + b"]}}", id="many numbers to be spelled out"),
    pytest.param(b"[" + b"{}," * 100_000 + b"{}]", id="too many events"),
    pytest.param(b'{"data":{"a":' + b"[" * 600 + b"]" * 600 + b"}}", id="many levels"),
    pytest.param(b'{"value":' + b"[" * 600 + b"]" * 600 + b"}", id="many levels for a number"),
    pytest.param(b'{"data":' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"}", id="more levels than Python has"),
]


@pytest.mark.parametrize("body", CAREFUL)
def test_a_body_that_needs_a_decision_takes_the_slow_path(body: bytes) -> None:
    """As a whole, because its events may depend on each other."""
    assert decode_plain_events(body, "application/json") is None


def test_another_charset_takes_the_slow_path() -> None:
    """The bytes are not UTF-8, whatever they look like."""
    assert decode_plain_events(b'{"message":"hello"}', "application/json; charset=utf-16") is None
    assert decode_plain_events(b'{"message":"hello"}', "application/json; charset=UTF-8") is not None


DOUBTFUL = [
    pytest.param(b'{"data":{"@error":{"message":"boom"}}}', id="an error"),
    pytest.param(
        b'{"type":"error","date":"2025-10-09T08:00:00+02:00","message":"m","source":"s","tags":["a","A"],"value":1.50,'
        b'"count":2,"geo":"1.5, 2","reference_id":"order-4711","data":{"@error":{"type":"T"}}}',
        id="an error with all columns",
    ),
    pytest.param(b'{"tags":[],"data":{"@error":{"message":"boom"}}}', id="an error without tags"),
    pytest.param(b'{"data":{"@simple_error":{"message":"boom"}},"type":""}', id="a simple error"),
    pytest.param(b'{"data":{"\\u0040error":{"message":"boom"}}}', id="an error behind an escape"),
    pytest.param(b'{"data":{"@error":null,"@request":{"path":"/"}}}', id="a request"),
    pytest.param(b'{"data":{"@user":"{\\"identity\\":\\"x\\"}"}}', id="an object as text"),
    pytest.param(b'{"data":{"@user":5,"@environment":[]}}', id="not an object"),
    pytest.param(b'{"data":{"@user":"{\\"a\\":1e41}"}}', id="an object as text with a large exponent"),
    pytest.param(b'{"data":{"@user":{"identity":4711}}}', id="a number for an identity"),
    pytest.param(b'{"data":{"@user":{"identity":{}},"@ref:session":[]}}', id="objects for names"),
    pytest.param(b'{"data":{"@ref:session":true}}', id="a session id that is not a text"),
    pytest.param(b'{"data":{"@user":{"Identity":"x","Mood":1}}}', id="another spelling in an object"),
    pytest.param(b'{"data":{"@environment":{"os_name":"x","mood":1}}}', id="unknown members of an object"),
    pytest.param(b'{"type":"404","data":{"@environment":{},"@trace":[1]}}', id="what was not found"),
    pytest.param(b'{"type":"heartbeat"}', id="a heartbeat"),
    pytest.param(b'{"data":"text"}', id="data that is a text"),
    pytest.param(b'{"data":[1.5]}', id="data that is an array"),
    pytest.param(b'{"data":""}', id="data that is an empty text"),
    pytest.param(b'{"date":"yesterday"}', id="no date"),
    pytest.param(b'{"reference_id":"short"}', id="an invalid reference"),
    pytest.param(b'{"geo":"here"}', id="no place"),
    pytest.param(b'{"value":"12"}', id="a text for a number"),
    pytest.param(b'{"value":true,"count":false}', id="booleans for numbers"),
    pytest.param(b'{"count":1.5}', id="half a count"),
    pytest.param(b'{"count":{},"value":[[1.5]]}', id="an object and an array for numbers"),
    pytest.param(b'{"value":"","count":""}', id="null for a number"),
]


@pytest.mark.parametrize("body", DOUBTFUL)
def test_an_event_that_needs_a_decision_takes_the_slow_path_alone(body: bytes) -> None:
    """The other events of its post stay on the fast path."""
    array = b'[{"message":"before"},' + body + b',{"message":"after"}]'

    assert plainly(body) == carefully(body)
    assert plainly(array) == carefully(array)


def test_the_cache_of_tags_is_bounded() -> None:
    """New tags beyond it are stored all the same."""
    for number in range(3000):
        body = b'{"tags":["%d","%s"]}' % (number, b"x" * (number % 200))
        assert plainly(body) == carefully(body)


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).flatmap(
    lambda text: st.sampled_from([json.dumps(text), json.dumps(text, ensure_ascii=False)])
)
_NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,12})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
_ATOMS = st.sampled_from(["null", "true", "false", "{}", "[]", '""']) | _TEXTS | _NUMBERS
_SPACE = st.sampled_from(["", "", "", " ", "\n\t"])
_DATA_NAMES = st.sampled_from(
    (
        *("a", "b", "@user", "@error", "@request", "@level", "@environment", "@submission_client", "\\u0061"),
        *("identity", "Identity", "data", "@ref:session", "@stack", "@user_description"),
    )
).map('"{}"'.format)
_DATES = st.datetimes().map(lambda moment: f'"{moment.isoformat()}Z"')
_SPECIAL = st.sampled_from(['"2025-10-09T08:00:00Z"', '"order-4711"', '"1.5,2.5"', '["a","B","a"]', "[null]"])


def _object(members: st.SearchStrategy[tuple[str, str, str]], most: int) -> st.SearchStrategy[str]:
    texts = st.lists(members.map(lambda found: f"{found[0]}{found[1]}:{found[2]}"), max_size=most)
    return st.tuples(texts, _SPACE).map(lambda found: f"{{{','.join(found[0])}{found[1]}}}")


_VALUES = st.recursive(
    _ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | _object(st.tuples(_DATA_NAMES | _TEXTS, _SPACE, inner), most=3)
    ),
    max_leaves=4,
)
_EVENTS = _object(
    st.one_of(
        st.tuples(st.sampled_from(['"type"', '"source"', '"message"', '"reference_id"']), _SPACE, _TEXTS),
        st.tuples(st.just('"type"'), _SPACE, st.sampled_from(['"404"', '"heartbeat"', '"error"'])),
        st.tuples(st.just('"date"'), _SPACE, _DATES),
        st.tuples(st.sampled_from(['"value"', '"count"']), _SPACE, _NUMBERS),
        st.tuples(st.just('"data"'), _SPACE, _object(st.tuples(_DATA_NAMES, _SPACE, _VALUES), most=4)),
        st.tuples(st.sampled_from(['"tags"', '"geo"', '"date"', '"reference_id"']), _SPACE, _SPECIAL),
    ),
    most=4,
)


_NAMES_OF_FRAMES = st.sampled_from(
    ("name", "declaring_namespace", "declaring_type", "line_number", "LineNumber", "parameters", "data", "x")
).map('"{}"'.format)
_NAMES_OF_ERRORS = st.sampled_from(("type", "message", "Message", "code", "data", "target_method")).map(
    '"{}"'.format
)
_NAMES_OF_REQUESTS = st.sampled_from(
    ("path", "http_method", "user_agent", "query_string", "cookies", "post_data", "Headers", "data")
).map('"{}"'.format)
_WORDS = st.sampled_from(
    ['"System.IO"', '"Shop.Orders"', '"Microsoft"', '"Save"', '"Googlebot/2.1"', '"curl/8"']
)
_EXTRAS = st.sampled_from(
    ['{"@ext":{"Number":5,"ErrorCode":"E1"}}', '{"@target":{"Method":"forged"}}', '"{\\"a\\":1.50}"']
)
_FRAMES = st.lists(_object(st.tuples(_NAMES_OF_FRAMES, _SPACE, _WORDS | _VALUES), most=4), max_size=4).map(
    lambda frames: f"[{','.join(frames)}]"
)
_ERRORS = st.recursive(
    _object(st.tuples(_NAMES_OF_ERRORS, _SPACE, _WORDS | _EXTRAS | _VALUES), most=3),
    lambda inner: _object(
        st.one_of(
            st.tuples(_NAMES_OF_ERRORS, _SPACE, _WORDS | _EXTRAS | _VALUES),
            st.tuples(
                st.sampled_from(['"stack_trace"', '"StackTrace"', '"modules"']), _SPACE, _FRAMES | _TEXTS
            ),
            st.tuples(st.sampled_from(['"inner"', '"Inner"']), _SPACE, inner),
        ),
        most=5,
    ),
    max_leaves=3,
)
_REQUESTS = _object(st.tuples(_NAMES_OF_REQUESTS, _SPACE, _WORDS | _EXTRAS | _VALUES), most=5)
_COLUMNS = (
    '"date":"2025-10-09T08:00:00+02:00","message":"m","source":"s","tags":["a","A"],"value":1.50,"count":2,'
    '"geo":"1.5, 2","reference_id":"order-4711",'
)
_REMARKABLE = st.tuples(
    st.sampled_from(["error", "error", "log", "404", " ", "session"]),
    st.sampled_from(["", _COLUMNS]),
    _object(
        st.one_of(
            st.tuples(st.sampled_from(['"@error"', '"@simple_error"', '"\\u0040error"']), _SPACE, _ERRORS),
            st.tuples(st.just('"@request"'), _SPACE, _REQUESTS),
            st.tuples(_DATA_NAMES, _SPACE, _EXTRAS | _VALUES),
        ),
        most=4,
    ),
).map(lambda found: f'{{"type":"{found[0]}",{found[1]}"data":{found[2]}}}')


@given(events=st.lists(_REMARKABLE, min_size=1, max_size=2))
@example(events=['{"data":{"@error":{"Type":"A","inner":{"stack_trace":[{"Name":"f"}]},"data":{"a":1.50}}}}'])
@example(events=['{"type":"error","data":{"@error":{"message":"m","message":"n","data":null,"type":"T"}}}'])
def test_both_paths_give_the_same_rows_for_errors_and_requests(events: list[str]) -> None:
    """For random members in random spellings."""
    body = f"[{','.join(events)}]".encode()

    assert plainly(body) in (None, carefully(body))


@given(events=st.lists(_EVENTS | st.just("null"), min_size=1, max_size=2))
@example(events=['{"data":{"a":1e99,"b":1e-999,"c":1E400}}'])
@example(events=['{"data":{"a":[5' + ",1e41" * 16 + "]}}"] * 2 + ['{"value":1e-41}'])
@example(events=['{"data":{"a":[5' + ",1e41" * 16 + "]}}"] * 2 + ['{"value":1e-40}'])
@example(events=['{"data":{"@user":{"identity":"x","identity":" "}}}', '{"type":"session"}'])
@example(events=['{"data":{"\\u0040user":5}}', '{"data":{"":0}}', '{"value":0.10,"count":2147483648}'])
def test_both_paths_give_the_same_rows(events: list[str]) -> None:
    """For random JSON that the fast path accepts."""
    body = f"[{','.join(events)}]".encode()

    assert plainly(body) in (None, carefully(body))
