"""Filters as trees: what a filter text says, before anything is known of fields and events."""

from dataclasses import dataclass, field
from enum import Enum


class Wildcard(Enum):
    """What stands for other characters in a term."""

    ANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Term:
    """A word, a phrase in quotes or a word with wildcards: pieces that follow one another.

    `at` is where it begins in the filter's text, for sentences about it.
    """

    pieces: tuple[str | Wildcard, ...]
    is_quoted: bool = False
    at: int = field(default=0, compare=False)

    @property
    def text(self) -> str:
        """As it was written, without quotes and escapes."""
        return "".join(piece if isinstance(piece, str) else piece.value for piece in self.pieces)

    @property
    def has_wildcards(self) -> bool:
        """Whether it stands for more than one text."""
        return any(isinstance(piece, Wildcard) for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a range."""

    text: str
    is_included: bool
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Range:
    """From `low` to `high`; None is open."""

    low: Bound | None
    high: Bound | None


@dataclass(frozen=True, slots=True)
class Everything:
    """No condition at all."""


@dataclass(frozen=True, slots=True)
class Match:
    """A field has a value like this; None stands for the fields that bare words are looked for in."""

    field: str | None
    value: Term | Range


@dataclass(frozen=True, slots=True)
class Exists:
    """A field has any value."""

    field: str


@dataclass(frozen=True, slots=True)
class Not:
    """The child does not hold."""

    child: "Filter"


@dataclass(frozen=True, slots=True)
class And:
    """All children hold."""

    children: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    """One child at least holds."""

    children: "tuple[Filter, ...]"


Filter = Everything | Match | Exists | Not | And | Or
