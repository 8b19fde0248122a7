"""Splits texts of any script into words and folds case: the same rules for filters, SQL and stored texts.

Each field has its own ASCII separators. Beyond ASCII all fields share one rule: letters, digits and marks
form words, each ideograph or Hiragana letter is a separate word, and everything else separates. The official
server's standard analyzer splits texts in nearly the same way (UAX #29).

The tables come from the categories of Unicode 18.0 and are fixed here, because Python and Postgres know other
versions. A range may contain characters that are not assigned yet.
"""

import re
from functools import cache
from typing import Final

from collector.domain.filter.tree import Wildcard

Pieces = tuple[str | Wildcard, ...]


APOSTROPHE: Final = "\u2019"

_SEPARATORS: Final = """
80-a9 ab-b4 b6-b9 bb-bf d7 f7 2c2-2c5 2d2-2df 2e5-2eb 2ed 2ef-2ff 375 37e 384-385 387 3f6 482 55a-55f
589-58a 58d-58f 5be 5c0 5c3 5c6 5f3-60f 61b-61f 66a-66d 6d4 6dd-6de 6e9 6fd-6fe 700-70f 7f6-7f9 7fe-7ff
830-83e 85e 888 890-891 8e2 964-965 970 9f2-9fb 9fd a76 af0-af1 b70 b72-b77 bf0-bfa c77-c7f c84 d4f d58-d5e
d70-d79 df4 e3f e4f e5a-e5b f01-f17 f1a-f1f f2a-f34 f36 f38 f3a-f3d f85 fbe-fc5 fc7-fda 104a-104f 109e-109f
10fb 1360-137c 1390-1399 1400 166d-166e 1680 169b-169c 16eb-16ed 1735-1736 17d4-17d6 17d8-17db 17f0-180a
180e 1940-1945 19da-19ff 1a1e-1a1f 1aa0-1aa6 1aa8-1aad 1b4e-1b4f 1b5a-1b6a 1b74-1b7f 1bfc-1bff 1c3b-1c3f
1c7e-1c7f 1cc0-1cc7 1cd3 1fbd 1fbf-1fc1 1fcd-1fcf 1fdd-1fdf 1fed-1fef 1ffd-2018 201a-2070 2074-207e
2080-208e 20a0-20c4 2100-2101 2103-2106 2108-2109 2114 2116-2118 211e-2123 2125 2127 2129 212e 213a-213b
2140-2144 214a-214d 214f-215f 2189-2bff 2ce5-2cea 2cf9-2cff 2d70 2e00-2e2e 2e30-3004 3008-3020 3030
3036-3037 303d-303f 309b-309c 30a0 30fb 3190-319f 31c0-31ef 3200-33ff 4dc0-4dff a490-a4c6 a4fe-a4ff
a60d-a60f a673 a67e a6f2-a716 a720-a721 a789-a78a a828-a82b a830-a839 a874-a877 a8ce-a8cf a8f8-a8fa a8fc
a92e-a92f a95f a9c1-a9cd a9de-a9df aa5c-aa5f aa77-aa79 aade-aadf aaf0-aaf1 ab5b ab6a-ab6b abeb e000-f8ff
fb29 fbb2-fbd2 fd3e-fd4f fd90-fd91 fdc8-fdcf fdfc-fdff fe10-fe19 fe30-fe6b feff-ff0f ff1a-ff20 ff3b-ff40
ff5b-ff65 ffe0-fffd 10100-1013f 10175-101fc 102e1-102fb 10320-10323 1039f 103d0 1056f 10857-1085f
10877-1087f 108a7-108af 108fb-108ff 10916-1091f 1093f 109bc-109bd 109c0-109ff 10a40-10a58 10a7d-10a7f
10a9d-10a9f 10ac8 10aeb-10af6 10b39-10b3f 10b58-10b5f 10b78-10b7f 10b99-10baf 10cfa-10cff 10d6e 10d8e-10e7e
10ead 10ec9-10eca 10ed0-10ed8 10f1d-10f26 10f51-10f59 10f86-10f89 10fc5-10fcb 11047-11065 110bb-110c1 110cd
11140-11143 11174-11175 111c5-111c8 111cd 111db 111dd-111f4 11238-1123d 112a9 113d4-113d8 1144b-1144f
1145a-1145d 114c6 115c1-115d7 11641-11643 11660-1166c 116b9 1173a-1173f 1183b 118ea-118f2 11944-11946 119e2
11a3f-11a46 11a9a-11a9c 11a9e-11aa2 11b00-11b09 11be1 11c41-11c45 11c5a-11c71 11ef7-11ef8 11f43-11f4f
11fc0-11fff 12470-12474 12ff1-12ff2 13430-1343f 16a6e-16a6f 16af5 16b37-16b3f 16b44-16b45 16b5b-16b61
16d6d-16d6f 16e80-16e9a 16fe2 1bc9c 1bc9f-1ccef 1ccfa-1cefd 1cf50-1d126 1d129-1d164 1d16a-1d16c 1d173-1d17a
1d183-1d184 1d18c-1d1a9 1d1ae-1d241 1d245 1d253-1d25a 1d25d-1d25e 1d260-1d27f 1d2c0-1d378 1d6c1 1d6db 1d6fb
1d715 1d735 1d74f 1d76f 1d789 1d7a9 1d7c3 1d800-1d9ff 1da37-1da3a 1da6d-1da74 1da76-1da83 1da85-1da8b
1db00-1db1c 1e14f 1e2ff 1e5ff 1e8c7-1e8cf 1e95e-1ed3d 1eef0-1fbef 1fbfa e0001-e007f f0000-10fffd
"""
"""Punctuation, symbols, spaces, controls, and numbers other than digits."""
_MARKS: Final = """
300-36f 483-489 1ab0-1af0 1dc0-1dff 20d0-20f0 2de0-2dff 302a-302d 3099-309a a66f-a672 a674-a67d a69e-a69f
a8e0-a8f1 fe00-fe0f fe20-fe2f 10376-1037a 1133b 11366-11374 1d242-1d244 1e000-1e02a 1e08f e0100-e01ef
"""
"""Marks of every script: COMBINING ..., IDEOGRAPHIC ... and VARIATION SELECTORs."""
_IDEOGRAPHS: Final = """
3005-3007 3021-3029 3038-303b 3041-3096 309d-309f 3400-4dbf 4e00-9fff f900-fad9 1b001-1b11f 1b123
1b132-1b152 20000-33479
"""
"""Han and Hiragana."""
_LATE_CAPITALS: Final = """
1c89 a7cb-a7cc a7ce a7d2 a7d4 a7da a7dc-a7dd a7e2 ab6c-ab6d 10d50-10d65 16ea0-16eb8 1df40-1df7f
"""
"""Capitals since Unicode 14: whether they have a lower case depends on the version of Python or Postgres."""


def _ranges(table: str) -> str:
    """The table as the content of a bracket expression, for Python and Postgres."""
    return re.sub("[0-9a-f]+", lambda code: chr(int(code[0], 16)), table).translate({32: None, 10: None})


SEPARATORS: Final = _ranges(_SEPARATORS)
MARKS: Final = _ranges(_MARKS)
IDEOGRAPHS: Final = _ranges(_IDEOGRAPHS)


_LATE: Final = re.compile(f"[{_ranges(_LATE_CAPITALS)}]")
_LONGER_IN_LOWER_CASE: Final = {"\u0130": "i"}
"""The one capital whose lower case is two characters in Python."""
_STAND_IN: Final = {Wildcard.ANY: "\ud800", Wildcard.ONE: "\ud801"}
"""Characters that no filter can contain, in place of wildcards while a term is split."""
_WILDCARD: Final = {stand_in: wildcard for wildcard, stand_in in _STAND_IN.items()}
_WILDCARDS: Final = "".join(_WILDCARD)
_PIECES: Final = re.compile(f"[{_WILDCARDS}]|[^{_WILDCARDS}]+")
_BEGINS_IN_IDEOGRAPH: Final = re.compile(f"[{IDEOGRAPHS}]")
_ENDS_IN_IDEOGRAPH: Final = re.compile(f"[{IDEOGRAPHS}][{MARKS}]*$")


def split_words(pieces: Pieces, separators: str) -> tuple[Pieces, ...]:
    """Split a term into words at these ASCII separators and at those beyond ASCII.

    A wildcard is part of a word and joins what stands next to it.
    """
    text = "".join(_STAND_IN[piece] if isinstance(piece, Wildcard) else piece for piece in pieces)
    return tuple(
        tuple(_WILDCARD.get(piece, piece) for piece in _PIECES.findall(word))
        for word in _word_pattern(separators).findall(text)
        if word
    )


def begins_in_ideograph(word: Pieces) -> bool:
    """Whether the word begins with an ideograph and so needs no separator before it."""
    return isinstance(word[0], str) and _BEGINS_IN_IDEOGRAPH.match(word[0]) is not None


def ends_in_ideograph(word: Pieces) -> bool:
    """Whether the word ends with an ideograph and its marks and so needs no separator after it."""
    return isinstance(word[-1], str) and _ENDS_IN_IDEOGRAPH.search(word[-1]) is not None


def folded(text: str) -> str:
    """The text in lower case, character by character as Postgres does it; late capitals stay for Postgres."""
    if text.isascii():
        return text.lower()
    return "".join(
        character if _LATE.match(character) else _LONGER_IN_LOWER_CASE.get(character, character.lower())
        for character in text
    )


def is_folded_by_store(text: str) -> bool:
    """Whether the text has late capitals, which `folded` leaves to Postgres."""
    return _LATE.search(text) is not None


# Cached per field: compiling the large character classes is slow.
@cache
def _word_pattern(separators: str) -> re.Pattern[str]:
    other = f"{re.escape(separators)}{SEPARATORS}{MARKS}{IDEOGRAPHS}{APOSTROPHE}{_WILDCARDS}"
    letter, goes_on = f"[^{other}]", f"(?:[^{other}]|[{MARKS}])*"
    inner = f"{APOSTROPHE}(?=[{_WILDCARDS}]|{letter})"
    plain = f"(?:{letter}{goes_on}(?:{inner}{goes_on})*|[{IDEOGRAPHS}][{MARKS}]*)"
    wild = f"[{_WILDCARDS}][{_WILDCARDS}{MARKS}]*(?:{inner})?"
    return re.compile(f"(?:{plain})?(?:{wild}(?:{plain})?)*")
