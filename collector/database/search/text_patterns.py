"""What is looked for in texts, as patterns of Postgres: there a filter's characters stand for themselves."""

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
    """What a text has around words: regular expressions.

    `before` and `after` are for words that begin or end with a letter, `between` for two of these and
    `beside` for two of which one is an ideograph.
    """

    before: str
    after: str
    between: str
    beside: str


def like_pattern(pieces: Pieces) -> str:
    """A pattern for LIKE that is about the whole text."""
    return "".join(_IN_LIKE[piece] if isinstance(piece, Wildcard) else _liked(piece) for piece in pieces)


def words_pattern(test: HasWords) -> str:
    """A regular expression that finds the words one after another."""
    edges = _edges(test.separators)
    first, last = test.words[0], test.words[-1]
    is_open_before = first[0] is Wildcard.ANY or begins_in_ideograph(first)
    parts = ["" if is_open_before else edges.before, _regex(first)]
    for word, following in pairwise(test.words):
        has_ideograph = ends_in_ideograph(word) or begins_in_ideograph(following)
        parts += [edges.beside if has_ideograph else edges.between, _regex(following)]
    if not test.is_begun and last[-1] is not Wildcard.ANY:
        parts.append(f"(?:$|[^{MARKS}])" if ends_in_ideograph(last) else edges.after)
    return "".join(parts)


def holding_pattern(words: Iterable[Pieces]) -> str:
    """A pattern for LIKE that holds for whatever has the pieces of these words in it, in their order."""
    pieces = [_liked(piece) for word in words for piece in word if isinstance(piece, str)]
    return f"%{'%'.join(pieces)}%"


def parts_pattern(text: str) -> str:
    """A regular expression for texts that begin with this one and then end, or go on with another part."""
    return f"^{_literal(text)}([^a-z0-9]|$)"


@cache
def _edges(separators: str) -> _Edges:
    """As `split_words` cuts: marks belong to what they follow, one apostrophe between letters is a letter."""
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
        beside=f"(?:[{separator}{APOSTROPHE}]{any_separator}*)?",
    )


def _regex(pieces: Pieces) -> str:
    return "".join(_IN_REGEX[piece] if isinstance(piece, Wildcard) else _literal(piece) for piece in pieces)


def _literal(text: str) -> str:
    """In a regular expression a backslash takes the meaning from anything but letters and digits."""
    return "".join(
        f"\\{character}" if character.isascii() and not character.isalnum() else character
        for character in text
    )


def _liked(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
