"""Organizations: made, renamed, deleted."""

import asyncio
from typing import Any

import pytest

from tests.api.running_api import EMAIL, OTHER_ORGANIZATION, Answer, RunningApi
from tests.database.rows import ORGANIZATION, PROJECT

pytestmark = pytest.mark.integration

PATH = f"/api/v2/organizations/{ORGANIZATION.hex}"


async def make(api: RunningApi, name: Any = "Initech") -> Answer:
    """An organization of the person's own."""
    return await api.post("/api/v2/organizations", api.people.user, {"name": name})


async def test_whoever_makes_one_belongs_to_it(api: RunningApi) -> None:
    """With every token, also at ingest."""
    answer = await make(api, " Initech ")

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
        pytest.param("acme", 400, id="one of his own has it"),
        pytest.param("n" * 256, 422, id="a long name"),
        pytest.param(["x"], 422, id="no text"),
        pytest.param("Umbrella", 201, id="somebody else's has it"),
    ],
)
async def test_names(api: RunningApi, name: Any, status: int) -> None:
    """One's own are told apart by their names."""
    assert (await make(api, name)).status == status


async def test_of_two_with_the_same_name_at_once_one_is_made(api: RunningApi) -> None:
    """The other one is told."""
    answers = await asyncio.gather(*(make(api) for _ in range(5)))

    assert sorted(answer.status for answer in answers) == [201, 400, 400, 400, 400]


async def test_one_that_ingest_could_not_be_told_of_is_not_made(api_without_redis: RunningApi) -> None:
    """503."""
    api = api_without_redis

    assert (await make(api)).status == 503
    assert len((await api.get("/api/v2/organizations", api.people.user)).json) == 1


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_an_organization_is_renamed(api: RunningApi, method: str) -> None:
    """Its own name in other letters is no obstacle, another one's of his own is."""
    await make(api)

    renamed = await api.request(method, PATH, api.people.user, json={"name": " ACME "})
    unchanged = await api.request(method, PATH, api.people.user, json={})
    taken = await api.request(method, PATH, api.people.user, json={"name": "initech"})
    blank = await api.request(method, PATH, api.people.user, json={"name": " "})
    bare = await api.request(method, PATH, api.people.user)

    assert (renamed.status, renamed.json["name"]) == (200, "ACME")
    assert unchanged.json == renamed.json
    assert [answer.status for answer in (taken, blank, bare)] == [400, 400, 400]
    assert (await api.get(PATH, api.people.user)).json == renamed.json


async def test_a_deleted_organization_is_gone_with_all_it_had(api: RunningApi) -> None:
    """Projects and tokens, here and at ingest; its people can still log in."""
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


async def test_of_several_those_are_deleted_that_can_be(api: RunningApi) -> None:
    """400 with what became of each; 404 where there is none."""
    mixed = await api.request("DELETE", f"{PATH},{OTHER_ORGANIZATION.hex}", api.people.user)
    again = await api.request("DELETE", PATH, api.people.user)

    assert (mixed.status, mixed.json["success"]) == (400, [ORGANIZATION.hex])
    assert [failure["id"] for failure in mixed.json["failure"]] == [OTHER_ORGANIZATION.hex]
    assert again.status == 404
    assert len((await api.get("/api/v2/organizations", api.people.stranger)).json) == 1


async def test_deleting_and_using_it_at_once_breaks_nothing(api: RunningApi) -> None:
    """What is made meanwhile is made before, and gone with it, or not at all; never 5xx."""
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
