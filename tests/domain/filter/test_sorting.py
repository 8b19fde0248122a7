import base64
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.domain.errors import BadRequest
from collector.domain.filter.sorting import NEWEST_FIRST, Cursor, Key, Order, parse_cursor, parse_order

ID = UUID("01a00000-0000-7000-8000-000000000001")
ALL = parse_order("-date,value,count")
TEXTS = parse_order("type,source")


@pytest.mark.parametrize(
    ("text", "order"),
    [
        pytest.param("", NEWEST_FIRST, id="by default the newest first"),
        pytest.param("-date", NEWEST_FIRST, id="the newest first"),
        pytest.param(" Date ", Order((Key("date", is_descending=False),)), id="the oldest first"),
        pytest.param(
            "+value,-created_utc",
            Order((Key("value", is_descending=False), Key("created", is_descending=True))),
            id="several",
        ),
    ],
)
def test_sort_is_parsed_into_keys(text: str, order: Order) -> None:
    assert parse_order(text) == order
    assert order.reversed.reversed == order
    assert order.reversed != order


def test_repeated_signs_and_empty_names_are_tolerated() -> None:
    assert parse_order("--date,") == NEWEST_FIRST


@pytest.mark.parametrize("text", ["colour", "date,date", "date,-date", "date,value,count,type", "-"])
def test_other_texts_are_no_order(text: str) -> None:
    with pytest.raises(BadRequest, match="The parameter `sort`"):
        parse_order(text)


@given(
    date=st.datetimes(timezones=st.just(UTC)),
    value=st.decimals(allow_nan=False, min_value=-(10**30), max_value=10**30) | st.just(Decimal("-Infinity")),
    count=st.integers(-(2**31), 2**31 - 1),
)
def test_a_cursor_survives_its_token(date: datetime, value: Decimal, count: int) -> None:
    cursor = Cursor((date, value, count), ID)

    assert parse_cursor(cursor.token, ALL, "after") == cursor


STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(STORABLE, min_size=2, max_size=2))
def test_a_cursor_of_texts_survives_its_token(texts: list[str]) -> None:
    cursor = Cursor(tuple(texts), ID)

    assert parse_cursor(cursor.token, TEXTS, "after") == cursor


@pytest.mark.parametrize(
    ("order", "values"),
    [
        pytest.param(NEWEST_FIRST, [], id="no value"),
        pytest.param(NEWEST_FIRST, ["2026-11-22", "1"], id="of another order"),
        pytest.param(NEWEST_FIRST, [1], id="not a text"),
        pytest.param(NEWEST_FIRST, ["soon"], id="no date"),
        pytest.param(NEWEST_FIRST, ["0001-01-01T00:00:00+14:00"], id="before the calendar"),
        pytest.param(parse_order("count"), [str(2**31)], id="too large"),
        pytest.param(parse_order("value"), ["1e999999"], id="much too large"),
        pytest.param(parse_order("value"), ["x"], id="no number"),
        pytest.param(parse_order("source"), ["\0"], id="a text that cannot be stored"),
    ],
)
def test_a_forged_cursor_or_one_of_another_order_is_rejected(order: Order, values: list[Any]) -> None:
    token = base64.urlsafe_b64encode(orjson.dumps([*values, ID.hex])).decode()

    with pytest.raises(BadRequest, match="The parameter `before` is not a cursor"):
        parse_cursor(token, order, "before")


def test_a_deeply_nested_cursor_is_rejected() -> None:
    token = base64.urlsafe_b64encode(b"[" * 5000).decode()

    with pytest.raises(BadRequest, match="The parameter `after` is not a cursor"):
        parse_cursor(token, NEWEST_FIRST, "after")


@given(st.text(max_size=40) | st.binary(max_size=40).map(base64.urlsafe_b64encode).map(bytes.decode))
def test_arbitrary_texts_are_no_cursor(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_cursor(text, NEWEST_FIRST, "after")
