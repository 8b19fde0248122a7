"""Aggregations are read into trees, or refused with a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.domain.aggregation import MAXIMUM_LEVELS, Operator, aggregations_of, interval_of, size_of
from collector.domain.errors import BadRequest


def test_what_is_nested_is_found_where_it_was() -> None:
    """As the official server's own pages ask."""
    date, stacks, first, total = aggregations_of(
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
    assert aggregations_of("  ") == ()


@pytest.mark.parametrize(
    "text",
    [
        "date:date~1d",
        "date:date~month",
        "date:(date~15m^-5h)",
        "date:date^+2h",
        "date:date~2w",
        "date:date~q",
    ],
)
def test_intervals_are_lengths_or_the_calendars(text: str) -> None:
    """And days may begin elsewhere."""
    (part,) = aggregations_of(text)

    interval = interval_of(part)

    assert interval is not None
    assert bool(interval.length) + bool(interval.unit) + (interval.offset is not None) >= 1


def test_terms_have_a_size() -> None:
    """Ten when nothing is said, and never too many."""
    assert [size_of(part) for part in aggregations_of("terms:type terms:tags~25 terms:source~999999999")] == [
        10,
        25,
        1000,
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("avg:val", "The aggregation `avg` cannot be of `val`.", id="unknown field"),
        pytest.param("avg:type", "The aggregation `avg` cannot be of `type`.", id="average of texts"),
        pytest.param("sum:date", "The aggregation `sum` cannot be of `date`.", id="sum of dates"),
        pytest.param("min:last", "The aggregation `min` cannot be of `last`.", id="first date of stacks"),
        pytest.param("date:type", "The aggregation `date` cannot be of `type`.", id="dates of texts"),
        pytest.param("terms:data.x", "The aggregation `terms` cannot be of `data.x`.", id="a sender's own"),
        pytest.param("median:value", "There is no aggregation `median`; ", id="unknown operation"),
        pytest.param(
            "sum:(count avg:value)", "The aggregation `sum` has no buckets", id="nothing to look into"
        ),
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
            id="no number for what is missing",
        ),
        pytest.param(
            "avg:value~NaN", "The aggregation `avg_value` takes a number after `~`", id="not a number"
        ),
        pytest.param("sum:count " * 11, "There are too many aggregations: 10", id="too many"),
        pytest.param(
            "terms:type terms:tags terms:source terms:level", "There are too many", id="too many terms"
        ),
        pytest.param("cardinality:type " * 4, "There are too many", id="too many cardinalities"),
        pytest.param(
            "date:(date " * 7 + ")" * 7, f"The aggregations are too deep: {MAXIMUM_LEVELS}", id="too deep"
        ),
        pytest.param("x" * 3000, "The aggregations are too long", id="too long"),
    ],
)
def test_what_cannot_be_found_out_is_refused(text: str, sentence: str) -> None:
    """With what is wrong."""
    with pytest.raises(BadRequest) as refusal:
        aggregations_of(text)

    assert refusal.value.title.startswith(sentence)


_TEXT = "date: ( ) date terms: type ~ 1d ^ -5h @include:true - + : sum: value x"
PARTS = _TEXT.split()


@given(st.lists(st.sampled_from(PARTS)).map("".join))
def test_any_text_is_aggregations_or_a_refusal(text: str) -> None:
    """Nothing else comes of it."""
    try:
        found = aggregations_of(text)
    except BadRequest:
        found = ()
    assert isinstance(found, tuple)
