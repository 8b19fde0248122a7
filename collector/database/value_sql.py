"""What a value must be like, as SQL: a test becomes a condition on an expression, and arguments."""

from collections.abc import Callable
from typing import Any, Final

from collector.database.text_patterns import holding_pattern, like_pattern, parts_pattern, words_pattern
from collector.domain.filter_terms import (
    AnyOf,
    BeginsWithParts,
    HasWords,
    IsFlag,
    IsId,
    IsText,
    MomentBetween,
    NumberBetween,
    Test,
    TextBetween,
    VersionBetween,
)
from collector.domain.version import NUMBERS, PATTERN, RELEASE

_NUMBER_TEXT: Final = "^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,4})?$"
_NUMBER_LENGTH: Final = 1010
"""Of a number's text: a number that is stored has 1,000 digits at most, and `numeric` takes all of these."""
_MOMENT_TEXT: Final = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    "(T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,9})?)?(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])?)?$"
)
PRECEDENCE: Final = f"""(
    SELECT (
        SELECT array_agg(lpad(n.text, 9, '0') ORDER BY n.place)
        FROM string_to_table(v.parts[1] || repeat('.0', {NUMBERS}), '.') WITH ORDINALITY AS n (text, place)
        WHERE n.place <= {NUMBERS}
    ) || CASE WHEN v.parts[2] IS NULL THEN ARRAY['{RELEASE}'] ELSE (
        SELECT array_agg(
            CASE WHEN i.text ~ '^[0-9]+$' THEN '0' || lpad(length(i.digits)::text, 3, '0') || i.digits
            ELSE '1' || i.text END ORDER BY i.place)
        FROM (
            SELECT s.text, s.place, coalesce(nullif(ltrim(s.text, '0'), ''), '0') AS digits
            FROM string_to_table(v.parts[2], '.') WITH ORDINALITY AS s (text, place)
        ) AS i
    ) END COLLATE "C"
    FROM (SELECT regexp_match({{value}}, '{PATTERN.replace("{", "{{").replace("}", "}}")}') AS parts) AS v
    WHERE v.parts IS NOT NULL)"""  # noqa: S608 - constants only
"""What `collector.domain.version.precedence` makes of a version; null where it cannot be read."""

Add = Callable[[Any], str]
"""Takes an argument and answers where it stands in the statement."""


def value_condition(value: str, test: Test, add: Add, *, is_native: bool) -> str:
    """The condition that the test holds for the value; `is_native` where that is of its column's own type."""
    match test:
        case AnyOf(tests):
            return f"({' OR '.join(value_condition(value, one, add, is_native=is_native) for one in tests)})"
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
            return _number_between(number, test, add)
        case MomentBetween():
            moment = (
                value
                if is_native
                else _guarded(
                    value, _MOMENT_TEXT, f"pg_input_is_valid({value}, 'timestamptz')", "timestamptz"
                )
            )
            return _between(add, moment, (">=", test.begin), ("<", test.end), "timestamptz")
        case _:
            text = f"replace({value}::text, '-', '')" if is_native else value
            return _text_test(text, test, add)


def _text_test(value: str, test: Test, add: Add) -> str:
    match test:
        case IsText(pieces, is_folded):
            text = f"lower({value})" if is_folded else value
            if all(isinstance(piece, str) for piece in pieces):
                return f"{text} = {add(''.join(map(str, pieces)))}::text"
            return f"{text} LIKE {add(like_pattern(pieces))}::text"
        case HasWords():
            return _has_words(value, test, add)
        case BeginsWithParts(text):
            return f"lower({value}) ~ {add(parts_pattern(text))}::text"
        case TextBetween(low, high):
            return _between(
                add,
                f'lower({value}) COLLATE "C"',
                (">=" if low is None or low.is_included else ">", low and low.text),
                ("<=" if high is None or high.is_included else "<", high and high.text),
                "text",
            )
        case VersionBetween():
            return _between(
                add,
                PRECEDENCE.format(value=value),
                (">=" if test.includes_low else ">", test.low and list(test.low)),
                ("<=" if test.includes_high else "<", test.high and list(test.high)),
                "text[]",
            )
        case _:
            raise TypeError(f"{test} is no test of a text")


def _has_words(value: str, test: HasWords, add: Add) -> str:
    """Most texts have not even a piece of the words in them: to see that takes a fifth of the time."""
    words = f"lower({value}) ~ {add(words_pattern(test))}::text"
    return f"(lower({value}) LIKE {add(holding_pattern(test.words))}::text AND {words})"


def _number_between(value: str, test: NumberBetween, add: Add) -> str:
    return _between(
        add,
        value,
        (">=" if test.includes_low else ">", test.low),
        ("<=" if test.includes_high else "<", test.high),
        "numeric",
    )


def _between(add: Add, value: str, low: tuple[str, Any], high: tuple[str, Any], type_: str) -> str:
    sides = [
        f"{value} {operator} {add(bound)}::{type_}" for operator, bound in (low, high) if bound is not None
    ]
    return f"({' AND '.join(sides)})" if sides else f"{value} IS NOT NULL"


def _guarded(value: str, pattern: str, is_valid: str, type_: str) -> str:
    """A text as a value of a type where it is written like one, else null."""
    return f"CASE WHEN {value} ~ '{pattern}' AND {is_valid} THEN ({value})::{type_} END"
