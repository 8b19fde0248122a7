from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.domain.errors import BadRequest
from collector.domain.filter.aggregation import (
    MAXIMUM_LEVELS,
    Interval,
    Operator,
    Options,
    bucket_interval,
    parse_aggregations,
    term_limit,
)


def test_nested_aggregations_keep_their_structure() -> None:
    """The aggregations that the official server's own pages send."""
    date, stacks, first, total = parse_aggregations(
        "date:(date~1d cardinality:stack sum:count~1) cardinality:stack"
        " terms:(first @include:true) sum:count~1"
    )

    assert [part.key for part in (date, stacks, first, total)] == [
        "date_date",
        "cardinality_stack",
        "terms_first",
        "sum_count",
    ]
    assert [(part.operator, part.parameter) for part in date.parts] == [
        (Operator.CARDINALITY, ""),
        (Operator.SUM, "1"),
    ]
    assert parse_aggregations("  ") == ()


@pytest.mark.parametrize(
    ("text", "length", "unit"),
    [
        ("date:date~1d", timedelta(days=1), ""),
        ("date:(date~15m^-5h)", timedelta(minutes=15), ""),
        ("date:date~m", timedelta(minutes=1), ""),
        ("date:date~1m", timedelta(minutes=1), ""),
        ("date:date~1M", None, "M"),
        ("date:date~M", None, "M"),
        ("date:date~month", None, "M"),
        ("date:date~1w", timedelta(weeks=1), ""),
        ("date:date~2w", timedelta(weeks=2), ""),
        ("date:date~1q", None, "q"),
        ("date:date~Quarter", None, "q"),
        ("date:date~1y", None, "y"),
        ("date:date~90S", timedelta(seconds=90), ""),
        ("date:date~day", timedelta(days=1), ""),
    ],
)
def test_an_interval_is_a_length_or_a_calendar_unit(text: str, length: timedelta | None, unit: str) -> None:
    (part,) = parse_aggregations(text)

    interval = bucket_interval(part)

    assert interval is not None
    assert (interval.length, interval.unit) == (length, unit)


def test_days_can_begin_at_an_offset() -> None:
    """At the client's UTC offset, or at an offset of the buckets."""
    zone, moved = parse_aggregations("date:date^+2h date:(date~1d -@offset:90m)")

    assert bucket_interval(zone) == Interval(offset=timedelta(hours=2))
    assert moved.options.shift == timedelta(minutes=-90)


def test_options_of_terms_are_normalized_and_accumulate() -> None:
    (first, value, type_) = parse_aggregations(
        "terms:(first @include:TRUE) terms:(value @exclude:+07.50 @exclude:-0)"
        ' terms:(type~5^2 @include:"a \\"b\\"" @include:c @missing:none)'
    )

    assert first.options == Options(include=("true",))
    assert value.options == Options(exclude=("7.5", "0"))
    assert type_.options == Options(include=('a "b"', "c"), missing="none", least=2)
    assert (term_limit(type_), parse_aggregations("terms:(type @min:3)")[0].options.least) == (5, 3)


def test_the_number_of_terms_has_a_default_and_a_maximum() -> None:
    assert [
        term_limit(part) for part in parse_aggregations("terms:type terms:tags~25 terms:source~999999999")
    ] == [
        10,
        25,
        1000,
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(
            "avg:val",
            "The aggregation `avg` cannot be applied to `val`. `val` is not a field; did you mean `value`?",
            id="unknown field",
        ),
        pytest.param(
            "date:1h",
            "The aggregation `date` takes a field, then its interval: write `date:date~1h`",
            id="an interval for a field",
        ),
        pytest.param(
            "date:month",
            "The aggregation `date` takes a field, then its interval: write",
            id="a month for a field",
        ),
        pytest.param("date:date~2M", "The aggregation has no interval `2M`: months", id="two months"),
        pytest.param(
            "date:date~2years", "The aggregation has no interval `2years`; intervals are", id="years"
        ),
        pytest.param("date:date~0d", "The aggregation has no interval `0d`: it must last", id="no length"),
        pytest.param("date:date~1d^Mars", "The aggregation `date_date` takes a time span", id="no offset"),
        pytest.param("date:(date @offset:1d)", "The aggregation `date_date` takes a time span", id="too far"),
        pytest.param("date:(date @min:1)", "The aggregation `date_date` has no option `@min`", id="of terms"),
        pytest.param("terms:(type @offset:1h)", "The aggregation `terms_type` has no option", id="of dates"),
        pytest.param("terms:(type @order:x)", "The aggregation `terms_type` has no option", id="unknown"),
        pytest.param("sum:(value @missing:1)", "The aggregation `sum_value` has no option", id="of a number"),
        pytest.param("terms:(type @include:)", "The option `@include` of `terms_type` is wrong", id="empty"),
        pytest.param("terms:(type -@include:x)", "The option `-@include` of `terms_type`", id="negated"),
        pytest.param("terms:(first @include:yes)", "The option `@include` of `terms_first`", id="no flag"),
        pytest.param("terms:(value @include:x)", "The option `@include` of `terms_value`", id="not a number"),
        pytest.param("terms:(stack @exclude:7)", "The option `@exclude` of `terms_stack`", id="no id"),
        pytest.param("terms:(date @include:now)", "The option `@include` of `terms_date`", id="of moments"),
        pytest.param(
            "terms:(type @min:0)", "The aggregation `terms_type` takes a number of events", id="min"
        ),
        pytest.param("terms:type^x", "The aggregation `terms_type` takes a number of events", id="minimum"),
        pytest.param(
            "cardinality:user^x", "The aggregation `cardinality_user` takes a number", id="precision"
        ),
        pytest.param("max:date~1", "The aggregation `max_date` takes nothing", id="a missing date"),
        pytest.param("-sum:count", "The `-` before `sum_count` can only order", id="nothing to order"),
        pytest.param("date:(date +sum:count)", "The `+` before `sum_count` cannot order", id="ordered dates"),
        pytest.param("terms:(type -terms:tags)", "The `-` before `terms_tags` cannot order", id="by buckets"),
        pytest.param("terms:(type -cardinality:tags)", "The `-` before `cardinality_tags`", id="by a list"),
        pytest.param("terms:data.a\0", "The aggregations contain a character", id="no character"),
        pytest.param("avg:type", "The aggregation `avg` cannot be applied to `type`.", id="average of texts"),
        pytest.param("sum:date", "The aggregation `sum` cannot be applied to `date`.", id="sum of dates"),
        pytest.param(
            "min:last", "The aggregation `min` cannot be applied to `last`.", id="first date of stacks"
        ),
        pytest.param("date:type", "The aggregation `date` cannot be applied to `type`.", id="dates of texts"),
        pytest.param(
            "terms:data.x", "The aggregation `terms` cannot be applied to `data.x`.", id="a sender's own"
        ),
        pytest.param("median:value", "There is no aggregation `median`; ", id="unknown operation"),
        pytest.param("sum:(count avg:value)", "The aggregation `sum` has no buckets", id="no field"),
        pytest.param("date:date~fortnight", "The aggregation has no interval `fortnight`", id="no interval"),
        pytest.param(
            "date:date~99999d", "The aggregation has no interval `99999d`", id="too long an interval"
        ),
        pytest.param("terms:type~x", "The aggregation `terms_type` takes a number", id="no number"),
        pytest.param("terms:(type", "The aggregation ends too early", id="an open bracket"),
        pytest.param("terms", "The aggregation ", id="no field"),
        pytest.param(
            "sum:value~x",
            "The aggregation `sum_value` takes a number after `~`",
            id="not a number for missing values",
        ),
        pytest.param(
            "avg:value~NaN", "The aggregation `avg_value` takes a number after `~`", id="not a number"
        ),
        pytest.param("sum:count " * 11, "There are too many aggregations: at most 10", id="too many"),
        pytest.param(
            "terms:type terms:tags terms:source terms:level", "There are too many", id="too many terms"
        ),
        pytest.param("cardinality:type " * 4, "There are too many", id="too many cardinalities"),
        pytest.param(
            "date:(date " * 7 + ")" * 7,
            f"The aggregations are too deep: at most {MAXIMUM_LEVELS}",
            id="too deep",
        ),
        pytest.param("x" * 3000, "The aggregations are too long", id="too long"),
    ],
)
def test_invalid_aggregations_are_rejected_with_a_reason(text: str, sentence: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_aggregations(text)

    assert refusal.value.title.startswith(sentence)


_TEXT = 'date: ( ) date terms: type ~ 1d 1M ^ -5h @include:true @min:2 @offset: "a - + : sum: value x'
PARTS = _TEXT.split()


@given(st.lists(st.sampled_from(PARTS)).map("".join))
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    try:
        found = parse_aggregations(text)
    except BadRequest:
        found = ()
    assert isinstance(found, tuple)
