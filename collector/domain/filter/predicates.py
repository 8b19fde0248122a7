"""What a filter's values mean for the fields that they are for: the words, numbers, times to look for.

Raises BadRequest where a value cannot be meant: `value:abc` or `first:perhaps`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from collector.domain.addresses import MAPPED_PREFIX, spellings
from collector.domain.dates.datemath import LocalClock, Span, parse_span
from collector.domain.errors import BadRequest
from collector.domain.filter.fields import Field, Kind
from collector.domain.filter.tree import Bound, Range, Term
from collector.domain.filter.words import Pieces, folded, split_words
from collector.domain.ids import parse_uuid
from collector.domain.version import is_version, precedence

_NUMBER: Final = re.compile(
    r"[+-]?(?:\d{1,1000}(?:\.\d{0,1000})?|\.\d{1,1000})(?:[eE][+-]?\d{1,4})?", re.ASCII
)
"""`numeric` holds all of these; no event has a number of more than 1,000 digits."""
_IPV4_BEGINS: Final = re.compile(r"[0-9]{1,3}[.*?]", re.ASCII)
_FLAGS: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class NeverMatches:
    """No value can be meant."""


@dataclass(frozen=True, slots=True)
class IsId:
    """It is this id."""

    id: UUID


@dataclass(frozen=True, slots=True)
class IsFlag:
    """It is true, or it is false."""

    flag: bool


@dataclass(frozen=True, slots=True)
class IsText:
    """The whole text is like this; in any case if `is_folded`, and then `pieces` are in lower case."""

    pieces: Pieces
    is_folded: bool


@dataclass(frozen=True, slots=True)
class HasWords:
    """These words follow one another in the text, in any case; `pieces` of each are in lower case.

    Words end at each of the `separators`, which are of ASCII, and at those beyond; the last one may go on if
    `is_begun`.
    """

    words: tuple[Pieces, ...]
    separators: str
    is_begun: bool = False


@dataclass(frozen=True, slots=True)
class BeginsWithParts:
    """The text, in any case, is this one or goes on after it with something that is no letter or digit."""

    text: str


@dataclass(frozen=True, slots=True)
class TextBetween:
    """The text in lower case lies between these two by its characters."""

    low: Bound | None
    high: Bound | None


@dataclass(frozen=True, slots=True)
class NumberBetween:
    """The number lies between these two."""

    low: Decimal | None
    high: Decimal | None
    includes_low: bool = True
    includes_high: bool = True


@dataclass(frozen=True, slots=True)
class DateBetween:
    """The moment is at `begin` or later, and before `end`."""

    begin: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class VersionBetween:
    """The precedence of the version lies between these two."""

    low: tuple[str, ...] | None
    high: tuple[str, ...] | None
    includes_low: bool = True
    includes_high: bool = True


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of these tests holds at least."""

    tests: "tuple[Predicate, ...]"


Predicate = (
    NeverMatches
    | IsId
    | IsFlag
    | IsText
    | HasWords
    | BeginsWithParts
    | TextBetween
    | NumberBetween
    | DateBetween
    | VersionBetween
    | AnyOf
)


def predicate_for(field: Field, value: Term | Range, clock: LocalClock) -> Predicate:
    """What a value of the field must be like."""
    return _of_range(field, value, clock) if isinstance(value, Range) else _of_term(field, value, clock)


def parse_number(text: str) -> Decimal | None:
    """The number that a text spells: `-1`, `.5`, `1e3`. Words such as `NaN` spell none."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _of_term(field: Field, term: Term, clock: LocalClock) -> Predicate:
    match field.kind:
        case Kind.NUMBER:
            number = _number(term.text, term.at)
            return NumberBetween(number, number)
        case Kind.DATE:
            span = _span(term.text, term.at, clock)
            return DateBetween(span.begin, span.end)
        case Kind.ANY:
            return _any(term, clock)
        case _:
            return _OF_TEXT[field.kind](field, term)


def _id(_field: Field, term: Term) -> Predicate:
    if term.has_wildcards:
        return _folded_whole(term)
    found = parse_uuid(term.text.replace("-", ""))
    return NeverMatches() if found is None else IsId(found)


def _exact(_field: Field, term: Term) -> Predicate:
    return IsText(term.pieces, is_folded=False)


def _whole(_field: Field, term: Term) -> Predicate:
    return _folded_whole(term)


def _folded_whole(term: Term) -> Predicate:
    return IsText(_folded_pieces(term.pieces), is_folded=True)


def _words(field: Field, term: Term) -> Predicate:
    return _words_or_whole(field, term)


def _words_or_whole(field: Field, term: Term, *, is_begun: bool = False) -> Predicate:
    words = split_words(_folded_pieces(term.pieces), field.separators)
    return HasWords(words, field.separators, is_begun) if words else _folded_whole(term)


def _address(field: Field, term: Term) -> Predicate:
    """In each spelling of the address; the beginning of an IPv4 address also behind a mapped one's prefix."""
    found = [folded(term.text), *spellings(term.text)]
    terms = [term, *(Term((text,)) for text in dict.fromkeys(found[1:]) if text != found[0])]
    if term.has_wildcards and _IPV4_BEGINS.match(term.text):
        terms.append(Term((MAPPED_PREFIX, *term.pieces)))
    words = tuple(_words_or_whole(field, one) for one in terms)
    return AnyOf(words) if len(words) > 1 else words[0]


def _identity(field: Field, term: Term) -> Predicate:
    """`a@example.com` also finds who is known as `a` alone."""
    words = _words_or_whole(field, term, is_begun=True)
    local, at, _ = folded(term.text).partition("@")
    is_address = at and local and not term.has_wildcards
    return AnyOf((words, IsText((local,), is_folded=True))) if is_address else words


def _version(_field: Field, term: Term) -> Predicate:
    return _folded_whole(term) if term.has_wildcards else BeginsWithParts(folded(term.text))


def _flag(_field: Field, term: Term) -> Predicate:
    flag = _FLAGS.get(term.text.lower())
    if flag is None:
        raise BadRequest(f"The filter is wrong at character {term.at + 1}: `true` or `false` is expected.")
    return IsFlag(flag)


def _any(term: Term, clock: LocalClock) -> Predicate:
    """The same value may be text in one event and a number or a date in another."""
    tests: list[Predicate] = [_folded_whole(term)]
    if not term.has_wildcards:
        if (number := parse_number(term.text)) is not None:
            tests.append(NumberBetween(number, number))
        elif span := parse_span(term.text, clock):
            tests.append(DateBetween(span.begin, span.end))
    return AnyOf(tuple(tests)) if len(tests) > 1 else tests[0]


def _of_range(field: Field, value: Range, clock: LocalClock) -> Predicate:
    texts = [bound.text for bound in (value.low, value.high) if bound is not None]
    kind = _kind_of(texts, clock) if field.kind is Kind.ANY else field.kind
    match kind:
        case Kind.NUMBER:
            return _numbers(value)
        case Kind.DATE:
            return _moments(value, clock)
        case Kind.VERSION if all(map(is_version, texts)):
            return _versions(value)
        case Kind.FLAG | Kind.ID:
            return NeverMatches()
        case _:
            return TextBetween(_folded_bound(value.low), _folded_bound(value.high))


def _kind_of(texts: list[str], clock: LocalClock) -> Kind:
    """What values look like: all of them are numbers, or dates, or else they are just texts."""
    if texts and all(parse_number(text) is not None for text in texts):
        return Kind.NUMBER
    return Kind.DATE if texts and all(parse_span(text, clock) for text in texts) else Kind.WHOLE


def _numbers(value: Range) -> NumberBetween:
    low, high = value.low, value.high
    return NumberBetween(
        None if low is None else _number(low.text, low.at),
        None if high is None else _number(high.text, high.at),
        includes_low=low is None or low.is_included,
        includes_high=high is None or high.is_included,
    )


def _moments(value: Range, clock: LocalClock) -> DateBetween:
    """A bound that is a whole day is included or excluded as a whole."""
    begin = end = None
    if value.low is not None:
        span = _span(value.low.text, value.low.at, clock)
        begin = span.begin if value.low.is_included else span.end
    if value.high is not None:
        span = _span(value.high.text, value.high.at, clock)
        end = span.end if value.high.is_included else span.begin
    return DateBetween(begin, end)


def _versions(value: Range) -> VersionBetween:
    low, high = value.low, value.high
    return VersionBetween(
        None if low is None else precedence(low.text),
        None if high is None else precedence(high.text),
        includes_low=low is None or low.is_included,
        includes_high=high is None or high.is_included,
    )


def _number(text: str, at: int) -> Decimal:
    number = parse_number(text)
    if number is None:
        raise BadRequest(f"The filter is wrong at character {at + 1}: `{text[:40]}` is not a number.")
    return number


def _span(text: str, at: int, clock: LocalClock) -> Span:
    span = parse_span(text, clock)
    if span is None:
        raise BadRequest(f"The filter is wrong at character {at + 1}: `{text[:40]}` is not a date.")
    return span


def _folded_bound(bound: Bound | None) -> Bound | None:
    return None if bound is None else Bound(folded(bound.text), bound.is_included)


def _folded_pieces(pieces: Pieces) -> Pieces:
    return tuple(folded(piece) if isinstance(piece, str) else piece for piece in pieces)


_OF_TEXT: Final[Mapping[Kind, Callable[[Field, Term], Predicate]]] = {
    Kind.ID: _id,
    Kind.EXACT: _exact,
    Kind.WHOLE: _whole,
    Kind.WORDS: _words,
    Kind.ADDRESS: _address,
    Kind.IDENTITY: _identity,
    Kind.VERSION: _version,
    Kind.FLAG: _flag,
}
