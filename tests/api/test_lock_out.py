"""Too many attempts to log in, to one account or from one address, lock out until the next quarter hour."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import pytest
from multidict import CIMultiDict

from tests.api.auth.test_authentication import basic
from tests.api.running_api import EMAIL, PASSWORD, Answer, RunningApi, running_api
from tests.support.fakes import FakeClock
from tests.support.waiting import until

pytestmark = pytest.mark.integration

PATH = "/api/v2/auth/login"


@pytest.fixture
async def api(database_url: str, redis_url: str, key_prefix: str) -> AsyncIterator[RunningApi]:
    """An api behind a proxy. No quarter of an hour is about to end."""
    async with running_api(
        database_url,
        redis_url,
        key_prefix,
        clock=FakeClock(),
        trusted_proxies=("127.0.0.0/8",),
        sign_up_enabled=True,
    ) as running:
        # On a busy machine a password may take seconds.
        running.parts.passwords._turns._wait_seconds = 25.0
        yield running


async def log_in(api: RunningApi, email: str, password: str, ip: str = "192.0.2.1") -> Answer:
    """Try to log in."""
    body = {"email": email, "password": password}
    return await api.post(PATH, body=body, headers={"X-Forwarded-For": ip})


async def ask(api: RunningApi, email: str, password: str, ip: str = "192.0.2.1") -> Answer:
    """One try with Basic credentials."""
    return await api.get(
        "/api/v2/projects", headers={"Authorization": basic(email, password), "X-Forwarded-For": ip}
    )


async def count(api: RunningApi, email: str, ip: str = "192.0.2.1") -> None:
    """The number of counted failures."""
    await api.parts.login_counters.count(email, ip, api.parts.clock.now())


async def test_after_five_attempts_even_the_right_password_is_refused(api: RunningApi) -> None:
    """However the address is spelled and wherever the attempts come from. Other people are not affected."""
    for number in range(5):
        tried = await log_in(api, EMAIL.upper() if number % 2 else EMAIL, "wrong horse", f"192.0.2.{number}")
        assert (tried.status, tried.json["title"]) == (401, "Login failed.")

    denied = await log_in(api, EMAIL, PASSWORD, "192.0.2.99")

    assert (denied.status, denied.json["title"]) == (401, "Login denied.")
    assert (await log_in(api, "admin@example.com", PASSWORD)).status == 200


async def test_a_strangers_tries_do_not_prevent_a_log_in_where_it_succeeded_lately(api: RunningApi) -> None:
    """Neither by the form nor by Basic; with a new password the places are forgotten."""
    assert (await log_in(api, EMAIL, PASSWORD)).status == 200
    for number in range(20):
        await log_in(api, EMAIL, "wrong horse", f"198.51.100.{number % 2}")

    assert (await log_in(api, EMAIL, PASSWORD, "192.0.2.2")).json["title"] == "Login denied."
    assert (await log_in(api, EMAIL, PASSWORD)).status == 200
    assert (await ask(api, EMAIL, PASSWORD)).status == 200

    new = {"current_password": PASSWORD, "password": "new horse"}
    changed = await api.post(
        "/api/v2/auth/change-password", api.people.user, body=new, headers={"X-Forwarded-For": "192.0.2.1"}
    )
    assert changed.status == 200
    assert (await log_in(api, EMAIL, "new horse")).json["title"] == "Login denied."


async def test_all_ways_to_try_a_password_are_counted_together(api: RunningApi) -> None:
    """The form, Basic, signing up with a known address and changing the password."""
    headers = {"X-Forwarded-For": "192.0.2.1"}
    sign_up = {"name": "Me", "email": EMAIL, "password": "wrong horse"}
    change = {"current_password": "wrong horse", "password": "new horse"}
    for _ in range(2):
        assert (await ask(api, EMAIL, "wrong horse")).json["title"] == "Login failed."
    assert (await log_in(api, EMAIL, "wrong horse")).status == 401
    assert (await api.post("/api/v2/auth/signup", body=sign_up, headers=headers)).status == 401
    changed = await api.post("/api/v2/auth/change-password", api.people.user, body=change, headers=headers)
    assert changed.status == 422

    assert (await ask(api, EMAIL, PASSWORD)).json["title"] == "Login denied."
    assert (await log_in(api, EMAIL, PASSWORD)).json["title"] == "Login denied."


async def test_right_passwords_by_basic_are_never_too_many(api: RunningApi) -> None:
    """A script may send its password with every request, and several requests together."""
    for _ in range(2):
        answers = await asyncio.gather(*[ask(api, EMAIL, PASSWORD) for _ in range(6)])
        assert {answer.status for answer in answers} == {200}


async def test_many_tries_from_one_ip_do_not_keep_others_out(api: RunningApi) -> None:
    """Each IP has its turn: a log-in from elsewhere waits for one check of another's password."""
    for number in range(12):
        await count(api, f"stranger{number}@example.com")
    tries = [asyncio.ensure_future(ask(api, f"{number}@example.com", "wrong horse")) for number in range(48)]
    await until(lambda: len(api.parts.passwords._turns._waiting) > 0)

    assert (await log_in(api, EMAIL, PASSWORD, "192.0.2.2")).status == 200
    assert not all(attempt.done() for attempt in tries)
    assert {answer.status for answer in await asyncio.gather(*tries)} <= {401, 503}


async def test_after_fifteen_attempts_a_client_address_is_refused(api: RunningApi) -> None:
    """Whichever accounts it tried. The same people can log in from elsewhere."""
    for number in range(14):
        await count(api, f"stranger{number}@example.com")
    assert (await log_in(api, EMAIL, "wrong horse")).json["title"] == "Login failed."

    denied = await log_in(api, EMAIL, PASSWORD)

    assert (denied.status, denied.json["title"]) == (401, "Login denied.")
    assert (await log_in(api, EMAIL, PASSWORD, "192.0.2.2")).status == 200


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["198.51.100.{number}", "203.0.113.9"], id="a forged line in front"),
        pytest.param(["203.0.113.9:{number}"], id="another port each time"),
        pytest.param(["[2001:db8::{number}]:1"], id="another address of one network"),
    ],
)
async def test_attempts_of_one_client_are_counted_together(api: RunningApi, lines: list[str]) -> None:
    """Whatever it writes into the header that the proxy appends to."""
    for number in range(16):
        headers = CIMultiDict([("X-Forwarded-For", line.format(number=number)) for line in lines])
        body = {"email": f"stranger{number}@example.com", "password": "wrong horse"}
        last = await api.post(PATH, body=body, headers=headers)

    assert (last.status, last.json["title"]) == (401, "Login denied.")


async def test_a_successful_login_resets_the_count(api: RunningApi) -> None:
    """An office behind one address may log in as often as it likes."""
    for number in range(13):
        await count(api, f"stranger{number}@example.com")
    for _ in range(4):
        await count(api, EMAIL, "192.0.2.2")
        await count(api, EMAIL, "192.0.2.3")
        assert (await log_in(api, EMAIL, PASSWORD)).status == 200


async def test_attempts_during_an_outage_do_not_count(api: RunningApi, database_url: str) -> None:
    """Repeating a 503 succeeds as soon as that is possible."""
    blocker = await asyncpg.connect(database_url)
    try:
        name = await blocker.fetchval("SELECT quote_ident(current_database())")
        await blocker.execute(f"ALTER DATABASE {name} SET lock_timeout = '10ms'")
        await api.pool.expire_connections()
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            tried = [(await log_in(api, EMAIL, PASSWORD)).status for _ in range(16)]
    finally:
        await blocker.close()

    assert tried == [503] * 16
    assert (await log_in(api, EMAIL, PASSWORD)).status == 200


async def test_attempts_refused_under_load_do_not_count(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of attempts from one address locks no account."""
    with monkeypatch.context() as busy:
        busy.setattr(api.parts.passwords._turns, "_waiting_per_client", 0)
        async with api.parts.passwords.turn("192.0.2.1"):
            tried = [(await log_in(api, EMAIL, PASSWORD)).status for _ in range(16)]

    assert tried == [503] * 16
    assert (await log_in(api, EMAIL, PASSWORD)).status == 200


async def test_concurrent_attempts_are_counted_one_by_one(api: RunningApi) -> None:
    """No password is checked beyond the limit, so a flood costs little."""
    answers = await asyncio.gather(*[log_in(api, EMAIL, "wrong horse") for _ in range(30)])

    titles = Counter((answer.status, answer.json["title"]) for answer in answers)
    assert titles == {(401, "Login failed."): 5, (401, "Login denied."): 25}


async def test_only_some_tries_from_one_ip_may_wait(api: RunningApi) -> None:
    """The others are refused immediately."""
    async with api.parts.passwords.turn("192.0.2.1"):
        tries = [asyncio.ensure_future(log_in(api, EMAIL, "wrong horse")) for _ in range(60)]
        await until(lambda: sum(attempt.done() for attempt in tries) == 28)

    statuses = Counter(answer.status for answer in await asyncio.gather(*tries))
    assert statuses == {401: 32, 503: 28}
