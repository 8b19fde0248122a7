"""Logging in for the web app: the login in a cookie, and whose requests it counts for."""

from datetime import timedelta
from http.cookies import SimpleCookie

import pytest

from collector.database.owners.login_codes import add_login_code
from tests.api.running_api import EMAIL, PASSWORD, Answer, RunningApi, running_api
from tests.support.real_clock import real_now

pytestmark = pytest.mark.integration

LOGIN = {"email": EMAIL, "password": PASSWORD}
OURS = {"Sec-Fetch-Site": "same-origin"}


def cookie(answer: Answer) -> str:
    """The name and value that a browser would send back."""
    return answer.headers["Set-Cookie"].partition(";")[0]


async def log_in(api: RunningApi) -> str:
    """A cookie of a person who is logged in."""
    return cookie(await api.post("/api/v2/auth/login?useCookies=true", body=LOGIN, headers=OURS))


async def test_the_login_is_in_a_cookie_that_no_script_reads(api: RunningApi) -> None:
    answer = await api.post("/api/v2/auth/login?useCookies=true", body=LOGIN, headers=OURS)

    assert (answer.status, answer.body) == (204, b"")
    morsel = SimpleCookie(answer.headers["Set-Cookie"])["headrace"]
    assert len(morsel.value) == 40
    assert morsel["httponly"]
    assert (morsel["samesite"], morsel["path"], morsel["secure"]) == ("Strict", "/", "")
    assert int(morsel["max-age"]) > timedelta(days=80).total_seconds()


async def test_over_tls_the_cookie_belongs_to_this_host_alone(
    database_url: str, redis_url: str, key_prefix: str
) -> None:
    async with running_api(database_url, redis_url, key_prefix, trusted_proxies=("127.0.0.0/8",)) as api:
        headers = {**OURS, "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
        answer = await api.post("/api/v2/auth/login?useCookies=true", body=LOGIN, headers=headers)

        assert SimpleCookie(answer.headers["Set-Cookie"])["__Host-headrace"]["secure"]


async def test_without_the_parameter_the_answer_is_the_token_as_ever(api: RunningApi) -> None:
    answer = await api.post("/api/v2/auth/login", body=LOGIN, headers=OURS)

    assert len(answer.json["token"]) == 40
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({}, 200),
        ({"Sec-Fetch-Site": "same-site"}, 401),
        ({"Sec-Fetch-Site": "cross-site"}, 401),
        ({"Origin": "https://evil.example"}, 401),
        ({"Origin": "null"}, 401),
    ],
)
async def test_another_page_reads_nothing_with_the_cookie(
    api: RunningApi, headers: dict[str, str], status: int
) -> None:
    answer = await api.get("/api/v2/users/me", headers={"Cookie": await log_in(api), **headers})

    assert answer.status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "OURS"}, 201),
        ({}, 401),
        ({"Sec-Fetch-Site": "none"}, 401),
        ({"Sec-Fetch-Site": "same-site", "Origin": "OURS"}, 401),
        ({"Origin": "http://127.0.0.1:1"}, 401),
        ({"Origin": "null"}, 401),
    ],
)
async def test_a_change_must_come_from_our_own_page(
    api: RunningApi, headers: dict[str, str], status: int
) -> None:
    """Known by `Sec-Fetch-Site`, or by `Origin` where the browser sends no other."""
    headers = {name: api.url if text == "OURS" else text for name, text in headers.items()}
    headers["Cookie"] = await log_in(api)

    answer = await api.post("/api/v2/organizations", body={"name": "Initech"}, headers=headers)

    assert answer.status == status


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "none"}])
async def test_another_page_cannot_log_a_person_in(api: RunningApi, headers: dict[str, str]) -> None:
    answer = await api.post("/api/v2/auth/login?useCookies=true", body=LOGIN, headers=headers)

    assert answer.status == 403
    assert "Set-Cookie" not in answer.headers


async def test_a_token_in_the_header_counts_before_the_cookie(api: RunningApi) -> None:
    headers = {"Cookie": await log_in(api)}

    answer = await api.get("/api/v2/users/me", api.people.admin, headers=headers)

    assert answer.json["email_address"] == "admin@example.com"


async def test_logging_out_ends_the_login_and_removes_the_cookie(api: RunningApi) -> None:
    headers = {"Cookie": await log_in(api), **OURS}

    answer = await api.get("/api/v2/auth/logout", headers=headers)

    assert answer.status == 200
    assert int(SimpleCookie(answer.headers["Set-Cookie"])["headrace"]["max-age"]) == 0
    assert (await api.get("/api/v2/users/me", headers=headers)).status == 401


async def test_a_new_password_ends_all_logins_but_the_one_that_set_it(api: RunningApi) -> None:
    other, mine = await log_in(api), await log_in(api)
    change = {"current_password": PASSWORD, "password": "battery staple"}

    answer = await api.post(
        "/api/v2/auth/change-password?useCookies=true", body=change, headers={"Cookie": mine, **OURS}
    )

    assert answer.status == 204
    assert (await api.get("/api/v2/users/me", headers={"Cookie": cookie(answer)})).status == 200
    assert (await api.get("/api/v2/users/me", headers={"Cookie": other})).status == 401


async def make_code(api: RunningApi, age: timedelta = timedelta()) -> str:
    """A code that was made some time ago."""
    async with api.pool.acquire() as connection:
        user_id = await connection.fetchval("SELECT id FROM users WHERE email_address = $1", EMAIL)
        return await add_login_code(connection, user_id, real_now() - age)


async def test_a_code_logs_in_once(api: RunningApi) -> None:
    body = {"code": await make_code(api)}

    first = await api.post("/api/v2/auth/login-code?useCookies=true", body=body, headers=OURS)
    second = await api.post("/api/v2/auth/login-code?useCookies=true", body=body, headers=OURS)

    assert (first.status, second.status) == (204, 401)
    assert (await api.get("/api/v2/users/me", headers={"Cookie": cookie(first)})).status == 200


async def test_a_code_gives_programs_a_token(api: RunningApi) -> None:
    answer = await api.post("/api/v2/auth/login-code", body={"code": await make_code(api)})

    assert (await api.get("/api/v2/users/me", answer.json["token"])).json["email_address"] == EMAIL


async def test_another_page_cannot_use_a_code(api: RunningApi) -> None:
    """And the code is still good for our own page."""
    body, path = {"code": await make_code(api)}, "/api/v2/auth/login-code?useCookies=true"

    assert (await api.post(path, body=body, headers={"Sec-Fetch-Site": "cross-site"})).status == 403
    assert (await api.post(path, body=body, headers=OURS)).status == 204


async def test_who_signs_up_is_logged_in(api: RunningApi) -> None:
    body = {"name": "New", "email": "new@example.com", "password": PASSWORD}

    answer = await api.post("/api/v2/auth/signup?useCookies=true", body=body, headers=OURS)

    assert answer.status == 204
    me = await api.get("/api/v2/users/me", headers={"Cookie": cookie(answer)})
    assert me.json["email_address"] == "new@example.com"


async def test_a_code_lives_for_minutes(api: RunningApi) -> None:
    body = {"code": await make_code(api, timedelta(minutes=16))}

    assert (await api.post("/api/v2/auth/login-code", body=body)).status == 401


async def test_a_changed_password_ends_codes(api: RunningApi) -> None:
    code = await make_code(api)
    passwords = {"current_password": PASSWORD, "password": "battery staple"}

    assert (await api.post("/api/v2/auth/change-password", api.people.user, passwords)).status == 200

    assert (await api.post("/api/v2/auth/login-code", body={"code": code})).status == 401


@pytest.mark.parametrize("path", ["login", "signup"])
async def test_a_request_of_another_page_has_no_effect(api: RunningApi, path: str) -> None:
    """It is refused before an account is made or an attempt is counted."""
    body = {"name": "New", "email": "new@example.com", "password": PASSWORD}

    refused = await api.post(
        f"/api/v2/auth/{path}?useCookies=true", body=body, headers={"Sec-Fetch-Site": "cross-site"}
    )

    assert refused.status == 403
    assert await api.pool.fetchval("SELECT count(*) FROM users WHERE email_address = $1", body["email"]) == 0


async def test_a_code_is_not_kept_in_clear(api: RunningApi) -> None:
    code = await make_code(api)

    rows = await api.pool.fetch("SELECT login_codes::text AS row FROM login_codes")
    assert code not in "".join(row["row"] for row in rows)
