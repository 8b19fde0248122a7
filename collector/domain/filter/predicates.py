"""Translates a filter's value into a predicate on the values of its field: words, numbers, dates and so on.

Raises BadRequest if the field cannot have such a value: `value:abc` or `first:perhaps`.
"""

import re
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
"""All of these fit in Postgres's `numeric`; no event has a number of more than 1,000 digits."""
_IPV4_BEGINS: Final = re.compile(r"[0-9]{1,3}[.*?]", re.ASCII)
_FLAGS: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class NeverMatches:
    """No value of the field matches."""


@dataclass(frozen=True, slots=True)
class IsId:
    """The value is this id."""

    id: UUID


@dataclass(frozen=True, slots=True)
class IsFlag:
    """The value is this flag."""

    flag: bool


@dataclass(frozen=True, slots=True)
class IsText:
    """The whole text matches; case-insensitive if `is_folded`, and then `pieces` are in lower case."""

    pieces: Pieces
    is_folded: bool


@dataclass(frozen=True, slots=True)
class HasWords:
    """The text contains these consecutive words, case-insensitive; their pieces are in lower case.

    Words end at the ASCII `separators` and at any separator beyond ASCII. If `is_begun`, the last word is a
    prefix.
    """

    words: tuple[Pieces, ...]
    separators: str
    is_begun: bool = False


@dataclass(frozen=True, slots=True)
class BeginsWithParts:
    """The text, case-insensitive, is this or begins with it followed by neither a letter nor a digit."""

    text: str


@dataclass(frozen=True, slots=True)
class TextBetween:
    """The text in lower case lies between the bounds, by code point."""

    low: Bound | None
    high: Bound | None


@dataclass(frozen=True, slots=True)
class NumberBetween:
    """The number lies between the bounds."""

    low: Decimal | None
    high: Decimal | None
    includes_low: bool = True
    includes_high: bool = True


@dataclass(frozen=True, slots=True)
class DateBetween:
    """The date is at or after `begin` and before `end`."""

    begin: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class VersionBetween:
    """The version lies between the bounds, which are values of `precedence`."""

    low: tuple[str, ...] | None
    high: tuple[str, ...] | None
    includes_low: bool = True
    includes_high: bool = True


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of the predicates matches."""

    predicates: "tuple[Predicate, ...]"


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
    """The predicate that the field's values must meet. Raises BadRequest."""
    if isinstance(value, Range):
        return _range_predicate(field.kind, value, clock)
    match field.kind:
        case Kind.NUMBER:
            number = _number(value.text, value.at)
            return NumberBetween(number, number)
        case Kind.DATE:
            span = _span(value.text, value.at, clock)
            return DateBetween(span.begin, span.end)
        case Kind.FLAG:
            flag = _FLAGS.get(value.text.lower())
            if flag is None:
                raise BadRequest(
                    f"The filter is wrong at character {value.at + 1}: `true` or `false` is expected."
                )
            return IsFlag(flag)
        case Kind.ANY:
            # Match text, and what the text may be in another event: a number or a date.
            predicates: list[Predicate] = [_whole_text(value)]
            if not value.has_wildcards:
                if (exact := parse_number(value.text)) is not None:
                    predicates.append(NumberBetween(exact, exact))
                elif found := parse_span(value.text, clock):
                    predicates.append(DateBetween(found.begin, found.end))
            return AnyOf(tuple(predicates)) if len(predicates) > 1 else predicates[0]
        case _:
            return _text_predicate(field, value)


def parse_number(text: str) -> Decimal | None:
    """Parse a number such as `-1`, `.5` or `1e3`; None for any other text, `NaN` included."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _text_predicate(field: Field, term: Term) -> Predicate:
    match field.kind:
        case Kind.ID if not term.has_wildcards:
            id_ = parse_uuid(term.text.replace("-", ""))
            return NeverMatches() if id_ is None else IsId(id_)
        case Kind.WORDS:
            return _words(field, term)
        case Kind.ADDRESS:
            return _address(field, term)
        case Kind.IDENTITY:
            # The last word is a prefix, and `a@example.com` also matches the user `a`.
            words = _words(field, term, is_begun=True)
            local, at, _ = folded(term.text).partition("@")
            is_address = at and local and not term.has_wildcards
            return AnyOf((words, IsText((local,), is_folded=True))) if is_address else words
        case Kind.VERSION if not term.has_wildcards:
            return BeginsWithParts(folded(term.text))
    # The whole text: exact fields, and ids and versions with wildcards too.
    return IsText(term.pieces, is_folded=False) if field.kind is Kind.EXACT else _whole_text(term)


def _whole_text(term: Term) -> IsText:
    return IsText(_folded_pieces(term.pieces), is_folded=True)


def _words(field: Field, term: Term, *, is_begun: bool = False) -> Predicate:
    """The words of the term; a term without any word, such as `!`, is compared with the whole text."""
    words = split_words(_folded_pieces(term.pieces), field.separators)
    return HasWords(words, field.separators, is_begun) if words else _whole_text(term)


def _address(field: Field, term: Term) -> Predicate:
    """Match every spelling of an IP address."""
    written = folded(term.text)
    other_spellings = dict.fromkeys(text for text in spellings(term.text) if text != written)
    terms = [term, *(Term((text,)) for text in other_spellings)]
    # The beginning of an IPv4 address (`10.0.*`) also matches mapped addresses.
    if term.has_wildcards and _IPV4_BEGINS.match(term.text):
        terms.append(Term((MAPPED_PREFIX, *term.pieces)))
    predicates = tuple(_words(field, each) for each in terms)
    return AnyOf(predicates) if len(predicates) > 1 else predicates[0]


def _range_predicate(kind: Kind, value: Range, clock: LocalClock) -> Predicate:
    low, high = value.low, value.high
    texts = [bound.text for bound in (low, high) if bound is not None]
    includes_low, includes_high = low is None or low.is_included, high is None or high.is_included
    if kind is Kind.ANY:
        # Numbers if all bounds are numbers, dates if all are dates, text otherwise.
        if texts and all(parse_number(text) is not None for text in texts):
            kind = Kind.NUMBER
        else:
            kind = Kind.DATE if texts and all(parse_span(text, clock) for text in texts) else Kind.WHOLE
    match kind:
        case Kind.NUMBER:
            return NumberBetween(
                None if low is None else _number(low.text, low.at),
                None if high is None else _number(high.text, high.at),
                includes_low=includes_low,
                includes_high=includes_high,
            )
        case Kind.DATE:
            # A bound such as a day is included or excluded as a whole.
            begin = end = None
            if low is not None:
                span = _span(low.text, low.at, clock)
                begin = span.begin if low.is_included else span.end
            if high is not None:
                span = _span(high.text, high.at, clock)
                end = span.end if high.is_included else span.begin
            return DateBetween(begin, end)
        case Kind.VERSION if all(map(is_version, texts)):
            return VersionBetween(
                None if low is None else precedence(low.text),
                None if high is None else precedence(high.text),
                includes_low=includes_low,
                includes_high=includes_high,
            )
        case Kind.FLAG | Kind.ID:  # they have no order
            return NeverMatches()
    return TextBetween(_folded_bound(low), _folded_bound(high))


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
