"""Orders of lists, and places in them, as they stand in requests and links."""

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
        pytest.param("", NEWEST_FIRST, id="nothing is the newest first"),
        pytest.param("-date", NEWEST_FIRST, id="said"),
        pytest.param(" Date ", Order((Key("date", is_descending=False),)), id="the oldest first"),
        pytest.param(
            "+value,-created_utc",
            Order((Key("value", is_descending=False), Key("created", is_descending=True))),
            id="several",
        ),
    ],
)
def test_an_order_is_what_its_names_say(text: str, order: Order) -> None:
    """The first one decides first."""
    assert parse_order(text) == order
    assert order.reversed.reversed == order
    assert order.reversed != order


@pytest.mark.parametrize(
    "text", ["colour", "date,date", "date,-date", "date,value,count,type", "-", "--date,"]
)
def test_what_is_no_order_is_refused_or_read(text: str) -> None:
    """`--date` is forgiven, the others are not."""
    if text == "--date,":
        assert parse_order(text) == NEWEST_FIRST
        return
    with pytest.raises(BadRequest, match="The parameter `sort`"):
        parse_order(text)


@given(
    date=st.datetimes(timezones=st.just(UTC)),
    value=st.decimals(allow_nan=False, min_value=-(10**30), max_value=10**30) | st.just(Decimal("-Infinity")),
    count=st.integers(-(2**31), 2**31 - 1),
)
def test_a_place_survives_its_link(date: datetime, value: Decimal, count: int) -> None:
    """Every digit of it."""
    place = Cursor((date, value, count), ID)

    assert parse_cursor(place.token, ALL, "after") == place


STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(STORABLE, min_size=2, max_size=2))
def test_texts_survive_it_too(texts: list[str]) -> None:
    """Whatever they hold."""
    place = Cursor(tuple(texts), ID)

    assert parse_cursor(place.token, TEXTS, "after") == place


@pytest.mark.parametrize(
    ("order", "values"),
    [
        pytest.param(NEWEST_FIRST, [], id="no value"),
        pytest.param(NEWEST_FIRST, ["2026-11-22", "1"], id="of another order"),
        pytest.param(NEWEST_FIRST, [1], id="no text"),
        pytest.param(NEWEST_FIRST, ["soon"], id="no date"),
        pytest.param(NEWEST_FIRST, ["0001-01-01T00:00:00+14:00"], id="before the calendar"),
        pytest.param(parse_order("count"), [str(2**31)], id="too large"),
        pytest.param(parse_order("value"), ["1e999999"], id="much too large"),
        pytest.param(parse_order("value"), ["x"], id="no number"),
        pytest.param(parse_order("source"), ["\0"], id="no text of a store"),
    ],
)
def test_what_is_no_place_in_the_order_is_refused(order: Order, values: list[Any]) -> None:
    """Somebody made it up, or asks in another order."""
    token = base64.urlsafe_b64encode(orjson.dumps([*values, ID.hex])).decode()

    with pytest.raises(BadRequest, match="The parameter `before` is not a cursor"):
        parse_cursor(token, order, "before")


@given(st.text(max_size=40) | st.binary(max_size=40).map(base64.urlsafe_b64encode).map(bytes.decode))
def test_any_text_is_a_place_or_refused(text: str) -> None:
    """Nothing else comes of it."""
    with pytest.raises(BadRequest):
        parse_cursor(text, NEWEST_FIRST, "after")
