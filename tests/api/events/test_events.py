"""Events are read by reference, by filter and by id, and only within the caller's organizations."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from collector.api.events.events import event_view
from collector.database.search.events import EventKey, StoredEvent, find_events_by_key
from tests.api.running_api import OTHER_ORGANIZATION, RunningApi
from tests.database.rows import ORGANIZATION, OTHER_PROJECT, PROJECT, an_event, as_stored, days_ago, today
from tests.support.fakes import FakeClock, clock_of

BY_REFERENCE = "/api/v2/events/by-ref/order-4711"
BY_FILTER = "/api/v2/events?filter=reference:order-4711"
IN_PROJECT = f"/api/v2/projects/{PROJECT.hex}/events/by-ref/order-4711"
IN_PROJECT_BY_FILTER = f"/api/v2/projects/{PROJECT.hex}/events?filter=reference:order-4711"


@pytest.fixture
def clock() -> FakeClock:
    """Noon of the day on which the events happen."""
    return clock_of(today())


@pytest.mark.integration
async def test_an_event_is_read_back_completely(api: RunningApi) -> None:
    """It has the contract's members, numbers keep their digits, and the date keeps the sender's offset."""
    event = an_event(
        reference_id="order-4711",
        type="error",
        source="shop",
        message="Grüße <&>",
        tags=("a", "b"),
        geo="40.5,-74.25",
        value=Decimal("12345678901234567890.10"),
        count=3,
        date=datetime(2026, 1, 15, 10, 0, 0, 123456, tzinfo=UTC),
        date_offset_minutes=-330,
        created_utc=datetime(2026, 1, 15, 12, 0, tzinfo=UTC),
        is_first_occurrence=True,
        data=b'{"@error":{"message":"oops"}}',
    )
    await api.store(event)

    answer = await api.get(f"/api/v2/events/{event.id.hex()}", api.people.program)

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert b'"value":12345678901234567890.10' in answer.body
    view = answer.json
    assert view.pop("data")["@error"] == {"message": "oops"}
    assert view.pop("value") == pytest.approx(12345678901234567890.10)
    assert view == {
        "id": event.id.hex(),
        "organization_id": ORGANIZATION.hex,
        "project_id": PROJECT.hex,
        "stack_id": event.stack.id.hex(),
        "is_first_occurrence": True,
        "created_utc": "2026-01-15T12:00:00Z",
        "type": "error",
        "source": "shop",
        "date": "2026-01-15T04:30:00.123456-05:30",
        "tags": ["a", "b"],
        "message": "Grüße <&>",
        "geo": "40.5,-74.25",
        "count": 3,
        "reference_id": "order-4711",
    }


@pytest.mark.integration
async def test_characters_with_a_meaning_in_html_are_escaped_in_events(api: RunningApi) -> None:
    """A JSON parser reads the value that was sent."""
    text = "it's <b>R&D</b> für uns"
    data = b'{"<b>":"\\\\\' & <script>","@user":{"identity":"%s"}}' % text.encode()
    event = an_event(type="log", message=text, reference_id="order-4711", data=data)
    await api.store(event)

    by_id = await api.get(f"/api/v2/events/{event.id.hex()}", api.people.program)
    listed = await api.get(BY_FILTER, api.people.program)
    in_short = await api.get(f"{BY_FILTER}&mode=summary", api.people.program)

    for answer in (by_id, listed, in_short):
        assert not set(b"<>&'") & set(answer.body)
    assert listed.json == [by_id.json]
    assert by_id.json["message"] == in_short.json[0]["data"]["Message"] == text
    assert by_id.json["data"] == {"<b>": "\\' & <script>", "@user": {"identity": text}}


def test_nulls_are_left_out_and_empty_lists_kept() -> None:
    """As the official server does."""
    view = event_view(replace(as_stored(an_event(message=None, data=None)), stack_id=None))

    assert "message" not in view
    assert "stack_id" not in view
    assert view["tags"] == ()
    assert view["is_first_occurrence"] is False


@pytest.mark.parametrize(
    ("moment", "minutes", "shown"),
    [
        pytest.param(datetime(2026, 1, 15, tzinfo=UTC), 0, "2026-01-15T00:00:00+00:00", id="UTC"),
        pytest.param(datetime(2026, 1, 15, tzinfo=UTC), 840, "2026-01-15T14:00:00+14:00", id="far east"),
        pytest.param(datetime(1, 1, 1, tzinfo=UTC), -60, "0001-01-01T00:00:00+00:00", id="first day"),
        pytest.param(datetime(9999, 12, 31, 23, tzinfo=UTC), 120, "9999-12-31T23:00:00+00:00", id="last day"),
        pytest.param(datetime(2026, 1, 15, tzinfo=UTC), 9999, "2026-01-15T00:00:00+00:00", id="no offset"),
    ],
)
def test_a_date_is_shown_as_its_sender_wrote_it(moment: datetime, minutes: int, shown: str) -> None:
    """If the calendar allows it, otherwise in UTC."""
    assert event_view(as_stored(an_event(date=moment, date_offset_minutes=minutes)))["date"] == shown


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity")])
def test_a_value_that_json_does_not_know_is_left_out(value: Decimal) -> None:
    """Postgres can hold it, but a client's parser would fail on it."""
    assert "value" not in event_view(as_stored(an_event(value=value)))


@pytest.mark.integration
@pytest.mark.parametrize("path", [BY_REFERENCE, BY_FILTER, IN_PROJECT, IN_PROJECT_BY_FILTER])
async def test_a_lookup_by_reference_answers_an_array(api: RunningApi, path: str) -> None:
    """Empty, never 404, until the event is stored."""
    empty = await api.get(path, api.people.program)
    event = an_event(reference_id="order-4711")
    await api.store(event, an_event(reference_id="order-4712"))
    found = await api.get(path, api.people.program)

    assert (empty.status, empty.json) == (200, [])
    assert [view["id"] for view in found.json] == [event.id.hex()]


@pytest.mark.integration
@pytest.mark.parametrize("path", [BY_REFERENCE, BY_FILTER])
async def test_every_kind_of_reader_finds_the_event(api: RunningApi, path: str) -> None:
    """Including a program's token without a user (contract 10, row 1)."""
    await api.store(an_event(reference_id="order-4711"))

    for token in (api.people.program, api.people.user, api.people.admin):
        assert len((await api.get(path, token)).json) == 1


@pytest.mark.integration
async def test_another_organizations_events_do_not_exist(api: RunningApi) -> None:
    """Lists are empty; by id and under the project the answer is 404."""
    event = an_event(reference_id="order-4711")
    await api.store(event)

    for token in (api.people.other_program, api.people.stranger):
        assert (await api.get(BY_REFERENCE, token)).json == []
        assert (await api.get(BY_FILTER, token)).json == []
        assert (await api.get(IN_PROJECT, token)).status == 404
        assert (await api.get(IN_PROJECT_BY_FILTER, token)).status == 404
        assert (await api.get(f"/api/v2/events/{event.id.hex()}", token)).status == 404


@pytest.mark.integration
async def test_an_administrator_reaches_other_organizations_by_id_only(api: RunningApi) -> None:
    """Lists show only the caller's own organizations."""
    event = an_event(reference_id="order-4711", project_id=OTHER_PROJECT, organization_id=OTHER_ORGANIZATION)
    await api.store(event)

    assert (await api.get(f"/api/v2/events/{event.id.hex()}", api.people.admin)).status == 200
    path = f"/api/v2/projects/{OTHER_PROJECT.hex}/events/by-ref/order-4711"
    assert len((await api.get(path, api.people.admin)).json) == 1
    assert (await api.get(BY_REFERENCE, api.people.admin)).json == []


@pytest.mark.integration
async def test_a_suspended_organization_shows_no_events(api: RunningApi) -> None:
    """Its members see an empty list, and the reason under the project."""
    event = an_event(reference_id="order-4711")
    await api.store(event)
    await api.pool.execute("UPDATE organizations SET is_suspended = true")

    assert (await api.get(BY_REFERENCE, api.people.user)).json == []
    assert (await api.get(f"/api/v2/events/{event.id.hex()}", api.people.user)).status == 404
    assert (await api.get(IN_PROJECT, api.people.user)).status == 402


@pytest.mark.integration
@pytest.mark.parametrize(
    "filter_text",
    ["reference:order-4711", "reference_id:order-4711", 'reference:"order-4711"', " reference:order-4711 "],
)
async def test_a_filter_may_name_the_reference_in_several_ways(api: RunningApi, filter_text: str) -> None:
    """By an alias, with quotes, with blanks."""
    await api.store(an_event(reference_id="order-4711"))

    answer = await api.get("/api/v2/events", api.people.program, params={"filter": filter_text})

    assert len(answer.json) == 1


@pytest.mark.integration
@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("filter=type:(error", "The filter ends too early"),
        ("filter=value:abc", "The filter is wrong at character 7"),
        ("filter=a%00b", "The filter contains a character"),
        ("sort=colour", "The parameter `sort`"),
        ("sort=date,-date", "The parameter `sort`"),
        ("time=soon", "The parameter `time`"),
        ("offset=far", "The parameter `offset`"),
        ("Mode=short", "The parameter `mode`"),
        ("mode=stack_new&sort=date", "The parameter `sort`"),
        ("before=x", "The parameter `before`"),
        ("after=W10", "The parameter `after`"),
        ("after=WzEsMl0", "The parameter `after`"),
        ("limit=ten", "The parameter `limit`"),
        ("page=1.5", "The parameter `page`"),
    ],
)
async def test_invalid_parameters_are_refused(api: RunningApi, query: str, sentence: str) -> None:
    """400 that names the mistake: ignoring it would give a wrong answer."""
    answer = await api.get(f"/api/v2/events?{query}", api.people.program)

    assert answer.status == 400
    assert answer.json["title"].startswith(sentence)


@pytest.mark.integration
async def test_a_query_that_takes_too_long_is_503(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `Retry-After`. Postgres stops it."""

    async def sleep(connection: asyncpg.Connection, *_: object, **__: object) -> list[Any]:
        async with connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = '20ms'")
            rows: list[Any] = await connection.fetch("SELECT pg_sleep(30)")
            return rows

    monkeypatch.setattr("collector.api.events.event_lists.find_page", sleep)

    answer = await api.get("/api/v2/events", api.people.program)

    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json["title"].startswith("This takes too long to find out")


@pytest.mark.integration
@pytest.mark.parametrize(
    "path", ["events", "events?mode=stack_new", "events/count", "stacks", f"events/{'a' * 32}"]
)
async def test_a_search_of_several_queries_has_one_time_limit(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """503, and Postgres stops the query."""
    monkeypatch.setattr("collector.api.auth.searching._SECONDS", 0.2)
    waiting = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()
            AND backend_type = 'client backend'
    """
    async with api.pool.acquire() as other, other.transaction():
        await other.execute("LOCK TABLE events, stacks IN ACCESS EXCLUSIVE MODE")
        async with asyncio.timeout(8):  # less than the time limit of a single query
            answer = await api.get(f"/api/v2/{path}", api.people.program)

        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json["title"].startswith("This takes too long to find out")
        assert await other.fetchval(waiting) == 0


@pytest.mark.integration
async def test_links_lead_through_all_pages(api: RunningApi) -> None:
    """`X-Result-Count` is sent on request."""
    events = [
        an_event(accepted=days_ago(age), date=days_ago(age), reference_id="order-4711") for age in range(5)
    ]
    await api.store(*events)
    expected = [event.id.hex() for event in events]

    first = await api.get(f"{BY_REFERENCE}?limit=2&include=total&page=1", api.people.program)
    second = await api.get(f"{BY_REFERENCE}?limit=2&page=2", api.people.program)
    third = await api.get(f"{BY_REFERENCE}?limit=2&page=3", api.people.program)

    assert [view["id"] for view in first.json + second.json + third.json] == expected
    assert first.headers["X-Result-Count"] == "5"
    assert "X-Result-Count" not in second.headers
    assert first.headers.getall("Link") == [
        f'<{api.url}{BY_REFERENCE}?limit=2&include=total&page=2>; rel="next"'
    ]
    assert second.headers.getall("Link") == [
        f'<{api.url}{BY_REFERENCE}?limit=2&page=1>; rel="previous"',
        f'<{api.url}{BY_REFERENCE}?limit=2&page=3>; rel="next"',
    ]
    assert third.headers.getall("Link") == [f'<{api.url}{BY_REFERENCE}?limit=2&page=2>; rel="previous"']


@pytest.mark.integration
@pytest.mark.parametrize(("text", "weight"), [(b"x", 1), (b"<", 6)], ids=["plain", "escaped"])
async def test_a_page_of_large_events_ends_early_and_links_to_the_rest(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch, text: bytes, weight: int
) -> None:
    """So answers stay bounded. Following `Link` finds every event once."""
    monkeypatch.setattr("collector.api.events.event_lists.ANSWER_BYTES", 25_000)
    sizes = (10_000, 10_000, 10_000, 60_000, 100, 10_000, 100)
    events = [
        an_event(
            accepted=days_ago(age),
            date=days_ago(age),
            reference_id="order-4711",
            data=b'{"a":"%s"}' % (text * (size // weight)),
        )
        for age, size in enumerate(sizes)
    ]
    await api.store(*events)

    pages: list[list[str]] = []
    path = f"{BY_REFERENCE}?limit=100"
    while path:
        answer = await api.get(path, api.people.program)
        assert len(answer.body) < 30_000 or len(answer.json) == 1
        pages.append([view["id"] for view in answer.json])
        links = answer.headers.getall("Link", [])
        following = [link for link in links if link.endswith('rel="next"')]
        path = following[0][1:].partition(">")[0].removeprefix(api.url) if following else ""

    assert [shown for page in pages for shown in page] == [event.id.hex() for event in events]
    assert len(pages[0]) == 2


@pytest.mark.integration
async def test_an_event_whose_partition_is_dropped_during_the_query_is_left_out(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading the keys and reading the events."""
    events = [
        an_event(accepted=days_ago(age), date=days_ago(age), reference_id="order-4711") for age in range(3)
    ]
    await api.store(*events)

    async def at(connection: asyncpg.Connection, keys: Sequence[EventKey]) -> list[StoredEvent]:
        return [
            event for event in await find_events_by_key(connection, keys) if event.id.bytes != events[0].id
        ]

    monkeypatch.setattr("collector.api.events.event_lists.find_events_by_key", at)

    first = await api.get(f"{BY_REFERENCE}?limit=2&page=1", api.people.program)
    second = await api.get(f"{BY_REFERENCE}?limit=2&page=2", api.people.program)

    assert [view["id"] for view in first.json + second.json] == [event.id.hex() for event in events[1:]]
    assert first.headers["Link"].endswith('page=2>; rel="next"')


@pytest.mark.integration
@pytest.mark.parametrize(
    ("query", "shown"),
    [
        pytest.param("", 10, id="ten by default"),
        pytest.param("limit=0", 10, id="zero is ten"),
        pytest.param("limit=-1", 10, id="so are negative numbers"),
        pytest.param("limit=1000", 12, id="no more than a hundred"),
        pytest.param("page=0", 10, id="page 0 is page 1"),
        pytest.param("page=102&limit=10", 0, id="deeper than a thousand is empty"),
        pytest.param(f"page={10**30}", 0, id="as deep as you like"),
    ],
)
async def test_pages_out_of_range_are_corrected(api: RunningApi, query: str, shown: int) -> None:
    """As contract 4 says."""
    await api.store(*[an_event(accepted=days_ago(age), reference_id="order-4711") for age in range(12)])

    answer = await api.get(f"{BY_REFERENCE}?{query}", api.people.program)

    assert answer.status == 200
    assert len(answer.json) == shown


@pytest.mark.integration
@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/api/v2/events/by-ref/short", id="a reference that is too short"),
        pytest.param("/api/v2/events/by-ref/" + "x" * 101, id="too long"),
        pytest.param("/api/v2/events/by-ref/order_4711", id="with another character"),
        pytest.param("/api/v2/events/" + "f" * 32, id="an unknown id"),
        pytest.param("/api/v2/events/" + "a" * 24, id="an id of the official server"),
        pytest.param("/api/v2/events/" + "z" * 32, id="an invalid id"),
        pytest.param("/api/v2/events/" + "a" * 23, id="against the constraint"),
    ],
)
async def test_unknown_events_and_routes_are_404(api: RunningApi, path: str) -> None:
    """As problem JSON."""
    answer = await api.get(path, api.people.program)

    assert answer.status == 404
    assert answer.json["status"] == 404


@pytest.mark.integration
async def test_events_of_all_projects_are_sorted_by_date(api: RunningApi) -> None:
    """A token sees all projects of its organization, the latest date first."""
    await api.pool.execute("UPDATE projects SET organization_id = $1", ORGANIZATION)
    now = today()
    late = an_event(reference_id="order-4711", project_id=OTHER_PROJECT, date=now)
    early = an_event(reference_id="order-4711", date=now - timedelta(minutes=5))
    await api.store(late, early)

    answer = await api.get(BY_REFERENCE, api.people.program)

    assert [view["id"] for view in answer.json] == [late.id.hex(), early.id.hex()]
