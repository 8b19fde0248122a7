"""Aggregations of events: `date:(date~1d cardinality:stack) sum:count~1` as a tree (contract 4).

An operation has a kind and a field, after `~` a parameter, and in brackets what is to be found in each of its
buckets. `@include` and the like are accepted and mean nothing here: all buckets are shown.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from lark import Lark, Token, Tree

from collector.domain.errors import BadRequest
from collector.domain.filter_fields import Column, Field, Kind, NamedMember, StackState, field_of
from collector.domain.filter_grammar import parsed_by
from collector.domain.filter_terms import number_of
from collector.domain.time_range import offset_of

MAXIMUM_LENGTH: Final = 2000
MAXIMUM_OPERATIONS: Final = 10
MAXIMUM_LEVELS: Final = 6
MAXIMUM_OF_A_KIND: Final = 3
"""Of terms and of cardinalities: each costs a sort."""
MAXIMUM_TERMS: Final = 1000
DEFAULT_TERMS: Final = 10

_GRAMMAR: Final = r"""
start: operation+
operation: SIGN? NAME ":" (FIELD | "(" FIELD (operation | OPTION)* ")")
SIGN: "-" | "+"
NAME: /[a-z]+(?=:)/i
FIELD.2: /[^\s()@:][^\s():]*/
OPTION.3: /@[a-z]+:[^\s()]*/i
%ignore /\s+/
"""
_NAMED: Final = re.compile(r"([^~^]*)~?(.*)")
_parser: Final = Lark(_GRAMMAR, parser="lalr", lexer="contextual")


class Operator(StrEnum):
    """What is found out."""

    AVERAGE = "avg"
    SUM = "sum"
    MINIMUM = "min"
    MAXIMUM = "max"
    CARDINALITY = "cardinality"
    TERMS = "terms"
    DATE = "date"


BUCKETS: Final = frozenset({Operator.TERMS, Operator.DATE})
_EXTREMES: Final = frozenset({Operator.MINIMUM, Operator.MAXIMUM})
_NUMERIC: Final = _EXTREMES | {Operator.AVERAGE, Operator.SUM}
_UNITS: Final = {
    "s": timedelta(seconds=1), "second": timedelta(seconds=1),
    "m": timedelta(minutes=1), "minute": timedelta(minutes=1),
    "h": timedelta(hours=1), "hour": timedelta(hours=1),
    "d": timedelta(days=1), "day": timedelta(days=1),
    "w": timedelta(weeks=1), "week": timedelta(weeks=1),
}  # fmt: skip
_CALENDAR: Final = {"month": "M", "quarter": "q", "q": "q", "year": "y", "y": "y", "M": "M"}
_LONGEST_INTERVAL: Final = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Interval:
    """How long a bucket of dates is: `length` or the calendar's `unit`; and where days begin."""

    length: timedelta | None = None
    unit: str = ""
    offset: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One operation; `parameter` is as it was written, `parts` are for each of its buckets."""

    operator: Operator
    name: str
    field: Field
    parameter: str
    parts: "tuple[Aggregation, ...]" = ()

    @property
    def key(self) -> str:
        """What its result is called: `cardinality_stack`."""
        return f"{self.operator}_{self.name}"

    @property
    def has_buckets(self) -> bool:
        """Whether its result is a list."""
        return self.operator in BUCKETS

    @property
    def is_moment(self) -> bool:
        """Whether its result is a moment: the first or the last of them."""
        return self.operator in _EXTREMES and self.field.kind is Kind.MOMENT


def aggregations_of(text: str) -> tuple[Aggregation, ...]:
    """What a text asks for; a blank one for nothing. Raises BadRequest."""
    if len(text) > MAXIMUM_LENGTH:
        raise BadRequest(f"The aggregations are too long: {MAXIMUM_LENGTH} characters are the most.")
    if not text.strip():
        return ()
    tree = parsed_by(_parser, text, "aggregation")
    _check_size(tree)
    return tuple(_aggregation(node) for node in _operations(tree))


def interval_of(aggregation: Aggregation) -> Interval | None:
    """How long its buckets are; None where that is left to us. Raises BadRequest."""
    written, _, offset_text = aggregation.parameter.partition("^")
    offset = offset_of(offset_text) if offset_text else None
    if not written:
        return None if offset is None else Interval(offset=offset)
    if unit := _CALENDAR.get(written) or _CALENDAR.get(written.lower().removeprefix("1")):
        return Interval(unit=unit, offset=offset)
    digits = written[: len(written) - len(written.lstrip("0123456789"))]
    length = _UNITS.get(written[len(digits) :].lower())
    if length is None or not 0 < int(digits or 1) < 100_000 or int(digits or 1) * length > _LONGEST_INTERVAL:  # noqa: PLR2004
        raise BadRequest(
            f"The aggregation has no interval `{written}`; there are `1h`, `2d`, `month` and so on."
        )
    return Interval(int(digits or 1) * length, offset=offset)


def size_of(aggregation: Aggregation) -> int:
    """How many terms it shows. Raises BadRequest."""
    if not aggregation.parameter:
        return DEFAULT_TERMS
    if not aggregation.parameter.isascii() or not aggregation.parameter.isdigit():
        raise BadRequest(f"The aggregation `{aggregation.key}` takes a number of terms after `~`.")
    return max(1, min(int(aggregation.parameter[:9]), MAXIMUM_TERMS))


def missing_of(aggregation: Aggregation) -> Decimal | None:
    """What counts where an event has no value; None where such events do not count. Raises BadRequest."""
    if not aggregation.parameter:
        return None
    missing = number_of(aggregation.parameter)
    if missing is None:
        raise BadRequest(f"The aggregation `{aggregation.key}` takes a number after `~`.")
    return missing


def _check_size(tree: Tree[Token]) -> None:
    found = list(_levels(tree))
    if len(found) > MAXIMUM_OPERATIONS:
        raise BadRequest(f"There are too many aggregations: {MAXIMUM_OPERATIONS} are the most.")
    if max(level for _, level in found) > MAXIMUM_LEVELS:
        raise BadRequest(f"The aggregations are too deep: {MAXIMUM_LEVELS} levels are the most.")
    names = [_token(node, "NAME").lower() for node, _ in found]
    for operator in (Operator.TERMS, Operator.CARDINALITY):
        if names.count(operator) > MAXIMUM_OF_A_KIND:
            raise BadRequest(
                f"There are too many aggregations `{operator}`: {MAXIMUM_OF_A_KIND} are the most."
            )


def _levels(tree: Tree[Token]) -> Iterator[tuple[Tree[Token], int]]:
    waiting = [(node, 1) for node in _operations(tree)]
    while waiting:
        node, level = waiting.pop()
        yield node, level
        waiting += [(part, level + 1) for part in _operations(node)]


def _operations(tree: Tree[Token]) -> Sequence[Tree[Token]]:
    return [child for child in tree.children if isinstance(child, Tree)]


def _aggregation(node: Tree[Token]) -> Aggregation:
    written = _token(node, "NAME").lower()
    name, parameter = _NAMED.findall(_token(node, "FIELD"))[0]
    if written not in set(Operator):
        raise BadRequest(f"There is no aggregation `{written}`; there are {', '.join(Operator)}.")
    operator, field = Operator(written), field_of(name)
    if field is None or not _can(operator, field):
        raise BadRequest(f"The aggregation `{operator}` cannot be of `{name}`.")
    parts = tuple(_aggregation(part) for part in _operations(node))
    if parts and operator not in BUCKETS:
        raise BadRequest(f"The aggregation `{operator}` has no buckets to look into.")
    found = Aggregation(operator, name, field, parameter, parts)
    if operator is Operator.DATE:
        interval_of(found)
    if operator is Operator.TERMS:
        size_of(found)
    if operator in _NUMERIC and not found.is_moment:
        missing_of(found)
    return found


def _can(operator: Operator, field: Field) -> bool:
    """Whether the operation means something for the field."""
    is_column = isinstance(field.places[0], Column)
    if isinstance(field.places[0], NamedMember | StackState):
        return False
    if operator is Operator.DATE:
        return is_column and field.kind is Kind.MOMENT
    if operator in _EXTREMES and field.kind is Kind.MOMENT:
        return is_column
    if operator in _NUMERIC:
        return is_column and field.kind is Kind.NUMBER
    return True


def _token(node: Tree[Token], type_: str) -> str:
    return next(str(child) for child in node.children if isinstance(child, Token) and child.type == type_)
