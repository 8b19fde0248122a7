"""An event's columns are the same everywhere: a new one that is missing in one place fails here.

`Event` is the list. Whatever can be derived from it is. What is written out by hand, for speed or because it
has types and sentences, is compared with it, and an event with a value in every column goes all the way.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
import orjson
import pytest

from collector.api.events.events import event_view
from collector.database.pool import close_pool, create_pool
from collector.database.search.events import EventKey, StoredEvent, find_events_by_key
from collector.database.writing import copy_format
from collector.database.writing.staging import dead_letter
from collector.database.writing.store import BatchStore
from collector.domain.event import members
from collector.domain.event.build import Sender, build_event
from collector.domain.event.outcome import EVENT_COLUMNS, SENT_COLUMNS, DeadLetterReason, Event
from collector.domain.filter.fields import FIELDS, Column
from collector.domain.intake import strict, submission
from collector.domain.intake.body import raw_events
from collector.domain.intake.fast_path import PlainEvent, build_plain_event, decode_plain_events
from collector.http.event_form import EventForm, StoredEventForm
from collector.ingest.handlers import submissions
from tests.database.rows import ORGANIZATION, PROJECT, as_stored, normalized, post_id
from tests.support.factories import a_post

SENT: Final[Mapping[str, Any]] = {
    "type": "usage",
    "date": "2026-11-23T10:00:00.000000+02:00",
    "reference_id": "order-4711",
    "message": "hello",
    "source": "shop",
    "tags": ["a"],
    "value": 1.5,
    "count": 3,
    "geo": "40.5,-74.25",
    "data": {"answer": 42},
}
"""A value for each member that senders write; no event has it by default. A new column needs one."""


def test_every_column_has_a_value_here() -> None:
    """Otherwise the tests below would not cover it."""
    assert tuple(SENT) == SENT_COLUMNS


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        pytest.param(copy_format.COLUMNS, EVENT_COLUMNS, id="the rows of a COPY"),
        pytest.param(StoredEvent.__slots__, EVENT_COLUMNS, id="an event that is read back"),
        pytest.param(
            StoredEventForm.__struct_fields__,
            set(EVENT_COLUMNS) - {"date_offset_minutes"},  # part of the date
            id="the document's members of an event",
        ),
        pytest.param(EventForm.__struct_fields__, SENT_COLUMNS, id="the document's members of a post"),
        pytest.param(set(members._MEMBERS) - {"id"}, SENT_COLUMNS, id="the members of an event"),
        pytest.param(
            members._MEMBERS + members._OF_THE_SERVER,
            (set(EVENT_COLUMNS) | {"idx"}) - {"date_offset_minutes"},
            id="the members that are known",
        ),
        pytest.param(PlainEvent.__struct_fields__, SENT_COLUMNS, id="the members of a plain event"),
        pytest.param(strict._RULES, SENT_COLUMNS, id="the rules of strict posts"),
        pytest.param(
            {submission._DATE, *submission._TEXTS.values(), *submission._NUMBERS, submission._TAGS},
            set(SENT_COLUMNS) - {"data"},
            id="an event in a query string",
        ),
        pytest.param(
            {submission._TEXTS.get(each.name, each.name) for each in submissions._PARAMETERS}
            - submission._USER.keys(),
            set(SENT_COLUMNS) - {"data"},
            id="the parameters of a submission",
        ),
        pytest.param(
            {
                source.name
                for field in FIELDS.values()
                for source in field.sources
                if isinstance(source, Column)
            },
            set(EVENT_COLUMNS) - {"data", "date_offset_minutes"},
            id="the fields of a filter",
        ),
    ],
)
def test_a_list_of_columns_has_the_columns_of_the_event(names: Iterable[str], columns: Iterable[str]) -> None:
    """In any order."""
    assert sorted(names) == sorted(columns)


@pytest.mark.parametrize("name", SENT)
def test_a_sent_member_gets_into_its_column(name: str) -> None:
    """On both paths, which agree."""
    [event], [without] = on_both_paths(SENT), on_both_paths({key: SENT[key] for key in SENT if key != name})

    assert getattr(event, name) != getattr(without, name)


def on_both_paths(*sent: Mapping[str, Any]) -> list[Event]:
    """The events, normalized to the same rows on either path."""
    sender = Sender.of(a_post(id=post_id(), project_id=PROJECT.bytes, organization_id=ORGANIZATION.bytes))
    body = orjson.dumps(sent)
    plain = decode_plain_events(body, "application/json")
    assert plain is not None
    quickly = [build_plain_event(each, source, sender, None) for source, each in enumerate(plain) if each]
    raw = [each for each in raw_events(body, "application/json") if isinstance(each, dict)]
    carefully = [build_event(each, source, sender, None) for source, each in enumerate(raw)]
    assert [comparable(event) for event in quickly] == [comparable(event) for event in carefully]
    return [event for event in quickly if isinstance(event, Event)]


def comparable(event: Any) -> dict[str, Any]:
    """Its data by value."""
    members = msgspec.structs.asdict(event)
    return members | {"data": orjson.loads(members["data"])}


def test_a_dead_letter_has_all_members() -> None:
    """An event that cannot be stored must not lose any."""
    [event] = on_both_paths(SENT)

    body = orjson.loads(dead_letter(event, DeadLetterReason.REJECTED_BY_DATABASE, "").body)

    assert body.keys() == SENT.keys()


@pytest.mark.integration
async def test_postgres_has_the_columns_of_the_event(database_url: str) -> None:
    """After all migrations."""
    pool = await create_pool(database_url, max_size=1)
    rows = await pool.fetch(
        "SELECT attname FROM pg_attribute"
        " WHERE attrelid = 'events'::regclass AND attnum > 0 AND NOT attisdropped"
    )
    await close_pool(pool)

    assert sorted(row["attname"] for row in rows) == sorted(EVENT_COLUMNS)


@pytest.mark.integration
async def test_a_sent_member_is_stored_read_back_and_shown(database_url: str) -> None:
    """In every column: copied into the partition, and through staging if a reference is there already."""
    straight, staged = on_both_paths(SENT, {**SENT, "reference_id": "order-4712"})
    pool = await create_pool(database_url, max_size=2)
    store = BatchStore(pool)
    direct = await store.save([normalized(straight)])
    patient = await store.save([normalized(repeated(straight), staged)])
    keys = [EventKey(PROJECT, UUID(bytes=event.id)) for event in (straight, staged)]
    async with pool.acquire() as connection:
        found = {event.id.bytes: event for event in await find_events_by_key(connection, keys)}
    await close_pool(pool)

    assert (direct.stored, patient.stored, patient.duplicate) == (1, 1, 1)
    for event in (straight, staged):
        stored, view = found[event.id], event_view(found[event.id])
        assert as_read(stored) == as_read(as_stored(event))
        assert view.keys() == set(EVENT_COLUMNS) - {"date_offset_minutes"}
        shown = orjson.loads(orjson.dumps(view))
        assert {name: shown[name] for name in SENT} == {
            **SENT,
            "date": "2026-11-23T10:00:00+02:00",
            "reference_id": event.reference_id,
            "data": orjson.loads(event.data or b""),
        }


def repeated(event: Event) -> Event:
    """Another event with the same reference."""
    return msgspec.structs.replace(event, id=post_id())


def as_read(event: StoredEvent) -> dict[str, Any]:
    """All columns except the one that the store decides; JSON by value."""
    members = {name: getattr(event, name) for name in StoredEvent.__slots__}
    del members["is_first_occurrence"]
    return members | {"data": orjson.loads(event.data or b"null")}
