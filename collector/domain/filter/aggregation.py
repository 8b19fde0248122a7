"""Parses aggregations of events, such as `date:(date~1d cardinality:stack) sum:count~1` (contract 4).

An operation is an operator and a field, optionally followed by a parameter after `~`. Brackets around the
field may contain the operations of each bucket, and options: `@include`, `@exclude`, `@missing` and `@min` of
terms, `@offset` of dates. A `-` or `+` before an operation orders the buckets of the terms around it. Parts
that have no effect are rejected.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from lark import Lark, Token, Tree

from collector.domain.dates.time_range import parse_offset
from collector.domain.errors import BadRequest
from collector.domain.filter.fields import Column, Field, Kind, NamedMember, StackState, resolve_field
from collector.domain.filter.grammar import run_parser
from collector.domain.filter.hints import unknown_field
from collector.domain.filter.predicates import parse_number
from collector.domain.ids import parse_uuid
from collector.domain.jsonb.check import is_storable_text

MAXIMUM_LENGTH: Final = 2000
MAXIMUM_OPERATIONS: Final = 10
MAXIMUM_LEVELS: Final = 6
MAXIMUM_OF_A_KIND: Final = 3
"""The limit for terms and for cardinalities: each costs a sort."""
MAXIMUM_TERMS: Final = 1000
DEFAULT_TERMS: Final = 10

_GRAMMAR: Final = r"""
start: operation+
operation: SIGN? NAME ":" (FIELD | "(" FIELD (operation | option)* ")")
option: SIGN? OPTION
SIGN: "-" | "+"
NAME: /[a-z]+(?=:)/i
FIELD.2: /[^\s()@:][^\s():]*/
OPTION.3: /@\w+:("([^"\\]|\\.)*"|[^\s()"]*)/i
%ignore /\s+/
"""
_NAMED: Final = re.compile(r"([^~^]*)~?(.*)")
_ESCAPED: Final = re.compile(r"\\(.)")
_parser: Final = Lark(_GRAMMAR, parser="lalr", lexer="contextual")


class Operator(StrEnum):
    """What is computed."""

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
_FLAGS: Final = frozenset({"true", "false"})
_LETTERS: Final = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}
_LENGTHS: Final = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_CALENDAR: Final = {"month": "M", "q": "q", "quarter": "q", "y": "y", "year": "y"}
_INTERVAL: Final = re.compile(r"(\d{0,5})([a-zA-Z]+)", re.ASCII)
_BARE_INTERVAL: Final = re.compile(r"\d+[a-zA-Z]+|second|minute|hour|day|week|month|quarter|year", re.ASCII)
_LONGEST_INTERVAL: Final = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Interval:
    """The length of a bucket of dates: a fixed `length` or a calendar `unit`; `offset` is the zone's."""

    length: timedelta | None = None
    unit: str = ""
    offset: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """Which buckets of terms are included, by key; by how much buckets of dates are shifted."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    missing: str | None = None
    least: int = 1
    shift: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One operation; `parameter` is unparsed, `parts` are computed for each bucket.

    `sign` orders the buckets around it by its value: `-` puts the greatest first.
    """

    operator: Operator
    name: str
    field: Field
    parameter: str
    parts: "tuple[Aggregation, ...]" = ()
    options: Options = Options()
    sign: str = ""

    @property
    def key(self) -> str:
        """The name of its result, such as `cardinality_stack`."""
        return f"{self.operator}_{self.name}"

    @property
    def has_buckets(self) -> bool:
        """Whether its result is a list of buckets."""
        return self.operator in BUCKETS

    @property
    def is_date_value(self) -> bool:
        """Whether its result is a date: the first or the last."""
        return self.operator in _EXTREMES and self.field.kind is Kind.DATE

    @property
    def is_of_list(self) -> bool:
        """Whether its field may have several values in one event."""
        source = self.field.sources[0]
        return isinstance(source, Column) and source.is_list

    @property
    def missing(self) -> str | None:
        """The text that stands for a missing value; None if such events do not count."""
        if self.operator is Operator.CARDINALITY:
            return self.parameter.partition("^")[0] or None
        return self.options.missing


def parse_aggregations(text: str) -> tuple[Aggregation, ...]:
    """Parse aggregations; a blank text has none. Raises BadRequest."""
    if len(text) > MAXIMUM_LENGTH:
        raise BadRequest(f"The aggregations are too long: at most {MAXIMUM_LENGTH} characters are allowed.")
    if not is_storable_text(text):
        raise BadRequest(
            "The aggregations contain a character that cannot be stored: NUL or a lone surrogate."
        )
    if not text.strip():
        return ()
    tree = run_parser(_parser, text, "aggregation")
    _check_size(tree)
    found = tuple(_aggregation(node) for node in _operations(tree))
    if signed := next((part for part in found if part.sign), None):
        raise BadRequest(f"The `{signed.sign}` before `{signed.key}` can only order the buckets of `terms`.")
    return found


def bucket_interval(aggregation: Aggregation) -> Interval | None:
    """The interval of its buckets of dates; None if the server chooses it. Raises BadRequest."""
    written, _, offset_text = aggregation.parameter.partition("^")
    offset = _offset(aggregation, offset_text) if offset_text else None
    if not written:
        return None if offset is None else Interval(offset=offset)

    # `15m` is 15 minutes, `1M` a month: only these two letters depend on case.
    found = _INTERVAL.fullmatch(written)
    unit = "month" if found and found[2] == "M" else found[2].lower() if found else ""
    unit = _LETTERS.get(unit, unit)
    if found is None or (unit not in _LENGTHS and unit not in _CALENDAR):
        raise BadRequest(
            f"The aggregation has no interval `{written}`; intervals are `30s`, `15m`, `1h`, `2d`, `1w`,"
            " `1M`, `1q`, `1y`, `month` and so on, as in"
            f" `{aggregation.operator}:{aggregation.name}~1h`."
        )
    number = int(found[1] or 1)

    # A unit of the calendar, or a fixed length.
    if calendar := _CALENDAR.get(unit):
        if number != 1:
            raise BadRequest(
                f"The aggregation has no interval `{written}`: months, quarters and years are single, as in"
                " `1M`, `1q` and `1y`."
            )
        return Interval(unit=calendar, offset=offset)
    if number == 0 or number * _LENGTHS[unit] > _LONGEST_INTERVAL:
        raise BadRequest(
            f"The aggregation has no interval `{written}`: it must last between a second and"
            f" {_LONGEST_INTERVAL.days} days."
        )
    return Interval(number * _LENGTHS[unit], offset=offset)


def term_limit(aggregation: Aggregation) -> int:
    """The maximum number of terms in its result. Raises BadRequest."""
    size = aggregation.parameter.partition("^")[0]
    if not size:
        return DEFAULT_TERMS
    asked = _count(size, f"The aggregation `{aggregation.key}` takes a number of terms after `~`.")
    return max(1, min(asked, MAXIMUM_TERMS))


def missing_number(aggregation: Aggregation) -> Decimal | None:
    """The number that stands for a missing value; None if such events do not count. Raises BadRequest."""
    if not aggregation.parameter:
        return None
    missing = parse_number(aggregation.parameter)
    if missing is None:
        raise BadRequest(f"The aggregation `{aggregation.key}` takes a number after `~`.")
    return missing


def _check_size(tree: Tree[Token]) -> None:
    """Reject a tree that is too large or too deep, without recursion."""
    names = []
    pending = [(node, 1) for node in _operations(tree)]
    while pending:
        node, level = pending.pop()
        if level > MAXIMUM_LEVELS:
            raise BadRequest(f"The aggregations are too deep: at most {MAXIMUM_LEVELS} levels are allowed.")
        names.append(_token(node, "NAME").lower())
        pending += [(part, level + 1) for part in _operations(node)]
    if len(names) > MAXIMUM_OPERATIONS:
        raise BadRequest(f"There are too many aggregations: at most {MAXIMUM_OPERATIONS} are allowed.")
    for operator in (Operator.TERMS, Operator.CARDINALITY):
        if names.count(operator) > MAXIMUM_OF_A_KIND:
            raise BadRequest(
                f"There are too many aggregations `{operator}`: at most {MAXIMUM_OF_A_KIND} are allowed."
            )


def _operations(tree: Tree[Token]) -> Sequence[Tree[Token]]:
    return [child for child in tree.children if isinstance(child, Tree) and child.data == "operation"]


def _aggregation(node: Tree[Token]) -> Aggregation:
    written = _token(node, "NAME").lower()
    name, parameter = _NAMED.findall(_token(node, "FIELD"))[0]
    if written not in set(Operator):
        raise BadRequest(f"There is no aggregation `{written}`; there are {', '.join(Operator)}.")
    operator, field = Operator(written), resolve_field(name)
    if operator is Operator.DATE and field is None and _BARE_INTERVAL.fullmatch(name):
        raise BadRequest(
            f"The aggregation `date` takes a field, then its interval: write `date:date~{name}`."
        )
    if field is None:
        raise BadRequest(f"The aggregation `{operator}` cannot be applied to `{name}`. {unknown_field(name)}")
    if not _can_aggregate(operator, field):
        raise BadRequest(f"The aggregation `{operator}` cannot be applied to `{name}`.")
    parts = tuple(_aggregation(part) for part in _operations(node))
    if parts and operator not in BUCKETS:
        raise BadRequest(f"The aggregation `{operator}` has no buckets for other aggregations.")
    found = Aggregation(operator, name, field, parameter, parts, sign=_sign(node))
    # Only a part with a single value per bucket can order the buckets, and only those of terms.
    can_order = operator is Operator.TERMS
    signed = (part for part in parts if part.sign)
    if wrong := next((part for part in signed if not can_order or part.has_buckets or part.is_of_list), None):
        raise BadRequest(
            f"The `{wrong.sign}` before `{wrong.key}` cannot order the buckets of `{found.key}`."
        )
    _check_parameter(found)
    # The options in brackets; the minimum count of a term may also be given after `^`.
    options = Options()
    if operator is Operator.TERMS and (least := parameter.partition("^")[2]):
        options = replace(options, least=_least(found, least))
    for child in node.children:
        if isinstance(child, Tree) and child.data == "option":
            options = _with_option(options, found, child)
    return replace(found, options=options)


def _can_aggregate(operator: Operator, field: Field) -> bool:
    """Whether the operation is defined for the field."""
    # Values anywhere in `data` can be counted and make buckets of terms; the rest needs a typed column.
    is_column = isinstance(field.sources[0], Column)
    if isinstance(field.sources[0], NamedMember | StackState):
        return False
    if operator is Operator.DATE:
        return is_column and field.kind is Kind.DATE
    if operator in _EXTREMES and field.kind is Kind.DATE:
        return is_column
    if operator in _NUMERIC:
        return is_column and field.kind is Kind.NUMBER
    return True


def _check_parameter(found: Aggregation) -> None:
    # The functions that use a parameter raise BadRequest if it is wrong.
    match found.operator:
        case Operator.DATE:
            bucket_interval(found)
        case Operator.TERMS:
            term_limit(found)
        case Operator.CARDINALITY:
            precision = found.parameter.partition("^")[2] or "0"
            _count(precision, f"The aggregation `{found.key}` takes a number after `^`; it is always exact.")
        case _ if not found.is_date_value:
            missing_number(found)
        case _ if found.parameter:
            raise BadRequest(f"The aggregation `{found.key}` takes nothing after its field.")


def _with_option(options: Options, found: Aggregation, node: Tree[Token]) -> Options:
    sign = _sign(node)
    name, _, text = _token(node, "OPTION").partition(":")
    name = name.lower()
    text = _ESCAPED.sub(r"\1", text[1:-1] if text.startswith('"') else text)
    is_terms = found.operator is Operator.TERMS
    if not text or (sign and name != "@offset"):
        raise BadRequest(f"The option `{sign}{name}` of `{found.key}` is wrong; write `{name}:...`.")
    # Which options exist depends on the operator.
    match name:
        case "@include" if is_terms:
            return replace(options, include=(*options.include, _bucket_key(found, name, text)))
        case "@exclude" if is_terms:
            return replace(options, exclude=(*options.exclude, _bucket_key(found, name, text)))
        case "@missing" if is_terms:
            return replace(options, missing=text)
        case "@min" if is_terms:
            return replace(options, least=_least(found, text))
        case "@offset" if found.operator is Operator.DATE:
            return replace(options, shift=_offset(found, f"{sign}{text}"))
    raise BadRequest(
        f"The aggregation `{found.key}` has no option `{name}`; `terms` has @include, @exclude, @missing and"
        " @min, `date` has @offset."
    )


def _bucket_key(found: Aggregation, option: str, text: str) -> str:
    """The key of the bucket that the text names, as answers spell it."""
    kind = found.field.kind
    if kind is Kind.FLAG and text.lower() in _FLAGS:
        return text.lower()
    if kind is Kind.ID and (id_ := parse_uuid(text.replace("-", ""))):
        return str(id_)
    if kind is Kind.NUMBER and (number := parse_number(text)) is not None:
        # As Postgres writes it, without trailing zeros.
        digits = f"{abs(number) if number.is_zero() else number:f}"
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    if kind in {Kind.FLAG, Kind.ID, Kind.NUMBER, Kind.DATE}:
        raise BadRequest(f"The option `{option}` of `{found.key}` cannot be `{text[:40]}`.")
    return text


def _offset(aggregation: Aggregation, text: str) -> timedelta:
    try:
        return parse_offset(text)
    except BadRequest:
        raise BadRequest(
            f"The aggregation `{aggregation.key}` takes a time span of less than a day, like `-5h` or"
            f" `+05:30`, after `^` and `@offset:`, not `{text[:40]}`."
        ) from None


def _least(found: Aggregation, text: str) -> int:
    sentence = f"The aggregation `{found.key}` takes a number of events, at least 1, after `^` and `@min:`."
    least = _count(text, sentence)
    if least < 1:
        raise BadRequest(sentence)
    return least


def _count(text: str, sentence: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise BadRequest(sentence)
    return int(text[:9])


def _sign(node: Tree[Token]) -> str:
    return next(
        (str(child) for child in node.children if isinstance(child, Token) and child.type == "SIGN"), ""
    )


def _token(node: Tree[Token], type_: str) -> str:
    return next(str(child) for child in node.children if isinstance(child, Token) and child.type == type_)
