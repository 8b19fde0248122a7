"""Predicates as SQL: a predicate becomes a condition on an expression, and arguments."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from collector.database.search.text_patterns import (
    holding_pattern,
    like_pattern,
    parts_pattern,
    words_pattern,
)
from collector.database.text import lowered
from collector.domain.filter.predicates import (
    AnyOf,
    BeginsWithParts,
    DateBetween,
    HasWords,
    IsFlag,
    IsId,
    IsText,
    NumberBetween,
    Predicate,
    TextBetween,
    VersionBetween,
)
from collector.domain.filter.words import is_folded_by_store
from collector.domain.version import LONGEST_PRE_RELEASE, NUMBERS, RELEASE

_NUMBER_TEXT: Final = "^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,4})?$"
_NUMBER_LENGTH: Final = 1010
"""The longest text read as a number: stored numbers have at most 1,000 digits, which `numeric` can hold."""
_MOMENT_TEXT: Final = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    "(T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])?)?$"
)
_VERSION: Final = "^[ \\t]*[vV]?"
_TOO_LONG: Final = f"{_VERSION}[0-9.]*[0-9]{{10}}"
_NUMBERS_TEXT: Final = f"{_VERSION}([0-9]{{{{1,9}}}}(?:[.][0-9]{{{{1,9}}}}){{{{0,5}}}})"
_NUMBERS: Final = f"string_to_array(substring({{value}} from '{_NUMBERS_TEXT}'), '.')::bigint[]"
_IDENTIFIERS: Final = f"""(
    SELECT CASE WHEN r.rest !~ '^(-[0-9A-Za-z.-]|[A-Za-z])' THEN ARRAY['{RELEASE}'] ELSE (
        SELECT array_agg(
            CASE WHEN i.text ~ '^[0-9]+$' THEN '0' || lpad(length(i.digits)::text, 3, '0') || i.digits
            ELSE '1' || i.text END ORDER BY i.place)
        FROM (
            SELECT s.text, s.place, coalesce(nullif(ltrim(s.text, '0'), ''), '0') AS digits
            FROM string_to_table(
                left(substring(r.rest from '^-?([0-9A-Za-z.-]+)'), {LONGEST_PRE_RELEASE}), '.'
            ) WITH ORDINALITY AS s (text, place)
        ) AS i
    ) END COLLATE "C"
    FROM (SELECT substr({{value}}, 1 + length(
        substring({{value}} from '{_VERSION}[0-9]+(?:[.][0-9]+){{{{0,5}}}}'))) AS rest OFFSET 0) AS r
    WHERE r.rest IS NOT NULL)"""  # noqa: S608 - constants only
"""The pre-release as `collector.domain.version.precedence` compares it; null if the text is not a version."""

Add = Callable[[Any], str]
"""Adds an argument and returns its placeholder."""


def value_condition(value: str, predicate: Predicate, add: Add, *, is_native: bool) -> str:
    """The condition that the value satisfies the predicate; `is_native` if it is typed, not text."""
    match predicate:
        case AnyOf(predicates):
            conditions = (value_condition(value, one, add, is_native=is_native) for one in predicates)
            return f"({' OR '.join(conditions)})"
        case IsId(id_):
            return f"{value} = {add(id_)}::uuid"
        case IsFlag(flag):
            return f"{value} = {add(flag)}" if is_native else f"{value} = {add(str(flag).lower())}::text"
        case NumberBetween():
            number = (
                value
                if is_native
                else _guarded(value, _NUMBER_TEXT, f"octet_length({value}) <= {_NUMBER_LENGTH}", "numeric")
            )
            low = (">=" if predicate.includes_low else ">", predicate.low)
            high = ("<=" if predicate.includes_high else "<", predicate.high)
            return _between(add, number, low, high, "numeric")
        case DateBetween():
            moment = (
                value
                if is_native
                else _guarded(
                    value, _MOMENT_TEXT, f"pg_input_is_valid({value}, 'timestamptz')", "timestamptz"
                )
            )
            return _between(add, moment, (">=", predicate.begin), ("<", predicate.end), "timestamptz")
        case _:
            text = f"replace({value}::text, '-', '')" if is_native else value
            return _text_condition(text, predicate, add)


def folded_argument(argument: str, add: Add) -> str:
    """A text, or a pattern, as an argument that is compared with text in lower case."""
    source = f"{add(argument)}::text"
    return lowered(source) if is_folded_by_store(argument) else source


def _text_condition(value: str, predicate: Predicate, add: Add) -> str:
    match predicate:
        case IsText(pieces, is_folded):
            is_whole = all(isinstance(piece, str) for piece in pieces)
            operator, argument = (
                ("=", "".join(map(str, pieces))) if is_whole else ("LIKE", like_pattern(pieces))
            )
            if is_folded:
                return f"{lowered(value)} {operator} {folded_argument(argument, add)}"
            return f"{value} {operator} {add(argument)}::text"
        case HasWords():
            # LIKE first: most texts lack the pieces of the words, which shows in a fifth of the time.
            text = lowered(value)
            holds = f"{text} LIKE {folded_argument(holding_pattern(predicate.words), add)}"
            return f"({holds} AND {text} ~ {folded_argument(words_pattern(predicate), add)})"
        case BeginsWithParts(text):
            return f"{lowered(value)} ~ {folded_argument(parts_pattern(text), add)}"
        case TextBetween(low, high):
            text = f'{lowered(value)} COLLATE "C"'
            sides = [
                f"{text} {sign}{'=' if bound.is_included else ''} {folded_argument(bound.text, add)}"
                for sign, bound in ((">", low), ("<", high))
                if bound is not None
            ]
            return f"({' AND '.join(sides)})" if sides else f"{value} IS NOT NULL"
        case VersionBetween():
            sides = [
                _version_side(value, operator, bound, add)
                for operator, bound in (
                    (">=" if predicate.includes_low else ">", predicate.low),
                    ("<=" if predicate.includes_high else "<", predicate.high),
                )
                if bound is not None
            ]
            return f"({' AND '.join(sides)})" if sides else f"{value} IS NOT NULL"
        case _:
            raise TypeError(f"{predicate} does not apply to text")


def _version_side(value: str, operator: str, bound: Sequence[str], add: Add) -> str:
    """Compares a version with a bound: by numbers first, which decides most cases at a third of the cost.

    All spellings of the bound's numbers, with fewer or more trailing zeros, lie between `least` and `most`.
    """
    most = [int(number) for number in bound[:NUMBERS]]
    least = most.copy()
    while least and least[-1] == 0:
        least.pop()
    numbers = _NUMBERS.format(value=value)
    is_above = operator.startswith(">")
    return (
        f"CASE WHEN {value} ~ '{_TOO_LONG}' THEN NULL"
        f" WHEN {numbers} < {add(least)}::bigint[] THEN {not is_above}"
        f" WHEN {numbers} > {add(most)}::bigint[] THEN {is_above}"
        f" ELSE {_IDENTIFIERS.format(value=value)} {operator} {add(list(bound[NUMBERS:]))}::text[] END"
    )


def _between(add: Add, value: str, low: tuple[str, Any], high: tuple[str, Any], type_: str) -> str:
    sides = [
        f"{value} {operator} {add(bound)}::{type_}" for operator, bound in (low, high) if bound is not None
    ]
    return f"({' AND '.join(sides)})" if sides else f"{value} IS NOT NULL"


def _guarded(value: str, pattern: str, is_valid: str, type_: str) -> str:
    """A text cast to a type if it has the form of one, else null."""
    return f"CASE WHEN {value} ~ '{pattern}' AND {is_valid} THEN ({value})::{type_} END"
