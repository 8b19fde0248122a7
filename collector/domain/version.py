"""Versions of applications, in the order of SemVer 2: numbers as numbers, a pre-release before its release.

What others write is read as well: fewer numbers or up to six, as .NET has four; a `v` in front; a pre-release
without its hyphen, as in `1.2rc1`. Build metadata, and whatever follows a blank, does not count.
"""

import re
from functools import lru_cache
from typing import Final

NUMBERS: Final = 6
LONGEST_PRE_RELEASE: Final = 100
"""What follows does not count."""
RELEASE: Final = "2"
"""Greater than any identifier of a pre-release."""

_VERSION: Final = re.compile(
    r"[ \t]*[vV]?(?![0-9.]*[0-9]{10})([0-9]{1,9}(?:[.][0-9]{1,9}){0,5})"
    r"(?:(?:-|(?=[A-Za-z]))([0-9A-Za-z.-]+))?"
)


def is_version(text: str) -> bool:
    """Whether its place among versions is known."""
    return bool(precedence(text))


def is_older(version: str | None, than: str) -> bool:
    """Whether it is; no version, or one that cannot be read, is the oldest of all."""
    return precedence(version or "") < precedence(than)


@lru_cache(maxsize=256)
def precedence(text: str) -> tuple[str, ...]:
    """Texts whose order, one after another and by code points, is that of the versions.

    Empty where it cannot be read; else the numbers, then the identifiers of a pre-release, or `RELEASE`.
    `collector.database.search.value_sql` compares stored texts by the same rule.
    """
    found = _VERSION.match(text)
    if found is None:
        return ()
    numbers = [number.zfill(9) for number in found[1].split(".")]
    numbers += ["0" * 9] * (NUMBERS - len(numbers))
    identifiers = (
        [RELEASE] if found[2] is None else map(_identifier, found[2][:LONGEST_PRE_RELEASE].split("."))
    )
    return (*numbers, *identifiers)


def _identifier(text: str) -> str:
    """Numeric identifiers come before others, the one with fewer digits first."""
    if not text.isdigit():
        return f"1{text}"
    digits = text.lstrip("0") or "0"
    return f"0{len(digits):03}{digits}"
