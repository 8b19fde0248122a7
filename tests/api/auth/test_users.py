"""Who is logged in."""

import pytest

from tests.api.running_api import EMAIL, RunningApi
from tests.database.rows import ORGANIZATION

pytestmark = pytest.mark.integration


async def test_a_person_sees_himself(api: RunningApi) -> None:
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


async def test_a_login_ends_here_and_at_ingest_by_logging_out(api: RunningApi) -> None:
    """Only the one that it is done with."""
    login = await api.post("/api/v2/auth/login", body={"email": EMAIL, "password": "correct horse"})
    token = login.json["token"]

    answer = await api.get("/api/v2/auth/logout", token)

    assert (answer.status, answer.body) == (200, b"")
    assert (await api.get("/api/v2/users/me", token)).status == 401
    assert not await api.known_to_ingest(token)
    assert (await api.get("/api/v2/users/me", api.people.user)).status == 200


async def test_a_log_out_that_ingest_do_not_know_says_so(api_without_redis: RunningApi) -> None:
    """503, though the login is ended here."""
    api = api_without_redis

    assert (await api.get("/api/v2/auth/logout", api.people.user)).status == 503
    assert (await api.get("/api/v2/users/me", api.people.user)).status == 401
