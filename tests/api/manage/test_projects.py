"""Projects: read, created, changed, deleted."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from collector.database.owners.projects import add_project
from collector.domain.project.client_settings import NEW_PROJECT_SETTINGS
from tests.api.running_api import OTHER_ORGANIZATION, Answer, RunningApi
from tests.database.rows import ORGANIZATION, OTHER_PROJECT, PROJECT, an_event, today
from tests.support.fakes import FakeClock, clock_of

pytestmark = pytest.mark.integration


@pytest.fixture
def clock() -> FakeClock:
    """Noon of the day on which the events happen."""
    return clock_of(today())


PATH = f"/api/v2/projects/{PROJECT.hex}"
OF_ORGANIZATION = f"/api/v2/organizations/{ORGANIZATION.hex}/projects"


async def create(api: RunningApi, name: str = "Lab", token: str | None = None, **members: Any) -> Answer:
    """Create a project of the organization."""
    body = {"organization_id": ORGANIZATION.hex, "name": name} | members
    return await api.post("/api/v2/projects", token or api.people.user, body)


async def test_a_project_has_every_member(api: RunningApi) -> None:
    """And the list has the total."""
    answer = await api.get("/api/v2/projects", api.people.program)

    assert answer.headers["X-Result-Count"] == "1"
    (view,) = answer.json
    assert view.pop("created_utc").endswith("Z")
    assert view.pop("usage")
    assert view.pop("usage_hours")
    assert view == {
        "id": PROJECT.hex,
        "organization_id": ORGANIZATION.hex,
        "organization_name": "Acme",
        "name": "Shop",
        "delete_bot_data_enabled": False,
        "promoted_tabs": [],
        "stack_count": 0,
        "event_count": 0,
        "has_premium_features": True,
        "has_slack_integration": False,
    }


async def test_projects_come_in_pages_by_name(api: RunningApi) -> None:
    """Up to a thousand a page."""
    async with api.pool.acquire() as connection:
        for number in range(12):
            await add_project(connection, UUID(int=number + 1), ORGANIZATION, f"Project {number:02}")

    first = await api.get("/api/v2/projects", api.people.user)
    second = await api.get("/api/v2/projects?page=2", api.people.user)
    everything = await api.get("/api/v2/projects?limit=5000", api.people.user)

    names = [view["name"] for view in everything.json]
    assert names == sorted(names)
    assert len(names) == 13
    assert [view["name"] for view in first.json + second.json] == names
    assert first.headers["X-Result-Count"] == "13"
    assert first.headers["Link"] == f'<{api.url}/api/v2/projects?page=2>; rel="next"'
    assert second.headers["Link"] == f'<{api.url}/api/v2/projects?page=1>; rel="previous"'


async def test_a_new_project_is_known_at_ingest_with_its_settings(api: RunningApi) -> None:
    """At version 1, so that clients ask for later versions. Its tokens can post immediately."""
    answer = await create(api, " Lab ", delete_bot_data_enabled=True, promoted_tabs=["a", "b\0"])

    assert answer.status == 201
    view = answer.json
    assert answer.headers["Location"] == f"{api.url}/api/v2/projects/{view['id']}"
    assert (view["name"], view["organization_name"]) == ("Lab", "Acme")
    assert (view["delete_bot_data_enabled"], view["promoted_tabs"]) == (True, ["a", "b\ufffd"])
    entry = (await api.parts.projection.find_project(bytes.fromhex(view["id"]))).entry
    assert entry is not None
    assert (entry.config_version, entry.settings) == (1, NEW_PROJECT_SETTINGS)
    assert entry.organization_id == ORGANIZATION.bytes
    assert (await api.get(f"/api/v2/projects/{view['id']}", api.people.user)).json == view


async def test_a_program_can_create_a_project(api: RunningApi) -> None:
    """In its own organization."""
    assert (await create(api, token=api.people.program)).status == 201
    assert (await create(api, token=api.people.other_program)).status == 400


@pytest.mark.parametrize(
    ("members", "status", "title"),
    [
        pytest.param({"name": " "}, 400, "Project name is required.", id="a blank name"),
        pytest.param({"name": None}, 400, "Project name is required.", id="no name"),
        pytest.param({"name": "SHOP"}, 400, "A project with this name already exists.", id="a name twice"),
        pytest.param(
            {"organization_id": OTHER_ORGANIZATION.hex}, 400, "Invalid organization.", id="elsewhere"
        ),
        pytest.param({"organization_id": "f" * 24}, 400, "Invalid organization.", id="nowhere"),
        pytest.param({"organization_id": None}, 422, None, id="no organization"),
        pytest.param({"organization_id": "x"}, 422, None, id="no id"),
        pytest.param({"name": "n" * 256}, 422, None, id="a long name"),
        pytest.param({"promoted_tabs": "x"}, 422, None, id="not a list"),
        pytest.param({"promoted_tabs": ["x"] * 101}, 422, None, id="a long list"),
    ],
)
async def test_an_invalid_project_is_refused(
    api: RunningApi, members: Any, status: int, title: str | None
) -> None:
    """None is created."""
    answer = await create(api, **members)

    assert answer.status == status
    assert title is None or answer.json["title"] == title
    assert len((await api.get(OF_ORGANIZATION, api.people.user)).json) == 1


async def test_of_concurrent_requests_with_the_same_name_one_succeeds(api: RunningApi) -> None:
    answers = await asyncio.gather(*(create(api) for _ in range(5)))

    assert sorted(answer.status for answer in answers) == [201, 400, 400, 400, 400]


async def test_a_project_that_cannot_be_published_is_not_created(
    api_without_redis: RunningApi,
) -> None:
    """503. Otherwise ingest would answer 404, on which clients drop their events."""
    api = api_without_redis

    assert (await create(api)).status == 503
    assert len((await api.get(OF_ORGANIZATION, api.people.user)).json) == 1


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_a_project_can_be_changed_in_part(api: RunningApi, method: str) -> None:
    """Omitted members stay, and its own name is allowed."""
    renamed = await api.request(method, PATH, api.people.user, json={"name": " shop "})
    tabs = await api.request(method, PATH, api.people.user, json={"promoted_tabs": ["x"]})
    bots = await api.request(method, PATH, api.people.user, json={"delete_bot_data_enabled": True})
    none = await api.request(method, PATH, api.people.user, json={"promoted_tabs": None, "unknown": 1})

    assert [answer.status for answer in (renamed, tabs, bots, none)] == [200] * 4
    view = none.json
    assert (view["name"], view["promoted_tabs"], view["delete_bot_data_enabled"]) == ("shop", [], True)
    assert (await api.get(PATH, api.people.user)).json == view


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({"name": ""}, 400, id="no name"),
        pytest.param({"name": "Lab"}, 400, id="a name twice"),
        pytest.param({"name": 1}, 422, id="not a text"),
        pytest.param([], 400, id="not an object"),
    ],
)
async def test_an_invalid_change_is_refused(api: RunningApi, body: Any, status: int) -> None:
    """Nothing changes."""
    await create(api)

    assert (await api.request("PATCH", PATH, api.people.user, json=body)).status == status
    assert (await api.get(PATH, api.people.user)).json["name"] == "Shop"


async def test_a_deleted_project_is_gone_immediately_everywhere(api: RunningApi) -> None:
    """With its tokens, here and at ingest. Its events are no longer found."""
    await api.post(f"{PATH}/config", api.people.user, {"value": "x"}, params={"key": "k"})
    made = await api.post(f"{PATH}/tokens", api.people.user, {"scopes": ["user"]})
    whole = f"/api/v2/organizations/{ORGANIZATION.hex}/tokens"
    other = await api.post(whole, api.people.user, {"default_project_id": PROJECT.hex})
    event = an_event(reference_id="order-4711")
    await api.store(event)

    answer = await api.request("DELETE", PATH, api.people.user)

    assert (answer.status, answer.json) == (202, {"workers": []})
    assert (await api.get(PATH, api.people.user)).status == 404
    assert (await api.get(f"/api/v2/events/{event.id.hex()}", api.people.user)).status == 404
    assert (await api.get("/api/v2/events/by-ref/order-4711", api.people.user)).json == []
    assert (await api.get("/api/v2/projects", made.json["id"])).status == 401
    assert not await api.known_to_ingest(made.json["id"])
    assert (await api.parts.projection.find_project(PROJECT.bytes)).entry is None
    entry = (await api.parts.projection.find_token(other.json["id"][:24])).entry
    assert entry is not None
    assert entry.default_project_id is None


async def test_deleting_a_mixed_list_answers_with_a_result_for_each(api: RunningApi) -> None:
    """Those that can be deleted are."""
    answer = await api.request(
        "DELETE", f"{PATH},{OTHER_PROJECT.hex},{'f' * 24},{PROJECT.hex}", api.people.user
    )

    assert answer.status == 400
    assert (answer.json["workers"], answer.json["success"]) == ([], [PROJECT.hex])
    assert [failure["id"] for failure in answer.json["failure"]] == [OTHER_PROJECT.hex, "f" * 24]
    assert {failure["status_code"] for failure in answer.json["failure"]} == {404}
    assert (await api.get(f"/api/v2/projects/{OTHER_PROJECT.hex}", api.people.stranger)).status == 200


async def test_a_deletion_that_cannot_be_published_is_503(api_without_redis: RunningApi) -> None:
    """Though the project is gone for readers. The sweep publishes the deletion."""
    api = api_without_redis

    assert (await api.request("DELETE", PATH, api.people.user)).status == 503
    assert (await api.get(PATH, api.people.user)).status == 404


async def test_statistics_are_counted_only_when_asked_for(api: RunningApi) -> None:
    """Stacks, and stored events as counted by the workers; otherwise 0."""
    await api.store(*(an_event(place=0) for _ in range(3)))

    plain = (await api.get(PATH, api.people.user)).json
    counted = (await api.get(f"{PATH}?mode=stats", api.people.user)).json
    (listed,) = (await api.get("/api/v2/projects?mode=stats", api.people.user)).json
    (organization,) = (await api.get("/api/v2/organizations?mode=stats", api.people.user)).json

    assert (plain["stack_count"], plain["event_count"]) == (0, 0)
    assert (counted["stack_count"], counted["event_count"]) == (1, 3)
    assert listed == counted
    counts = (organization["project_count"], organization["stack_count"], organization["event_count"])
    assert counts == (1, 1, 3)


async def test_projects_can_be_sorted(api: RunningApi) -> None:
    """By name, or by creation date."""
    for name in ("Attic", "Zoo"):
        await create(api, name)

    async def names(sort: str) -> list[str]:
        return [view["name"] for view in (await api.get(f"{OF_ORGANIZATION}{sort}", api.people.user)).json]

    assert await names("") == await names("?sort=name") == ["Attic", "Shop", "Zoo"]
    assert await names("?sort=-name") == ["Zoo", "Shop", "Attic"]
    assert await names("?sort=created_utc") == ["Shop", "Attic", "Zoo"]
    assert await names("?sort=-created_utc") == ["Zoo", "Attic", "Shop"]


@pytest.mark.parametrize(
    ("name", "status"),
    [("Lab", 204), ("shop", 201), ("%20Shop%20", 201), ("", 201)],
    ids=["free", "taken", "blanks", "none"],
)
async def test_a_name_can_be_checked(api: RunningApi, name: str, status: int) -> None:
    """201 if it is taken or empty, 204 if it is free."""
    assert (await api.get(f"{OF_ORGANIZATION}/check-name?name={name}", api.people.user)).status == status


async def test_tabs_are_promoted_once_and_demoted(api: RunningApi) -> None:
    path = f"/api/v2/projects/{PROJECT.hex}"

    for method, name in [
        ("POST", "order"),
        ("PUT", "cart"),
        ("POST", "order"),
        ("DELETE", "cart"),
        ("DELETE", "x"),
    ]:
        answer = await api.request(method, f"{path}/promotedtabs?name={name}", api.people.user)
        assert answer.status == 200

    assert (await api.get(path, api.people.user)).json["promoted_tabs"] == ["order"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_tab_needs_a_name(api: RunningApi, method: str) -> None:
    path = f"/api/v2/projects/{PROJECT.hex}/promotedtabs"

    for name in ("", " ", "x" * 256):
        answer = await api.request(method, path, api.people.user, params={"name": name})
        assert (answer.status, answer.json["title"]) == (400, "Invalid tab name.")


async def test_a_reset_is_asked_of_a_worker(api: RunningApi) -> None:
    answer = await api.post(f"/api/v2/projects/{PROJECT.hex}/reset-data", api.people.user)

    assert (answer.status, answer.json) == (202, {"workers": []})
    [row] = await api.pool.fetch("SELECT project_id, stack_id FROM removals")
    assert (row["project_id"], row["stack_id"]) == (PROJECT, None)
