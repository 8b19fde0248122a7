"""Whether `jsonb` takes JSON as it came: every text and number in it, found by few passes over the bytes."""

from typing import Final

from collector.domain.jsonb.text import MAXIMUM_SPELLED_OUT, has_too_many_large_exponents, repair_escapes

_SHAPE_OF_NUMBERS: Final = bytes.maketrans(b"+-.012345678E", b"999999999999e")
"""Numbers become `999` or `999e999`: so a doubtful one is found without looking at each of them."""
_LONG_NUMBER: Final = b"9" * 800
_EXPONENT: Final = b"9e99"
_BEFORE_NUMBERS: Final = tuple(b":,[ \t\r\n"[place : place + 1] for place in range(6))


def is_storable(body: bytes) -> bool:
    """Whether `jsonb` takes every text and number in the body as it is; a doubtful one is not."""
    if not body.isascii() and not _is_text(body):
        return False
    if b"\\" in body and not _has_sound_escapes(body):
        return False
    return _has_sound_numbers(body)


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _has_sound_escapes(body: bytes) -> bool:
    text = body.decode()
    return repair_escapes(text) == text


def _has_sound_numbers(body: bytes) -> bool:
    """Whether no number is out of bounds; most of what looks like an exponent is in an id of hex digits."""
    shape = body.translate(_SHAPE_OF_NUMBERS)
    if _LONG_NUMBER in shape:
        return False
    exponents, end = 0, 0
    while (begin := shape.find(_EXPONENT, end)) >= 0:  # splitting would copy it all
        end = begin + len(_EXPONENT)
        if shape[max(0, begin - len(_LONG_NUMBER)) : begin].rstrip(b"9").endswith(_BEFORE_NUMBERS):
            if shape[end : end + 1] == b"9":  # a third digit
                return False
            exponents += 1
    return exponents <= MAXIMUM_SPELLED_OUT or not has_too_many_large_exponents(body.decode())
