"""Aggregations of events: `date:(date~1d cardinality:stack) sum:count~1` as a tree (contract 4).

An operation has a kind and a field, after `~` a parameter, and in brackets what is to be found in each of its
buckets, and options: `@include`, `@exclude`, `@missing` and `@min` of terms, `@offset` of dates. A `-` or `+`
before a value in terms puts the buckets in its order. Whatever is not used is refused with a sentence.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from lark import Lark, Token, Tree

from collector.domain.dates.time_range import parse_offset
from collector.domain.errors import BadRequest
from collector.domain.filter.fields import Column, Field, Kind, NamedMember, StackState, resolve_field
from collector.domain.filter.grammar import parsed_by
from collector.domain.filter.hints import unknown_field
from collector.domain.filter.parser import is_storable
from collector.domain.filter.predicates import parse_number
from collector.domain.ids import parse_uuid

MAXIMUM_LENGTH: Final = 2000
MAXIMUM_OPERATIONS: Final = 10
MAXIMUM_LEVELS: Final = 6
MAXIMUM_OF_A_KIND: Final = 3
"""Of terms and of cardinalities: each costs a sort."""
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
    """How long a bucket of dates is: `length` or the calendar's `unit`; and where days begin."""

    length: timedelta | None = None
    unit: str = ""
    offset: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """Which buckets of terms are shown, by their keys; and by how much buckets of dates are moved."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    missing: str | None = None
    least: int = 1
    shift: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One operation; `parameter` is as it was written, `parts` are for each of its buckets.

    `sign` says that the buckets around it are in the order of its value: `-` has the greatest first.
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
        """What its result is called: `cardinality_stack`."""
        return f"{self.operator}_{self.name}"

    @property
    def has_buckets(self) -> bool:
        """Whether its result is a list."""
        return self.operator in BUCKETS

    @property
    def is_date_value(self) -> bool:
        """Whether its result is a moment: the first or the last of them."""
        return self.operator in _EXTREMES and self.field.kind is Kind.DATE

    @property
    def is_of_list(self) -> bool:
        """Whether its field has several values in one event."""
        source = self.field.sources[0]
        return isinstance(source, Column) and source.is_list

    @property
    def missing(self) -> str | None:
        """The text that stands for a missing value; None where events without one do not count."""
        if self.operator is Operator.CARDINALITY:
            return self.parameter.partition("^")[0] or None
        return self.options.missing


def parse_aggregations(text: str) -> tuple[Aggregation, ...]:
    """What a text asks for; a blank one for nothing. Raises BadRequest."""
    if len(text) > MAXIMUM_LENGTH:
        raise BadRequest(f"The aggregations are too long: {MAXIMUM_LENGTH} characters are the most.")
    if not is_storable(text):
        raise BadRequest("The aggregations hold a character that no text can hold.")
    if not text.strip():
        return ()
    tree = parsed_by(_parser, text, "aggregation")
    _check_size(tree)
    found = tuple(_aggregation(node) for node in _operations(tree))
    if signed := next((part for part in found if part.sign), None):
        raise BadRequest(f"The `{signed.sign}` before `{signed.key}` can only order the buckets of `terms`.")
    return found


def bucket_interval(aggregation: Aggregation) -> Interval | None:
    """How long its buckets are; None where that is left to us. Raises BadRequest."""
    written, _, offset_text = aggregation.parameter.partition("^")
    offset = _offset(aggregation, offset_text) if offset_text else None
    if not written:
        return None if offset is None else Interval(offset=offset)
    number, unit = _number_and_unit(aggregation, written)
    if calendar := _CALENDAR.get(unit):
        if number != 1:
            raise BadRequest(
                f"The aggregation has no interval `{written}`: months, quarters and years come one by one,"
                " as `1M`, `1q` and `1y`."
            )
        return Interval(unit=calendar, offset=offset)
    if number == 0 or number * _LENGTHS[unit] > _LONGEST_INTERVAL:
        raise BadRequest(
            f"The aggregation has no interval `{written}`: it must last between a second and"
            f" {_LONGEST_INTERVAL.days} days."
        )
    return Interval(number * _LENGTHS[unit], offset=offset)


def term_limit(aggregation: Aggregation) -> int:
    """How many terms it shows. Raises BadRequest."""
    size = aggregation.parameter.partition("^")[0]
    if not size:
        return DEFAULT_TERMS
    asked = _count(size, f"The aggregation `{aggregation.key}` takes a number of terms after `~`.")
    return max(1, min(asked, MAXIMUM_TERMS))


def _number_and_unit(aggregation: Aggregation, written: str) -> tuple[int, str]:
    """`15m` is 15 minutes, `1M` a month: of the units' letters only that one depends on its case."""
    found = _INTERVAL.fullmatch(written)
    unit = "month" if found and found[2] == "M" else found[2].lower() if found else ""
    unit = _LETTERS.get(unit, unit)
    if found is None or (unit not in _LENGTHS and unit not in _CALENDAR):
        raise BadRequest(
            f"The aggregation has no interval `{written}`; there are `30s`, `15m`, `1h`, `2d`, `1w`, `1M`,"
            f" `1q`, `1y`, `month` and so on, as in `{aggregation.operator}:{aggregation.name}~1h`."
        )
    return int(found[1] or 1), unit


def _offset(aggregation: Aggregation, text: str) -> timedelta:
    try:
        return parse_offset(text)
    except BadRequest:
        raise BadRequest(
            f"The aggregation `{aggregation.key}` takes a time span of less than a day, like `-5h` or"
            f" `+05:30`, after `^` and `@offset:`; `{text[:40]}` is none."
        ) from None


def _count(text: str, sentence: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise BadRequest(sentence)
    return int(text[:9])


def missing_number(aggregation: Aggregation) -> Decimal | None:
    """What counts where an event has no value; None where such events do not count. Raises BadRequest."""
    if not aggregation.parameter:
        return None
    missing = parse_number(aggregation.parameter)
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
        raise BadRequest(f"The aggregation `{operator}` cannot be of `{name}`. {unknown_field(name)}")
    if not _can(operator, field):
        raise BadRequest(f"The aggregation `{operator}` cannot be of `{name}`.")
    parts = tuple(_aggregation(part) for part in _operations(node))
    if parts and operator not in BUCKETS:
        raise BadRequest(f"The aggregation `{operator}` has no buckets to look into.")
    found = Aggregation(operator, name, field, parameter, parts, sign=_sign(node))
    _check_order(found)
    _check_parameter(found)
    return replace(found, options=_options(found, node))


def _check_order(found: Aggregation) -> None:
    """The buckets of terms can be in the order of what is one value of each of them."""
    for part in found.parts:
        if part.sign and (found.operator is not Operator.TERMS or part.has_buckets or part.is_of_list):
            raise BadRequest(
                f"The `{part.sign}` before `{part.key}` cannot order the buckets of `{found.key}`."
            )


def _check_parameter(found: Aggregation) -> None:
    match found.operator:
        case Operator.DATE:
            bucket_interval(found)
        case Operator.TERMS:
            term_limit(found)
        case Operator.CARDINALITY:
            precision = found.parameter.partition("^")[2] or "0"
            _count(precision, f"The aggregation `{found.key}` takes a number after `^`; it is exact anyway.")
        case _ if not found.is_date_value:
            missing_number(found)
        case _ if found.parameter:
            raise BadRequest(f"The aggregation `{found.key}` takes nothing after its field.")


def _options(found: Aggregation, node: Tree[Token]) -> Options:
    """What stands in brackets behind `@`, and after `^` the least number of events of a term."""
    options = Options()
    if found.operator is Operator.TERMS and (least := found.parameter.partition("^")[2]):
        options = replace(options, least=_least(found, least))
    for child in node.children:
        if isinstance(child, Tree) and child.data == "option":
            name, _, text = _token(child, "OPTION").partition(":")
            options = _with_option(options, found, name.lower(), _unquoted(text), _sign(child))
    return options


def _with_option(options: Options, found: Aggregation, name: str, text: str, sign: str) -> Options:
    is_terms = found.operator is Operator.TERMS
    if not text or (sign and name != "@offset"):
        raise BadRequest(f"The option `{sign}{name}` of `{found.key}` is wrong; it is written `{name}:...`.")
    match name:
        case "@include" if is_terms:
            return replace(options, include=(*options.include, _term(found, name, text)))
        case "@exclude" if is_terms:
            return replace(options, exclude=(*options.exclude, _term(found, name, text)))
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


def _term(found: Aggregation, option: str, text: str) -> str:
    """The key of a bucket, as it is written there."""
    kind = found.field.kind
    if kind is Kind.FLAG and text.lower() in _FLAGS:
        return text.lower()
    if kind is Kind.ID and (id_ := parse_uuid(text.replace("-", ""))):
        return str(id_)
    if kind is Kind.NUMBER and (number := parse_number(text)) is not None:
        return _plain(number)
    if kind in {Kind.FLAG, Kind.ID, Kind.NUMBER, Kind.DATE}:
        raise BadRequest(f"The option `{option}` of `{found.key}` cannot be `{text[:40]}`.")
    return text


def _plain(number: Decimal) -> str:
    """As Postgres writes it without needless zeros."""
    digits = f"{abs(number) if number.is_zero() else number:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _least(found: Aggregation, text: str) -> int:
    sentence = f"The aggregation `{found.key}` takes a number of events from 1 on after `^` and `@min:`."
    least = _count(text, sentence)
    if least < 1:
        raise BadRequest(sentence)
    return least


def _unquoted(text: str) -> str:
    return _ESCAPED.sub(r"\1", text[1:-1] if text.startswith('"') else text)


def _sign(node: Tree[Token]) -> str:
    return next(
        (str(child) for child in node.children if isinstance(child, Token) and child.type == "SIGN"), ""
    )


def _can(operator: Operator, field: Field) -> bool:
    """Whether the operation means something for the field."""
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


def _token(node: Tree[Token], type_: str) -> str:
    return next(str(child) for child in node.children if isinstance(child, Token) and child.type == type_)
