"""Organizations: listed for their members, created, renamed, deleted."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from collector.database.owners.projects import add_project
from tests.api.running_api import EMAIL, OTHER_ORGANIZATION, Answer, RunningApi
from tests.database.rows import ORGANIZATION, OTHER_PROJECT, PROJECT

pytestmark = pytest.mark.integration

PATH = f"/api/v2/organizations/{ORGANIZATION.hex}"


async def test_an_organization_has_every_member_and_an_unlimited_plan(api: RunningApi) -> None:
    """Clients of the official server read them."""
    answer = await api.get("/api/v2/organizations", api.people.program)

    assert answer.status == 200
    assert "X-Result-Count" not in answer.headers
    (view,) = answer.json
    assert view.pop("created_utc").endswith("Z")
    assert view.pop("updated_utc").endswith("Z")
    assert view.pop("usage")
    assert view.pop("usage_hours")
    assert view == {
        "id": ORGANIZATION.hex,
        "name": "Acme",
        "plan_id": "EX_UNLIMITED",
        "plan_name": "Unlimited",
        "plan_description": "Unlimited",
        "billing_status": 1,
        "billing_price": 0,
        "max_events_per_month": -1,
        "bonus_events_per_month": 0,
        "retention_days": 45,
        "is_suspended": False,
        "has_premium_features": True,
        "features": [],
        "max_users": -1,
        "max_projects": -1,
        "project_count": 0,
        "stack_count": 0,
        "event_count": 0,
        "invites": [],
        "is_throttled": False,
        "is_over_monthly_limit": False,
        "is_over_request_limit": False,
    }


async def test_callers_see_their_own_organizations(api: RunningApi) -> None:
    """Administrators, too: lists are limited to one's own."""
    people = api.people
    for token, organization, project in (
        (people.user, ORGANIZATION, PROJECT),
        (people.admin, ORGANIZATION, PROJECT),
        (people.program, ORGANIZATION, PROJECT),
        (people.stranger, OTHER_ORGANIZATION, OTHER_PROJECT),
        (people.other_program, OTHER_ORGANIZATION, OTHER_PROJECT),
    ):
        organizations = (await api.get("/api/v2/organizations", token)).json
        projects = (await api.get("/api/v2/projects", token)).json
        assert [view["id"] for view in organizations] == [organization.hex]
        assert [view["id"] for view in projects] == [project.hex]


@pytest.mark.parametrize(
    "path",
    [
        "/api/v2/organizations?filter=name:",
        f"/api/v2/organizations/{ORGANIZATION.hex}/projects?filter=(",
        "/api/v2/projects?filter=created_utc:soon",
        "/api/v2/projects?sort=size",
        "/api/v2/projects?limit=x",
    ],
)
async def test_invalid_parameters_are_refused(api: RunningApi, path: str) -> None:
    """400 that says what is wrong."""
    assert (await api.get(path, api.people.user)).status == 400


async def test_a_filter_narrows_lists_of_organizations_and_projects(api: RunningApi) -> None:
    """To the selected ones among one's own. Paging and the total follow."""
    async with api.pool.acquire() as connection:
        for number in range(3):
            await add_project(connection, UUID(int=number + 1), ORGANIZATION, f"The Lab {number}")

    async def found(path: str, text: str, token: str = api.people.user) -> list[str]:
        answer = await api.get(path, token, params={"filter": text})
        return [view["name"] for view in answer.json]

    for path in ("/api/v2/projects", f"/api/v2/organizations/{ORGANIZATION.hex}/projects"):
        assert await found(path, "lab") == ["The Lab 0", "The Lab 1", "The Lab 2"]
        assert await found(path, f"SHO* OR id:{UUID(int=2).hex}") == ["Shop", "The Lab 1"]
        assert await found(path, "name:lab -2 created_utc:>now-1d") == ["The Lab 0", "The Lab 1"]
        assert await found(path, f"organization:{ORGANIZATION.hex} shop") == ["Shop"]
        assert await found(path, f"organization:{OTHER_ORGANIZATION.hex} OR plan_name:Free") == []
    assert await found("/api/v2/organizations", "acme") == ["Acme"]
    assert await found("/api/v2/organizations", "is_suspended:true") == []
    assert await found("/api/v2/organizations", "name:* OR *", api.people.stranger) != ["Acme"]

    page = await api.get("/api/v2/projects?filter=lab&limit=2&sort=-name", api.people.user)
    assert [view["name"] for view in page.json] == ["The Lab 2", "The Lab 1"]
    assert page.headers["X-Result-Count"] == "3"
    assert "filter=lab" in page.headers["Link"]


async def create(api: RunningApi, name: Any = "Initech") -> Answer:
    """Create an organization."""
    return await api.post("/api/v2/organizations", api.people.user, {"name": name})


async def test_the_creator_of_an_organization_is_its_member(api: RunningApi) -> None:
    """With every token, at ingest too."""
    answer = await create(api, " Initech ")

    assert answer.status == 201
    view = answer.json
    assert answer.headers["Location"] == f"{api.url}/api/v2/organizations/{view['id']}"
    assert view["name"] == "Initech"
    assert (await api.get(f"/api/v2/organizations/{view['id']}", api.people.user)).json == view
    packed = bytes.fromhex(view["id"])
    assert (await api.parts.projection.find_organization(packed)).entry is not None
    entry = (await api.parts.projection.find_token(api.people.user[:24])).entry
    assert entry is not None
    assert packed in entry.organization_ids


@pytest.mark.parametrize(
    ("name", "status"),
    [
        pytest.param("", 400, id="no name"),
        pytest.param(None, 400, id="null"),
        pytest.param("acme", 400, id="taken by an own organization"),
        pytest.param("n" * 256, 422, id="a long name"),
        pytest.param(["x"], 422, id="not a text"),
        pytest.param("Umbrella", 201, id="taken by another's organization"),
    ],
)
async def test_names_are_unique_among_ones_own_organizations(api: RunningApi, name: Any, status: int) -> None:
    assert (await create(api, name)).status == status


async def test_of_concurrent_requests_with_the_same_name_one_succeeds(api: RunningApi) -> None:
    answers = await asyncio.gather(*(create(api) for _ in range(5)))

    assert sorted(answer.status for answer in answers) == [201, 400, 400, 400, 400]


async def test_an_organization_that_cannot_be_published_is_not_created(api_without_redis: RunningApi) -> None:
    """503."""
    api = api_without_redis

    assert (await create(api)).status == 503
    assert len((await api.get("/api/v2/organizations", api.people.user)).json) == 1


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_an_organization_is_renamed(api: RunningApi, method: str) -> None:
    """A change of case in its own name is allowed; the name of another own organization is not."""
    await create(api)

    renamed = await api.request(method, PATH, api.people.user, json={"name": " ACME "})
    unchanged = await api.request(method, PATH, api.people.user, json={})
    taken = await api.request(method, PATH, api.people.user, json={"name": "initech"})
    blank = await api.request(method, PATH, api.people.user, json={"name": " "})
    bare = await api.request(method, PATH, api.people.user)

    assert (renamed.status, renamed.json["name"]) == (200, "ACME")
    assert unchanged.json == renamed.json
    assert [answer.status for answer in (taken, blank, bare)] == [400, 400, 400]
    assert (await api.get(PATH, api.people.user)).json == renamed.json


async def test_a_deleted_organization_is_gone_with_its_projects_and_tokens(api: RunningApi) -> None:
    """Here and at ingest. Its members can still log in."""
    await api.post(f"{PATH}/users/guest@example.com", api.people.user)
    await api.post(
        f"/api/v2/projects/{PROJECT.hex}/config", api.people.user, {"value": "x"}, params={"key": "k"}
    )
    program = (await api.post(f"{PATH}/tokens", api.people.user, {"scopes": ["user"]})).json["id"]

    answer = await api.request("DELETE", PATH, api.people.user)

    assert (answer.status, answer.json) == (202, {"workers": []})
    assert (await api.get(PATH, api.people.admin)).status == 404
    assert (await api.get("/api/v2/organizations", api.people.user)).json == []
    assert (await api.get("/api/v2/projects", api.people.user)).json == []
    for token in (program, api.people.client, api.people.program):
        assert not await api.known_to_ingest(token)
        assert (await api.get("/api/v2/projects", token)).status == 401
    assert (await api.parts.projection.find_project(PROJECT.bytes)).entry is None
    assert (await api.parts.projection.find_organization(ORGANIZATION.bytes)).entry is None
    entry = (await api.parts.projection.find_token(api.people.user[:24])).entry
    assert entry is not None
    assert entry.organization_ids == ()
    assert (await api.get("/api/v2/users/me", api.people.user)).json["email_address"] == EMAIL


async def test_of_several_organizations_those_that_can_be_deleted_are(api: RunningApi) -> None:
    """400 with a result for each; 404 if there is none."""
    mixed = await api.request("DELETE", f"{PATH},{OTHER_ORGANIZATION.hex}", api.people.user)
    again = await api.request("DELETE", PATH, api.people.user)

    assert (mixed.status, mixed.json["success"]) == (400, [ORGANIZATION.hex])
    assert [failure["id"] for failure in mixed.json["failure"]] == [OTHER_ORGANIZATION.hex]
    assert again.status == 404
    assert len((await api.get("/api/v2/organizations", api.people.stranger)).json) == 1


async def test_deleting_an_organization_while_it_is_used_breaks_nothing(api: RunningApi) -> None:
    """What is created meanwhile is deleted with it, or not created. Never 5xx."""
    body = {"organization_id": ORGANIZATION.hex}
    answers = await asyncio.gather(
        *(api.post("/api/v2/projects", api.people.user, body | {"name": f"p{n}"}) for n in range(4)),
        api.request("DELETE", PATH, api.people.user),
        *(api.post(f"{PATH}/users/guest{n}@example.com", api.people.user) for n in range(4)),
        *(api.post(f"{PATH}/tokens", api.people.user) for _ in range(4)),
    )

    assert {answer.status for answer in answers} <= {200, 201, 202, 400, 404}
    for table in ("projects", "invitations", "tokens"):
        assert (
            await api.pool.fetchval(
                f"SELECT count(*) FROM {table} WHERE organization_id = $1",  # noqa: S608 - names above
                ORGANIZATION,
            )
            == 0
        )
