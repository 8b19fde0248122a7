"""The syntax tree of a filter. It knows nothing of fields and events yet."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum


class Wildcard(Enum):
    """The wildcards of a term: any characters, or exactly one."""

    ANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Term:
    """A word, a quoted phrase or a word with wildcards, as a sequence of pieces.

    `at` is its position in the filter, for error messages.
    """

    pieces: tuple[str | Wildcard, ...]
    is_quoted: bool = False
    at: int = field(default=0, compare=False)

    @property
    def text(self) -> str:
        """The term as written, without quotes and escapes."""
        return "".join(piece if isinstance(piece, str) else piece.value for piece in self.pieces)

    @property
    def has_wildcards(self) -> bool:
        """Whether the term has a wildcard."""
        return any(isinstance(piece, Wildcard) for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a range."""

    text: str
    is_included: bool
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Range:
    """From `low` to `high`; None is unbounded."""

    low: Bound | None
    high: Bound | None


@dataclass(frozen=True, slots=True)
class Everything:
    """Matches everything."""


@dataclass(frozen=True, slots=True)
class Match:
    """A field matches a value; None stands for the fields that bare words are searched in."""

    field: str | None
    value: Term | Range


@dataclass(frozen=True, slots=True)
class Exists:
    """A field has a value."""

    field: str


@dataclass(frozen=True, slots=True)
class Not:
    """The child does not match."""

    child: "Filter"


@dataclass(frozen=True, slots=True)
class And:
    """All children match."""

    children: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    """At least one child matches."""

    children: "tuple[Filter, ...]"


Filter = Everything | Match | Exists | Not | And | Or


def all_conditions(tree: Filter) -> Iterator[Everything | Match | Exists]:
    """The conditions that a filter combines, in the order in which they are written."""
    pending = [tree]
    while pending:
        part = pending.pop()
        match part:
            case And(children) | Or(children):
                pending += reversed(children)
            case Not(child):
                pending.append(child)
            case Everything() | Match() | Exists():
                yield part
