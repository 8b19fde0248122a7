"""What one person can make takes a bounded part of the memory that everybody shares."""

from typing import Any

import pytest

from collector.api.manage import organizations, projects, tokens
from collector.database.owners import client_settings
from tests.api.running_api import RunningApi
from tests.database.rows import ORGANIZATION, PROJECT

pytestmark = pytest.mark.integration


async def _statuses(api: RunningApi, path: str, bodies: list[dict[str, Any]]) -> list[int]:
    return [(await api.post(path, api.people.user, body)).status for body in bodies]


async def test_an_organization_has_a_bounded_number_of_projects(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has one before."""
    monkeypatch.setattr(projects, "PROJECTS_AT_MOST", 3)
    bodies = [{"organization_id": ORGANIZATION.hex, "name": f"Shop {number}"} for number in range(3)]

    assert await _statuses(api, "/api/v2/projects", bodies) == [201, 201, 400]


async def test_a_person_has_a_bounded_number_of_organizations(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They belong to one before."""
    monkeypatch.setattr(organizations, "ORGANIZATIONS_AT_MOST", 3)
    bodies = [{"name": f"Acme {number}"} for number in range(3)]

    assert await _statuses(api, "/api/v2/organizations", bodies) == [201, 201, 400]


async def test_a_project_has_a_bounded_number_of_tokens(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs included."""
    path = f"/api/v2/projects/{PROJECT.hex}/tokens"
    before = len((await api.get(path, api.people.user)).json)
    monkeypatch.setattr(tokens, "TOKENS_AT_MOST", before + 1)

    assert await _statuses(api, path, [{}, {}]) == [201, 400]


async def test_all_settings_of_an_organization_are_bounded_together(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or many projects with legal settings would fill the queue's memory."""
    monkeypatch.setattr(client_settings, "ORGANIZATION_BYTES_AT_MOST", 25_000)
    body = {"organization_id": ORGANIZATION.hex, "name": "Second shop"}
    other = (await api.post("/api/v2/projects", api.people.user, body)).json["id"]
    value = {"value": "x" * 9_000}

    answers = [
        await api.post(f"/api/v2/projects/{project}/config", api.people.user, value, params={"key": key})
        for project, key in ((PROJECT.hex, "a"), (other, "a"), (other, "b"), (PROJECT.hex, "a"))
    ]

    assert [answer.status for answer in answers] == [200, 200, 400, 200]
