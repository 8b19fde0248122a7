"""The user who is logged in."""

import pytest

from collector.database.owners import tokens
from tests.api.running_api import EMAIL, RunningApi
from tests.database.rows import ORGANIZATION

pytestmark = pytest.mark.integration


async def test_people_can_read_their_own_user(api: RunningApi) -> None:
    """With every member that the official clients know."""
    view = (await api.get("/api/v2/users/me", api.people.user)).json

    assert len(view.pop("id")) == 32
    assert view == {
        "organization_ids": [ORGANIZATION.hex],
        "full_name": "Somebody",
        "email_address": EMAIL,
        "email_notifications_enabled": False,
        "is_email_address_verified": False,
        "is_active": True,
        "is_invite": False,
        "roles": ["user", "client"],
        "has_local_account": True,
        "o_auth_accounts": [],
    }


async def test_logging_out_ends_the_login_here_and_at_ingest(api: RunningApi) -> None:
    """Only the login that was used for it."""
    login = await api.post("/api/v2/auth/login", body={"email": EMAIL, "password": "correct horse"})
    token = login.json["token"]

    answer = await api.get("/api/v2/auth/logout", token)

    assert (answer.status, answer.body) == (200, b"")
    assert (await api.get("/api/v2/users/me", token)).status == 401
    assert not await api.known_to_ingest(token)
    assert (await api.get("/api/v2/users/me", api.people.user)).status == 200


async def test_a_log_out_that_could_not_be_published_is_503(api_without_redis: RunningApi) -> None:
    """The login has ended in Postgres all the same."""
    api = api_without_redis

    assert (await api.get("/api/v2/auth/logout", api.people.user)).status == 503
    assert (await api.get("/api/v2/users/me", api.people.user)).status == 401


async def test_people_see_their_logins_and_end_all_but_their_own(api: RunningApi) -> None:
    """Here and at ingest; tokens for programs, and other people's logins, stay."""
    credentials = {"email": EMAIL, "password": "correct horse"}
    headers = {"User-Agent": f"Lost laptop {'x' * 500}"}
    lost = (await api.post("/api/v2/auth/login", body=credentials, headers=headers)).json["token"]
    mine = (await api.post("/api/v2/auth/login", body=credentials)).json["token"]

    logins = (await api.get("/api/v2/users/me/logins", mine)).json

    assert [login["id"] for login in logins] == [mine[:24], lost[:24], api.people.user[:24]]
    assert [login["is_current"] for login in logins] == [True, False, False]
    assert logins[1]["user_agent"] == headers["User-Agent"][:300]
    assert all(len(login["id"]) == 24 for login in logins)

    assert (await api.request("DELETE", "/api/v2/users/me/logins", mine)).status == 204

    assert [login["id"] for login in (await api.get("/api/v2/users/me/logins", mine)).json] == [mine[:24]]
    assert (await api.get("/api/v2/users/me", lost)).status == 401
    assert not await api.known_to_ingest(lost)
    assert (await api.get("/api/v2/users/me", api.people.stranger)).status == 200
    assert (await api.get("/api/v2/events", api.people.program)).status == 200


async def test_a_login_is_ended_by_its_id(api: RunningApi) -> None:
    """Only by its own person; ending the one in use logs out, here and at ingest."""
    credentials = {"email": EMAIL, "password": "correct horse"}
    mine = (await api.post("/api/v2/auth/login", body=credentials)).json["token"]
    lost = (await api.post("/api/v2/auth/login", body=credentials)).json["token"]

    async def end(token: str, by: str) -> int:
        return (await api.request("DELETE", f"/api/v2/users/me/logins/{token[:24]}", by)).status

    assert await end(lost, api.people.stranger) == 404
    assert await end(api.people.program, mine) == 404
    assert await end(lost, mine) == 204
    assert await end(lost, mine) == 404
    assert not await api.known_to_ingest(lost)
    assert await end(mine, mine) == 204
    assert (await api.get("/api/v2/users/me", mine)).status == 401
    assert (await api.get("/api/v2/users/me", api.people.user)).status == 200


async def test_the_oldest_login_ends_where_there_are_too_many(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "LOGINS_AT_MOST", 2)
    credentials = {"email": EMAIL, "password": "correct horse"}
    first, second, third = [
        (await api.post("/api/v2/auth/login", body=credentials)).json["token"] for _ in range(3)
    ]

    logins = (await api.get("/api/v2/users/me/logins", third)).json

    assert [login["id"] for login in logins] == [third[:24], second[:24]]
    assert not await api.known_to_ingest(first)
