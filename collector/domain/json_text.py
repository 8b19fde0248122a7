"""JSON as senders write it, turned into JSON that `jsonb` takes.

`jsonb` refuses NUL and numbers beyond `numeric`; msgspec refuses a whole document for one lone surrogate, one
integer of thousands of digits or a thousand levels. So escapes are mended before decoding, numbers while
decoding, and depth is measured first: nothing here can fail a COPY or a neighbour.
"""

import re
from decimal import Decimal, DecimalException
from itertools import accumulate
from typing import Any, Final, TypeVar

import msgspec

MAXIMUM_DEPTH: Final = 512
MAXIMUM_DIGITS: Final = 1000
"""`numeric` holds more, but spells every zero of 1e131071 out again whenever it is read."""
REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

_STRING: Final = r'"(?:[^"\\]++|\\.)*+"?'
"""A string, or one that never ends: then it takes the whole rest, so that no text is scanned twice."""
_STRINGS: Final = re.compile(_STRING, re.DOTALL)
_STRING_OR_LONG_NUMBER: Final = re.compile(
    rf"({_STRING})|-?\d{{{MAXIMUM_DIGITS + 1},}}+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.DOTALL
)
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


def object_in(text: str) -> dict[str, Any] | None:
    """The object that the text is, or None. Fractions are Decimal; numbers out of bounds are their text."""
    return _decoded(text, _OBJECT)


def objects_in(text: str) -> list[dict[str, Any] | None] | None:
    """The objects and nulls of an array, or None where the text is anything else."""
    return _decoded(text, _OBJECTS)


def encoded(value: dict[str, Any]) -> bytes:
    """An object as UTF-8 JSON."""
    return _ENCODER.encode(value)


def without_nul(text: str) -> str:
    """The text as a `text` column takes it."""
    return text.replace("\0", REPLACEMENT)


def with_escapes_mended(text: str) -> str:
    """U+FFFD in the place of escaped NUL and of surrogates without their other half."""
    if "\\u" not in text or _SUSPICIOUS_ESCAPE.search(text) is None:
        return text
    return _ESCAPE.sub(lambda found: "\\ufffd" if found["refused"] else found[0], text)


def number_in(text: str) -> Decimal | str:
    """A number with a fraction or an exponent; its text where `numeric` would refuse or blow it up."""
    try:
        number = Decimal(text)
    except DecimalException:
        return text
    is_reasonable = len(text) <= MAXIMUM_DIGITS and abs(number.adjusted()) <= MAXIMUM_DIGITS
    return number if is_reasonable else text


def is_too_deep(text: str, levels: int = MAXIMUM_DEPTH) -> bool:
    """Whether brackets outside strings nest deeper than `levels`; linear in time, whatever the text is."""
    if text.count("[") + text.count("{") <= levels:
        return False
    outside = _STRINGS.sub("", text).encode("ascii", "ignore")
    steps = memoryview(outside.translate(_STEPS, _NO_BRACKETS)).cast("b")
    return max(accumulate(steps), default=0) > levels


def elements_of(array: str) -> list[str] | None:
    """The texts of an array's elements, or None where the brackets do not end with the text."""
    elements = []
    depth = 0
    start = 1
    for token in _STRING_OR_STRUCTURE.finditer(array):
        character = token.group()[0]
        if character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        if (character == "," and depth == 1) or (character in "]}" and depth == 0):
            elements.append(array[start : token.start()].strip())
            start = token.end()
        if depth == 0:
            break
    is_whole = depth == 0 and not array[start:].strip()
    return elements if is_whole else None


def _decoded(text: str, decoder: msgspec.json.Decoder[Shape]) -> Shape | None:
    mended = with_escapes_mended(text)
    try:
        return decoder.decode(mended)
    except msgspec.ValidationError:
        # Another shape, or an integer longer than msgspec reads: worth a second look.
        quoted = _STRING_OR_LONG_NUMBER.sub(_quoted, mended)
    except msgspec.DecodeError:
        return None
    try:
        return decoder.decode(quoted) if quoted != mended else None
    except msgspec.DecodeError:
        return None


def _quoted(found: re.Match[str]) -> str:
    return found[0] if found[1] else f'"{found[0]}"'


_OBJECT: Final = msgspec.json.Decoder(dict[str, Any], float_hook=number_in)
_OBJECTS: Final = msgspec.json.Decoder(list[dict[str, Any] | None], float_hook=number_in)
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
