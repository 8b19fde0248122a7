"""Logging in: an address and a password in exchange for a token."""

from datetime import timedelta
from typing import Any

import pytest

from tests.api.running_api import EMAIL, PASSWORD, RunningApi
from tests.support.real_clock import real_now

pytestmark = pytest.mark.integration

PATH = "/api/v2/auth/login"
VALID = {"email": EMAIL, "password": PASSWORD}


async def test_a_login_token_works_immediately_here_and_at_ingest(api: RunningApi) -> None:
    """It has 40 characters and is shown only in this answer."""
    answer = await api.post(PATH, body=VALID)

    assert answer.status == 200
    token = answer.json["token"]
    assert len(token) == 40
    assert token.isalnum()
    assert answer.headers["Cache-Control"] == "no-store"
    assert (await api.get("/api/v2/projects", token)).status == 200
    assert await api.known_to_ingest(token)


async def test_each_login_creates_a_separate_token(api: RunningApi) -> None:
    """So each can be revoked alone. It is valid for 3 months and only its hash is stored."""
    first, second = [(await api.post(PATH, body=VALID)).json["token"] for _ in range(2)]

    assert first != second
    rows = await api.pool.fetch("SELECT * FROM tokens WHERE id = ANY($1)", [first[:24], second[:24]])
    for row in rows:
        assert row["clear_text"] is None
        assert timedelta(days=89) < row["expires_utc"] - real_now() < timedelta(days=91)
    assert (await api.get("/api/v2/projects", first)).status == 200


async def test_a_login_removes_the_expired_logins_of_the_same_person(api: RunningApi) -> None:
    """Otherwise they would accumulate."""
    await api.pool.execute("UPDATE tokens SET expires_utc = now() - interval '1 day' WHERE kind = 'login'")

    await api.post(PATH, body=VALID)

    # The two others belong to other people.
    assert (
        await api.pool.fetchval("SELECT count(*) FROM tokens WHERE kind = 'login' AND expires_utc < now()")
        == 2
    )


async def test_the_address_is_trimmed_and_its_case_does_not_matter(api: RunningApi) -> None:
    answer = await api.post(PATH, body={"Email": f"  {EMAIL.upper()} ", "PASSWORD": PASSWORD})

    assert answer.status == 200


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(VALID | {"password": "wrong horse"}, id="a wrong password"),
        pytest.param(VALID | {"email": "nobody@example.com"}, id="an unknown address"),
        pytest.param(VALID | {"email": "me\0@example.com"}, id="an address that Postgres cannot hold"),
        pytest.param(VALID | {"password": "correct horse "}, id="a password is not trimmed"),
    ],
)
async def test_a_failed_login_does_not_say_what_was_wrong(api: RunningApi, body: dict[str, Any]) -> None:
    """So that it does not reveal which addresses exist."""
    answer = await api.post(PATH, body=body)

    assert answer.status == 401
    assert answer.json["title"] == "Login failed."
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("UPDATE users SET is_active = false", id="deactivated"),
        pytest.param("UPDATE users SET password_hash = NULL", id="without a password"),
        pytest.param("UPDATE users SET password_hash = 'garbage'", id="with an invalid hash"),
    ],
)
async def test_people_who_may_not_log_in_are_refused_like_a_wrong_password(
    api: RunningApi, change: str
) -> None:
    """Even with the right password."""
    await api.pool.execute(change)

    assert (await api.post(PATH, body=VALID)).status == 401


async def test_every_invalid_field_is_named(api: RunningApi) -> None:
    """422 with all of them, in snake case."""
    answer = await api.post(PATH, body={"password": "short", "invite_token": "x"})

    assert answer.status == 422
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json["errors"] == {
        "email": ["The email field is required."],
        "password": ["The password field must be 6 to 100 characters long."],
        "invite_token": ["The invite_token field must be 40 characters long."],
    }


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b"", {}, 400, id="no body"),
        pytest.param(b"{oops", {}, 400, id="malformed JSON"),
        pytest.param(b"[1]", {}, 400, id="not an object"),
        pytest.param(b"\xff\xfe", {}, 400, id="no UTF-8"),
        pytest.param(b'{"email": "\xff", "password": "correct horse"}', {}, 400, id="no UTF-8 in a text"),
        pytest.param(b'{"email": "\\ud800", "password": "correct horse"}', {}, 400, id="half a pair"),
        pytest.param(b"[" * 100_000, {}, 400, id="too deep"),
        pytest.param(b'{"email": 1, "password": "correct horse"}', {}, 422, id="a number for a text"),
        pytest.param(b'{"email": " ", "password": "correct horse"}', {}, 422, id="a blank address"),
        pytest.param(b'{"email": null, "password": null}', {}, 422, id="nulls"),
        pytest.param(b"{}", {"Content-Type": "text/plain"}, 415, id="another content type"),
        pytest.param(b"{}", {"Content-Encoding": "gzip"}, 415, id="compressed"),
        pytest.param(b'{"a":"' + b"x" * 2_000_000 + b'"}', {}, 413, id="too large"),
    ],
)
async def test_bad_bodies_have_their_status(
    api: RunningApi, body: bytes, headers: dict[str, str], status: int
) -> None:
    """Always problem JSON, never 500."""
    answer = await api.post(PATH, body=body, headers=headers)

    assert answer.status == status
    assert answer.json["status"] == status
    assert answer.json["instance"] == f"POST {PATH}"


async def test_logins_are_refused_while_attempts_cannot_be_counted(api_without_redis: RunningApi) -> None:
    """Otherwise taking Redis down would allow unlimited guesses."""
    answer = await api_without_redis.post(PATH, body=VALID)

    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
