"""Tokens are made for a project or an organization, and a project has one for its clients."""

import asyncio
from typing import Any

import pytest

from tests.api.running_api import OTHER_ORGANIZATION, RunningApi
from tests.database.rows import ORGANIZATION, OTHER_PROJECT, PROJECT

pytestmark = pytest.mark.integration

OF_ORGANIZATION = f"/api/v2/organizations/{ORGANIZATION.hex}/tokens"
DEFAULT = f"/api/v2/projects/{PROJECT.hex}/tokens/default"
NO_PROJECT = "field must be a project of the organization."


async def test_a_token_is_made_for_the_project_in_the_body(api: RunningApi) -> None:
    """Its organization is the project's, whatever the body says; a default project would make no sense."""
    body = {
        "organization_id": OTHER_ORGANIZATION.hex,
        "project_id": PROJECT.hex,
        "default_project_id": PROJECT.hex,
        "scopes": ["user"],
    }

    answer = await api.post("/api/v2/tokens", api.people.user, body)

    assert answer.status == 201
    assert (answer.json["project_id"], answer.json["organization_id"]) == (PROJECT.hex, ORGANIZATION.hex)
    assert "default_project_id" not in answer.json
    assert await api.known_to_ingest(answer.json["id"])


async def test_a_token_of_an_organization_reaches_all_its_projects(api: RunningApi) -> None:
    """Posts without a project in the path go to the default one."""
    body = {"scopes": ["user"], "default_project_id": PROJECT.hex, "notes": "for all"}

    answer = await api.post(OF_ORGANIZATION, api.people.user, body)

    assert answer.status == 201
    assert answer.json["default_project_id"] == PROJECT.hex
    assert "project_id" not in answer.json
    assert len((await api.get("/api/v2/projects", answer.json["id"])).json) == 1
    entry = (await api.parts.projection.find_token(answer.json["id"][:24])).entry
    assert entry is not None
    assert (entry.project_id, entry.default_project_id) == (None, PROJECT.bytes)


async def test_the_body_may_name_a_project_of_the_organization(api: RunningApi) -> None:
    """Or be left out altogether."""
    named = await api.post(OF_ORGANIZATION, api.people.user, {"project_id": PROJECT.hex})
    bare = await api.post(OF_ORGANIZATION, api.people.user)

    assert (named.status, named.json["project_id"]) == (201, PROJECT.hex)
    assert (bare.status, bare.json["scopes"]) == (201, ["client"])


@pytest.mark.parametrize(
    ("path", "body", "status", "errors"),
    [
        pytest.param(
            "/api/v2/tokens", {}, 400, {"project_id": ["The project_id field is required."]}, id="no project"
        ),
        pytest.param("/api/v2/tokens", None, 400, None, id="no body"),
        pytest.param(
            "/api/v2/tokens",
            {"project_id": "f" * 24},
            422,
            {"project_id": [f"The project_id {NO_PROJECT}"]},
            id="an unknown project",
        ),
        pytest.param(
            "/api/v2/tokens",
            {"project_id": OTHER_PROJECT.hex},
            422,
            {"project_id": [f"The project_id {NO_PROJECT}"]},
            id="another organization's project",
        ),
        pytest.param(
            "/api/v2/tokens",
            {"project_id": "short", "organization_id": "also short"},
            422,
            {
                "project_id": ["The project_id field must be an id of 24 to 36 letters and digits."],
                "organization_id": [
                    "The organization_id field must be an id of 24 to 36 letters and digits."
                ],
            },
            id="no ids",
        ),
        pytest.param(
            OF_ORGANIZATION,
            {"default_project_id": OTHER_PROJECT.hex},
            422,
            {"default_project_id": [f"The default_project_id {NO_PROJECT}"]},
            id="a default project elsewhere",
        ),
        pytest.param(f"/api/v2/organizations/{OTHER_ORGANIZATION.hex}/tokens", {}, 400, None, id="elsewhere"),
        pytest.param(
            OF_ORGANIZATION,
            {"notes": "n" * 1001},
            422,
            {"notes": ["The notes field must be a text of at most 1000 characters."]},
            id="long notes",
        ),
    ],
)
async def test_what_cannot_be_made_is_refused(
    api: RunningApi, path: str, body: Any, status: int, errors: Any
) -> None:
    """No token is made."""
    before = await api.pool.fetchval("SELECT count(*) FROM tokens")

    answer = await api.post(path, api.people.user, body)

    assert (answer.status, answer.json.get("errors")) == (status, errors)
    assert await api.pool.fetchval("SELECT count(*) FROM tokens") == before


async def test_an_administrator_makes_no_token_of_two_organizations(api: RunningApi) -> None:
    """A project must belong to the organization in the path."""
    answer = await api.post(OF_ORGANIZATION, api.people.admin, {"project_id": OTHER_PROJECT.hex})

    assert answer.status == 422


async def test_the_default_token_is_the_first_for_clients(api: RunningApi) -> None:
    """Whole, because it is no secret; not one that is disabled."""
    assert (await api.get(DEFAULT, api.people.user)).json["id"] == api.people.client
    await api.pool.execute("UPDATE tokens SET is_disabled = true WHERE id = $1", api.people.client[:24])

    answer = await api.get(DEFAULT, api.people.user)

    assert answer.status == 201
    assert answer.json["scopes"] == ["client"]
    assert (await api.get(DEFAULT, api.people.user)).json["id"] == answer.json["id"]
    assert await api.known_to_ingest(answer.json["id"])


async def test_who_asks_at_once_gets_the_same_default_token(api: RunningApi) -> None:
    """One is made."""
    await api.pool.execute("DELETE FROM tokens WHERE id = $1", api.people.client[:24])

    answers = await asyncio.gather(*(api.get(DEFAULT, api.people.user) for _ in range(5)))

    assert sorted(answer.status for answer in answers) == [200] * 4 + [201]
    assert len({answer.json["id"] for answer in answers}) == 1


async def test_a_project_that_is_deleted_meanwhile_gets_no_token(api: RunningApi) -> None:
    """404, never 500; the project's deletion waits for a token that is being made."""
    path = f"/api/v2/projects/{PROJECT.hex}"
    answers = await asyncio.gather(
        *(api.post(f"{path}/tokens", api.people.user) for _ in range(4)),
        api.request("DELETE", path, api.people.user),
        *(api.post(f"{path}/tokens", api.people.user) for _ in range(4)),
    )

    assert {answer.status for answer in answers} <= {201, 202, 404}
    assert await api.pool.fetchval("SELECT count(*) FROM tokens WHERE project_id = $1", PROJECT) == 0
