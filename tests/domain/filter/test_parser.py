import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.domain.errors import BadRequest
from collector.domain.filter.parser import MAXIMUM_LENGTH, MAXIMUM_LEVELS, MAXIMUM_TERMS, parse_filter
from collector.domain.filter.tree import (
    And,
    Bound,
    Everything,
    Exists,
    Filter,
    Match,
    Not,
    Or,
    Range,
    Term,
    Wildcard,
)
from tests.domain.filter_trees import trees, written


def is_(field: str | None, text: str) -> Match:
    """The condition that a field has this value."""
    return Match(field, Term((text,)))


A, B, C = is_(None, "a"), is_(None, "b"), is_(None, "c")
AGES = (Bound("30", is_included=False), Bound("40", is_included=True))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        pytest.param("", Everything(), id="nothing"),
        pytest.param(" * ", Everything(), id="everything"),
        pytest.param("a b", And((A, B)), id="spaces join"),
        pytest.param("a AND b && c", And((A, B, C)), id="operators join"),
        pytest.param("a&&b", And((A, B)), id="operators need no spaces"),
        pytest.param("a||b", Or((A, B)), id="nor does or"),
        pytest.param("type:a||-x:b", Or((is_("type", "a"), Not(is_("x", "b")))), id="or after a value"),
        pytest.param(r"a|b&c\||d", is_(None, "a|b&c||d"), id="single and escaped bars"),
        pytest.param("a % b => ...", And((A, B)), id="punctuation between words"),
        pytest.param("a — b 🎉 “ ，", And((A, B)), id="punctuation beyond ASCII"),
        pytest.param("🎉", is_(None, "🎉"), id="punctuation beyond ASCII alone"),
        pytest.param("%", is_(None, "%"), id="punctuation alone"),
        pytest.param(r"a \%", And((A, is_(None, "%"))), id="escaped punctuation"),
        pytest.param("type:(a %)", And((is_("type", "a"), is_("type", "%"))), id="punctuation in a field"),
        pytest.param("a b OR c", Or((And((A, B)), C)), id="and binds tighter than or"),
        pytest.param("a || (b OR c)", Or((A, Or((B, C)))), id="groups"),
        pytest.param("NOT a !b -c", And((Not(A), Not(B), Not(C))), id="three ways to exclude"),
        pytest.param("+a b", And((A, B)), id="what is required anyway"),
        pytest.param("a OR +b", B, id="what is required in an or"),
        pytest.param(
            "ANDROID NOTHING ORDER",
            And((is_(None, "ANDROID"), is_(None, "NOTHING"), is_(None, "ORDER"))),
            id="words that begin like operators",
        ),
        pytest.param("type:error", is_("type", "error"), id="a field"),
        pytest.param("type:(a OR b)", Or((is_("type", "a"), is_("type", "b"))), id="a field for a group"),
        pytest.param("type:(a x:b)", And((is_("type", "a"), is_("x", "b"))), id="another field in it"),
        pytest.param('"a b"', Match(None, Term(("a b",), is_quoted=True)), id="a phrase"),
        pytest.param(r'"a \" \\ b*"', Match(None, Term((r'a " \ b*',), is_quoted=True)), id="quotes in it"),
        pytest.param("sho*", Match(None, Term(("sho", Wildcard.ANY))), id="a wildcard"),
        pytest.param("*h?p", Match(None, Term((Wildcard.ANY, "h", Wildcard.ONE, "p"))), id="several"),
        pytest.param(r"sho\*\:p", is_(None, "sho*:p"), id="escapes"),
        pytest.param(r"data.my\ key:a", is_("data.my key", "a"), id="escapes in a field"),
        pytest.param(
            "a https://a.example/b:c", And((A, is_(None, "https://a.example/b:c"))), id="a URL is a word"
        ),
        pytest.param("-10.0.0.7:443", Not(is_(None, "10.0.0.7:443")), id="so is an address with its port"),
        pytest.param(
            "date:(2026-11-22T10:00 OR 11:30)",
            Or((is_("date", "2026-11-22T10:00"), is_("date", "11:30"))),
            id="and a time in a group",
        ),
        pytest.param("date:2026-11-22||+1d", is_("date", "2026-11-22||+1d"), id="a date that is moved"),
        pytest.param(
            "date:(2026-11-22||/M||-x OR 2026-11-22T10:00Z||-1d/d)",
            Or(
                (
                    is_("date", "2026-11-22||/M"),
                    Not(is_("date", "x")),
                    is_("date", "2026-11-22T10:00Z||-1d/d"),
                )
            ),
            id="dates that are rounded",
        ),
        pytest.param("value:*", Exists("value"), id="any value"),
        pytest.param("_exists_:value", Exists("value"), id="a value exists"),
        pytest.param("_missing_:value", Not(Exists("value")), id="none exists"),
        pytest.param("_exists_:data.@user.identity", Exists("data.@user.identity"), id="at a path"),
        pytest.param("value:-5", is_("value", "-5"), id="a negative number"),
        pytest.param("date:2026-11-22T10:00", is_("date", "2026-11-22T10:00"), id="a colon in a value"),
        pytest.param(
            "age:[30 TO 40}",
            Match("age", Range(Bound("30", is_included=True), Bound("40", is_included=False))),
            id="a range",
        ),
        pytest.param("age:{30..40]", Match("age", Range(*AGES)), id="a range with dots"),
        pytest.param("age:[* TO *]", Match("age", Range(None, None)), id="an open range"),
        pytest.param(
            'd:["a b" TO now/d+1d}',
            Match("d", Range(Bound("a b", is_included=True), Bound("now/d+1d", is_included=False))),
            id="a range of dates",
        ),
        pytest.param("age:>30", Match("age", Range(AGES[0], None)), id="a comparison"),
        pytest.param(
            "age:(>30 AND <=40)",
            And((Match("age", Range(AGES[0], None)), Match("age", Range(None, AGES[1])))),
            id="two comparisons",
        ),
        pytest.param(
            "age:(->30 AND <= 40)",
            And((Not(Match("age", Range(AGES[0], None))), Match("age", Range(None, AGES[1])))),
            id="one excluded",
        ),
        pytest.param(
            "age:(+>30 +<=40)",
            And((Match("age", Range(AGES[0], None)), Match("age", Range(None, AGES[1])))),
            id="both required",
        ),
        pytest.param("@!(a OR b)", Or((A, B)), id="the hint to invert means nothing"),
    ],
)
def test_a_filter_is_parsed_into_a_tree(text: str, tree: Filter) -> None:
    assert parse_filter(text) == tree


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("type:(a OR b", "The filter ends too early: something is missing at its end."),
        ("a AND", "The filter ends too early: something is missing at its end."),
        ("type:", "The filter ends too early: something is missing at its end."),
        ("a) b", "The filter is wrong at character 2: `) b` is not expected here."),
        ('type:a "b c', 'The filter is wrong at character 8: the quote in `"b c` is never closed.'),
        ("a OR OR b", "The filter is wrong at character 6: `OR b` is not expected here."),
        ("a >3", "The filter is wrong at character 3: a comparison needs a field, as in `value:>10`."),
        ("[1 TO 2]", "The filter is wrong at character 1: a range needs a field, as in `value:[1 TO 10]`."),
        ("_exists_:[1 TO 2]", "The filter is wrong at character 10: the name of a field is expected here."),
        ("x:" + "a*" * 9, "The filter is wrong at character 3: at most 8 wildcards are allowed in one term."),
        ("@!a b)", "The filter is wrong at character 6: `)` is not expected here."),
        ("a\0", "The filter contains a character that cannot be stored: NUL or a lone surrogate."),
        ("\ud800", "The filter contains a character that cannot be stored: NUL or a lone surrogate."),
    ],
)
def test_a_wrong_filter_is_rejected_with_the_position_of_the_error(text: str, sentence: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_filter(text)

    assert refusal.value.title == sentence


@pytest.mark.parametrize(
    ("text", "word"),
    [
        pytest.param("a " * 10_000, "long", id="10,000 terms"),
        pytest.param("a " * (MAXIMUM_TERMS + 1), "large", id="one term too many"),
        pytest.param("(" * 1000 + "a" + ")" * 1000, "deep", id="1,000 levels"),
        pytest.param("f:(" * 1000 + "a" + ")" * 1000, "deep", id="1,000 levels of fields"),
        pytest.param("-" * 1000 + "a", "deep", id="1,000 negations"),
        pytest.param("NOT " * 1000 + "a", "deep", id="1,000 words for it"),
        pytest.param("x" * (MAXIMUM_LENGTH + 1), "long", id="one character too many"),
    ],
)
def test_too_large_filters_are_rejected_without_recursion(text: str, word: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_filter(text)

    assert f"The filter is too {word}: " in refusal.value.title


def test_filters_of_the_maximum_size_are_parsed() -> None:
    assert len(getattr(parse_filter("a " * MAXIMUM_TERMS), "children", ())) == MAXIMUM_TERMS
    assert parse_filter("(" * MAXIMUM_LEVELS + "a" + ")" * MAXIMUM_LEVELS) == A


@given(trees)
def test_a_written_tree_is_parsed_back(tree: Filter) -> None:
    text = written(tree)
    if len(text) <= MAXIMUM_LENGTH:
        assert parse_filter(text) == tree


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            [
                "a",
                "type:",
                '"',
                "(",
                ")",
                "[",
                "]",
                "{",
                "}",
                " TO ",
                "..",
                " OR ",
                " AND ",
                " NOT ",
                "-",
                "+",
                "!",
                ">",
                "<=",
                "*",
                "?",
                "\\",
                ":",
                "@!",
                " ",
                "_exists_:",
                "now",
                "1",
                "||",
                "&&",
                "^",
                "~",
            ]
        ),
        max_size=30,
    ).map("".join)
)
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    try:
        parse_filter(text)
    except BadRequest as refusal:
        assert refusal.title.startswith("The filter ")  # noqa: PT017 - most texts raise, some do not
