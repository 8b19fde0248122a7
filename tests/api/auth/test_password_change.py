"""Changing a password ends everything that was obtained with the old one."""

import asyncio
from typing import Any

import asyncpg
import pytest

from collector.database.owners.users import User, is_still_known
from tests.api.running_api import EMAIL, PASSWORD, Answer, RunningApi

pytestmark = pytest.mark.integration

PATH = "/api/v2/auth/change-password"
NEW = "battery staple"


async def change(api: RunningApi, token: str, **members: Any) -> Answer:
    """Try to change it."""
    return await api.post(PATH, token, {"current_password": PASSWORD, "password": NEW} | members)


async def log_in(api: RunningApi, password: str) -> Answer:
    """Log in as the person whose password it is."""
    return await api.post("/api/v2/auth/login", body={"email": EMAIL, "password": password})


async def test_only_the_new_login_remains(api: RunningApi) -> None:
    """Here and at ingest. Other people's tokens stay."""
    other = (await log_in(api, PASSWORD)).json["token"]

    answer = await change(api, api.people.user)

    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    token = answer.json["token"]
    assert await api.known_to_ingest(token)
    for old in (other, api.people.user):
        assert (await api.get("/api/v2/projects", old)).status == 401
        assert not await api.known_to_ingest(old)
    assert (await api.get("/api/v2/projects", token)).status == 200
    assert (await api.get("/api/v2/projects", api.people.admin)).status == 200
    assert (await log_in(api, PASSWORD)).status == 401
    assert (await log_in(api, NEW)).status == 200


@pytest.mark.parametrize(
    ("members", "field"),
    [
        pytest.param({"current_password": "wrong horse"}, "current_password", id="a wrong one"),
        pytest.param({"password": PASSWORD}, "password", id="the same one"),
        pytest.param({"password": "short"}, "password", id="a short one"),
        pytest.param({"current_password": None}, "current_password", id="none"),
    ],
)
async def test_an_invalid_change_is_422_with_the_fields(api: RunningApi, members: Any, field: str) -> None:
    """Nothing changes."""
    answer = await change(api, api.people.user, **members)

    assert answer.status == 422
    assert list(answer.json["errors"]) == [field]
    assert (await api.get("/api/v2/projects", api.people.user)).status == 200


async def test_a_stolen_login_cannot_guess_passwords_for_long(api: RunningApi) -> None:
    """Attempts count as those to log in do: after five, even the right password is refused."""
    for _ in range(5):
        await change(api, api.people.user, current_password="wrong horse")

    assert (await change(api, api.people.user)).status == 422
    assert (await log_in(api, PASSWORD)).status == 401


async def test_of_two_concurrent_changes_one_wins(api: RunningApi) -> None:
    """The other gets an error, and none of its logins remains."""
    answers = await asyncio.gather(
        change(api, api.people.user, password="first password"),
        change(api, api.people.user, password="second password"),
    )

    # The second is 409, or 422 if it came after the first had finished.
    assert min(answer.status for answer in answers) == 200
    assert {answer.status for answer in answers} - {200} <= {401, 409, 422}
    assert (
        await api.pool.fetchval(
            "SELECT count(*) FROM tokens t JOIN users u ON u.id = t.user_id WHERE u.email_address = $1", EMAIL
        )
        == 1
    )


async def test_a_login_that_started_with_the_old_password_fails(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its password was right when it was checked, but is no longer when the token would be made."""
    checked, may_go_on = asyncio.Event(), asyncio.Event()

    async def slowly(connection: asyncpg.Connection, user: User) -> bool:
        checked.set()
        await may_go_on.wait()
        return await is_still_known(connection, user)

    monkeypatch.setattr("collector.api.auth.login.is_still_known", slowly)
    async with asyncio.TaskGroup() as tasks:
        login = tasks.create_task(log_in(api, PASSWORD))
        await checked.wait()
        assert (await change(api, api.people.user)).status == 200
        may_go_on.set()

    assert login.result().status == 401
