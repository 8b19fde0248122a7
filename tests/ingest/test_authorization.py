"""Permissions at ingest: every route, called by every kind of caller."""

import re
from typing import Any

import msgspec
import pytest
from aiohttp import web

from collector.domain.access.projection import ProjectEntry, Projection
from collector.domain.access.token import lookup_prefix
from collector.ingest.routes import ROUTES
from tests.ingest.projections import (
    LOGIN,
    LOGIN_SUSPENDED,
    OTHER_ORGANIZATION,
    OTHER_PROJECT,
    READER,
    SUSPENDED,
    UPLOAD_ONLY,
    a_projection,
)
from tests.ingest.running_ingest import JSON, RunningIngest, running_ingest
from tests.support.factories import ACCEPTED_MS, CLIENT_TOKEN, PROJECT, a_token_entry

pytestmark = pytest.mark.integration

STRANGER, REVOKED, EXPIRED, PROGRAM_SUSPENDED = "t" * 40, "v" * 40, "e" * 40, "x" * 40
SUSPENDED_PROJECT = b"\x07" * 16

SENDERS = {
    "anonymous": None,
    "garbage": "g" * 40,
    "upload": UPLOAD_ONLY,
    "client": CLIENT_TOKEN,
    "reader": READER,
    "login": LOGIN,
    "stranger": STRANGER,
    "revoked": REVOKED,
    "expired": EXPIRED,
    "suspended": PROGRAM_SUSPENDED,
    "suspended login": LOGIN_SUSPENDED,
}
"""`upload` has no scope to post, `reader` may also read, `stranger` is another organization's program. Logins
have no project. Disabled tokens are like revoked ones here: the projection does not contain them."""

TABLE = {
    #                                                       nob gar upl cli rea log str rev exp sus s-l
    "POST /v2/events":                                     "401 401 403 202 202 400 202 401 401 401 402",
    "POST /v2/projects/{project}/events":                  "401 401 403 202 202 202 404 401 401 401 402",
    "POST /v1/events":                                     "401 401 403 202 202 400 202 401 401 401 402",
    "POST /v1/projects/{project}/events":                  "401 401 403 202 202 202 404 401 401 401 402",
    "POST /v1/error":                                      "401 401 403 202 202 400 202 401 401 401 402",
    "GET /v2/events/submit":                               "401 401 403 200 200 400 200 401 401 401 402",
    "GET /v2/events/submit/{type}":                        "401 401 403 200 200 400 200 401 401 401 402",
    "GET /v2/projects/{project}/events/submit":            "401 401 403 200 200 200 404 401 401 401 402",
    "GET /v2/projects/{project}/events/submit/{type}":     "401 401 403 200 200 200 404 401 401 401 402",
    "GET /v1/events/submit":                               "401 401 403 200 200 400 200 401 401 401 402",
    "GET /v1/events/submit/{type}":                        "401 401 403 200 200 400 200 401 401 401 402",
    "GET /v1/projects/{project}/events/submit":            "401 401 403 200 200 200 404 401 401 401 402",
    "GET /v1/projects/{project}/events/submit/{type}":     "401 401 403 200 200 200 404 401 401 401 402",
    "GET /v2/events/session/heartbeat":                    "401 401 403 200 200 401 200 401 401 401 401",
    "POST /v2/events/by-ref/{reference}/user-description": "401 401 403 202 202 400 202 401 401 401 402",
    "POST /v2/projects/{project}/events/by-ref/{reference}/user-description":
                                                           "401 401 403 202 202 202 404 401 401 401 402",
    "PATCH /v1/error/{event}":                             "401 401 403 202 202 400 202 401 401 401 402",
    "GET /v2/projects/config":                             "401 401 403 200 200 401 200 401 401 401 401",
    "GET /v2/projects/{project}/config":                   "401 401 403 200 200 200 404 401 401 401 404",
    "GET /v1/project/config":                              "401 401 403 200 200 401 200 401 401 401 401",
}  # fmt: skip


def name_of(route: web.RouteDef) -> str:
    path = re.sub(r"\{([a-z]+?)(?:Id)?:(?:[^{}]|\{[^}]*\})*\}", r"{\1}", route.path)
    path = path.replace("error/{id}", "error/{event}").replace("{id}", "{project}")
    return f"{route.method} {path.removeprefix('/api')}"


def everybody() -> Projection:
    """The usual projection with the tokens of this module."""
    usual = a_projection()
    own = {"organization_ids": (OTHER_ORGANIZATION,), "project_id": OTHER_PROJECT}
    suspended = {"organization_ids": (SUSPENDED,), "project_id": SUSPENDED_PROJECT}
    entries = {
        STRANGER: a_token_entry(STRANGER, **own),
        REVOKED: a_token_entry(REVOKED),
        EXPIRED: a_token_entry(EXPIRED, expires_ms=ACCEPTED_MS),
        PROGRAM_SUSPENDED: a_token_entry(PROGRAM_SUSPENDED, **suspended),
    }
    return Projection(
        usual.tokens | {lookup_prefix(token): entry for token, entry in entries.items()},
        usual.projects | {SUSPENDED_PROJECT: ProjectEntry(SUSPENDED)},
        usual.organizations,
    )


def test_the_table_has_exactly_one_row_for_each_route() -> None:
    """A new route must state who may call it."""
    assert {name_of(route) for route in ROUTES} == set(TABLE)
    assert len(ROUTES) == len(TABLE)


async def test_every_caller_gets_the_status_in_the_table(redis_url: str, key_prefix: str) -> None:
    """401, 403 and 404 make clients drop events, so they must be deserved."""
    async with running_ingest(redis_url, key_prefix, everybody()) as ingest:
        await ingest.projection.remove_tokens([lookup_prefix(REVOKED)])
        found = {
            name: " ".join([str(await status_of(ingest, name, token)) for token in SENDERS.values()])
            for name in TABLE
        }

    assert found == TABLE


async def status_of(ingest: RunningIngest, name: str, token: str | None) -> int:
    """Send the request of a row with arguments with which it can succeed."""
    method, template = name.split()
    path = (
        template.replace("{project}", PROJECT.hex())
        .replace("{event}", "0" * 32)
        .replace("{reference}", "order-4711")
        .replace("{type}", "log")
    )
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    options: dict[str, Any] = {"headers": headers}
    if method != "GET":
        is_description = "user-description" in path or method == "PATCH"
        body = {"email_address": "me@example.com", "description": "x"} if is_description else {"message": "x"}
        options = {"headers": JSON | headers, "data": msgspec.json.encode(body)}
    query = "?message=x&id=session-1" if method == "GET" else ""
    return (await ingest.request(method, f"/api{path}{query}", **options)).status
