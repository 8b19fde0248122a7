"""Making senders' JSON acceptable to `jsonb`."""

from decimal import Decimal
from time import process_time
from typing import Any

import pytest

from collector.domain.jsonb.text import (
    MAXIMUM_SPELLED_OUT,
    encode_object,
    is_too_deep,
    parse_embedded_object,
    parse_object,
    parse_objects,
    repair_escapes,
    split_array,
)

LIMIT = 1000


@pytest.mark.parametrize(
    ("escapes", "read"),
    [
        pytest.param(r"a\u0000b", "a\ufffdb", id="NUL"),
        pytest.param(r"\ud800", "\ufffd", id="a high surrogate alone"),
        pytest.param(r"\uDFFF", "\ufffd", id="a low surrogate alone"),
        pytest.param(r"\ud800A", "\ufffdA", id="a high surrogate before a letter"),
        pytest.param(r"\ud800\ud800\udc00", "\ufffd\U00010000", id="a high surrogate before a pair"),
        pytest.param(r"\udc00\ud800", "\ufffd\ufffd", id="a reversed pair"),
        pytest.param(r"\ud83d\ude00 \u0000", "\U0001f600 \ufffd", id="a pair next to NUL stays"),
        pytest.param(r"\\u0000", "\\u0000", id="an escaped backslash is no escape of NUL"),
        pytest.param(r"\\\u0000", "\\\ufffd", id="an escaped backslash before NUL"),
        pytest.param(r"\\\\ud800", "\\\\ud800", id="two escaped backslashes"),
        pytest.param(r"\u00e4\n\"\/", '\u00e4\n"/', id="other escapes"),
    ],
)
def test_escapes_that_jsonb_refuses_become_u_fffd(escapes: str, read: str) -> None:
    """Such an escape must not cost the event or its neighbours, and nothing else changes."""
    assert parse_object(f'{{"{escapes}": "{escapes}"}}') == {read: read}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param("1.50", Decimal("1.50"), id="a fraction keeps its digits"),
        pytest.param("0.1", Decimal("0.1"), id="a fraction that no double holds"),
        pytest.param("1e3", Decimal("1E+3"), id="an exponent"),
        pytest.param("18446744073709551616", 2**64, id="an integer over 64 bits"),
        pytest.param(f"1e{LIMIT}", Decimal(f"1E+{LIMIT}"), id="the largest exponent"),
        pytest.param(f"1e{LIMIT + 1}", f"1e{LIMIT + 1}", id="a larger exponent is text"),
        pytest.param(f"1e-{LIMIT + 1}", f"1e-{LIMIT + 1}", id="a smaller one too"),
        pytest.param("1e999999", "1e999999", id="beyond numeric"),
        pytest.param("-1e99999999999999999999", "-1e99999999999999999999", id="beyond Decimal"),
        pytest.param("1." + "0" * 20_000, "1." + "0" * 20_000, id="more fraction digits than numeric has"),
        pytest.param("-" + "1" * 5000, "-" + "1" * 5000, id="more digits than msgspec reads"),
        pytest.param('"' + "1" * 5000 + '"', "1" * 5000, id="digits in a text"),
    ],
)
def test_numbers_out_of_bounds_are_kept_as_text(written: str, read: Any) -> None:
    """`numeric` must accept every number, and reading it back must stay cheap."""
    assert parse_object(f'{{"n": {written}}}') == {"n": read}


def test_quoting_a_long_integer_changes_no_string() -> None:
    """Even if a string looks like a number or ends like one."""
    digits = "7" * 4500
    text = rf'{{"a": "\" {digits}", "{digits}": [{digits}, 1], "b": "\\"}}'

    assert parse_object(text) == {"a": f'" {digits}', digits: [digits, 1], "b": "\\"}


def test_only_integers_are_quoted_for_their_length() -> None:
    """Long fractions and exponents are not."""
    long = "7" * 5000

    assert parse_object(f'{{"a": {long}, "b": 0.{long}, "c": -1e-{long}}}') == {
        "a": long, "b": f"0.{long}", "c": f"-1e-{long}",
    }  # fmt: skip


@pytest.mark.parametrize(
    "number",
    [
        pytest.param("1e41", id="just beyond"),
        pytest.param("-1.5E-0041", id="negative"),
        pytest.param("1e+1000", id="by far"),
    ],
)
def test_only_a_few_large_exponents_stay_numbers(number: str) -> None:
    """Postgres writes out each zero: 3 kilobytes could become hundreds of megabytes for each reader."""
    few = f'{{"a": [{",".join([number] * MAXIMUM_SPELLED_OUT)}], "b": "{"1e41," * 50}"}}'
    many = f'{{"a": [{",".join([number] * (MAXIMUM_SPELLED_OUT + 1))}], "b": 1.5e40}}'

    assert (parse_object(few) or {})["a"] == [Decimal(number)] * MAXIMUM_SPELLED_OUT
    assert parse_object(many) == {"a": [number] * (MAXIMUM_SPELLED_OUT + 1), "b": Decimal("1.5e40")}
    assert parse_objects(f"[{many},null]") == [parse_object(many), None]


def test_exponents_in_json_within_a_text_stay_short() -> None:
    """Each of thousands of events may have one."""
    assert parse_embedded_object('{"a": 1e41, "b": 1e40}') == {"a": "1e41", "b": Decimal("1e40")}


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param("1" * 1000 + ",", id="integers just not too long"),
        pytest.param("1" * 1001 + ",", id="integers too long"),
        pytest.param("-", id="signs"),
        pytest.param('"', id="quotes"),
        pytest.param("\\", id="backslashes"),
        pytest.param("\\ud800", id="half pairs"),
        pytest.param("e000000", id="exponents"),
        pytest.param("1e41,", id="numbers spelled out"),
        pytest.param('"\\"', id="a text that never ends"),
        pytest.param("0", id="digits"),
        pytest.param("[", id="brackets"),
    ],
)
def test_the_time_is_linear_in_the_length(piece: str) -> None:
    """Twice the text takes about twice the time; a quadratic search would take four times as long."""
    once, twice = (f"[5,{piece * (length // len(piece))}]" for length in (300_000, 600_000))

    assert _seconds(twice) < 3 * _seconds(once) + 0.05


def _seconds(text: str) -> float:
    """The least of three runs."""
    taken = []
    for _ in range(3):
        started = process_time()
        parse_objects(text)
        is_too_deep(text)
        split_array(text)
        repair_escapes(text)
        taken.append(process_time() - started)
    return min(taken)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="cut off"),
        pytest.param('{"a": 1,}', id="a comma too many"),
        pytest.param('{"a": 1} x', id="something after it"),
        pytest.param('{"a": NaN}', id="not a number"),
        pytest.param("{'a': 1}", id="single quotes"),
        pytest.param('{"a": "\t"}', id="a raw control character"),
        pytest.param('{"a": "\\x"}', id="an unknown escape"),
        pytest.param("[]", id="an array"),
        pytest.param("1" * 5000, id="a long integer alone"),
        pytest.param('{"a": ' + "1" * 5000, id="a long integer, cut off"),
    ],
)
def test_other_texts_than_json_objects_are_none(text: str) -> None:
    """The caller falls back to text; nothing raises."""
    assert parse_object(text) is None


def test_an_array_of_anything_but_objects_and_nulls_is_none() -> None:
    """The whole array is refused."""
    assert parse_objects('[{"a": 1}, null]') == [{"a": 1}, None]
    assert parse_objects('[{"a": 1}, 5]') is None


def test_decoded_json_is_encoded_without_loss() -> None:
    """Fractions and large numbers keep their digits."""
    text = '{"a":1.50,"b":18446744073709551616,"c":"\u00e4","d":[null,true,{}]}'

    assert encode_object(parse_object(text) or {}) == text.encode()


@pytest.mark.parametrize(
    ("text", "is_deep"),
    [
        pytest.param("[" * 512 + "]" * 512, False, id="512 levels"),
        pytest.param("[" * 513 + "]" * 513, True, id="513 levels"),
        pytest.param('{"a":' * 513 + "1" + "}" * 513, True, id="objects count as arrays do"),
        pytest.param("[" + ",".join(["{}"] * 5000) + "]", False, id="many next to each other"),
        pytest.param('["' + "[" * 5000 + '"]', False, id="brackets in a text"),
        pytest.param('["' + '\\"[' * 5000 + '"]', False, id="brackets after an escaped quote"),
        pytest.param(
            '["' + "]" * 5000 + '",' + "[" * 600, True, id="closing brackets in a text do not count"
        ),
        pytest.param('"' + "[" * 5000, False, id="a text that never ends"),
        pytest.param("[" * 1_000_000, True, id="a million levels"),
    ],
)
def test_depth_is_measured_outside_texts(text: str, *, is_deep: bool) -> None:
    """Before anything is decoded, both for deep nesting and for texts full of brackets."""
    assert is_too_deep(text) is is_deep


@pytest.mark.parametrize(
    ("array", "elements"),
    [
        pytest.param(
            '[{"a": [1, 2]}, null , "x,]"]', ['{"a": [1, 2]}', "null", '"x,]"'], id="three elements"
        ),
        pytest.param('[{"a": 1}', None, id="cut off"),
        pytest.param('[{"a": 1}] x', None, id="something after it"),
        pytest.param('["\\"]', None, id="a text that never ends"),
    ],
)
def test_an_array_is_split_without_being_decoded(array: str, elements: list[str] | None) -> None:
    """So that one element that nests too deep can be set aside."""
    assert split_array(array) == elements
