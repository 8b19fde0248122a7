"""Versions as applications write them, compared number by number; a pre-release is older than its release."""

import re
from functools import lru_cache
from typing import Final

_PARTS: Final = 4
_VERSION: Final = re.compile(r"\s*[vV]?(\d{1,9}(?:\.\d{1,9}){0,3})(?!\d)(?:[-+ ](.{0,100}))?", re.ASCII)
_RELEASE: Final = "\U0010ffff"
"""Greater than the name of any pre-release."""

Version = tuple[tuple[int, ...], str]


def is_older(version: str | None, than: str) -> bool:
    """Whether it is; no version, or one that cannot be read, is the oldest of all."""
    return _parsed(version or "") < _parsed(than)


@lru_cache(maxsize=256)
def _parsed(text: str) -> Version:
    found = _VERSION.match(text)
    if found is None:
        return (0,) * _PARTS, ""
    numbers = [int(part) for part in found[1].split(".")]
    is_pre_release = text[found.end(1) : found.end(1) + 1] == "-"
    return tuple(numbers + [0] * (_PARTS - len(numbers))), found[2] if is_pre_release else _RELEASE
