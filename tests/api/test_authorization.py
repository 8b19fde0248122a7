"""Permissions: every route of the api, called by every kind of caller."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from collector.api.app import ROUTES
from collector.api.core.route import Role, Route
from collector.database.owners.organizations import add_organization
from collector.database.owners.projects import add_project
from tests.api.running_api import EMAIL, PASSWORD, Answer, RunningApi, add_program, running_api
from tests.database.rows import ORGANIZATION, PROJECT, a_letter, an_event, normalized
from tests.support.real_clock import real_now

pytestmark = pytest.mark.integration

SUSPENDED = UUID("01a00000-0000-7000-8000-0000000000ff")
SUSPENDED_PROJECT = UUID("01a00000-0000-7000-8000-0000000000fe")

COLUMNS = ["anonymous", "garbage", "client", "program", "person", "admin", "stranger"]
"""`client` and `program` are tokens of the project, the latter with scope `user`; `person`, `admin` (global)
and `stranger` (of another organization) are logins."""
COLUMNS += ["revoked", "expired", "disabled", "suspended"]
"""Tokens like `program`, but no longer valid."""

TABLE = {
    #                                              nob gar cli pro per adm str rev exp dis sus
    "POST /auth/login":                            "200 200 200 200 200 200 200 200 200 200 200",
    "POST /auth/signup":                           "200 200 200 200 200 200 200 200 200 200 200",
    "POST /auth/login-code":                       "401 401 401 401 401 401 401 401 401 401 401",
    "GET /auth/check-email-address/{email}":       "204 204 204 204 204 204 204 204 204 204 204",
    "GET /auth/logout":                            "401 401 403 403 200 200 200 401 401 401 401",
    "POST /auth/change-password":                  "401 401 403 403 200 200 200 401 401 401 401",
    "GET /users/{id}":                             "401 401 403 404 200 200 404 401 401 401 401",
    "PATCH /users/{id}":                           "401 401 403 403 200 200 404 401 401 401 401",
    "PUT /users/{id}":                             "401 401 403 403 200 200 404 401 401 401 401",
    "GET /users/me":                               "401 401 403 404 200 200 200 401 401 401 401",
    "POST /users/me/invitations":                  "401 401 403 403 404 404 404 401 401 401 401",
    "GET /users/me/logins":                        "401 401 403 403 200 200 200 401 401 401 401",
    "DELETE /users/me/logins/{id}":                "401 401 403 403 204 404 404 401 401 401 401",
    "DELETE /users/me/logins":                     "401 401 403 403 204 204 204 401 401 401 401",
    "GET /organizations":                          "401 401 403 200 200 200 200 401 401 401 401",
    "POST /organizations":                         "401 401 403 403 201 201 201 401 401 401 401",
    "GET /organizations/{id}":                     "401 401 403 200 200 200 404 401 401 401 401",
    "PATCH /organizations/{id}":                   "401 401 403 200 200 200 404 401 401 401 401",
    "PUT /organizations/{id}":                     "401 401 403 200 200 200 404 401 401 401 401",
    "DELETE /organizations/{ids}":                 "401 401 403 202 202 202 404 401 401 401 401",
    "GET /organizations/{organizationId}/users":   "401 401 403 200 200 200 404 401 401 401 401",
    "POST /organizations/{id}/users/{email}":      "401 401 403 403 200 200 404 401 401 401 401",
    "DELETE /organizations/{id}/users/{email}":    "401 401 403 403 200 200 404 401 401 401 401",
    "GET /organizations/{organizationId}/projects": "401 401 403 200 200 200 404 401 401 401 401",
    "GET /organizations/{organizationId}/projects/check-name": "401 401 403 204 204 204 404 401 401 401 401",
    "GET /organizations/{organizationId}/tokens":  "401 401 403 403 200 200 404 401 401 401 401",
    "POST /organizations/{organizationId}/tokens": "401 401 403 403 201 201 400 401 401 401 401",
    "GET /projects":                               "401 401 403 200 200 200 200 401 401 401 401",
    "POST /projects":                              "401 401 403 201 201 201 400 401 401 401 401",
    "GET /projects/{id}":                          "401 401 403 200 200 200 404 401 401 401 401",
    "PATCH /projects/{id}":                        "401 401 403 200 200 200 404 401 401 401 401",
    "PUT /projects/{id}":                          "401 401 403 200 200 200 404 401 401 401 401",
    "DELETE /projects/{ids}":                      "401 401 403 202 202 202 404 401 401 401 401",
    "GET /projects/{id}/client-settings":          "401 401 403 200 200 200 404 401 401 401 401",
    "POST /projects/{id}/reset-data":              "401 401 403 202 202 202 404 401 401 401 401",
    "PUT /projects/{id}/promotedtabs":             "401 401 403 200 200 200 404 401 401 401 401",
    "POST /projects/{id}/promotedtabs":            "401 401 403 200 200 200 404 401 401 401 401",
    "DELETE /projects/{id}/promotedtabs":          "401 401 403 200 200 200 404 401 401 401 401",
    "POST /projects/{id}/config":                  "401 401 403 200 200 200 404 401 401 401 401",
    "DELETE /projects/{id}/config":                "401 401 403 200 200 200 404 401 401 401 401",
    "GET /projects/{projectId}/tokens":            "401 401 403 403 200 200 404 401 401 401 401",
    "POST /projects/{projectId}/tokens":           "401 401 403 403 201 201 404 401 401 401 401",
    "GET /projects/{projectId}/tokens/default":    "401 401 403 403 200 200 404 401 401 401 401",
    "POST /tokens":                                "401 401 403 403 201 201 422 401 401 401 401",
    "GET /tokens/{id}":                            "401 401 403 403 200 200 404 401 401 401 401",
    "PATCH /tokens/{id}":                          "401 401 403 403 200 200 404 401 401 401 401",
    "PUT /tokens/{id}":                            "401 401 403 403 200 200 404 401 401 401 401",
    "DELETE /tokens/{ids}":                        "401 401 403 403 202 202 404 401 401 401 401",
    "GET /events":                                 "401 401 403 200 200 200 200 401 401 401 401",
    "GET /events/{id}":                            "401 401 403 200 200 200 404 401 401 401 401",
    "GET /events/by-ref/{referenceId}":            "401 401 403 200 200 200 200 401 401 401 401",
    "GET /projects/{projectId}/events":            "401 401 403 200 200 200 404 401 401 401 401",
    "GET /projects/{projectId}/events/by-ref/{referenceId}": "401 401 403 200 200 200 404 401 401 401 401",
    "GET /organizations/{organizationId}/events":  "401 401 403 200 200 200 404 401 401 401 401",
    "GET /stacks/{stackId}/events":                "401 401 403 200 200 200 404 401 401 401 401",
    "GET /events/sessions":                        "401 401 403 200 200 200 200 401 401 401 401",
    "GET /organizations/{organizationId}/events/sessions": "401 401 403 200 200 200 404 401 401 401 401",
    "GET /projects/{projectId}/events/sessions":   "401 401 403 200 200 200 404 401 401 401 401",
    "GET /events/sessions/{sessionId}":            "401 401 403 200 200 200 200 401 401 401 401",
    "GET /projects/{projectId}/events/sessions/{sessionId}": "401 401 403 200 200 200 404 401 401 401 401",
    "GET /events/count":                           "401 401 403 200 200 200 200 401 401 401 401",
    "GET /organizations/{organizationId}/events/count": "401 401 403 200 200 200 404 401 401 401 401",
    "GET /projects/{projectId}/events/count":      "401 401 403 200 200 200 404 401 401 401 401",
    "GET /search/validate":                        "401 401 403 200 200 200 200 401 401 401 401",
    "DELETE /events/{ids}":                        "401 401 403 202 202 202 404 401 401 401 401",
    "GET /stacks":                                 "401 401 403 200 200 200 200 401 401 401 401",
    "GET /organizations/{organizationId}/stacks":  "401 401 403 200 200 200 404 401 401 401 401",
    "GET /projects/{projectId}/stacks":            "401 401 403 200 200 200 404 401 401 401 401",
    "GET /stacks/{id}":                            "401 401 403 200 200 200 404 401 401 401 401",
    "POST /stacks/{ids}/mark-fixed":               "401 401 403 200 200 200 404 401 401 401 401",
    "POST /stacks/{ids}/mark-snoozed":             "401 401 403 200 200 200 404 401 401 401 401",
    "POST /stacks/{ids}/mark-critical":            "401 401 403 200 200 200 404 401 401 401 401",
    "DELETE /stacks/{ids}/mark-critical":          "401 401 403 204 204 204 404 401 401 401 401",
    "POST /stacks/{ids}/change-status":            "401 401 403 200 200 200 404 401 401 401 401",
    "DELETE /stacks/{ids}":                        "401 401 403 202 202 202 404 401 401 401 401",
    "POST /stacks/{id}/add-link":                  "401 401 403 200 200 200 404 401 401 401 401",
    "POST /stacks/{id}/remove-link":               "401 401 403 204 204 204 404 401 401 401 401",
    "POST /stacks/{id}/promote":                   "401 401 403 501 501 501 404 401 401 401 401",
    "POST /stacks/change-status":                  "401 401 403 200 200 200 200 401 401 401 401",
    "POST /organizations/{organizationId}/stacks/change-status": "401 401 403 200 200 200 404 401 401 401 401",  # noqa: E501
    "POST /projects/{projectId}/stacks/change-status": "401 401 403 200 200 200 404 401 401 401 401",
    "GET /events/stream":                          "401 401 403 200 200 200 200 401 401 401 401",
    "GET /organizations/{organizationId}/events/stream": "401 401 403 200 200 200 404 401 401 401 401",
    "GET /projects/{projectId}/events/stream":     "401 401 403 200 200 200 404 401 401 401 401",
    "GET /about":                                  "200 200 200 200 200 200 200 200 200 200 200",
    "GET /admin/trace":                            "401 401 403 403 403 200 403 401 401 401 401",
    "GET /admin/overview":                         "401 401 403 403 403 200 403 401 401 401 401",
    "GET /admin/dead-letters":                     "401 401 403 403 403 200 403 401 401 401 401",
    "DELETE /admin/dead-letters":                  "401 401 403 403 403 200 403 401 401 401 401",
    "GET /admin/dead-letters/{id}":                "401 401 403 403 403 200 403 401 401 401 401",
    "POST /admin/dead-letters/replay":             "401 401 403 403 403 200 403 401 401 401 401",
    "GET /notifications/system":                   "401 401 403 204 204 204 204 401 401 401 401",
}  # fmt: skip

BODIES: dict[str, Any] = {
    "POST /auth/login": {"email": EMAIL, "password": PASSWORD},
    "POST /auth/login-code": {"code": "c" * 40},
    "POST /auth/signup": {"name": "Me", "email": EMAIL, "password": PASSWORD},
    "POST /auth/change-password": {"current_password": PASSWORD, "password": "battery staple"},
    "POST /users/me/invitations": {"invite_token": "x" * 40},
    "POST /organizations": {"name": "Initech"},
    "PATCH /organizations/{id}": {"name": "Initech"},
    "PUT /organizations/{id}": {"name": "Initech"},
    "POST /projects": {"organization_id": ORGANIZATION.hex, "name": "Another"},
    "PATCH /projects/{id}": {"name": "Another"},
    "PUT /projects/{id}": {"name": "Another"},
    "POST /projects/{id}/config": {"value": "x"},
    "POST /tokens": {"project_id": PROJECT.hex},
    "PATCH /tokens/{id}": {"notes": "x"},
    "PUT /tokens/{id}": {"notes": "x"},
    "PATCH /users/{id}": {"full_name": "Another Name"},
    "PUT /users/{id}": {"full_name": "Another Name"},
    "POST /stacks/{id}/add-link": {"value": "https://tickets.example.com/1"},
    "POST /stacks/{id}/remove-link": {"value": "https://tickets.example.com/1"},
}
QUERIES = {
    "POST /stacks/{ids}/mark-snoozed": {"snoozeUntilUtc": "2999-01-01"},
    "GET /search/validate": {"query": "type:error"},
    "GET /admin/trace": {"reference": "order-4711"},
    "DELETE /admin/dead-letters": {"all": "true"},
    "GET /events": {"filter": "reference:order-4711"},
    "GET /projects/{projectId}/events": {"filter": "reference:order-4711"},
    "POST /projects/{id}/config": {"key": "k"},
    "DELETE /projects/{id}/config": {"key": "k"},
    "POST /stacks/{ids}/change-status": {"status": "fixed"},
    "POST /stacks/change-status": {"status": "fixed"},
    "POST /organizations/{organizationId}/stacks/change-status": {"status": "fixed"},
    "POST /projects/{projectId}/stacks/change-status": {"status": "fixed"},
    "PUT /projects/{id}/promotedtabs": {"name": "order"},
    "POST /projects/{id}/promotedtabs": {"name": "order"},
    "DELETE /projects/{id}/promotedtabs": {"name": "order"},
    "GET /organizations/{organizationId}/projects/check-name": {"name": "Another"},
}


def name_of(route: Route) -> str:
    return f"{route.method} {route.template.removeprefix('/api/v2')}"


@pytest.fixture
async def api(database_url: str, redis_url: str, key_prefix: str) -> AsyncIterator[RunningApi]:
    """An api behind a proxy: each caller has a separate address, so they are not counted together."""
    async with running_api(
        database_url, redis_url, key_prefix, trusted_proxies=("127.0.0.0/8",), sign_up_enabled=True
    ) as running:
        yield running


def test_the_table_has_exactly_one_row_for_each_route() -> None:
    """A new route must state who may call it."""
    assert {name_of(route) for route in ROUTES} == set(TABLE)
    assert len(ROUTES) == len(TABLE)


def test_the_public_routes_are_these() -> None:
    """A new one deserves a second look."""
    assert {name_of(route) for route in ROUTES if route.role is Role.ANYONE} == {
        "POST /auth/login",
        "POST /auth/signup",
        "POST /auth/login-code",
        "GET /auth/check-email-address/{email}",
        "GET /about",
    }


@pytest.mark.parametrize("name", TABLE)
async def test_every_caller_gets_the_status_in_the_table(api: RunningApi, name: str) -> None:
    """In the table's order. Changes by one caller are undone before the next."""
    event = an_event(reference_id="order-4711")
    letter = a_letter()
    await api.save(normalized(event, dead_letters=[letter]))
    targets = {
        "/events/": event.id.hex(),
        "/stacks/": event.stack_id.hex() if event.stack_id else "",
        "/admin/dead-letters/": letter.id.hex,
    }
    found = {}
    for number, column in enumerate(COLUMNS):
        token = await token_of(api, column)
        answer = await ask(api, name, token, targets, f"192.0.2.{number}")
        found[column] = answer.status
        if answer.status >= 400:
            assert answer.headers["Content-Type"].startswith("application/problem+json")
        if not name.startswith("GET ") or "logout" in name:
            await api.start_over()
        if name == "DELETE /events/{ids}":
            await api.store(event)

    assert found == dict(zip(COLUMNS, map(int, TABLE[name].split()), strict=True))


async def ask(api: RunningApi, name: str, token: str | None, targets: dict[str, str], ip: str) -> Answer:
    """Send the request of a row with arguments with which it can succeed."""
    method, template = name.split()
    path = (
        template.replace("{organizationId}", ORGANIZATION.hex)
        .replace("{projectId}", PROJECT.hex)
        .replace("{referenceId}", "order-4711")
        .replace("{sessionId}", "session-4711")
        .replace("{stackId}", targets["/stacks/"])
        .replace("{email}", "guest@example.com")
    )
    of_kind = {
        "/organizations/": ORGANIZATION.hex,
        "/projects/": PROJECT.hex,
        "/tokens/": api.people.client,
        "/users/me/logins/": api.people.user[:24],
        "/users/": (await api.pool.fetchval("SELECT id FROM users WHERE email_address = $1", EMAIL)).hex,
        **targets,
    }
    for kind, target in of_kind.items():
        if path.startswith(kind):
            path = path.replace("{id}", target).replace("{ids}", target)
    options: dict[str, Any] = {"headers": {"X-Forwarded-For": ip}, "params": QUERIES.get(name)}
    options["only_head"] = name.endswith("/stream")
    if name in BODIES:
        options["json"] = BODIES[name]
    return await api.request(method, f"/api/v2{path}", token, **options)


async def token_of(api: RunningApi, column: str) -> str | None:
    """The credentials of a caller."""
    people = api.people
    valid = {
        "anonymous": None,
        "garbage": "g" * 40,
        "client": people.client,
        "program": people.program,
        "person": people.user,
        "admin": people.admin,
        "stranger": people.stranger,
    }
    return valid[column] if column in valid else await no_longer_valid(api.pool, column)


async def no_longer_valid(pool: asyncpg.Pool, column: str) -> str:
    """A program's token that was valid once."""
    if column == "suspended":
        async with pool.acquire() as connection:
            await add_organization(connection, SUSPENDED, "Gone")
            await add_project(connection, SUSPENDED_PROJECT, SUSPENDED, "Gone")
        await pool.execute("UPDATE organizations SET is_suspended = true WHERE id = $1", SUSPENDED)
        return await add_program(pool, SUSPENDED, SUSPENDED_PROJECT, "user")
    expired = {"expires_utc": real_now() - timedelta(hours=1)} if column == "expired" else {}
    token = await add_program(
        pool, ORGANIZATION, PROJECT, "user", is_disabled=column == "disabled", **expired
    )
    if column == "revoked":
        await pool.execute("DELETE FROM tokens WHERE id = $1", token[:24])
    return token
