"""Searches in texts as LIKE patterns and regular expressions of Postgres; escapes the filter's characters."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

from collector.domain.filter.predicates import HasWords
from collector.domain.filter.tree import Wildcard
from collector.domain.filter.words import (
    APOSTROPHE,
    IDEOGRAPHS,
    MARKS,
    SEPARATORS,
    Pieces,
    begins_in_ideograph,
    ends_in_ideograph,
)

_IN_LIKE: Final = {Wildcard.ANY: "%", Wildcard.ONE: "_"}
_IN_REGEX: Final = {Wildcard.ANY: ".*", Wildcard.ONE: "."}


@dataclass(frozen=True, slots=True)
class _Edges:
    """Regular expressions for what surrounds words.

    `before` and `after` are for words that begin or end with a letter. `between` stands between two of these,
    `next_to_ideograph` between two words of which at least one has an ideograph there.
    """

    before: str
    after: str
    between: str
    next_to_ideograph: str


def like_pattern(pieces: Pieces) -> str:
    """A LIKE pattern that matches the whole text."""
    return "".join(
        _IN_LIKE[piece] if isinstance(piece, Wildcard) else _like_literal(piece) for piece in pieces
    )


def words_pattern(test: HasWords) -> str:
    """A regular expression that matches the words in sequence."""
    edges = _edges(test.separators)
    first, last = test.words[0], test.words[-1]
    is_open_before = first[0] is Wildcard.ANY or begins_in_ideograph(first)
    parts = ["" if is_open_before else edges.before, _regex(first)]
    # An ideograph is a word by itself, which needs no separator next to it.
    for word, following in pairwise(test.words):
        has_ideograph = ends_in_ideograph(word) or begins_in_ideograph(following)
        parts += [edges.next_to_ideograph if has_ideograph else edges.between, _regex(following)]
    if not test.is_begun and last[-1] is not Wildcard.ANY:
        parts.append(f"(?:$|[^{MARKS}])" if ends_in_ideograph(last) else edges.after)
    return "".join(parts)


def holding_pattern(words: Iterable[Pieces]) -> str:
    """A LIKE pattern that matches every text that contains the pieces of these words in order."""
    pieces = [_like_literal(piece) for word in words for piece in word if isinstance(piece, str)]
    return f"%{'%'.join(pieces)}%"


def parts_pattern(text: str) -> str:
    """A regular expression for texts that begin with these parts: no letter or digit may follow."""
    return f"^{_literal(text)}([^a-z0-9]|$)"


@cache
def _edges(separators: str) -> _Edges:
    """Follows the rules by which `split_words` splits words.

    Marks belong to the character before them, and a single apostrophe between letters counts as a letter.
    """
    separator = f"{_literal(separators)}{SEPARATORS}"
    no_letter = f"[{separator}{IDEOGRAPHS}{APOSTROPHE}]"
    any_separator = f"[{separator}{APOSTROPHE}{MARKS}]"
    # After the beginning, a separator, an ideograph, or an apostrophe that has marks or no letter before it.
    begins = f"^|[{separator}{IDEOGRAPHS}]|{APOSTROPHE}[{MARKS}]|(?:^|{no_letter})[{MARKS}]*{APOSTROPHE}"
    ends = f"$|[{separator}{IDEOGRAPHS}]|{APOSTROPHE}(?:$|{no_letter}|[{MARKS}])"
    return _Edges(
        before=f"(?:{begins})[{MARKS}]*",
        after=f"(?:{ends})",
        between=f"(?:[{separator}]|{APOSTROPHE}{any_separator}){any_separator}*",
        next_to_ideograph=f"(?:[{separator}{APOSTROPHE}]{any_separator}*)?",
    )


def _regex(pieces: Pieces) -> str:
    return "".join(_IN_REGEX[piece] if isinstance(piece, Wildcard) else _literal(piece) for piece in pieces)


def _literal(text: str) -> str:
    """Escapes ASCII characters, except letters and digits: a backslash would give those a meaning."""
    return "".join(
        f"\\{character}" if character.isascii() and not character.isalnum() else character
        for character in text
    )


def _like_literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
