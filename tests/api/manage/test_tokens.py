"""Tokens are created for a project or an organization, read, changed and revoked."""

import asyncio
from typing import Any

import pytest

from collector.domain.access.token import token_digest
from tests.api.running_api import OTHER_ORGANIZATION, Answer, RunningApi, add_program
from tests.database.rows import ORGANIZATION, OTHER_PROJECT, PROJECT

pytestmark = pytest.mark.integration

PATH = f"/api/v2/projects/{PROJECT.hex}/tokens"
EXPIRY = "The expires_utc field must be a time in the years 1970 to 9999, such as 2030-01-31T12:00:00Z."
OF_ORGANIZATION = f"/api/v2/organizations/{ORGANIZATION.hex}/tokens"
DEFAULT = f"/api/v2/projects/{PROJECT.hex}/tokens/default"
NO_PROJECT = "field must be a project of the organization."


async def delete(api: RunningApi, *ids: str, token: str | None = None) -> Answer:
    """Revoke."""
    return await api.request("DELETE", f"/api/v2/tokens/{','.join(ids)}", token or api.people.user)


async def test_a_new_token_works_immediately_and_is_shown_once(api: RunningApi) -> None:
    """The whole secret is in `id`, the public part in `Location`; only a hash is stored."""
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
async def test_scopes_are_stored_with_the_scopes_they_imply(
    api: RunningApi, body: Any, scopes: list[str]
) -> None:
    """Without a scope, a token has the scope client."""
    answer = await api.post(PATH, api.people.user, body)

    assert answer.status == 201
    assert answer.json["scopes"] == scopes
    assert answer.json["project_id"] == PROJECT.hex


async def test_a_client_token_is_stored_in_plain_text(api: RunningApi) -> None:
    """It is part of apps and web pages, and lists show it."""
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
async def test_an_invalid_grant_is_422(api: RunningApi, body: Any, errors: Any) -> None:
    """With the field. No token is created."""
    before = await api.pool.fetchval("SELECT count(*) FROM tokens")

    answer = await api.post(PATH, api.people.user, body)

    assert answer.status == 422
    assert answer.json["errors"] == errors
    assert await api.pool.fetchval("SELECT count(*) FROM tokens") == before


@pytest.mark.parametrize("body", [{"scopes": "user"}, {"notes": 1}, {"expires_utc": "tomorrow"}])
async def test_a_field_of_the_wrong_type_is_422(api: RunningApi, body: dict[str, Any]) -> None:
    answer = await api.post(PATH, api.people.user, body)

    assert answer.status == 422
    assert list(answer.json["errors"]) == list(body)


async def test_only_a_global_user_can_grant_global(api: RunningApi) -> None:
    """It implies all other scopes."""
    answer = await api.post(PATH, api.people.admin, {"scopes": ["global"]})

    assert answer.status == 201
    assert answer.json["scopes"] == ["global", "user", "client"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param("2099-01-02T03:04:05Z", "2099-01-02T03:04:05Z", id="UTC"),
        pytest.param("2099-01-02T03:04:05+02:00", "2099-01-02T01:04:05Z", id="with an offset"),
        pytest.param("2099-01-02T03:04:05", "2099-01-02T03:04:05Z", id="without one"),
        pytest.param("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", id="the last year"),
    ],
)
async def test_an_expiry_is_stored_in_utc(api: RunningApi, given: str, kept: str) -> None:
    answer = await api.post(PATH, api.people.user, {"expires_utc": given})

    assert answer.status == 201
    assert answer.json["expires_utc"] == kept


async def test_an_expired_token_is_refused(api: RunningApi) -> None:
    """Also one that was created with an expiry in the past."""
    made = await api.post(PATH, api.people.user, {"scopes": ["user"], "expires_utc": "2020-01-01T00:00:00Z"})

    assert (await api.get("/api/v2/projects", made.json["id"])).status == 401


async def test_notes_may_contain_any_text(api: RunningApi) -> None:
    """Characters that Postgres cannot hold are replaced."""
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
async def test_tokens_of_other_projects_cannot_be_created(api: RunningApi, project_id: str) -> None:
    """For this caller they do not exist."""
    assert (await api.post(f"/api/v2/projects/{project_id}/tokens", api.people.user)).status == 404


async def test_a_token_is_created_for_the_project_in_the_body(api: RunningApi) -> None:
    """Its organization is the project's, whatever the body says. A default project would have no meaning."""
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
    """A body is optional."""
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
async def test_an_invalid_token_is_refused(
    api: RunningApi, path: str, body: Any, status: int, errors: Any
) -> None:
    """No token is created."""
    before = await api.pool.fetchval("SELECT count(*) FROM tokens")

    answer = await api.post(path, api.people.user, body)

    assert (answer.status, answer.json.get("errors")) == (status, errors)
    assert await api.pool.fetchval("SELECT count(*) FROM tokens") == before


async def test_the_project_must_belong_to_the_organization_in_the_path(api: RunningApi) -> None:
    """For administrators, too."""
    answer = await api.post(OF_ORGANIZATION, api.people.admin, {"project_id": OTHER_PROJECT.hex})

    assert answer.status == 422


async def test_the_default_token_is_the_first_client_token(api: RunningApi) -> None:
    """In full, because it is not secret. A disabled one does not count."""
    assert (await api.get(DEFAULT, api.people.user)).json["id"] == api.people.client
    await api.pool.execute("UPDATE tokens SET is_disabled = true WHERE id = $1", api.people.client[:24])

    answer = await api.get(DEFAULT, api.people.user)

    assert answer.status == 201
    assert answer.json["scopes"] == ["client"]
    assert (await api.get(DEFAULT, api.people.user)).json["id"] == answer.json["id"]
    assert await api.known_to_ingest(answer.json["id"])


async def test_concurrent_requests_get_the_same_default_token(api: RunningApi) -> None:
    """Only one is created."""
    await api.pool.execute("DELETE FROM tokens WHERE id = $1", api.people.client[:24])

    answers = await asyncio.gather(*(api.get(DEFAULT, api.people.user) for _ in range(5)))

    assert sorted(answer.status for answer in answers) == [200] * 4 + [201]
    assert len({answer.json["id"] for answer in answers}) == 1


async def test_a_project_that_is_being_deleted_gets_no_token(api: RunningApi) -> None:
    """404, never 500. The deletion waits for a token that is being created."""
    path = f"/api/v2/projects/{PROJECT.hex}"
    answers = await asyncio.gather(
        *(api.post(f"{path}/tokens", api.people.user) for _ in range(4)),
        api.request("DELETE", path, api.people.user),
        *(api.post(f"{path}/tokens", api.people.user) for _ in range(4)),
    )

    assert {answer.status for answer in answers} <= {201, 202, 404}
    assert await api.pool.fetchval("SELECT count(*) FROM tokens WHERE project_id = $1", PROJECT) == 0


async def test_a_revoked_token_is_refused_here_and_at_ingest(api: RunningApi) -> None:
    """By the time of the answer."""
    secret = (await api.post(PATH, api.people.user, {"scopes": ["user"]})).json["id"]

    answer = await delete(api, secret)

    assert (answer.status, answer.json) == (202, {"workers": []})
    assert (await api.get("/api/v2/projects", secret)).status == 401
    assert not await api.known_to_ingest(secret)


async def test_the_public_part_identifies_a_token(api: RunningApi) -> None:
    """Lists show only this part."""
    assert (await delete(api, api.people.program[:24])).status == 202
    assert (await api.get("/api/v2/projects", api.people.program)).status == 401


async def test_a_wrong_secret_part_identifies_no_token(api: RunningApi) -> None:
    """An id that is longer than the public part must be the whole token."""
    assert (await delete(api, api.people.program[:24] + "x" * 16)).status == 404
    assert (await api.get("/api/v2/projects", api.people.program)).status == 200


async def test_several_tokens_are_revoked_in_one_request(api: RunningApi) -> None:
    """In a comma-separated list. Repeated ids count once."""
    answer = await delete(api, api.people.program, api.people.client, api.people.client)

    assert answer.status == 202
    assert await api.pool.fetchval("SELECT count(*) FROM tokens WHERE project_id = $1", PROJECT) == 0


async def test_revoking_a_mixed_list_answers_with_a_result_for_each(api: RunningApi) -> None:
    """Those that can be revoked are; 400 lists the rest."""
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
    """404, and they stay valid, here and at ingest."""
    made = await api.post(
        f"/api/v2/projects/{OTHER_PROJECT.hex}/tokens", api.people.stranger, {"scopes": ["user"]}
    )

    assert (await delete(api, made.json["id"])).status == 404
    assert (await api.get("/api/v2/projects", made.json["id"])).status == 200
    assert await api.known_to_ingest(made.json["id"])


async def test_logins_are_not_tokens_to_revoke(api: RunningApi) -> None:
    """They end by logging out."""
    assert (await delete(api, api.people.admin)).status == 404
    assert (await delete(api, api.people.user)).status == 404


async def test_only_an_administrator_can_revoke_another_persons_token(api: RunningApi) -> None:
    """400 for others."""
    admin_id = await api.pool.fetchval("SELECT id FROM users WHERE email_address = 'admin@example.com'")
    token = await add_program(api.pool, ORGANIZATION, PROJECT, "user", user_id=admin_id)

    refused = await delete(api, token)

    assert (refused.status, refused.json["title"]) == (400, "Only tokens of your own can be deleted.")
    assert (await delete(api, token, token=api.people.admin)).status == 202


@pytest.mark.parametrize("path", ["short", "a" * 41, "a" * 24 + ",", "a" * 23 + "!", "a" * 23 + "٣"])
async def test_ids_that_violate_the_constraint_match_no_route(api: RunningApi, path: str) -> None:
    """404, as for any unknown path."""
    assert (await delete(api, path)).status == 404


async def test_a_token_that_cannot_be_published_is_not_created(api_without_redis: RunningApi) -> None:
    """503. Otherwise ingest would answer 401, on which clients drop their events."""
    api = api_without_redis
    before = await api.pool.fetchval("SELECT count(*) FROM tokens")

    answer = await api.post(PATH, api.people.user)

    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert await api.pool.fetchval("SELECT count(*) FROM tokens") == before


async def test_a_revocation_that_cannot_be_published_is_503(api_without_redis: RunningApi) -> None:
    """503 with `Retry-After`: revoked in Postgres only. Repeats answer the same until it is published."""
    api = api_without_redis

    first = await delete(api, api.people.program)
    again = await delete(api, api.people.program)

    assert (first.status, again.status) == (503, 503)
    assert int(first.headers["Retry-After"]) > 0
    assert "could not be published to ingest" in first.json["title"]
    assert (await api.get("/api/v2/projects", api.people.program)).status == 401


async def test_repeating_a_revocation_publishes_what_ingest_missed(api: RunningApi) -> None:
    """404, because the token is gone, but now ingest knows."""
    secret = (await api.post(PATH, api.people.user)).json["id"]
    await api.pool.execute("DELETE FROM tokens WHERE id = $1", secret[:24])
    assert await api.known_to_ingest(secret)

    assert (await delete(api, secret)).status == 404
    assert not await api.known_to_ingest(secret)


async def test_tokens_are_listed_without_their_secrets(api: RunningApi) -> None:
    """Of a project or an organization, in pages, without logins."""
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


async def test_the_tokens_of_an_unknown_owner_are_404(api: RunningApi) -> None:
    """Except that administrators get an empty list for an unknown organization."""
    for path in (f"/api/v2/organizations/{'f' * 24}/tokens", f"/api/v2/organizations/{'f' * 32}/tokens"):
        assert (await api.get(path, api.people.user)).status == 404
        answer = await api.get(path, api.people.admin)
        assert (answer.status, answer.json, answer.headers["X-Result-Count"]) == (200, [], "0")
    assert (await api.get(f"/api/v2/projects/{'f' * 32}/tokens", api.people.admin)).status == 404


@pytest.mark.parametrize("named_by", [slice(24), slice(40)], ids=["its public part", "the whole"])
async def test_a_token_is_read_by_its_public_part_or_in_full(api: RunningApi, named_by: slice) -> None:
    """The secret part is not in the answer."""
    answer = await api.get(f"/api/v2/tokens/{api.people.program[named_by]}", api.people.user)

    assert (answer.status, answer.json["id"]) == (200, api.people.program[:24])


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_other_tokens_can_be_neither_read_nor_changed(api: RunningApi, method: str) -> None:
    """404 for a wrong secret part, a login, another organization's token and another person's."""
    admin_id = await api.pool.fetchval("SELECT id FROM users WHERE email_address = 'admin@example.com'")
    persons = await add_program(api.pool, ORGANIZATION, PROJECT, "user", user_id=admin_id)

    for name in (api.people.program[:24] + "x" * 16, api.people.user, api.people.other_program, persons):
        answer = await api.request(method, f"/api/v2/tokens/{name}", api.people.user, json={})
        assert answer.status == 404
    assert (await api.get(f"/api/v2/tokens/{persons}", api.people.admin)).status == 200


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_a_disabled_token_is_refused_here_and_at_ingest(api: RunningApi, method: str) -> None:
    """By the time of the answer. Once enabled, it works again. Omitted members stay."""
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
        pytest.param(b'{"scopes": ["global"], "project_id": "x"}', 200, id="read-only members"),
        pytest.param(b'{"is_disabled": null}', 200, id="null where it cannot be"),
        pytest.param(b'{"is_disabled": "yes"}', 422, id="the wrong type"),
        pytest.param(b"[]", 400, id="not an object"),
    ],
)
async def test_a_change_applies_only_to_notes_and_is_disabled(
    api: RunningApi, body: bytes, status: int
) -> None:
    """Other members are ignored, and omitted ones stay."""
    path = f"/api/v2/tokens/{api.people.program[:24]}"
    before = (await api.get(path, api.people.user)).json

    answer = await api.request(
        "PATCH", path, api.people.user, data=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status == status
    assert (await api.get(path, api.people.user)).json == before


async def test_concurrent_changes_leave_ingest_with_the_last(api: RunningApi) -> None:
    """They are published under the token's row lock, so ingest never keeps an older state than Postgres."""
    path = f"/api/v2/tokens/{api.people.program[:24]}"
    await asyncio.gather(
        *(api.request("PATCH", path, api.people.user, json={"is_disabled": bool(n % 2)}) for n in range(20))
    )

    is_disabled = (await api.get(path, api.people.user)).json["is_disabled"]
    assert await api.known_to_ingest(api.people.program) is not is_disabled


async def test_a_change_that_cannot_be_published_is_503(api_without_redis: RunningApi) -> None:
    """Repeats are 503, too, until it is published."""
    api = api_without_redis
    path = f"/api/v2/tokens/{api.people.program[:24]}"

    first = await api.request("PATCH", path, api.people.user, json={"is_disabled": True})
    again = await api.request("PATCH", path, api.people.user, json={"is_disabled": True})

    assert (first.status, again.status) == (503, 503)
    assert (await api.get("/api/v2/projects", api.people.program)).status == 401
