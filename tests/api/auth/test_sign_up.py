"""Signing up: the first user, invited people, sign-up switched off, existing accounts."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from collector.admin import users
from collector.api.auth.first_user import announce_first_invitation
from collector.process.clock import SystemClock
from tests.api.running_api import EMAIL, OTHER_ORGANIZATION, PASSWORD, Answer, RunningApi, running_api
from tests.database.rows import ORGANIZATION
from tests.support.fakes import FakeClock

pytestmark = pytest.mark.integration

PATH = "/api/v2/auth/signup"
HOUR_MS = 3_600_000
NEW = {"name": " New Person ", "email": " New@Example.com ", "password": "battery staple"}


@pytest.fixture
async def api(database_url: str, redis_url: str, key_prefix: str) -> AsyncIterator[RunningApi]:
    """An api with open sign-up behind a proxy: tests choose the address. No hour is about to end."""
    full_hour = FakeClock(SystemClock().now_ms() // HOUR_MS * HOUR_MS)
    async with running_api(
        database_url,
        redis_url,
        key_prefix,
        clock=full_hour,
        trusted_proxies=("127.0.0.0/8",),
        sign_up_enabled=True,
    ) as running:
        yield running


@pytest.fixture
async def closed_api(database_url: str, redis_url: str, key_prefix: str) -> AsyncIterator[RunningApi]:
    """An api as it is by default: only the invited sign up."""
    async with running_api(database_url, redis_url, key_prefix) as running:
        yield running


async def sign_up(api: RunningApi, ip: str = "192.0.2.1", **members: Any) -> Answer:
    """Try to sign up."""
    return await api.post(PATH, body=NEW | members, headers={"X-Forwarded-For": ip})


async def me(api: RunningApi, token: str) -> Any:
    """The user that the token belongs to."""
    return (await api.get("/api/v2/users/me", token)).json


async def invitation(api: RunningApi, email: str = "guest@example.com") -> str:
    """Create an invitation to the organization and return its token."""
    invited = await api.post(f"/api/v2/organizations/{ORGANIZATION.hex}/users/{email}", api.people.user)
    assert invited.status == 200
    view = (await api.get(f"/api/v2/organizations/{ORGANIZATION.hex}", api.people.user)).json
    return next(str(invite["token"]) for invite in view["invites"] if invite["email_address"] == email)


async def test_a_new_user_is_logged_in_and_can_create_an_organization(api: RunningApi) -> None:
    """Ingest knows the token, too."""
    answer = await sign_up(api)

    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    token = answer.json["token"]
    assert await api.known_to_ingest(token)
    person = await me(api, token)
    assert (person["full_name"], person["email_address"]) == ("New Person", "new@example.com")
    assert (person["roles"], person["organization_ids"]) == (["user", "client"], [])
    assert (await api.get("/api/v2/projects", token)).json == []
    assert (await api.post("/api/v2/organizations", token, {"name": "Initech"})).status == 201


async def first_token(api: RunningApi, capsys: pytest.CaptureFixture[str]) -> str:
    """What the process prints at its start, on a server without users."""
    await api.pool.execute("TRUNCATE users CASCADE")
    await announce_first_invitation(api.parts)
    (token,) = re.findall(r'"invite_token": "(\w{40})"', capsys.readouterr().err)
    return str(token)


async def test_the_first_stranger_to_reach_a_new_server_does_not_own_it(
    api: RunningApi, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where sign-up is open: the first user needs the token that the process has printed."""
    await first_token(api, capsys)

    for token in (None, "x" * 40):
        refused = await sign_up(api, invite_token=token)
        assert (refused.status, refused.json["title"]) == (403, "Account Creation is currently disabled")
    assert await api.pool.fetchval("SELECT count(*) FROM users") == 0


async def test_the_first_user_may_do_everything(
    closed_api: RunningApi, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the printed token, which works once."""
    token = await first_token(closed_api, capsys)

    first = await sign_up(closed_api, invite_token=token)
    second = await sign_up(closed_api, invite_token=token, email="second@example.com")

    assert (await me(closed_api, first.json["token"]))["roles"] == ["global", "user", "client"]
    assert second.status == 403


async def test_all_processes_print_the_same_token_while_there_are_no_users(
    api: RunningApi, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also after a restart; one that was not used for a month is replaced. With users nothing is printed."""
    token = await first_token(api, capsys)
    again = await first_token(api, capsys)
    await api.pool.execute("UPDATE first_invitation SET created_utc = now() - interval '31 days'")
    late = await sign_up(api, invite_token=token)
    other = await first_token(api, capsys)
    signed_up = await sign_up(api, invite_token=other)
    await announce_first_invitation(api.parts)

    assert (again, late.status, signed_up.status) == (token, 403, 200)
    assert other != token
    assert capsys.readouterr().err == ""
    # It does not come back when all users have been deleted.
    assert await first_token(api, capsys) not in {token, other}


async def test_a_user_by_command_ends_the_first_invitation(
    closed_api: RunningApi, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who is created first may do everything, however."""
    token = await first_token(closed_api, capsys)

    user = await users.create(closed_api.parts, "boss@example.com", "Boss", PASSWORD, [], is_global=False)

    assert "global" in user.roles
    assert (await sign_up(closed_api, invite_token=token)).status == 403


async def test_only_one_of_those_who_come_first_may_do_everything(
    api: RunningApi, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of four with the printed token at the same time; the others are users like any other."""
    token = await first_token(api, capsys)

    answers = await asyncio.gather(
        *(sign_up(api, email=f"person{n}@example.com", invite_token=token) for n in range(4))
    )

    roles = [(await me(api, answer.json["token"]))["roles"] for answer in answers]
    assert sorted(roles) == [["global", "user", "client"], *[["user", "client"]] * 3]


async def test_signing_up_with_an_existing_account_logs_in(api: RunningApi) -> None:
    """With the right password. A wrong one counts as a failed login."""
    assert (await sign_up(api, email="admin@example.com", password=PASSWORD)).status == 200
    for _ in range(5):
        failed = await sign_up(api, email=EMAIL)
        assert (failed.status, failed.json["title"]) == (401, "Login failed.")

    denied = await sign_up(api, email=EMAIL, password=PASSWORD)

    assert (denied.status, denied.json["title"]) == (401, "Login denied.")


async def test_of_two_concurrent_sign_ups_with_one_address_one_wins(api: RunningApi) -> None:
    """The other gets the answer that a later one would get."""
    answers = await asyncio.gather(sign_up(api), sign_up(api, password="another password"))

    assert sorted(answer.status for answer in answers) == [200, 401]


async def test_an_invited_person_belongs_to_the_organization(api: RunningApi) -> None:
    """Under any address, once. The invitation is used up, and other logins stay valid."""
    token = await invitation(api)

    answer = await sign_up(api, invite_token=token)

    assert answer.status == 200
    assert (await me(api, answer.json["token"]))["organization_ids"] == [ORGANIZATION.hex]
    view = (await api.get(f"/api/v2/organizations/{ORGANIZATION.hex}", api.people.user)).json
    assert view["invites"] == []
    second = await sign_up(api, email="second@example.com", invite_token=token)
    assert (await me(api, second.json["token"]))["organization_ids"] == []


async def test_logging_in_with_an_invitation_joins_with_all_tokens(api: RunningApi) -> None:
    """Including those that existed before."""
    invited = await invitation(api)
    body = {"email": "stranger@example.com", "password": PASSWORD, "invite_token": invited}

    answer = await api.post("/api/v2/auth/login", body=body)

    both = {ORGANIZATION.hex, OTHER_ORGANIZATION.hex}
    for token in (answer.json["token"], api.people.stranger):
        assert set((await me(api, token))["organization_ids"]) == both
        entry = (await api.parts.projection.find_token(token[:24])).entry
        assert entry is not None
        assert {packed.hex() for packed in entry.organization_ids} == both


async def test_an_invitation_expires(api: RunningApi) -> None:
    """It is no longer shown and has no effect; the sign-up is an ordinary one."""
    token = await invitation(api)
    await api.pool.execute("UPDATE invitations SET created_utc = now() - interval '31 days'")

    answer = await sign_up(api, invite_token=token)

    assert (await me(api, answer.json["token"]))["organization_ids"] == []
    view = (await api.get(f"/api/v2/organizations/{ORGANIZATION.hex}", api.people.user)).json
    assert view["invites"] == []


async def test_by_default_only_invited_people_can_sign_up(closed_api: RunningApi) -> None:
    """Existing users can still log in, but not by signing up."""
    refused = await sign_up(closed_api)
    garbage = await sign_up(closed_api, invite_token="x" * 40)
    invited = await sign_up(closed_api, invite_token=await invitation(closed_api))

    assert (refused.status, refused.json["title"]) == (403, "Account Creation is currently disabled")
    assert (garbage.status, invited.status) == (403, 200)


async def test_by_default_an_invitation_lets_in_one(closed_api: RunningApi) -> None:
    """Of several people who use it at the same time; the others are refused, and no users are created."""
    token = await invitation(closed_api)
    before = await closed_api.pool.fetchval("SELECT count(*) FROM users")

    answers = await asyncio.gather(
        *(sign_up(closed_api, email=f"person{n}@example.com", invite_token=token) for n in range(4))
    )

    assert sorted(answer.status for answer in answers) == [200, 403, 403, 403]
    assert await closed_api.pool.fetchval("SELECT count(*) FROM users") == before + 1
    (check_login,) = (answer.json["token"] for answer in answers if answer.status == 200)
    assert (await me(closed_api, check_login))["organization_ids"] == [ORGANIZATION.hex]


async def test_one_client_address_can_create_ten_users_an_hour(api: RunningApi) -> None:
    """Other addresses are not affected."""
    for _ in range(10):
        await api.parts.login_counters.count_in_hour("sign_up", "192.0.2.1", api.parts.clock.now())

    assert (await sign_up(api)).status == 401
    assert (await sign_up(api, "192.0.2.2")).status == 200


@pytest.mark.parametrize(
    ("members", "fields"),
    [
        pytest.param({"name": " "}, ["name"], id="a blank name"),
        pytest.param({"name": "n" * 256}, ["name"], id="a long name"),
        pytest.param({"email": "me@"}, ["email"], id="no address"),
        pytest.param({"email": "me@example.com\r\nBcc: you@example.com"}, ["email"], id="two lines"),
        pytest.param({"password": "short"}, ["password"], id="a short password"),
        pytest.param({"password": "p" * 101}, ["password"], id="a long password"),
        pytest.param({"invite_token": "x"}, ["invite_token"], id="no invitation"),
        pytest.param({"name": None, "email": None, "password": 1}, ["name", "email", "password"], id="all"),
    ],
)
async def test_an_invalid_sign_up_is_422_with_the_fields(
    api: RunningApi, members: Any, fields: list[str]
) -> None:
    """No user is created."""
    before = await api.pool.fetchval("SELECT count(*) FROM users")

    answer = await sign_up(api, **members)

    assert answer.status == 422
    assert list(answer.json["errors"]) == fields
    assert await api.pool.fetchval("SELECT count(*) FROM users") == before


async def test_an_address_can_be_checked_three_times_an_hour(api: RunningApi) -> None:
    """201 if it has an account, 204 if not. After that always 204, so that addresses cannot be probed."""
    path = f"/api/v2/auth/check-email-address/{EMAIL.upper().replace('@', '%40')}"
    here = {"X-Forwarded-For": "192.0.2.1"}

    free = await api.get("/api/v2/auth/check-email-address/nobody@example.com", headers=here)
    asked = [(await api.get(path, headers=here)).status for _ in range(3)]

    assert free.status == 204
    assert asked == [201, 201, 204]
    assert (await api.get(path, headers={"X-Forwarded-For": "192.0.2.2"})).status == 201


async def test_sign_ups_are_refused_while_attempts_cannot_be_counted(api_without_redis: RunningApi) -> None:
    """503, and no user is created."""
    api = api_without_redis
    answers = [
        await sign_up(api),
        await api.get("/api/v2/auth/check-email-address/new@example.com"),
    ]

    assert [answer.status for answer in answers] == [503, 503]
    assert await api.pool.fetchval("SELECT count(*) FROM users WHERE email_address = 'new@example.com'") == 0
