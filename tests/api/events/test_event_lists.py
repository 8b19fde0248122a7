"""Lists of events over the api: paging, summaries, by stacks and sessions; counts; neighbours."""

import sys
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.api.running_api import OTHER_ORGANIZATION, Answer, RunningApi
from tests.database.rows import ORGANIZATION, OTHER_PROJECT, PROJECT, an_event, days_ago, today
from tests.support.fakes import FakeClock, clock_of

pytestmark = pytest.mark.integration


@pytest.fixture
def clock() -> FakeClock:
    """Noon of the day on which the events happen."""
    return clock_of(today())


def ids(answer: Answer) -> list[str]:
    """The ids of the events in a list."""
    return [view["id"] for view in answer.json]


def link(answer: Answer, relation: str) -> str | None:
    """The path of a relation in `Link`."""
    for written in answer.headers.getall("Link", []):
        url, _, name = written.partition(">; ")
        if name == f'rel="{relation}"':
            return "/api" + url.partition("/api")[2]
    return None


async def test_paging_continues_where_the_page_ended(api: RunningApi) -> None:
    """Forward and back, with all other parameters, while events are being stored."""
    events = [an_event(accepted=days_ago(age), date=days_ago(age)) for age in range(1, 6)]
    await api.store(*events, an_event(type="error"))
    expected = [event.id.hex() for event in events]

    first = await api.get("/api/v2/events?filter=type:log&limit=2&include=total", api.people.user)
    await api.store(an_event())
    second = await api.get(link(first, "next") or "", api.people.user)
    third = await api.get(link(second, "next") or "", api.people.user)
    back = await api.get(link(third, "previous") or "", api.people.user)
    newer = await api.get(link(first, "previous") or "", api.people.user)

    assert first.headers["X-Result-Count"] == "5"
    assert (ids(first), ids(second), ids(third)) == (expected[:2], expected[2:4], expected[4:])
    assert link(third, "next") is None
    assert ids(back) == expected[2:4]
    assert len(ids(newer)) == 1
    assert link(newer, "next") is not None


async def test_an_empty_list_has_no_links(api: RunningApi) -> None:
    answer = await api.get("/api/v2/events?include=total", api.people.user)

    assert (answer.json, answer.headers["X-Result-Count"]) == ([], "0")
    assert "Link" not in answer.headers


async def test_the_path_decides_which_events_are_listed(api: RunningApi) -> None:
    """All, those of an organization, a project or a stack; 404 for another organization's."""
    mine, other = an_event(source="a"), an_event(source="b")
    foreign = an_event(project_id=OTHER_PROJECT, organization_id=OTHER_ORGANIZATION)
    await api.store(mine, other, foreign)
    both = {mine.id.hex(), other.id.hex()}

    for path in ("", f"organizations/{ORGANIZATION.hex}/", f"projects/{PROJECT.hex}/"):
        assert set(ids(await api.get(f"/api/v2/{path}events", api.people.user))) == both
    stack_condition = await api.get(f"/api/v2/stacks/{mine.stack.id.hex()}/events", api.people.user)
    assert ids(stack_condition) == [mine.id.hex()]
    for path in (
        f"organizations/{OTHER_ORGANIZATION.hex}",
        f"projects/{OTHER_PROJECT.hex}",
        f"stacks/{foreign.stack.id.hex()}",
        f"stacks/{'a' * 24}",
    ):
        assert (await api.get(f"/api/v2/{path}/events", api.people.user)).status == 404


@pytest.mark.parametrize(
    "text",
    [f"project:{OTHER_PROJECT.hex}", f"organization:{OTHER_ORGANIZATION.hex}", "NOT type:x AND type:y"],
)
async def test_a_filter_never_shows_more_than_the_caller_may_see(api: RunningApi, text: str) -> None:
    await api.store(an_event(), an_event(project_id=OTHER_PROJECT, organization_id=OTHER_ORGANIZATION))

    answer = await api.get("/api/v2/events", api.people.user, params={"filter": text})

    assert (answer.status, answer.json) == (200, [])


async def test_suspended_organizations_show_nothing(api: RunningApi) -> None:
    """The path of a suspended organization answers with the reason; other lists omit its events."""
    event = an_event()
    await api.store(event)
    await api.pool.execute("UPDATE organizations SET is_suspended = true")

    assert (await api.get("/api/v2/events", api.people.user)).json == []
    for path in (
        f"organizations/{ORGANIZATION.hex}",
        f"projects/{PROJECT.hex}",
        f"stacks/{event.stack.id.hex()}",
    ):
        assert (await api.get(f"/api/v2/{path}/events", api.people.user)).status == 402


@pytest.mark.parametrize("what", ["events/count", "events/sessions", "events/sessions/session-1", "stacks"])
async def test_every_answer_about_a_suspended_project_gives_the_reason(api: RunningApi, what: str) -> None:
    """So that it is not mistaken for an empty project."""
    await api.pool.execute("UPDATE organizations SET is_suspended = true")

    assert (await api.get(f"/api/v2/projects/{PROJECT.hex}/{what}", api.people.user)).status == 402


async def test_time_and_offset_narrow_a_list(api: RunningApi) -> None:
    """Days are those of the reader's time zone."""
    late, early = (an_event(date=days_ago(1).replace(hour=hour)) for hour in (23, 1))
    await api.store(late, early)
    day = f"{days_ago(1):%Y-%m-%d}"

    assert ids(await api.get(f"/api/v2/events?time={day}", api.people.user)) == [
        late.id.hex(),
        early.id.hex(),
    ]
    in_new_york = await api.get(f"/api/v2/events?time={day}&offset=-300m", api.people.user)
    assert ids(in_new_york) == [late.id.hex()]
    by_filter = await api.get(f"/api/v2/events?filter=date:{day}&offset=-300m", api.people.user)
    assert ids(by_filter) == [late.id.hex()]


async def test_sessions_and_their_events_are_listed(api: RunningApi) -> None:
    """Sessions by their start, and the events of each."""
    start = an_event(type="session", reference_id="session-4711")
    inside = an_event(data=b'{"@ref:session":"session-4711"}')
    await api.store(start, inside, an_event())

    for path in ("", f"organizations/{ORGANIZATION.hex}/", f"projects/{PROJECT.hex}/"):
        assert ids(await api.get(f"/api/v2/{path}events/sessions", api.people.user)) == [start.id.hex()]
    for path in ("", f"projects/{PROJECT.hex}/"):
        answer = await api.get(f"/api/v2/{path}events/sessions/session-4711", api.people.user)
        assert set(ids(answer)) == {start.id.hex(), inside.id.hex()}


WANTED = b'{"@request":{"client_ip_address":"203.0.113.7"}}'
ENDED = b'{"sessionend":"2026-11-22T10:00:00Z"}'
ERROR = b"""{"@error":{"type":"Outer",
"data":{"@target":{"ExceptionType":"Shop.Oops","Method":"Shop.Cart.Add()"}}},
"@user":{"identity":"me","name":"Me"},"@request":{"path":"/cart"},"@version":"1.2"}"""


@pytest.mark.parametrize(
    ("members", "key", "data"),
    [
        pytest.param(
            {"type": "error", "message": "oops", "data": ERROR},
            "event-error-summary",
            {
                "Message": "oops",
                "Identity": "me",
                "Name": "Me",
                "Type": "Oops",
                "TypeFullName": "Shop.Oops",
                "Method": "Add",
                "MethodFullName": "Shop.Cart.Add",
                "Path": "/cart",
            },
            id="an error",
        ),
        pytest.param(
            {"type": "error", "message": "oops", "data": b'{"@simple_error":{"type":"Oops"}}'},
            "event-simple-summary",
            {"Message": "oops", "Type": "Oops", "TypeFullName": "Oops"},
            id="a simple one",
        ),
        pytest.param(
            {"message": None, "source": "Shop.Cart", "data": b'{"@level":"Warn"}'},
            "event-log-summary",
            {"Message": None, "Source": "Shop.Cart", "SourceShortName": "Cart", "Level": "Warn"},
            id="a log",
        ),
        pytest.param(
            {"type": "usage", "source": "search", "data": None},
            "event-feature-summary",
            {"Source": "search"},
            id="a feature",
        ),
        pytest.param(
            {"type": "404", "source": "GET /x", "data": WANTED},
            "event-notfound-summary",
            {"Source": "GET /x", "IpAddress": "203.0.113.7"},
            id="what was not found",
        ),
        pytest.param(
            {"type": "session", "reference_id": "session-4711", "data": ENDED},
            "event-session-summary",
            {"SessionId": "session-4711", "SessionEnd": "2026-11-22T10:00:00Z"},
            id="a session",
        ),
        pytest.param(
            {"type": "order", "message": None, "data": b'"text"'},
            "event-summary",
            {"Message": "order Event", "Source": None, "Type": "order"},
            id="anything else, whatever its data is",
        ),
    ],
)
async def test_summaries_of_events(
    api: RunningApi, members: dict[str, Any], key: str, data: dict[str, Any]
) -> None:
    """The name of a template and its data."""
    event = an_event(date=today() - timedelta(days=1), **members)
    await api.store(event)

    (view,) = (await api.get("/api/v2/events?mode=summary", api.people.user)).json

    assert view.pop("data") == data
    assert view.pop("version", "1.2") == "1.2"
    assert view == {
        "id": event.id.hex(),
        "template_key": key,
        "date": event.date.isoformat(),
        "project_id": PROJECT.hex,
        "project_name": "Shop",
        "tags": [],
        "type": event.type,
    }


@pytest.mark.parametrize(
    ("mode", "sources"),
    [
        ("stack_recent", ["new", "often", "users"]),
        ("stack_frequent", ["often", "users", "new"]),
        ("stack_new", ["new", "users", "often"]),
        ("stack_users", ["users", "new", "often"]),
    ],
)
async def test_the_stacks_of_events_come_in_the_order_of_the_mode(
    api: RunningApi, mode: str, sources: list[str]
) -> None:
    """With figures from the events of each."""
    now = today() - timedelta(days=1)
    me, you = (b'{"@user":{"identity":"%s"}}' % name for name in (b"me", b"you"))
    await api.store(
        an_event(source="new", date=now, data=me),
        an_event(source="users", date=now - timedelta(hours=3), data=me),
        an_event(source="users", date=now - timedelta(hours=2), data=you),
        an_event(source="often", date=now - timedelta(hours=4), count=8),
        an_event(source="often", date=now - timedelta(hours=1)),
    )

    answer = await api.get(f"/api/v2/events?mode={mode}&limit=2&include=total", api.people.user)
    assert answer.headers["X-Result-Count"] == "3"
    rest = await api.get(link(answer, "next") or "", api.people.user)

    views = answer.json + rest.json
    assert [view["title"] for view in views] == sources
    often = views[sources.index("often")]
    assert often | {"id": ""} == {
        "id": "",
        "template_key": "stack-log-summary",
        "data": {"Type": "log", "Source": "often"},
        "project_id": PROJECT.hex,
        "project_name": "Shop",
        "tags": [],
        "title": "often",
        "status": "open",
        "first_occurrence": f"{now - timedelta(hours=4):%Y-%m-%dT%H:%M:%SZ}",
        "last_occurrence": f"{now - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
        "total": 9,
        "users": 0,
        "total_users": 2,
    }


async def test_an_event_links_to_its_neighbours_in_its_stack(api: RunningApi) -> None:
    """And to the stack."""
    events = [an_event(source="a", date=today() - timedelta(days=1, hours=hour)) for hour in range(3)]
    await api.store(*events, an_event(source="b", date=today() - timedelta(days=1, minutes=30)))
    newest, middle, oldest = (event.id.hex() for event in events)

    answer = await api.get(f"/api/v2/events/{middle}", api.people.user)

    assert link(answer, "previous") == f"/api/v2/events/{oldest}"
    assert link(answer, "next") == f"/api/v2/events/{newest}"
    assert link(answer, "parent") == f"/api/v2/stacks/{events[0].stack.id.hex()}"
    assert link(await api.get(f"/api/v2/events/{newest}", api.people.user), "next") is None


async def test_an_event_of_another_stack_than_expected_is_refused(api: RunningApi) -> None:
    """The link was out of date."""
    event = an_event()
    await api.store(event)
    path = f"/api/v2/events/{event.id.hex()}?expected_stack_id="

    assert (await api.get(path + event.stack.id.hex(), api.people.user)).status == 200
    assert (await api.get(path + "f" * 32, api.people.user)).status == 400


async def test_a_caller_who_may_read_events_may_delete_them(api: RunningApi) -> None:
    """All found: 202. None: 404. Some: 400 with a result for each."""
    events = [an_event() for _ in range(3)]
    foreign = an_event(project_id=OTHER_PROJECT, organization_id=OTHER_ORGANIZATION)
    await api.store(*events, foreign)
    first, second, third, other = (event.id.hex() for event in (*events, foreign))

    gone = await api.request("DELETE", f"/api/v2/events/{first},{second}", api.people.program)
    none = await api.request("DELETE", f"/api/v2/events/{first},{other}", api.people.user)
    some = await api.request("DELETE", f"/api/v2/events/{third},{other}", api.people.user)

    assert (gone.status, gone.json) == (202, {"workers": []})
    assert none.status == 404
    assert (some.status, some.json["success"]) == (400, [third])
    assert [failed["id"] for failed in some.json["failure"]] == [other]
    assert await api.pool.fetchval("SELECT count(*) FROM events") == 1


async def test_one_number_out_of_range_does_not_spoil_the_others(api: RunningApi) -> None:
    """A value that no double can hold is skipped; a sum beyond the range becomes the largest double."""
    values = ("1.5", "1e400", "-1e999")
    await api.store(*[an_event(type="a", value=Decimal(value)) for value in values])
    await api.store(*[an_event(type="b", value=Decimal("1.7e308")) for _ in range(2)])
    aggregations = "sum:value avg:value min:value max:value"

    found = (
        await api.get(
            f"/api/v2/events/count?filter=type:a&aggregations={aggregations.replace(' ', '%20')}",
            api.people.user,
        )
    ).json["aggregations"]
    large = await api.get(
        "/api/v2/events/count?filter=type:b&aggregations=sum:value%20avg:value", api.people.user
    )

    assert {part["value"] for part in found.values()} == {1.5}
    assert large.json["aggregations"]["sum_value"]["value"] == sys.float_info.max
    assert large.json["aggregations"]["avg_value"]["value"] == 1.7e308


@pytest.mark.parametrize(
    "path",
    [
        "events",
        "events/count",
        "events?mode=stack_recent",
        "events/sessions",
        "stacks",
        f"projects/{PROJECT.hex}/events",
        "organizations",
        "projects",
    ],
)
async def test_a_filter_on_an_unknown_field_has_a_warning(api: RunningApi, path: str) -> None:
    """In a header that web pages may read."""
    path = f"/api/v2/{path}{'&' if '?' in path else '?'}filter="

    silent = await api.get(f"{path}mesage%5C%09%C3%A4:x", api.people.user)
    known = await api.get(f"{path}id:x", api.people.user)

    assert (silent.status, known.status) == (200, 200)
    assert r"`mesage\t\xe4` is not a field" in silent.headers["X-Headrace-Filter-Warning"]
    assert "X-Headrace-Filter-Warning" not in known.headers


async def test_counts_have_the_requested_aggregations(api: RunningApi) -> None:
    """In the form that charts use."""
    await api.store(an_event(source="a", date=days_ago(1)), an_event(source="b", date=days_ago(1), count=3))
    day = days_ago(1).replace(hour=0)
    aggregations = "date:(date~1d sum:count~1) terms:first cardinality:stack terms:project avg:value"
    aggregations += " min:date"

    for path in ("", f"organizations/{ORGANIZATION.hex}/", f"projects/{PROJECT.hex}/"):
        answer = await api.get(
            f"/api/v2/{path}events/count?filter=type:log",
            api.people.user,
            params={"aggregations": aggregations},
        )
        value = {"data": {"@type": "value"}}
        bucket = {"total": 1, "data": {"@type": "bucket"}}
        written = f"{day:%Y-%m-%dT%H:%M:%SZ}"
        assert answer.json == {
            "total": 2,
            "aggregations": {
                "date_date": {
                    "items": [
                        {
                            "key": int(day.timestamp() * 1000),
                            "key_as_string": written,
                            "date": written,
                            "total": 2,
                            "aggregations": {"sum_count": {"value": 4, **value}},
                        }
                    ],
                    **bucket,
                },
                "terms_first": {
                    "items": [{"key": "true", "key_as_string": "true", "total": 2, "aggregations": {}}],
                    **bucket,
                },
                "cardinality_stack": {"value": 2, **value},
                "terms_project": {
                    "items": [
                        {"key": PROJECT.hex, "key_as_string": PROJECT.hex, "total": 2, "aggregations": {}}
                    ],
                    **bucket,
                },
                "avg_value": {"value": None, **value},
                "min_date": {"value": f"{day:%Y-%m-%d}T12:00:00Z", "data": {"@type": "dvalue"}},
            },
        }


async def test_counts_and_lists_can_be_limited_to_new_stacks(api: RunningApi) -> None:
    """Those that first occurred within the time range."""
    old = [an_event(source="old", date=days_ago(age)) for age in (1, 3)]
    await api.store(*old, an_event(source="new", date=days_ago(1)))

    path = "/api/v2/events/count?time=[now-2d TO now]"
    assert (await api.get(path, api.people.user)).json["total"] == 2
    assert (await api.get(path + "&mode=stack_new", api.people.user)).json["total"] == 1
    assert (await api.get(path + "&mode=other", api.people.user)).status == 400
    path = path.replace("/count", "") + "&include=total"
    listed = await api.get(path + "&mode=stack_new", api.people.user)
    assert [view["title"] for view in listed.json] == ["new"]
    assert listed.headers["X-Result-Count"] == "1"
    assert len((await api.get(path + "&mode=stack_recent", api.people.user)).json) == 2


@pytest.mark.parametrize(
    ("query", "verdict"),
    [
        ("type:error data.msg:x", {"is_valid": True, "uses_premium_features": False}),
        (
            "msg:declined basket:7",
            {
                "is_valid": True,
                "uses_premium_features": False,
                "unknown_fields": [
                    {"name": "msg", "nearest": "message"},
                    {"name": "basket", "nearest": None},
                ],
                "warnings": [
                    "`msg` is not a field; did you mean `message`? Your own data is named `data.msg`.",
                    "`basket` is not a field. Your own data is named `data.basket`.",
                ],
            },
        ),
        (
            "type=error",
            {
                "is_valid": True,
                "uses_premium_features": False,
                "warnings": ["`type=error` is searched for as words; to compare a field, write `type:`."],
            },
        ),
        (
            "type:(error",
            {
                "is_valid": False,
                "uses_premium_features": False,
                "message": "The filter ends too early: something is missing at its end.",
            },
        ),
        (
            "value:abc",
            {
                "is_valid": False,
                "uses_premium_features": False,
                "message": "The filter is wrong at character 7: `abc` is not a number.",
            },
        ),
    ],
)
async def test_a_filter_can_be_checked(api: RunningApi, query: str, verdict: dict[str, Any]) -> None:
    """As a user types it."""
    answer = await api.get("/api/v2/search/validate", api.people.user, params={"query": query})

    assert (answer.status, answer.json) == (200, verdict)
    assert (await api.get("/api/v2/search/validate?query=", api.people.user)).status == 400


async def test_stacks_are_listed_by_filter_time_and_order(api: RunningApi) -> None:
    """The most recent occurrence first."""
    await api.store(
        an_event(source="a", date=days_ago(1), message="hello"),
        an_event(source="b", date=days_ago(2), message="bye"),
        an_event(source="c", date=days_ago(3), type="error", message="oops"),
    )

    async def titles(query: str) -> list[str]:
        answer = await api.get(f"/api/v2/stacks?{query}", api.people.user)
        assert answer.status == 200
        return [view["title"] for view in answer.json]

    assert await titles("") == ["a", "b", "oops"]
    assert await titles("sort=last") == ["oops", "b", "a"]
    assert await titles("filter=type:log") == ["a", "b"]
    assert await titles("filter=message:bye") == ["b"]
    assert await titles(f"time={days_ago(1):%Y-%m-%d}") == ["a"]
    assert (await api.get("/api/v2/stacks?sort=colour", api.people.user)).status == 400
    page = await api.get("/api/v2/stacks?limit=2&include=total", api.people.user)
    assert page.headers["X-Result-Count"] == "3"
    assert [view["title"] for view in (await api.get(link(page, "next") or "", api.people.user)).json] == [
        "oops"
    ]
    assert (await api.get(f"/api/v2/projects/{OTHER_PROJECT.hex}/stacks", api.people.user)).status == 404


async def test_a_list_that_could_not_be_searched_in_time_says_so_and_leads_on(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even an empty page has a link; following the links finds everything."""
    monkeypatch.setattr("collector.database.search.event_lists._LEAST_SECONDS", 100.0)
    event = an_event(accepted=days_ago(20), date=days_ago(20))
    await api.store(event, an_event(message="something else"))

    first = last = await api.get("/api/v2/events?filter=message:hello", api.people.user)
    for _ in range(30):
        if not last.json and (path := link(last, "next")):
            last = await api.get(path, api.people.user)
    by_value = await api.get("/api/v2/events?filter=message:hello&sort=value", api.people.user)

    assert (first.status, first.json) == (200, [])
    assert first.headers["X-Headrace-Partial"].endswith("/2026-11-22T12:00:00Z")
    assert ids(last) == [event.id.hex()]
    assert by_value.status == 200


async def test_a_number_that_takes_too_long_to_count_is_marked_as_an_estimate(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless it must be exact."""
    for module in ("event_counts", "event_lists"):
        monkeypatch.setattr(f"collector.api.events.{module}.EXACT_SECONDS", 0.0)
    await api.store(an_event(), an_event())
    path = "/api/v2/events/count?filter=message:hello&aggregations=terms:type"

    estimated = await api.get(path, api.people.user)
    exact = await api.get(f"{path}&exact=true", api.people.user)
    listed = await api.get("/api/v2/events?filter=message:hello&include=total", api.people.user)
    wrong = await api.get(f"{path}&exact=maybe", api.people.user)

    assert (estimated.json["total"], estimated.json["is_estimated"]) == (2, True)
    assert estimated.headers["X-Headrace-Estimated"] == "true"
    assert "is_estimated" not in exact.json
    assert "X-Headrace-Estimated" not in exact.headers
    assert (listed.headers["X-Result-Count"], listed.headers["X-Headrace-Estimated"]) == ("2", "true")
    assert wrong.status == 400
