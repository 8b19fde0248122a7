"""The user who is logged in."""

import pytest

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
