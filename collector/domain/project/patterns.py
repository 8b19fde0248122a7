"""Case-insensitive patterns for names and texts, with `*` as a wildcard at either end of a pattern.

A project may list thousands of patterns and a post may hold hundreds of thousands of names. Patterns are
therefore kept in sets by length, and a name is looked up in the sets instead of compared with each pattern.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

_Cores = tuple[tuple[int, frozenset[str]], ...]
"""Patterns without their stars, grouped by length."""


class Patterns:
    """An immutable list of patterns, compiled for matching."""

    __slots__ = ("_at_beginning", "_at_end", "_whole", "_within")

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        found: defaultdict[tuple[bool, bool], set[str]] = defaultdict(set)
        for pattern in patterns:
            folded = pattern.casefold()
            found[folded.startswith("*"), folded.endswith("*")].add(folded.strip("*"))
        self._whole: Final = frozenset(found[False, False])
        self._at_beginning: Final = _by_length(found[False, True])
        self._at_end: Final = _by_length(found[True, False])
        self._within: Final = _by_length(found[True, True])

    def __bool__(self) -> bool:
        """Whether the list has any pattern."""
        return bool(self._whole or self._at_beginning or self._at_end or self._within)

    def match(self, text: str) -> bool:
        """Whether a pattern matches the text."""
        folded = text.casefold()
        return (
            folded in self._whole
            or any(folded[:length] in cores for length, cores in self._at_beginning)
            or any(folded[-length:] in cores for length, cores in self._at_end)
            or any(_contains(folded, length, cores) for length, cores in self._within)
        )


def _contains(text: str, length: int, cores: frozenset[str]) -> bool:
    """Whether the text contains one of the cores, all of which have this length."""
    # Search for each core, or look up each substring of that length: whichever takes fewer steps.
    positions = len(text) - length + 1
    if len(cores) <= positions:
        return any(core in text for core in cores)
    return any(text[start : start + length] in cores for start in range(positions))


def _by_length(cores: Iterable[str]) -> _Cores:
    found: defaultdict[int, set[str]] = defaultdict(set)
    for core in cores:
        found[len(core)].add(core)
    return tuple((length, frozenset(found[length])) for length in sorted(found))
