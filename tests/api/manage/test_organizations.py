"""Organizations and projects are listed for those who belong to them."""

from uuid import UUID

import pytest

from collector.database.owners.projects import add_project
from tests.api.running_api import OTHER_ORGANIZATION, RunningApi
from tests.database.rows import ORGANIZATION, OTHER_PROJECT, PROJECT

pytestmark = pytest.mark.integration


async def test_an_organization_has_every_member_and_an_unlimited_plan(api: RunningApi) -> None:
    """What the clients of the official server read."""
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


async def test_a_project_has_every_member(api: RunningApi) -> None:
    """Likewise; the number of all is always told."""
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


async def test_everybody_sees_his_own(api: RunningApi) -> None:
    """An administrator too: lists are about one's own organizations."""
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


async def test_projects_come_in_pages_by_name(api: RunningApi) -> None:
    """Up to a thousand at a time."""
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
async def test_what_cannot_be_understood_is_refused(api: RunningApi, path: str) -> None:
    """400 that says so."""
    assert (await api.get(path, api.people.user)).status == 400


async def test_a_filter_narrows_lists_of_organizations_and_projects(api: RunningApi) -> None:
    """To those of one's own that it selects; paging and the number of all are theirs."""
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
