from datetime import UTC, datetime
from decimal import Decimal

import pytest

from collector.domain.dates.datemath import LocalClock
from collector.domain.errors import BadRequest
from collector.domain.filter.fields import (
    ALIASES,
    DEFAULT_FIELDS,
    FIELDS,
    Field,
    Kind,
    Member,
    NamedMember,
    resolve_field,
)
from collector.domain.filter.parser import parse_filter
from collector.domain.filter.predicates import (
    AnyOf,
    BeginsWithParts,
    DateBetween,
    HasWords,
    IsFlag,
    IsText,
    NeverMatches,
    NumberBetween,
    Predicate,
    VersionBetween,
    predicate_for,
)
from collector.domain.filter.tree import Match, Wildcard
from collector.domain.filter.words import folded
from collector.domain.version import precedence

CLOCK = LocalClock(datetime(2026, 11, 22, 12, tzinfo=UTC))
DAY = DateBetween(datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))
TWELVE = NumberBetween(Decimal(12), Decimal(12))


def predicate(text: str) -> Predicate:
    """The predicate of a filter with one field and one value."""
    match parse_filter(text):
        case Match(str(name), value) if (field := resolve_field(name)) is not None:
            return predicate_for(field, value, CLOCK)
    raise AssertionError(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("reference:Order-1", IsText(("Order-1",), is_folded=False), id="to the letter"),
        pytest.param("type:ERROR", IsText(("error",), is_folded=True), id="in any case"),
        pytest.param("type:err*", IsText(("err", Wildcard.ANY), is_folded=True), id="with a wildcard"),
        pytest.param("stack:nonsense", NeverMatches(), id="an invalid id"),
        pytest.param("first:True", IsFlag(flag=True), id="a flag"),
        pytest.param("value:12", TWELVE, id="a number"),
        pytest.param("value:>=12", NumberBetween(Decimal(12), None), id="from a number on"),
        pytest.param("date:2026-11-20", DAY, id="a day"),
        pytest.param("date:>2026-11-20", DateBetween(DAY.end, None), id="after a day"),
        pytest.param("date:<=2026-11-20", DateBetween(None, DAY.end), id="until its end"),
        pytest.param("version:1.2B", BeginsWithParts("1.2b"), id="a version"),
        pytest.param(
            "version:<2.10", VersionBetween(None, precedence("2.10"), includes_high=False), id="older ones"
        ),
        pytest.param("data.x:12", AnyOf((IsText(("12",), is_folded=True), TWELVE)), id="text or number"),
        pytest.param(
            "data.x:2026-11-20", AnyOf((IsText(("2026-11-20",), is_folded=True), DAY)), id="text or date"
        ),
        pytest.param("data.x:abc", IsText(("abc",), is_folded=True), id="text"),
        pytest.param("message:!", IsText(("!",), is_folded=True), id="no word in it is the whole text"),
    ],
)
def test_the_kind_of_a_field_decides_how_its_value_is_compared(text: str, expected: Predicate) -> None:
    assert predicate(text) == expected


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e3", "1000"), ("1E+3", "1000"), (".5", "0.5"), ("-.5", "-0.5"), ("+1", "1"), ("5.", "5"),
        ("18446744073709551617", "18446744073709551617"), ("-2.5e-9999", "-2.5e-9999"),
    ],
)  # fmt: skip
def test_numbers_have_many_spellings(text: str, number: str) -> None:
    """As a value, as a bound and in data, where the value may also be text."""
    exactly = NumberBetween(Decimal(number), Decimal(number))
    assert predicate(f"value:{text}") == exactly
    assert predicate(f"value:>={text}") == predicate(f"value:[{text} TO *]")
    assert predicate(f"value:>={text}") == NumberBetween(Decimal(number), None)
    assert predicate(f"value:[{text} TO {text}]") == exactly
    assert predicate(f"data.n:{text}") == AnyOf((IsText((text.lower(),), is_folded=True), exactly))
    assert predicate(f"data.n:<{text}") == NumberBetween(None, Decimal(number), includes_high=False)


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-inf", "1_000", "0x1f", "1e", "e3", ".", "\uff11", "1e99999"]
)
def test_other_texts_are_no_number(text: str) -> None:
    assert predicate(f"data.n:{text}") == IsText((text.lower(),), is_folded=True)
    with pytest.raises(BadRequest, match="is not a number"):
        predicate(f"value:{text}")


@pytest.mark.parametrize(
    ("text", "spellings"),
    [
        ("ip:10.0.0.1", ["10.0.0.1", "::ffff:10.0.0.1", "::ffff:a00:1"]),
        ('ip:"::FFFF:10.0.0.1"', ["::ffff:10.0.0.1", "10.0.0.1", "::ffff:a00:1"]),
        ('ip:"2001:DB8:0::1"', ["2001:db8:0::1", "2001:db8::1"]),
        ("ip:unknown", ["unknown"]),
    ],
)
def test_an_address_matches_each_of_its_spellings(text: str, spellings: list[str]) -> None:
    found = predicate(text)
    predicates = found.predicates if isinstance(found, AnyOf) else (found,)
    assert [one.words for one in predicates if isinstance(one, HasWords)] == [((one,),) for one in spellings]


def test_the_beginning_of_an_address_matches_mapped_addresses() -> None:
    found = predicate("ip:10.0.*")
    assert isinstance(found, AnyOf)
    assert [one.words for one in found.predicates if isinstance(one, HasWords)] == [
        (("10.0.", Wildcard.ANY),),
        (("::ffff:10.0.", Wildcard.ANY),),
    ]


def test_terms_are_split_at_the_separators_of_their_field() -> None:
    """A wildcard belongs to its word; an e-mail address also matches its local part."""
    words = predicate("source:Shop.Orders-*,Save")
    assert isinstance(words, HasWords)
    assert words.words == (("shop",), ("orders-", Wildcard.ANY), ("save",))

    address = predicate("user:Me@example.com")
    assert isinstance(address, AnyOf)
    assert address.predicates[1] == IsText(("me",), is_folded=True)
    assert isinstance(predicate("user:me@*"), HasWords)


def test_names_of_fields_are_case_insensitive() -> None:
    assert all(resolve_field(name.upper()) in FIELDS.values() for name in (*FIELDS, *ALIASES))
    assert set(DEFAULT_FIELDS) <= set(FIELDS.values())
    assert resolve_field("colour") is None
    assert resolve_field("data.") is None
    assert resolve_field("ref.") is None


def test_only_the_session_reference_is_an_exact_member() -> None:
    assert resolve_field("REF.Session") == Field(Kind.EXACT, (Member(("@ref:session",)),))
    assert resolve_field("ref.Parent") == Field(Kind.EXACT, (NamedMember("@ref:Parent"),))


@pytest.mark.parametrize(("text", "low"), [("ABC", "abc"), ("GRÖSSE", "grösse"), ("İx", "ix"), ("ß", "ß")])
def test_case_is_folded_character_by_character(text: str, low: str) -> None:
    """The length of a text must not change."""
    assert folded(text) == low
