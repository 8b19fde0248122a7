"""Checks whether Postgres stores a text, or the strings and numbers of JSON in `jsonb`, unchanged.

JSON is checked in a few passes over its bytes, without parsing it.
"""

from typing import Final

from collector.domain.jsonb.text import MAXIMUM_SPELLED_OUT, has_too_many_large_exponents, repair_escapes

_SHAPE_OF_NUMBERS: Final = bytes.maketrans(b"+-.012345678E", b"999999999999e")
"""Turns numbers into `999` or `999e999`, so that a search finds doubtful ones without parsing each."""
_LONG_NUMBER: Final = b"9" * 800
_EXPONENT: Final = b"9e99"
_BEFORE_NUMBERS: Final = tuple(bytes([byte]) for byte in b":,[ \t\r\n")


def is_storable_text(text: str) -> bool:
    """Whether a `text` column accepts the text: it contains neither NUL nor a lone surrogate."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def is_storable_json(body: bytes) -> bool:
    """Whether `jsonb` accepts every string and number in the body unchanged; False when in doubt."""
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError:
            return False
    # An escape may stand for NUL or for half of a surrogate pair.
    if b"\\" in body:
        text = body.decode()
        if repair_escapes(text) != text:
            return False
    return _has_storable_numbers(body)


def _has_storable_numbers(body: bytes) -> bool:
    """Whether no number is out of bounds; what looks like an exponent is usually part of a hexadecimal id."""
    shape = body.translate(_SHAPE_OF_NUMBERS)
    if _LONG_NUMBER in shape:
        return False
    # Count large exponents of real numbers, those preceded by a delimiter.
    exponents, end = 0, 0
    while (begin := shape.find(_EXPONENT, end)) >= 0:  # split() would copy the whole body
        end = begin + len(_EXPONENT)
        if shape[max(0, begin - len(_LONG_NUMBER)) : begin].rstrip(b"9").endswith(_BEFORE_NUMBERS):
            if shape[end : end + 1] == b"9":  # a third digit
                return False
            exponents += 1
    return exponents <= MAXIMUM_SPELLED_OUT or not has_too_many_large_exponents(body.decode())
