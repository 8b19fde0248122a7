"""What is looked for in texts, as patterns of Postgres: there a filter's characters stand for themselves."""

from collections.abc import Iterable
from typing import Final

from collector.domain.filter_terms import HasWords, Pieces
from collector.domain.filter_tree import Wildcard

_IN_LIKE: Final = {Wildcard.ANY: "%", Wildcard.ONE: "_"}
_IN_REGEX: Final = {Wildcard.ANY: ".*", Wildcard.ONE: "."}


def like_pattern(pieces: Pieces) -> str:
    """A pattern for LIKE that is about the whole text."""
    return "".join(_IN_LIKE[piece] if isinstance(piece, Wildcard) else _liked(piece) for piece in pieces)


def words_pattern(test: HasWords) -> str:
    """A regular expression that finds the words one after another; words end at any of the separators."""
    separator = f"[{_literal(test.separators)}]"
    words = f"{separator}+".join(_regex(word) for word in test.words)
    is_open = test.is_begun or test.words[-1][-1] is Wildcard.ANY
    return f"(^|{separator}){words}" + ("" if is_open else f"({separator}|$)")


def holding_pattern(words: Iterable[Pieces]) -> str:
    """A pattern for LIKE that holds for whatever has these words in it: it looks for their longest piece."""
    texts = (piece for word in words for piece in word if isinstance(piece, str))
    return f"%{_liked(max(texts, key=len, default=''))}%"


def parts_pattern(text: str) -> str:
    """A regular expression for texts that begin with this one and then end, or go on with another part."""
    return f"^{_literal(text)}([^a-z0-9]|$)"


def _regex(pieces: Iterable[str | Wildcard]) -> str:
    return "".join(_IN_REGEX[piece] if isinstance(piece, Wildcard) else _literal(piece) for piece in pieces)


def _literal(text: str) -> str:
    """In a regular expression a backslash takes the meaning from anything but letters and digits."""
    return "".join(
        f"\\{character}" if character.isascii() and not character.isalnum() else character
        for character in text
    )


def _liked(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
