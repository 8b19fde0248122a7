"""Exports: everything that matches, as CSV or NDJSON."""

import csv
import io

import orjson
import pytest

from tests.api.running_api import RunningApi
from tests.database.rows import an_event

pytestmark = pytest.mark.integration


async def store_many(api: RunningApi, count: int) -> None:
    """Events whose messages are their numbers."""
    await api.store(
        *(an_event(message=str(number), reference_id=f"export-{number:05}") for number in range(count))
    )


@pytest.mark.parametrize("count", [0, 1, 200, 450])
async def test_ndjson_has_every_event_once(api: RunningApi, count: int) -> None:
    """Also those beyond a page; 200 are read at a time."""
    await store_many(api, count)

    answer = await api.get("/api/v2/events?format=ndjson", api.people.user)

    lines = [orjson.loads(line) for line in answer.body.splitlines()]
    assert answer.headers["Content-Type"] == "application/x-ndjson; charset=utf-8"
    assert sorted(int(line["message"]) for line in lines) == list(range(count))


async def test_csv_is_asked_for_by_accept_too(api: RunningApi) -> None:
    await store_many(api, 3)

    answer = await api.get("/api/v2/events?filter=message:2", api.people.user, headers={"Accept": "text/csv"})

    rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="events.csv"'
    assert [(row["message"], row["reference_id"]) for row in rows] == [("2", "export-00002")]


@pytest.mark.parametrize(
    ("query", "accept"),
    [("?format=json", "text/csv"), ("", "application/json, text/csv;q=0.1"), ("", "text/html, */*")],
)
async def test_a_client_that_takes_json_gets_a_list(api: RunningApi, query: str, accept: str) -> None:
    await store_many(api, 1)

    answer = await api.get(f"/api/v2/events{query}", api.people.user, headers={"Accept": accept})

    assert [event["message"] for event in answer.json] == ["0"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", '=HYPERLINK("http://evil.example")'])
async def test_no_cell_is_a_formula(api: RunningApi, text: str) -> None:
    """What a stranger has sent must not run in a spreadsheet."""
    await api.store(an_event(message=text))

    answer = await api.get("/api/v2/events?format=csv", api.people.user)

    [row] = csv.DictReader(io.StringIO(answer.body.decode()))
    assert row["message"] == f"'{text}"


async def test_others_export_nothing_of_it(api: RunningApi) -> None:
    await store_many(api, 2)

    assert (await api.get("/api/v2/events?format=ndjson", api.people.stranger)).body == b""


@pytest.mark.parametrize("query", ["format=xml", "format=csv&filter=type:(", "format=csv&sort=nothing"])
async def test_what_is_wrong_is_an_error_and_no_file(api: RunningApi, query: str) -> None:
    answer = await api.get(f"/api/v2/events?{query}", api.people.user)

    assert answer.status == 400
