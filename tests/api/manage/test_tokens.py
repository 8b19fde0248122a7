"""Tokens are made for a project and revoked everywhere."""

import asyncio
from typing import Any

import pytest

from collector.domain.access.token import token_digest
from tests.api.running_api import Answer, RunningApi, add_program
from tests.database.rows import ORGANIZATION, OTHER_PROJECT, PROJECT

pytestmark = pytest.mark.integration

PATH = f"/api/v2/projects/{PROJECT.hex}/tokens"
EXPIRY = "The expires_utc field must be a time in the years 1970 to 9999, such as 2030-01-31T12:00:00Z."


async def delete(api: RunningApi, *ids: str, token: str | None = None) -> Answer:
    """Revoke."""
    return await api.request("DELETE", f"/api/v2/tokens/{','.join(ids)}", token or api.people.user)


async def test_a_new_token_works_at_once_and_is_shown_once(api: RunningApi) -> None:
    """The whole secret is in `id`; `Location` has the public part; only a hash is kept."""
    answer = await api.post(PATH, api.people.user, {"scopes": ["user"], "notes": "my first"})

    assert answer.status == 201
    view = answer.json
    secret = view["id"]
    assert len(secret) == 40
    assert answer.headers["Location"] == f"{api.url}/api/v2/tokens/{secret[:24]}"
    assert answer.headers["Cache-Control"] == "no-store"
    assert view["scopes"] == ["user", "client"]
    assert view["notes"] == "my first"
    assert view["organization_id"] == ORGANIZATION.hex
    assert view["project_id"] == PROJECT.hex
    assert (view["is_disabled"], view["is_suspended"]) == (False, False)
    assert view["created_utc"].endswith("Z")
    assert view["updated_utc"] == view["created_utc"]
    assert not {"expires_utc", "user_id", "default_project_id"} & view.keys()
    row = await api.pool.fetchrow("SELECT * FROM tokens WHERE id = $1", secret[:24])
    assert row["digest"] == token_digest(secret)
    assert row["clear_text"] is None
    assert (await api.get("/api/v2/projects", secret)).status == 200
    assert await api.known_to_ingest(secret)


@pytest.mark.parametrize(
    ("body", "scopes"),
    [
        pytest.param(None, ["client"], id="no body"),
        pytest.param({}, ["client"], id="an empty object"),
        pytest.param({"scopes": []}, ["client"], id="no scopes"),
        pytest.param({"scopes": None}, ["client"], id="null"),
        pytest.param({"scopes": ["client"]}, ["client"], id="client"),
        pytest.param({"scopes": ["User", "client"]}, ["user", "client"], id="in any case"),
        pytest.param({"SCOPES": ["user"]}, ["user", "client"], id="a name in any case"),
        pytest.param({"scopes": ["source-maps:write"]}, ["source-maps:write"], id="source maps"),
        pytest.param(
            {"scopes": ["user"], "organization_id": "f" * 24, "project_id": "f" * 24},
            ["user", "client"],
            id="what the path decides is not read from the body",
        ),
    ],
)
async def test_scopes_are_stored_with_what_they_imply(api: RunningApi, body: Any, scopes: list[str]) -> None:
    """None means client."""
    answer = await api.post(PATH, api.people.user, body)

    assert answer.status == 201
    assert answer.json["scopes"] == scopes
    assert answer.json["project_id"] == PROJECT.hex


async def test_a_client_token_is_kept_in_clear(api: RunningApi) -> None:
    """It sits in apps and web pages, and lists show it."""
    secret = (await api.post(PATH, api.people.user)).json["id"]

    assert await api.pool.fetchval("SELECT clear_text FROM tokens WHERE id = $1", secret[:24]) == secret
    assert (await api.get("/api/v2/projects", secret)).status == 403


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        pytest.param(
            {"scopes": ["admin"]}, {"scopes": ["Invalid token scope requested."]}, id="an unknown scope"
        ),
        pytest.param(
            {"scopes": ["user", ""]}, {"scopes": ["Invalid token scope requested."]}, id="an empty scope"
        ),
        pytest.param(
            {"scopes": ["global"]}, {"scopes": ["Invalid token scope requested."]}, id="more than one has"
        ),
        pytest.param(
            {"expires_utc": "0001-01-01T00:00:00+14:00"}, {"expires_utc": [EXPIRY]}, id="before time"
        ),
        pytest.param({"expires_utc": "2030-01-31"}, {"expires_utc": [EXPIRY]}, id="a day"),
        pytest.param({"expires_utc": 1900000000}, {"expires_utc": [EXPIRY]}, id="a number"),
        pytest.param(
            {"expires_utc": "0001-01-01T00:00:00Z"}, {"expires_utc": [EXPIRY]}, id="the first moment"
        ),
        pytest.param({"expires_utc": "1969-12-31T23:59:59Z"}, {"expires_utc": [EXPIRY]}, id="before 1970"),
        pytest.param(
            {"expires_utc": "9999-12-31T23:59:59.999999"}, {"expires_utc": [EXPIRY]}, id="the last moment"
        ),
        pytest.param(
            {"expires_utc": "9999-12-31T23:59:59-14:00"}, {"expires_utc": [EXPIRY]}, id="after time"
        ),
    ],
)
async def test_what_cannot_be_granted_is_422(api: RunningApi, body: Any, errors: Any) -> None:
    """With the field that is at fault; no token is made."""
    before = await api.pool.fetchval("SELECT count(*) FROM tokens")

    answer = await api.post(PATH, api.people.user, body)

    assert answer.status == 422
    assert answer.json["errors"] == errors
    assert await api.pool.fetchval("SELECT count(*) FROM tokens") == before


@pytest.mark.parametrize("body", [{"scopes": "user"}, {"notes": 1}, {"expires_utc": "tomorrow"}])
async def test_a_field_of_the_wrong_type_is_422(api: RunningApi, body: dict[str, Any]) -> None:
    """Likewise."""
    answer = await api.post(PATH, api.people.user, body)

    assert answer.status == 422
    assert list(answer.json["errors"]) == list(body)


async def test_global_is_granted_by_those_who_have_it(api: RunningApi) -> None:
    """It implies everything else."""
    answer = await api.post(PATH, api.people.admin, {"scopes": ["global"]})

    assert answer.status == 201
    assert answer.json["scopes"] == ["global", "user", "client"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param("2099-01-02T03:04:05Z", "2099-01-02T03:04:05Z", id="UTC"),
        pytest.param("2099-01-02T03:04:05+02:00", "2099-01-02T01:04:05Z", id="with an offset"),
        pytest.param("2099-01-02T03:04:05", "2099-01-02T03:04:05Z", id="without one"),
        pytest.param("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", id="as good as never"),
    ],
)
async def test_an_expiry_is_kept_in_utc(api: RunningApi, given: str, kept: str) -> None:
    """However it was written."""
    answer = await api.post(PATH, api.people.user, {"expires_utc": given})

    assert answer.status == 201
    assert answer.json["expires_utc"] == kept


async def test_an_expired_token_is_refused(api: RunningApi) -> None:
    """Also one that was made so."""
    made = await api.post(PATH, api.people.user, {"scopes": ["user"], "expires_utc": "2020-01-01T00:00:00Z"})

    assert (await api.get("/api/v2/projects", made.json["id"])).status == 401


async def test_notes_may_hold_anything(api: RunningApi) -> None:
    """What Postgres cannot hold is replaced in the store."""
    answer = await api.post(PATH, api.people.user, {"notes": "a\0b 😀"})

    assert answer.status == 201
    kept = await api.pool.fetchval("SELECT notes FROM tokens WHERE id = $1", answer.json["id"][:24])
    assert kept == "a\ufffdb 😀"


@pytest.mark.parametrize(
    "project_id",
    [
        pytest.param(OTHER_PROJECT.hex, id="another organization's"),
        pytest.param("f" * 32, id="no project"),
        pytest.param("a" * 24, id="an id of the official server"),
        pytest.param("short", id="against the route's constraint"),
    ],
)
async def test_tokens_of_other_projects_cannot_be_made(api: RunningApi, project_id: str) -> None:
    """They do not exist for this person."""
    assert (await api.post(f"/api/v2/projects/{project_id}/tokens", api.people.user)).status == 404


async def test_a_revoked_token_is_refused_here_and_at_ingest(api: RunningApi) -> None:
    """By the time of the answer."""
    secret = (await api.post(PATH, api.people.user, {"scopes": ["user"]})).json["id"]

    answer = await delete(api, secret)

    assert (answer.status, answer.json) == (202, {"workers": []})
    assert (await api.get("/api/v2/projects", secret)).status == 401
    assert not await api.known_to_ingest(secret)


async def test_the_public_part_names_a_token(api: RunningApi) -> None:
    """Lists carry no more of it."""
    assert (await delete(api, api.people.program[:24])).status == 202
    assert (await api.get("/api/v2/projects", api.people.program)).status == 401


async def test_a_wrong_secret_part_names_nothing(api: RunningApi) -> None:
    """More than the public part must be the whole token."""
    assert (await delete(api, api.people.program[:24] + "x" * 16)).status == 404
    assert (await api.get("/api/v2/projects", api.people.program)).status == 200


async def test_several_are_revoked_at_once(api: RunningApi) -> None:
    """A comma-separated list; one that is named twice is one."""
    answer = await delete(api, api.people.program, api.people.client, api.people.client)

    assert answer.status == 202
    assert await api.pool.fetchval("SELECT count(*) FROM tokens WHERE project_id = $1", PROJECT) == 0


async def test_a_mixed_list_says_what_became_of_each(api: RunningApi) -> None:
    """What can be revoked is; the answer is 400 with the rest."""
    missing = "a" * 40

    answer = await delete(api, api.people.program, missing, api.people.other_program)

    assert answer.status == 400
    assert answer.json["workers"] == []
    assert answer.json["success"] == [api.people.program]
    failed = {failure["id"]: failure for failure in answer.json["failure"]}
    assert set(failed) == {missing, api.people.other_program}
    assert all((f["allowed"], f["status_code"]) == (False, 404) for f in failed.values())
    assert (await api.get("/api/v2/projects", api.people.program)).status == 401
    assert (await api.get("/api/v2/projects", api.people.other_program)).status == 200


async def test_tokens_of_another_organization_do_not_exist(api: RunningApi) -> None:
    """404, and they go on working, here and at ingest."""
    made = await api.post(
        f"/api/v2/projects/{OTHER_PROJECT.hex}/tokens", api.people.stranger, {"scopes": ["user"]}
    )

    assert (await delete(api, made.json["id"])).status == 404
    assert (await api.get("/api/v2/projects", made.json["id"])).status == 200
    assert await api.known_to_ingest(made.json["id"])


async def test_logins_are_no_resource(api: RunningApi) -> None:
    """Ending a login is logging out."""
    assert (await delete(api, api.people.admin)).status == 404
    assert (await delete(api, api.people.user)).status == 404


async def test_a_token_of_another_person_is_not_ours_to_revoke(api: RunningApi) -> None:
    """400 with a sentence; an administrator may."""
    admin_id = await api.pool.fetchval("SELECT id FROM users WHERE email_address = 'admin@example.com'")
    token = await add_program(api.pool, ORGANIZATION, PROJECT, "user", user_id=admin_id)

    refused = await delete(api, token)

    assert (refused.status, refused.json["title"]) == (400, "Only tokens of your own can be deleted.")
    assert (await delete(api, token, token=api.people.admin)).status == 202


@pytest.mark.parametrize("path", ["short", "a" * 41, "a" * 24 + ",", "a" * 23 + "!", "a" * 23 + "٣"])
async def test_ids_against_the_constraint_are_no_route(api: RunningApi, path: str) -> None:
    """404, as for any unknown path."""
    assert (await delete(api, path)).status == 404


async def test_no_token_is_made_that_ingest_cannot_be_told_of(api_without_redis: RunningApi) -> None:
    """They would answer it 401, on which clients drop their events: 503, and it is not kept either."""
    api = api_without_redis
    before = await api.pool.fetchval("SELECT count(*) FROM tokens")

    answer = await api.post(PATH, api.people.user)

    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert await api.pool.fetchval("SELECT count(*) FROM tokens") == before


async def test_a_revocation_that_ingest_has_not_heard_of_says_so(api_without_redis: RunningApi) -> None:
    """503 with `Retry-After`: revoked in Postgres only. Repeats answer the same until it is published."""
    api = api_without_redis

    first = await delete(api, api.people.program)
    again = await delete(api, api.people.program)

    assert (first.status, again.status) == (503, 503)
    assert int(first.headers["Retry-After"]) > 0
    assert "could not be published to ingest" in first.json["title"]
    assert (await api.get("/api/v2/projects", api.people.program)).status == 401


async def test_repeating_a_revocation_mends_what_ingest_missed(api: RunningApi) -> None:
    """404, for the token is gone; but now ingest know."""
    secret = (await api.post(PATH, api.people.user)).json["id"]
    await api.pool.execute("DELETE FROM tokens WHERE id = $1", secret[:24])
    assert await api.known_to_ingest(secret)

    assert (await delete(api, secret)).status == 404
    assert not await api.known_to_ingest(secret)


async def test_tokens_are_listed_without_their_secrets(api: RunningApi) -> None:
    """Of a project or a whole organization, in pages; logins are not among them."""
    made = (await api.post(PATH, api.people.user, {"scopes": ["user"], "notes": "mine"})).json["id"]

    of_project = await api.get(PATH, api.people.user)
    of_organization = await api.get(
        f"/api/v2/organizations/{ORGANIZATION.hex}/tokens?limit=2&page=2", api.people.user
    )

    whole = {api.people.client, api.people.program[:24], made[:24]}
    assert {view["id"] for view in of_project.json} == whole
    assert of_project.headers["X-Result-Count"] == "3"
    assert [view["id"] for view in of_organization.json] == [made[:24]]
    assert 'rel="previous"' in of_organization.headers["Link"]


async def test_lists_of_what_is_not_there(api: RunningApi) -> None:
    """404, but for an administrator an organization that there is not is as good as an empty one."""
    for path in (f"/api/v2/organizations/{'f' * 24}/tokens", f"/api/v2/organizations/{'f' * 32}/tokens"):
        assert (await api.get(path, api.people.user)).status == 404
        answer = await api.get(path, api.people.admin)
        assert (answer.status, answer.json, answer.headers["X-Result-Count"]) == (200, [], "0")
    assert (await api.get(f"/api/v2/projects/{'f' * 32}/tokens", api.people.admin)).status == 404


@pytest.mark.parametrize("named_by", [slice(24), slice(40)], ids=["its public part", "the whole"])
async def test_a_token_is_read_by_either_name(api: RunningApi, named_by: slice) -> None:
    """The secret part is not in the answer."""
    answer = await api.get(f"/api/v2/tokens/{api.people.program[named_by]}", api.people.user)

    assert (answer.status, answer.json["id"]) == (200, api.people.program[:24])


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_what_is_no_token_of_ours_cannot_be_read_or_changed(api: RunningApi, method: str) -> None:
    """404 for a wrong secret part, a login, another organization's and another person's."""
    admin_id = await api.pool.fetchval("SELECT id FROM users WHERE email_address = 'admin@example.com'")
    persons = await add_program(api.pool, ORGANIZATION, PROJECT, "user", user_id=admin_id)

    for name in (api.people.program[:24] + "x" * 16, api.people.user, api.people.other_program, persons):
        answer = await api.request(method, f"/api/v2/tokens/{name}", api.people.user, json={})
        assert answer.status == 404
    assert (await api.get(f"/api/v2/tokens/{persons}", api.people.admin)).status == 200


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_a_disabled_token_is_refused_here_and_at_ingest(api: RunningApi, method: str) -> None:
    """By the time of the answer; enabled again it works again. What is left out stays."""
    path = f"/api/v2/tokens/{api.people.program[:24]}"

    disabled = await api.request(method, path, api.people.user, json={"is_disabled": True, "notes": "a\0b"})
    assert (disabled.status, disabled.json["is_disabled"]) == (200, True)
    assert (await api.get("/api/v2/projects", api.people.program)).status == 401
    assert not await api.known_to_ingest(api.people.program)

    enabled = await api.request(method, path, api.people.user, json={"IS_DISABLED": False})
    assert (enabled.json["is_disabled"], enabled.json["notes"]) == (False, "a\ufffdb")
    assert enabled.json["updated_utc"] > disabled.json["updated_utc"]
    assert (await api.get("/api/v2/projects", api.people.program)).status == 200
    assert await api.known_to_ingest(api.people.program)

    bare = await api.request(method, path, api.people.user, json={"notes": None})
    assert "notes" not in bare.json


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 400, id="no body"),
        pytest.param(b"{}", 200, id="no change"),
        pytest.param(b'{"scopes": ["global"], "project_id": "x"}', 200, id="what cannot be changed"),
        pytest.param(b'{"is_disabled": null}', 200, id="null where it cannot be"),
        pytest.param(b'{"is_disabled": "yes"}', 422, id="the wrong type"),
        pytest.param(b"[]", 400, id="no object"),
    ],
)
async def test_bodies_of_changes(api: RunningApi, body: bytes, status: int) -> None:
    """Nothing else than notes and the switch is changed, and of these only what is there."""
    path = f"/api/v2/tokens/{api.people.program[:24]}"
    before = (await api.get(path, api.people.user)).json

    answer = await api.request(
        "PATCH", path, api.people.user, data=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status == status
    assert (await api.get(path, api.people.user)).json == before


async def test_changes_at_once_leave_ingest_with_the_last_one(api: RunningApi) -> None:
    """Whoever tells ingest holds the token: they never know an older state than Postgres."""
    path = f"/api/v2/tokens/{api.people.program[:24]}"
    await asyncio.gather(
        *(api.request("PATCH", path, api.people.user, json={"is_disabled": bool(n % 2)}) for n in range(20))
    )

    is_disabled = (await api.get(path, api.people.user)).json["is_disabled"]
    assert await api.known_to_ingest(api.people.program) is not is_disabled


async def test_a_change_that_ingest_do_not_know_says_so(api_without_redis: RunningApi) -> None:
    """503; a repeat says so again until they do."""
    api = api_without_redis
    path = f"/api/v2/tokens/{api.people.program[:24]}"

    first = await api.request("PATCH", path, api.people.user, json={"is_disabled": True})
    again = await api.request("PATCH", path, api.people.user, json={"is_disabled": True})

    assert (first.status, again.status) == (503, 503)
    assert (await api.get("/api/v2/projects", api.people.program)).status == 401
