"""Signing up: the first user, the invited, the switch, and those who are there already."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

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
    """An api behind a proxy: a test can say where somebody comes from. No hour is about to end."""
    full_hour = FakeClock(SystemClock().now_ms() // HOUR_MS * HOUR_MS)
    async with running_api(
        database_url, redis_url, key_prefix, clock=full_hour, trusted_proxies=("127.0.0.0/8",)
    ) as running:
        yield running


@pytest.fixture
async def closed_api(database_url: str, redis_url: str, key_prefix: str) -> AsyncIterator[RunningApi]:
    """An api where nobody can sign up."""
    async with running_api(database_url, redis_url, key_prefix, sign_up_enabled=False) as running:
        yield running


async def sign_up(api: RunningApi, ip: str = "192.0.2.1", **members: Any) -> Answer:
    """One try."""
    return await api.post(PATH, body=NEW | members, headers={"X-Forwarded-For": ip})


async def me(api: RunningApi, token: str) -> Any:
    """Who has the token."""
    return (await api.get("/api/v2/users/me", token)).json


async def invitation(api: RunningApi, email: str = "guest@example.com") -> str:
    """The token of an invitation to the organization."""
    invited = await api.post(f"/api/v2/organizations/{ORGANIZATION.hex}/users/{email}", api.people.user)
    assert invited.status == 200
    view = (await api.get(f"/api/v2/organizations/{ORGANIZATION.hex}", api.people.user)).json
    return next(str(invite["token"]) for invite in view["invites"] if invite["email_address"] == email)


async def test_whoever_signs_up_is_logged_in_and_can_begin(api: RunningApi) -> None:
    """With a token that also ingest know; then makes an organization of his own."""
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


async def test_the_first_user_of_all_may_do_everything(api: RunningApi) -> None:
    """Of two who come first at the same time only one is it."""
    await api.pool.execute("TRUNCATE users CASCADE")

    answers = await asyncio.gather(*(sign_up(api, email=f"person{n}@example.com") for n in range(4)))

    roles = [(await me(api, answer.json["token"]))["roles"] for answer in answers]
    assert sorted(roles) == [["global", "user", "client"], *[["user", "client"]] * 3]


async def test_who_is_there_already_logs_in(api: RunningApi) -> None:
    """With the right password; with another one it is a failed login, which counts as such."""
    assert (await sign_up(api, email=EMAIL, password=PASSWORD)).status == 200
    for _ in range(4):
        failed = await sign_up(api, email=EMAIL)
        assert (failed.status, failed.json["title"]) == (401, "Login failed.")
    await sign_up(api, email=EMAIL)

    denied = await sign_up(api, email=EMAIL, password=PASSWORD)

    assert (denied.status, denied.json["title"]) == (401, "Login denied.")


async def test_two_who_take_one_address_at_once_do_not_both_get_it(api: RunningApi) -> None:
    """The second one is told what he would have been told a moment later."""
    answers = await asyncio.gather(sign_up(api), sign_up(api, password="another password"))

    assert sorted(answer.status for answer in answers) == [200, 401]


async def test_an_invited_person_belongs_to_the_organization(api: RunningApi) -> None:
    """Under whatever address, once; the invitation is used up, and logins elsewhere go on."""
    token = await invitation(api)

    answer = await sign_up(api, invite_token=token)

    assert answer.status == 200
    assert (await me(api, answer.json["token"]))["organization_ids"] == [ORGANIZATION.hex]
    view = (await api.get(f"/api/v2/organizations/{ORGANIZATION.hex}", api.people.user)).json
    assert view["invites"] == []
    second = await sign_up(api, email="second@example.com", invite_token=token)
    assert (await me(api, second.json["token"]))["organization_ids"] == []


async def test_who_logs_in_with_an_invitation_joins_with_all_tokens(api: RunningApi) -> None:
    """Also those that he had before."""
    invited = await invitation(api)
    body = {"email": "stranger@example.com", "password": PASSWORD, "invite_token": invited}

    answer = await api.post("/api/v2/auth/login", body=body)

    both = {ORGANIZATION.hex, OTHER_ORGANIZATION.hex}
    for token in (answer.json["token"], api.people.stranger):
        assert set((await me(api, token))["organization_ids"]) == both
        entry = (await api.parts.projection.find_token(token[:24])).entry
        assert entry is not None
        assert {packed.hex() for packed in entry.organization_ids} == both


async def test_an_invitation_ends_by_itself(api: RunningApi) -> None:
    """It is not shown any more, and opens nothing; the sign-up is one like any other."""
    token = await invitation(api)
    await api.pool.execute("UPDATE invitations SET created_utc = now() - interval '31 days'")

    answer = await sign_up(api, invite_token=token)

    assert (await me(api, answer.json["token"]))["organization_ids"] == []
    view = (await api.get(f"/api/v2/organizations/{ORGANIZATION.hex}", api.people.user)).json
    assert view["invites"] == []


async def test_where_it_is_switched_off_only_the_invited_sign_up(closed_api: RunningApi) -> None:
    """Whoever is there can still log in, but not this way."""
    refused = await sign_up(closed_api)
    garbage = await sign_up(closed_api, invite_token="x" * 40)
    invited = await sign_up(closed_api, invite_token=await invitation(closed_api))

    assert (refused.status, refused.json["title"]) == (403, "Account Creation is currently disabled")
    assert (garbage.status, invited.status) == (403, 200)


async def test_where_it_is_switched_off_an_invitation_lets_in_one(closed_api: RunningApi) -> None:
    """Of those who bring it at the same time; the others are told as if they had none, and are nobody."""
    token = await invitation(closed_api)
    before = await closed_api.pool.fetchval("SELECT count(*) FROM users")

    answers = await asyncio.gather(
        *(sign_up(closed_api, email=f"person{n}@example.com", invite_token=token) for n in range(4))
    )

    assert sorted(answer.status for answer in answers) == [200, 403, 403, 403]
    assert await closed_api.pool.fetchval("SELECT count(*) FROM users") == before + 1
    (check_login,) = (answer.json["token"] for answer in answers if answer.status == 200)
    assert (await me(closed_api, check_login))["organization_ids"] == [ORGANIZATION.hex]


async def test_after_ten_new_users_from_one_address_it_is_enough_for_an_hour(api: RunningApi) -> None:
    """Elsewhere people sign up as before."""
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
async def test_what_cannot_be_is_422_by_field(api: RunningApi, members: Any, fields: list[str]) -> None:
    """Nobody is made."""
    before = await api.pool.fetchval("SELECT count(*) FROM users")

    answer = await sign_up(api, **members)

    assert answer.status == 422
    assert list(answer.json["errors"]) == fields
    assert await api.pool.fetchval("SELECT count(*) FROM users") == before


async def test_an_address_is_asked_for_at_most_three_times_an_hour(api: RunningApi) -> None:
    """201: somebody's, 204: nobody's. Then always 204, so that nobody finds out who is here by asking."""
    path = f"/api/v2/auth/check-email-address/{EMAIL.upper().replace('@', '%40')}"
    here = {"X-Forwarded-For": "192.0.2.1"}

    free = await api.get("/api/v2/auth/check-email-address/nobody@example.com", headers=here)
    asked = [(await api.get(path, headers=here)).status for _ in range(3)]

    assert free.status == 204
    assert asked == [201, 201, 204]
    assert (await api.get(path, headers={"X-Forwarded-For": "192.0.2.2"})).status == 201


async def test_nobody_signs_up_while_tries_cannot_be_counted(api_without_redis: RunningApi) -> None:
    """503, and no user is left behind."""
    api = api_without_redis
    answers = [
        await sign_up(api),
        await api.get("/api/v2/auth/check-email-address/new@example.com"),
    ]

    assert [answer.status for answer in answers] == [503, 503]
    assert await api.pool.fetchval("SELECT count(*) FROM users WHERE email_address = 'new@example.com'") == 0
