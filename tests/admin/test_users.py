"""What operators can do with users while an api runs."""

import pytest

from collector.admin import users
from collector.database.owners.users import find_user
from collector.domain.errors import Conflict, NotFound
from tests.api.running_api import EMAIL, PASSWORD, RunningApi
from tests.database.rows import ORGANIZATION

pytestmark = pytest.mark.integration


async def test_the_first_user_gets_the_global_role(api: RunningApi) -> None:
    """As with signing up."""
    await api.pool.execute("TRUNCATE organizations, users CASCADE")

    first = await users.create(api.parts, "a@example.com", "A", PASSWORD, [], is_global=False)
    second = await users.create(api.parts, "b@example.com", "B", PASSWORD, [], is_global=False)
    third = await users.create(api.parts, "c@example.com", "C", PASSWORD, [], is_global=True)

    assert first.roles == third.roles == ("global", "user", "client")
    assert second.roles == ("user", "client")


async def test_no_user_is_created_for_an_unknown_organization(api: RunningApi) -> None:
    """A typo leaves nothing to clean up."""
    with pytest.raises(NotFound):
        await users.create(api.parts, "a@example.com", "A", PASSWORD, ["0" * 32], is_global=False)

    assert "a@example.com" not in {user.email_address for user in await users.list_all(api.parts)}


async def test_a_disabled_user_is_locked_out_and_let_in_again(api: RunningApi) -> None:
    """Everywhere and immediately; enabling makes the same login token work again."""
    await users.change(api.parts, EMAIL, is_active=False)
    locked_out = await api.get("/api/v2/users/me", api.people.user)
    ingest_errors = await api.known_to_ingest(api.people.user)
    await users.change(api.parts, EMAIL, is_active=True)

    assert (locked_out.status, ingest_errors) == (401, False)
    assert (await api.get("/api/v2/users/me", api.people.user)).status == 200
    assert await api.known_to_ingest(api.people.user)


async def test_a_new_password_ends_the_sessions_of_the_old_one(api: RunningApi) -> None:
    """At ingest, too."""
    await users.change_password(api.parts, EMAIL, "another horse")

    assert (await api.get("/api/v2/users/me", api.people.user)).status == 401
    assert not await api.known_to_ingest(api.people.user)
    login = await api.post("/api/v2/auth/login", body={"email": EMAIL, "password": "another horse"})
    assert login.status == 200


async def test_a_disabled_user_gets_no_new_password(api: RunningApi) -> None:
    """It would look as if the user could log in again."""
    await users.change(api.parts, EMAIL, is_active=False)

    with pytest.raises(Conflict, match="enable"):
        await users.change_password(api.parts, EMAIL, "another horse")


async def test_a_deleted_user_is_gone_with_all_tokens(api: RunningApi) -> None:
    """Tokens of the organization stay."""
    (user,) = [user for user in await users.list_all(api.parts) if user.email_address == EMAIL]

    assert await users.delete(api.parts, user.id) == user

    async with api.pool.acquire() as connection:
        assert await find_user(connection, EMAIL) is None
    assert (await api.get("/api/v2/users/me", api.people.user)).status == 401
    assert (await api.get("/api/v2/projects", api.people.program)).json[0][
        "organization_id"
    ] == ORGANIZATION.hex
