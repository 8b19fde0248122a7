"""Which credentials are accepted, and what they allow."""

from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.api.running_api import EMAIL, PASSWORD, People, RunningApi, add_program
from tests.database.rows import ORGANIZATION, PROJECT
from tests.support.real_clock import real_now

pytestmark = pytest.mark.integration

PATH = "/api/v2/projects"


def basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode("utf-8", "surrogatepass")).decode()


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(lambda token: f"Bearer {token}", id="bearer"),
        pytest.param(lambda token: f"bEARER {token}", id="in any case"),
        pytest.param(lambda token: f"Token {token}", id="token"),
        pytest.param(lambda token: basic("client", token), id="basic with the user client"),
        pytest.param(lambda token: basic(token, ""), id="basic without a password"),
        pytest.param(lambda token: basic(token, "x-oauth-basic"), id="basic as for OAuth"),
        pytest.param(lambda _token: basic(EMAIL, PASSWORD), id="basic with address and password"),
    ],
)
async def test_every_form_of_the_authorization_header_is_accepted(
    api: RunningApi, header: Callable[[str], str]
) -> None:
    """Contract 1.1, and 10 row 7."""
    answer = await api.get(PATH, headers={"Authorization": header(api.people.program)})

    assert answer.status == 200


@pytest.mark.parametrize("name", ["access_token", "api_key", "apikey"])
async def test_a_token_may_be_in_the_query(api: RunningApi, name: str) -> None:
    """On any path and method."""
    assert (await api.get(f"{PATH}?{name}={api.people.program}")).status == 200


async def test_a_token_in_the_query_counts_only_without_a_usable_header(api: RunningApi) -> None:
    """A header with a known scheme wins, even if its token is wrong."""
    path = f"{PATH}?access_token={api.people.program}"

    assert (await api.get(path, headers={"Authorization": "Bearer nonsense-nonsense"})).status == 401
    assert (await api.get(path, headers={"Authorization": "Digest nonsense"})).status == 200


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("Bearer", id="no token"),
        pytest.param("Bearer " + "a" * 40, id="an unknown token"),
        pytest.param("Bearer short", id="an impossible token"),
        pytest.param("Bearer " + "a" * 5000, id="an enormous token"),
        pytest.param("Basic %%%", id="no base64"),
        pytest.param(basic("me@example.com", "wrong horse"), id="a wrong password"),
        pytest.param(basic("a\0b@example.com", "wrong horse"), id="NUL in an address"),
        pytest.param(basic("\udcff", "wrong horse"), id="no UTF-8 in an address"),
    ],
)
async def test_bad_credentials_are_401(api: RunningApi, header: str) -> None:
    """Never 500, and without a challenge that would make browsers ask for a password."""
    answer = await api.get(PATH, headers={"Authorization": header})

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json["status"] == 401


async def test_a_token_that_postgres_cannot_hold_is_401(api: RunningApi) -> None:
    """A query can contain NUL."""
    assert (await api.get(f"{PATH}?access_token=a%00bcdefghijklmnop")).status == 401


async def test_the_public_part_of_a_token_is_not_enough(api: RunningApi) -> None:
    """Nor is the public part with another secret part."""
    token = api.people.program

    assert (await api.get(PATH, token[:24])).status == 401
    assert (await api.get(PATH, token[:24] + "x" * 16)).status == 401
    assert (await api.get(PATH, token)).status == 200


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("UPDATE tokens SET is_disabled = true", id="disabled"),
        pytest.param("UPDATE tokens SET expires_utc = now() - interval '1 second'", id="expired"),
        pytest.param("UPDATE organizations SET is_suspended = true", id="its organization is suspended"),
        pytest.param("DELETE FROM tokens", id="revoked"),
        pytest.param("DELETE FROM organizations", id="its organization is gone"),
    ],
)
async def test_a_programs_token_that_is_no_longer_valid_is_401(api: RunningApi, change: str) -> None:
    """From the next request on."""
    assert (await api.get(PATH, api.people.program)).status == 200

    await api.pool.execute(change)

    assert (await api.get(PATH, api.people.program)).status == 401


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("UPDATE users SET is_active = false", id="deactivated"),
        pytest.param("DELETE FROM users", id="gone"),
    ],
)
async def test_a_login_ends_when_its_user_is_deactivated_or_deleted(api: RunningApi, change: str) -> None:
    """Whatever the token's expiry."""
    await api.pool.execute(change)

    assert (await api.get(PATH, api.people.user)).status == 401


async def test_a_token_is_valid_until_its_expiry(api: RunningApi) -> None:
    soon = real_now() + timedelta(minutes=5)
    token = await add_program(api.pool, ORGANIZATION, PROJECT, "user", expires_utc=soon)

    assert (await api.get(PATH, token)).status == 200


ROUTES = [
    ("GET", "/api/v2/organizations"),
    ("GET", "/api/v2/projects"),
    ("GET", "/api/v2/events?filter=reference:order-4711"),
    ("GET", f"/api/v2/projects/{PROJECT.hex}/events?filter=reference:order-4711"),
    ("GET", "/api/v2/events/by-ref/order-4711"),
    ("GET", f"/api/v2/projects/{PROJECT.hex}/events/by-ref/order-4711"),
    ("GET", f"/api/v2/events/{PROJECT.hex}"),
    ("POST", f"/api/v2/projects/{PROJECT.hex}/tokens"),
    ("DELETE", f"/api/v2/tokens/{'a' * 40}"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_reading_needs_credentials_with_the_scope_user(api: RunningApi, method: str, path: str) -> None:
    """401 without credentials, 403 for a token with the scope client, which may only post."""
    assert (await api.request(method, path)).status == 401
    assert (await api.request(method, path, api.people.client)).status == 403


async def test_managing_tokens_is_for_people(api: RunningApi) -> None:
    """403 for programs, whatever their scopes (contract 2). Basic with a password counts as a person."""
    people: People = api.people
    path = f"/api/v2/projects/{PROJECT.hex}/tokens"

    assert (await api.post(path, people.program)).status == 403
    assert (await api.request("DELETE", f"/api/v2/tokens/{people.program}", people.program)).status == 403
    assert (await api.post(path, headers={"Authorization": basic(EMAIL, PASSWORD)})).status == 201
