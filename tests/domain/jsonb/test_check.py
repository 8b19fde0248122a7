"""Deciding which JSON `jsonb` accepts unchanged."""

import pytest

from collector.domain.jsonb.check import is_storable_json

_MANY = b",1e41" * 33


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a":"b"}', id="texts"),
        pytest.param('{"Gr\u00fc\u00dfe":"\U0001f600"}'.encode(), id="beyond ASCII"),
        pytest.param(b'{"a":"\\ud83d\\ude00 \\u00e9 \\n"}', id="escapes"),
        pytest.param(b'{"a":[1,-1.50,0.5e-7,1E99,123456789012345678901234567890]}', id="numbers"),
        pytest.param(b'{"a":' + b"1" * 700 + b"e99}", id="a long number with an exponent"),
        pytest.param(b'{"a":"7e123456","b":"x9e9999","c":"\\"1e999\\""}', id="digits within texts"),
        pytest.param(b'{"a":["' + b'1e41","' * 99 + b'"]}', id="texts like large numbers"),
        pytest.param(b'{"a":[1' + _MANY[:-5] + b"]}", id="as many large numbers as may be"),
    ],
)
def test_safe_json_is_stored_unchanged(body: bytes) -> None:
    assert is_storable_json(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a":"\xff"}', id="no UTF-8"),
        pytest.param(b'{"a":"\\u0000"}', id="NUL"),
        pytest.param(b'{"a":"\\ud800"}', id="half a pair"),
        pytest.param(b'{"a":1e100}', id="an exponent of three digits"),
        pytest.param(b'{"a":1e10,"b":1,"c":[2e10, -1.5E+123]}', id="the last of several exponents"),
        pytest.param(b'{"a":' + b"1" * 700 + b"e100}", id="a long number with a long exponent"),
        pytest.param(b'{"a":' + b"1" * 900 + b"}", id="a number of many digits"),
        pytest.param(b'{"a":[1' + _MANY + b"]}", id="too many large numbers"),
    ],
)
def test_doubtful_json_is_not_stored_unchanged(body: bytes) -> None:
    """The slow path decides."""
    assert not is_storable_json(body)
