"""Postgres reads from packed rows exactly the values of the events."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from collector.database.search.events import StoredEvent
from collector.database.writing.copy_format import COLUMNS, COPY_END, COPY_HEAD, UNPACKABLE, packed_rows
from collector.domain.event.build import Sender, build_event
from collector.domain.event.outcome import Event
from collector.domain.intake.body import raw_events
from collector.domain.intake.fast_path import build_plain_event, decode_plain_events
from tests.database.rows import OTHER_PROJECT, PROJECT, an_event, as_stored
from tests.support.factories import a_post

pytestmark = pytest.mark.integration

EVENTS = [
    pytest.param(an_event(), id="little"),
    pytest.param(
        an_event(
            is_first_occurrence=True,
            reference_id="order-4711",
            message="Gr\u00fc\u00dfe \U0001f600",
            source="shop",
            tags=("a", "b,c", '"', "\u00e9"),
            value=Decimal("1.50"),
            count=2**31 - 1,
            geo="40.5,-74.25",
            date_offset_minutes=-1439,
        ),
        id="everything",
    ),
    pytest.param(an_event(data=None, message=None), id="nothing"),
    pytest.param(an_event(is_first_occurrence=True), id="a first occurrence"),
    pytest.param(an_event(date=datetime(1, 1, 2, tzinfo=UTC)), id="a date before the epoch"),
    pytest.param(an_event(date=datetime(1999, 12, 31, 23, 59, 59, 999_999, UTC)), id="just before the epoch"),
    pytest.param(an_event(data=b'{"a": "' + b"x" * 300_000 + b'"}'), id="much data"),
]


@pytest.fixture
async def connection(pool: asyncpg.Pool) -> Any:
    """A connection with an unpartitioned copy of the table of events."""
    async with pool.acquire() as connection:
        await connection.execute("CREATE TEMP TABLE flat (LIKE events)")
        yield connection


async def written(connection: asyncpg.Connection, events: Sequence[Event]) -> list[StoredEvent]:
    """Write the events, and read them back from the table."""
    buffer = b"".join([COPY_HEAD, *packed_rows(events), COPY_END])
    await connection.copy_to_table("flat", source=_source(buffer), columns=COLUMNS, format="binary")
    rows = await connection.fetch("SELECT * FROM flat ORDER BY id")
    return [StoredEvent(**{**row, "tags": tuple(row["tags"])}) for row in rows]


async def _source(buffer: bytes) -> Any:
    yield buffer


@pytest.mark.parametrize("event", EVENTS)
async def test_an_event_comes_back_unchanged(connection: asyncpg.Connection, event: Event) -> None:
    """In every column."""
    assert (await written(connection, [event])) == [as_stored(event)]


async def test_many_events_come_back_in_their_order(connection: asyncpg.Connection) -> None:
    """Also if projects alternate."""
    projects = (PROJECT, OTHER_PROJECT, OTHER_PROJECT)
    events = [an_event(message=f"event {n}", project_id=projects[n % 3]) for n in range(1201)]

    assert await written(connection, events) == list(map(as_stored, events))


NUMBERS = [
    "0", "0.0", "-0.00", "1", "-1", "10000", "9999", "100000000", "12345678901234567890",
    "0.1", "0.0001", "0.00001", "-0.00000001", "1.5", "10000.0001", "123456.7890", "99999999.99999999",
    "1E+5", "1.50E+3", "1E-7", "1.0E-10", "1E+1000", "1E-1000", "-9.9E+999", "1" * 4300,
]  # fmt: skip


async def test_numbers_come_back_to_the_last_digit(connection: asyncpg.Connection) -> None:
    """As if Postgres had parsed their text, with trailing zeros."""
    events = [an_event(value=Decimal(number)) for number in NUMBERS]
    await written(connection, events)

    found = [row[0] for row in await connection.fetch("SELECT value::text FROM flat ORDER BY id")]
    expected = [
        row[0]
        for row in await connection.fetch("SELECT n::numeric::text FROM unnest($1::text[]) AS n", NUMBERS)
    ]

    assert found == expected


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"count": 2**31}, id="a count beyond its column"),
        pytest.param({"date_offset_minutes": 40_000}, id="an offset beyond its column"),
        pytest.param({"message": "\ud800"}, id="a lone surrogate"),
        pytest.param({"type": None}, id="no type"),
        pytest.param({"value": Decimal("NaN")}, id="not a number"),
    ],
)
def test_a_value_beyond_its_column_raises_before_anything_is_sent(members: dict[str, Any]) -> None:
    """So that the store can use the slow path."""
    with pytest.raises(UNPACKABLE):
        packed_rows([an_event(**members)])


BODIES = [
    pytest.param(b'{"data":{}}', id="empty data"),
    pytest.param(b'{"data":{ }}', id="a space for data"),
    pytest.param(b'{"data":{"a":1.50,"b":1e5,"c":-0.0,"d":-0,"e":1E-7,"f":0.10e1}}', id="numbers"),
    pytest.param(b'{"data":{"a":1,"a":2,"b":{"c":1,"c":[2]}}}', id="names twice"),
    pytest.param(b'{"data":{"@submission_client":5,"z":1}}', id="a forged client"),
    pytest.param(b'{"data":{"\\u0040submission_client":5,"z":"\\u00e9\\/\\ud83d\\ude00"}}', id="escapes"),
    pytest.param('{"data":{"\u00e9":"\U0001f600"}}'.encode(), id="beyond ASCII"),
    pytest.param(b'{"value":12.50,"count":1,"tags":["a","A"],"geo":"1,2"}', id="columns"),
]


@pytest.mark.parametrize("body", BODIES)
async def test_the_fast_and_the_slow_path_store_the_same_row(
    connection: asyncpg.Connection, body: bytes
) -> None:
    """Whether `data` was decoded or passed on as it came: `jsonb` normalizes it."""
    sender = Sender.of(a_post())
    (plain,) = decode_plain_events(body, "") or [None]
    (raw,) = raw_events(body, "")
    assert plain is not None
    assert isinstance(raw, dict)
    results = [build_plain_event(plain, 0, sender, None), build_event(raw, 1, sender, None)]
    events = [result for result in results if isinstance(result, Event)]

    await written(connection, events)

    columns = ", ".join(name for name in COLUMNS if name != "id")
    rows = await connection.fetch(f"SELECT {columns} FROM flat")  # noqa: S608 - constants only
    texts = await connection.fetch("SELECT data::text, value::text FROM flat")
    assert len(rows) == 2
    assert rows[0] == rows[1]
    assert texts[0] == texts[1]
