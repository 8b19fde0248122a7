import pytest

from collector.domain.filter.fields import ALIASES, FIELDS
from collector.domain.filter.hints import MAXIMUM_HINTS, UnknownField, filter_hints, find_unknown_fields
from collector.domain.filter.owner_fields import PROJECT_FIELDS
from collector.domain.filter.parser import parse_filter


@pytest.mark.parametrize(
    ("text", "name", "nearest"),
    [
        ("msg:declined", "msg", "message"),
        ("type:error mesage:declined", "mesage", "message"),
        ("NOT (type:log OR Tyep:error)", "Tyep", "type"),
        ("severity:>3", "severity", "level"),
        ("@level:error", "@level", "level"),
        ("_exists_:refrence", "refrence", "reference"),
        ("_missing_:hostname", "hostname", "machine"),
        ("user.mail:a@example.com", "user.mail", "user.email"),
        ("error.typ:Oops", "error.typ", "error.type"),
        ("basket:[1 TO 3]", "basket", None),
        ("C\\:\\\\temp:x", "C:\\temp", None),
    ],
)
def test_an_unknown_field_is_named_with_the_nearest_known_one(
    text: str, name: str, nearest: str | None
) -> None:
    assert find_unknown_fields(parse_filter(text)) == (UnknownField(name, nearest),)
    (sentence,) = filter_hints(parse_filter(text))
    assert sentence.startswith(
        f"`{name}` is not a field" + (f"; did you mean `{nearest}`?" if nearest else ".")
    )


@pytest.mark.parametrize(
    "text",
    [
        *(f"_exists_:{name}" for name in [*FIELDS, *ALIASES]),
        "data.msg:declined data.Some.Path:1 data.@user.city:x ref.parent:7 REF.Session:8",
        "TYPE:error Error.Code:7",
        "https://pay.example.com/done 10.0.0.7:443",
        'declined "msg:declined" "or" "type=error" message:and a=b',
        "status:(open OR Fixed) status:re* -status:ignored",
        "*",
        "",
    ],
)
def test_filters_that_may_match_have_no_hint(text: str) -> None:
    assert find_unknown_fields(parse_filter(text)) == ()
    assert filter_hints(parse_filter(text)) == ()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("type=error", "`type=error` is searched for as words; to compare a field, write `type:`."),
        ("level==warn", "`level==warn` is searched for as words; to compare a field, write `level:`."),
        ("type:error and level:warn", "`and` is searched for as a word; operators are in upper case: `AND`."),
        ("a or b", "`or` is searched for as a word; operators are in upper case: `OR`."),
        (
            "status:closed",
            "`closed` is not a status; the statuses are open, fixed, regressed, snoozed, ignored, discarded.",
        ),
    ],
)
def test_other_common_mistakes_have_a_hint(text: str, sentence: str) -> None:
    assert filter_hints(parse_filter(text)) == (sentence,)


def test_hints_are_few_and_short_and_not_repeated() -> None:
    names = " ".join(f"{'x' * 300}{number}:1" for number in range(20))

    assert len(filter_hints(parse_filter("msg:a msg:b"))) == 1
    hints = filter_hints(parse_filter(names))
    assert len(hints) <= MAXIMUM_HINTS
    assert max(map(len, hints)) < 200


def test_lists_of_projects_have_other_fields_than_events() -> None:
    assert filter_hints(parse_filter("name:shop created:>2026-01-01"), PROJECT_FIELDS) == ()
    (unknown,) = find_unknown_fields(parse_filter("nmae:shop"), PROJECT_FIELDS)
    assert unknown == UnknownField("nmae", "name")
    assert filter_hints(parse_filter("nmae:shop"), PROJECT_FIELDS) == (
        "`nmae` is not a field; did you mean `name`?",
    )
    assert find_unknown_fields(parse_filter("name:shop"))[0].name == "name"
