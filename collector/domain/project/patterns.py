"""Lists of patterns for names and texts: a `*` at a pattern's ends stands for anything there, in any case.

A project may list thousands of patterns and a post may hold hundreds of thousands of names: so what is listed
lies in sets by its length, and a name is looked up in these instead of compared with each pattern.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

_Cores = tuple[tuple[int, frozenset[str]], ...]
"""What remains of patterns without their stars, by its length."""


class Patterns:
    """Patterns to be matched; they change only by making new ones."""

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
        """Whether there is a pattern at all."""
        return bool(self._whole or self._at_beginning or self._at_end or self._within)

    def match(self, text: str) -> bool:
        """Whether a pattern matches the text."""
        folded = text.casefold()
        return (
            folded in self._whole
            or any(folded[:length] in cores for length, cores in self._at_beginning)
            or any(folded[-length:] in cores for length, cores in self._at_end)
            or any(_is_within(folded, length, cores) for length, cores in self._within)
        )


def _is_within(text: str, length: int, cores: frozenset[str]) -> bool:
    places = len(text) - length + 1
    if len(cores) <= places:
        return any(core in text for core in cores)
    return any(text[place : place + length] in cores for place in range(places))


def _by_length(cores: Iterable[str]) -> _Cores:
    found: defaultdict[int, set[str]] = defaultdict(set)
    for core in cores:
        found[len(core)].add(core)
    return tuple((length, frozenset(found[length])) for length in sorted(found))
