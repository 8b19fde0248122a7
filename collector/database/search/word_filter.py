"""What the text of every event that matches a filter contains: the condition that an index of words answers.

It may find too much, never too little; the filter's own condition decides. It consists of runs of letters
and digits, which stand in the event's text as they are, however JSON escapes what surrounds them.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple
from uuid import UUID

from collector.database.schema.word_indexes import SEARCHED_TEXT
from collector.domain.dates.datemath import LocalClock
from collector.domain.event.build import INVALID_REFERENCE_ID
from collector.domain.filter.fields import (
    DEFAULT_FIELDS,
    Column,
    ErrorMember,
    Field,
    FieldSource,
    Member,
    NamedMember,
    resolve_field,
)
from collector.domain.filter.predicates import (
    AnyOf,
    BeginsWithParts,
    HasWords,
    IsId,
    IsText,
    NeverMatches,
    Predicate,
    predicate_for,
)
from collector.domain.filter.tree import And, Exists, Filter, Match, Or, Range, Term
from collector.domain.filter.words import Pieces, folded, is_folded_by_store

_SEARCHED_COLUMNS: Final = frozenset({"message", "source", "type", "reference_id", "tags"})
_ERRORS: Final = ("@error", "@simple_error")
_MEMBERS_LEFT_OUT: Final = tuple(
    (error, *path)
    for error in _ERRORS
    for path in (
        ("stack_trace",),
        ("modules",),
        ("inner", "stack_trace"),
        ("inner", "modules"),
    )
)
"""Members of `data` that `searched_text` lacks."""
_SENDERS: Final = re.compile(r"(?!@)|@ref:")
"""The names of members that senders choose. Those that nearly all events have find nothing."""
_INDEX_IN_LIST: Final = re.compile(r"[+-]?\d+")
_SHORTEST: Final = 3
"""An index of trigrams finds no shorter ones."""
_LONGEST: Final = 24
"""Characters of a run: more cost time and rule out little."""
_RUN: Final = re.compile(rf"[^\W_]{{{_SHORTEST},}}")
_ASCII_RUN: Final = re.compile(rf"[a-z0-9]{{{_SHORTEST},}}")
_HEXADECIMAL: Final = re.compile("[0-9A-Fa-f-]*")
_TEXT: Final = SEARCHED_TEXT.format(of="e.")
_LOOKED_UP: Final = {
    "id": "e.id = {value}::uuid",
    "reference_id": f"(e.reference_id = {{value}}::text AND e.reference_id <> '{INVALID_REFERENCE_ID}')",
}
"""The index on references is used only if its literal condition is repeated."""
_MOST_RUNS: Final = 2
_MOST_ALTERNATIVES: Final = 20
_MOST_CLAUSES: Final = 3
"""Each takes time in every event that the index finds. The longest rule out most."""

Runs = frozenset[str]
"""Runs that the text contains, all of them."""


class Lookup(NamedTuple):
    """The value of a column that another index finds: `id` or `reference_id`."""

    column: str
    value: UUID | str


Alternative = Runs | Lookup
Clause = frozenset[Alternative]
"""At least one of them holds."""


class Need(NamedTuple):
    """What an event that matches needs: all of these clauses."""

    clauses: tuple[Clause, ...]

    @property
    def size(self) -> int:
        """How many runs it has."""
        return sum(
            1 if isinstance(alternative, Lookup) else len(alternative)
            for clause in self.clauses
            for alternative in clause
        )

    @property
    def foreign(self) -> set[str]:
        """The characters beyond ASCII in it, which not every database takes for letters."""
        return {
            character
            for clause in self.clauses
            for alternative in clause
            if not isinstance(alternative, Lookup)
            for run in alternative
            for character in run
            if not character.isascii()
        }

    def seen_as(self, letters: set[str]) -> "Need | None":
        """The need for a database in which only these characters beyond ASCII are letters."""
        return _need(
            frozenset(
                alternative
                if isinstance(alternative, Lookup)
                else _runs(
                    "".join(one if one.isascii() or one in letters else " " for one in run)
                    for run in alternative
                )
                for alternative in clause
            )
            for clause in self.clauses
        )


def need_of(tree: Filter, clock: LocalClock) -> Need | None:
    """What every event that matches contains; None if nothing is known that an index could find."""
    match tree:
        case And(children):
            needs = (need_of(child, clock) for child in children)
            return _need(clause for need in needs if need is not None for clause in need.clauses)
        case Or(children):
            alternatives: set[Alternative] = set()
            for child in children:
                need = need_of(child, clock)
                if need is None:
                    return None
                alternatives |= _as_clause(need)
            return _need([frozenset(alternatives)])
        case Match(name, value):
            fields = DEFAULT_FIELDS if name is None else (resolve_field(name),)
            found = (_alternatives(field, value, clock) for field in fields if field is not None)
            return _need([frozenset(alternative for each in found for alternative in each)])
        case Exists(name):
            field = resolve_field(name)
            return None if field is None else _need([frozenset(map(_name_runs, field.sources))])
    return None


def need_condition(need: Need, add: Callable[[object], str]) -> str:
    """The need as a condition on `events AS e`; `add` adds an argument and returns its placeholder."""

    def alternative_condition(alternative: Alternative) -> str:
        if isinstance(alternative, Lookup):
            return _LOOKED_UP[alternative.column].format(value=add(alternative.value))
        # No run has a character with a meaning in LIKE.
        likes = (f"{_TEXT} LIKE {add(f'%{run}%')}::text" for run in sorted(alternative))
        return f"({' AND '.join(likes)})"

    clauses = (
        f"({' OR '.join(map(alternative_condition, sorted(clause, key=str)))})" for clause in need.clauses
    )
    return " AND ".join(clauses)


def _need(clauses: Iterable[Clause]) -> Need | None:
    """The need without the clauses that an index cannot answer; the longest runs of the others."""
    known: dict[Clause, None] = {}
    for clause in clauses:
        reduced = _without_narrower(clause)
        if frozenset() not in reduced and len(reduced) <= _MOST_ALTERNATIVES:
            known[reduced] = None
    # A clause without an alternative never matches; the filter's own condition says so as well.
    found = sorted(filter(None, known), key=_selectivity, reverse=True)[:_MOST_CLAUSES]
    return Need(tuple(found)) if found else None


def _without_narrower(clause: Clause) -> Clause:
    """The clause without alternatives that contain another one."""
    shortened = {
        alternative
        if isinstance(alternative, Lookup)
        else frozenset(sorted(alternative, key=lambda run: (-len(run), run))[:_MOST_RUNS])
        for alternative in clause
    }
    texts = [alternative for alternative in shortened if not isinstance(alternative, Lookup)]
    return frozenset(
        alternative
        for alternative in shortened
        if isinstance(alternative, Lookup) or not any(other < alternative for other in texts)
    )


def _selectivity(clause: Clause) -> int:
    """How much the clause rules out: the longest run of its widest alternative."""
    return min(
        _LONGEST if isinstance(alternative, Lookup) else max(map(len, alternative)) for alternative in clause
    )


def _as_clause(need: Need) -> Clause:
    """The need as one clause: exactly, if no clause has alternatives, else its most selective one."""
    if all(len(clause) == 1 for clause in need.clauses):
        only = [alternative for clause in need.clauses for alternative in clause]
        if runs := [alternative for alternative in only if not isinstance(alternative, Lookup)]:
            return frozenset([Runs().union(*runs)])
    return need.clauses[0]


def _alternatives(field: Field, value: Term | Range, clock: LocalClock) -> Iterator[Alternative]:
    """What an event needs for the field to match; nothing if it cannot match."""
    predicate = predicate_for(field, value, clock)
    if isinstance(predicate, NeverMatches):
        return
    for source in field.sources:
        for alternative in _needed_by(predicate, source):
            yield alternative if isinstance(alternative, Lookup) else alternative | _name_runs(source)


def _needed_by(predicate: Predicate, source: FieldSource) -> Iterator[Alternative]:
    match predicate, source:
        case AnyOf(predicates), _:
            for each in predicates:
                yield from _needed_by(each, source)
        case IsId(id_), Column("id"):
            yield Lookup("id", id_)
        # The searched text has no ids, which are hexadecimal, and no references that are.
        case IsText(pieces), Column("id"):
            if _is_hexadecimal(pieces):
                yield Runs()
        case IsText((str() as reference,)), Column("reference_id") if _is_hexadecimal((reference,)):
            yield Lookup("reference_id", reference)
        case IsText(pieces), Column("reference_id") if _is_hexadecimal(pieces):
            yield Runs()
        case _:
            yield _runs(_literals(predicate)) if _is_searched(source) else Runs()


def _literals(predicate: Predicate) -> Iterator[str]:
    """Parts of the text that the predicate is about, in lower case."""
    match predicate:
        case IsText(pieces):
            yield from (folded(piece) for piece in pieces if isinstance(piece, str))
        case HasWords(words):
            yield from (piece for word in words for piece in word if isinstance(piece, str))
        case BeginsWithParts(text):
            yield text


def _is_hexadecimal(pieces: Pieces) -> bool:
    return all(_HEXADECIMAL.fullmatch(piece) for piece in pieces if isinstance(piece, str))


def _is_searched(source: FieldSource) -> bool:
    """Whether the text contains the source's value."""
    match source:
        case Column(name):
            return name in _SEARCHED_COLUMNS
        case Member(path):
            # Neither a member that is left out, nor what is in one, nor what contains one.
            return not any(path[: len(left_out)] == left_out[: len(path)] for left_out in _MEMBERS_LEFT_OUT)
        case NamedMember() | ErrorMember():
            return True
        case _:
            return False


def _name_runs(source: FieldSource) -> Runs:
    """The runs of a member's own name, which is in the text if the member is."""
    match source:
        case NamedMember(name) if _SENDERS.match(name):
            return _runs([folded(name)])
        case Member(path) if _SENDERS.match(path[0]) and _is_searched(source):
            return _runs(folded(name) for name in path if not _INDEX_IN_LIST.fullmatch(name))
        case _:
            return Runs()


def _runs(texts: Iterable[str]) -> Runs:
    """The runs of letters and digits in texts in lower case, without what only Postgres can fold."""
    return frozenset(
        run[:_LONGEST]
        for text in texts
        for found in _RUN.findall(text)
        for run in (_ASCII_RUN.findall(found) if is_folded_by_store(found) else [found])
    )
