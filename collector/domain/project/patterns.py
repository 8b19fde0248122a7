"""Case-insensitive patterns for names and texts, with `*` as a wildcard at either end of a pattern.

A project may list thousands of patterns, and a post may hold megabytes of names. A short list is compared
pattern by pattern. A longer one becomes an automaton (Aho and Corasick) that reads a text once, whatever the
number of patterns and their lengths: the time is linear in the length of the text.
"""

from array import array
from collections import deque
from collections.abc import Iterable
from typing import Final

_SHORT_LIST: Final = 16
"""Up to this length, comparing is faster than the automaton, and linear too."""
_BEGIN: Final = "\ud800"
_END: Final = "\ud801"
"""Halves of surrogate pairs stand for the ends of a text: they occur in no text that was decoded."""
_CHARACTER_BITS: Final = 21


class Patterns:
    """An immutable list of patterns, compiled for matching."""

    __slots__ = ("_at_beginning", "_at_end", "_automaton", "_whole", "_within")

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        found: dict[tuple[bool, bool], set[str]] = {
            (begin, end): set() for begin in (False, True) for end in (False, True)
        }
        for pattern in patterns:
            folded = pattern.casefold()
            found[folded.startswith("*"), folded.endswith("*")].add(folded.strip("*"))
        self._whole: Final = frozenset(found[False, False])
        self._at_beginning: Final = tuple(found[False, True])
        self._at_end: Final = tuple(found[True, False])
        self._within: Final = tuple(found[True, True])
        self._automaton: Final = (
            _Automaton(
                [
                    *(_BEGIN + core for core in self._at_beginning),
                    *(core + _END for core in self._at_end),
                    *self._within,
                ]
            )
            if len(self._at_beginning) + len(self._at_end) + len(self._within) > _SHORT_LIST
            else None
        )

    def __bool__(self) -> bool:
        """Whether the list has any pattern."""
        return bool(self._whole or self._at_beginning or self._at_end or self._within)

    def match(self, text: str) -> bool:
        """Whether a pattern matches the text."""
        folded = text.casefold()
        if folded in self._whole:
            return True
        if self._automaton is not None:
            return self._automaton.finds_any(f"{_BEGIN}{folded}{_END}")
        return (
            folded.startswith(self._at_beginning)
            or folded.endswith(self._at_end)
            or any(core in folded for core in self._within)
        )


class _Automaton:
    """Finds out whether a text contains one of the words, in one pass.

    Some 130 bytes for each character of the words, so that the longest setting takes 1.3 MB.
    """

    __slots__ = ("_edges", "_ends", "_fallbacks")

    def __init__(self, words: Iterable[str]) -> None:
        # The trie: a state for each beginning of a word, an edge for each further character.
        edges: dict[int, int] = {}
        children: list[list[tuple[int, int]]] = [[]]
        ends = bytearray(1)
        for word in words:
            state = 0
            for character in map(ord, word):
                key = state << _CHARACTER_BITS | character
                following = edges.get(key)
                if following is None:
                    following = edges[key] = len(children)
                    children[state].append((character, following))
                    children.append([])
                    ends.append(0)
                state = following
            ends[state] = 1
        # The fallback of a state: the longest other beginning that its text ends with.
        fallbacks = array("L", bytes(8 * len(children)))
        pending = deque(child for _, child in children[0])
        while pending:
            state = pending.popleft()
            for character, child in children[state]:
                fallback = fallbacks[state]
                while fallback and fallback << _CHARACTER_BITS | character not in edges:
                    fallback = fallbacks[fallback]
                fallbacks[child] = edges.get(fallback << _CHARACTER_BITS | character, 0)
                ends[child] |= ends[fallbacks[child]]
                pending.append(child)
        self._edges: Final = edges
        self._ends: Final = bytes(ends)
        self._fallbacks: Final = fallbacks

    def finds_any(self, text: str) -> bool:
        """Whether the text contains a word."""
        edges, ends, fallbacks = self._edges, self._ends, self._fallbacks
        if ends[0]:  # the empty word
            return True
        state = 0
        for character in map(ord, text):
            following = edges.get(state << _CHARACTER_BITS | character)
            while following is None and state:
                state = fallbacks[state]
                following = edges.get(state << _CHARACTER_BITS | character)
            state = following or 0
            if ends[state]:
                return True
        return False
