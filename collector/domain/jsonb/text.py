"""Parses JSON as clients send it into values that `jsonb` accepts.

`jsonb` rejects NUL and numbers beyond `numeric`; msgspec rejects a whole document for one lone surrogate, one
integer of thousands of digits or a thousand levels. So depth is checked first, escapes are repaired before
decoding and numbers while decoding: no value can make a COPY or another event fail. Everything here takes
time linear in the length of the text.
"""

import re
from decimal import Decimal, DecimalException
from itertools import accumulate, islice
from typing import Any, Final, TypeVar

import msgspec

MAXIMUM_DEPTH: Final = 512
MAXIMUM_DIGITS: Final = 1000
"""`numeric` allows more, but prints every zero of 1e131071 each time it is read."""
MAXIMUM_SPELLED_OUT: Final = 32
"""How many numbers in one text may have a large exponent: each is read back as up to 1,000 digits."""
_USUAL_LENGTH: Final = 32
REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

_STRING: Final = r'"(?:[^"\\]++|\\.)*+"?'
"""A string; an unterminated one matches up to the end, so that no text is scanned twice."""
_STRINGS: Final = re.compile(_STRING, re.DOTALL)
_STRING_OR_LONG_NUMBER: Final = re.compile(
    rf"({_STRING})|(?<![0-9.eE+-])-?[0-9]{{{MAXIMUM_DIGITS + 1},}}+(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?",
    re.DOTALL,
)
"""Matches only at the start of a number, never within one."""
_LARGE_EXPONENT: Final = re.compile(r"[eE][+-]?+0*+(?:4[1-9]|[5-9][0-9]|[1-9][0-9]{2})")
"""An exponent above 40."""
_STRING_OR_STRUCTURE: Final = re.compile(rf"{_STRING}|[\[\]{{}},]", re.DOTALL)
_SUSPICIOUS_ESCAPE: Final = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_ESCAPE: Final = re.compile(
    r"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?P<refused>\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2}))"
    r"|\\.",
    re.DOTALL,
)
_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[{]}"))

Shape = TypeVar("Shape")


class _Shape(msgspec.Struct, gc=False):
    """Accepts any object without decoding its members."""


def parse_object(text: str) -> dict[str, Any] | None:
    """Parse an object, else None. Fractions become Decimal; numbers out of bounds become their text."""
    return _decode(text, _MODEST_OBJECT if has_too_many_large_exponents(text) else _OBJECT)


def parse_embedded_object(text: str) -> dict[str, Any] | None:
    """Parse JSON in a string within JSON: there can be thousands, so no large exponent becomes a number."""
    return _decode(text, _MODEST_OBJECT)


def parse_objects(text: str) -> list[dict[str, Any] | None] | None:
    """Parse an array of objects and nulls, else None."""
    return _decode(text, _MODEST_OBJECTS if has_too_many_large_exponents(text) else _OBJECTS)


def has_more_objects(array: str | bytes, limit: int) -> bool:
    """Whether an array of objects and nulls has more than `limit` elements, at least one of them an object.

    Creates none of the objects, because there may be too many for memory.
    """
    commas = array.count(",") if isinstance(array, str) else array.count(b",")
    if commas < limit:
        return False
    try:
        shapes = _SHAPES.decode(array)
    except (msgspec.DecodeError, RecursionError):
        return False
    return len(shapes) > limit and any(shape is not None for shape in shapes)


def has_too_many_large_exponents(text: str) -> bool:
    """Whether too many numbers have a large exponent; then all of those are kept as text.

    `jsonb` prints every zero each time it is read: kilobytes would become hundreds of megabytes.
    """
    return _has_many_large_exponents(text) and _has_many_large_exponents(_STRINGS.sub("", text))


def encode_object(value: dict[str, Any]) -> bytes:
    """Encode an object as UTF-8 JSON."""
    return _ENCODER.encode(value)


def replace_nul(text: str) -> str:
    """Replace NUL by U+FFFD, so that a `text` column accepts the text."""
    return text.replace("\0", REPLACEMENT)


def repair_escapes(text: str) -> str:
    """Replace escaped NUL and lone surrogates by U+FFFD."""
    if "\\u" not in text or _SUSPICIOUS_ESCAPE.search(text) is None:
        return text
    return _ESCAPE.sub(lambda found: "\\ufffd" if found["refused"] else found[0], text)


def decode_number(text: str) -> Decimal | str:
    """Decode a JSON number with a fraction or exponent; its text if `numeric` would reject or expand it."""
    if len(text) < _USUAL_LENGTH and "e" not in text and "E" not in text:
        return Decimal(text)
    try:
        number = Decimal(text)
    except DecimalException:
        return text
    is_reasonable = len(text) <= MAXIMUM_DIGITS and abs(number.adjusted()) <= MAXIMUM_DIGITS
    return number if is_reasonable else text


def _decode_modest_number(text: str) -> Decimal | str:
    return text if _LARGE_EXPONENT.search(text) else decode_number(text)


def is_too_deep(text: str, levels: int = MAXIMUM_DEPTH) -> bool:
    """Whether brackets outside strings nest deeper than `levels`; linear in time for any text."""
    if text.count("[") + text.count("{") <= levels:
        return False
    outside = _STRINGS.sub("", text).encode("ascii", "ignore")
    steps = memoryview(outside.translate(_STEPS, _NO_BRACKETS)).cast("b")
    return max(accumulate(steps), default=0) > levels


def split_array(array: str) -> list[str] | None:
    """The texts of an array's elements, or None if the brackets do not match up to the end of the text."""
    elements = []
    depth = 0
    start = 1
    for token in _STRING_OR_STRUCTURE.finditer(array):
        character = token.group()[0]
        if character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        # An element ends before a comma of the array itself, and before its closing bracket.
        if (character == "," and depth == 1) or (character in "]}" and depth == 0):
            elements.append(array[start : token.start()].strip())
            start = token.end()
        if depth == 0:
            break
    is_whole = depth == 0 and not array[start:].strip()
    return elements if is_whole else None


def _decode(text: str, decoder: msgspec.json.Decoder[Shape]) -> Shape | None:
    repaired = repair_escapes(text)
    try:
        return decoder.decode(repaired)
    except msgspec.ValidationError:
        # Either another shape, or an integer longer than msgspec reads: quote those and try again.
        quoted = _STRING_OR_LONG_NUMBER.sub(lambda found: found[0] if found[1] else f'"{found[0]}"', repaired)
    except msgspec.DecodeError:
        return None
    try:
        return decoder.decode(quoted) if quoted != repaired else None
    except msgspec.DecodeError:
        return None


def _has_many_large_exponents(text: str) -> bool:
    found = _LARGE_EXPONENT.finditer(text)
    return next(islice(found, MAXIMUM_SPELLED_OUT, None), None) is not None


_OBJECT: Final = msgspec.json.Decoder(dict[str, Any], float_hook=decode_number)
_OBJECTS: Final = msgspec.json.Decoder(list[dict[str, Any] | None], float_hook=decode_number)
_MODEST_OBJECT: Final = msgspec.json.Decoder(dict[str, Any], float_hook=_decode_modest_number)
_MODEST_OBJECTS: Final = msgspec.json.Decoder(list[dict[str, Any] | None], float_hook=_decode_modest_number)
_SHAPES: Final = msgspec.json.Decoder(list[_Shape | None])
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
