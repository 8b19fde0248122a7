"""Tokens: made for a project, revoked by id (contract 2; only people manage tokens).

A secret is shown once, in the answer that creates it. Tokens that may only post sit in apps and web pages and
are no secrets: their `id` is the whole.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog
from aiohttp import hdrs, web

from collector.api.absolute_urls import absolute_url
from collector.api.authentication import IDENTITY, Identity
from collector.api.projects import reachable_project
from collector.api.request_body import read_body
from collector.api.route import Role, Route
from collector.api.service import API, Api
from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.database.pool import connected
from collector.database.tokens import (
    ACCESS,
    Access,
    Token,
    access_token,
    add_token,
    find_access,
    find_tokens,
)
from collector.database.tokens import delete_tokens as delete_from_database
from collector.domain.errors import BadRequest, Invalid, NotFound, Unavailable
from collector.domain.scope import CLIENT, GLOBAL, GRANTABLE, with_implied
from collector.domain.token import LOOKUP_LENGTH, digest_of, lookup_of, new_token
from collector.http.responses import json_response

_EARLIEST_EXPIRY: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_EXPIRY: Final = datetime.max.replace(tzinfo=UTC)
"""The driver takes it for infinity."""
_NOT_YOURS: Final = "Only tokens of your own can be deleted."

_log = structlog.get_logger()


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """What a token for a project may be given; its project and organization come from the path."""

    scopes: list[str] = []
    notes: str | None = None
    expires_utc: datetime | None = None


async def post_token(request: web.Request) -> web.Response:
    """Make a token for the project; the answer's `id` is the whole secret, this once."""
    api, identity = request.app[API], request[IDENTITY]
    wanted = await read_body(request, NewToken)
    secret = new_token()
    async with connected(api.pool) as connection, connection.transaction():
        project = await reachable_project(connection, identity, request.match_info["projectId"])
        token = access_token(
            secret,
            _granted(wanted.scopes, identity),
            api.clock.now(),
            organization_id=project.organization_id,
            project_id=project.id,
            notes=wanted.notes,
            expires_utc=_in_utc(wanted.expires_utc),
        )
        await add_token(connection, token)
        access = await find_access(connection, token.id)
    await announce(api, token.id, access)
    return json_response(
        {**token_view(token, is_suspended=project.is_suspended), "id": secret},
        HTTPStatus.CREATED,
        {
            hdrs.LOCATION: absolute_url(request, f"/api/v2/tokens/{token.id}"),
            hdrs.CACHE_CONTROL: "no-store",
        },
    )


async def delete_tokens(request: web.Request) -> web.Response:
    """Revoke tokens. 202 once the doors know; 503 means revoked, but the doors could not be told."""
    api, identity = request.app[API], request[IDENTITY]
    asked = list(dict.fromkeys(request.match_info["ids"].split(",")))
    async with connected(api.pool) as connection:
        found = {token.id: token for token in await find_tokens(connection, map(lookup_of, asked))}
        verdict = _judge(asked, found, identity)
        await delete_from_database(connection, verdict.revoked)
    # Also what is not kept at all: so a repeat after a 503 mends what the first try could not tell.
    absent = [lookup_of(text) for text in asked if lookup_of(text) not in found]
    await _revoke_at_doors(api, [*verdict.revoked, *absent])
    return _verdict_response(verdict)


async def announce(api: Api, lookup: str, access: Access | None) -> None:
    """Let the doors know a new token. If they cannot be told it is taken back, and nobody gets it.

    They would answer 401 to whoever posts with it, and clients drop their events on that. Should this process
    end in between, the sweep tells the doors, of a token whose secret was never shown.
    """
    if access is None:
        return
    try:
        await api.projection.put_token(lookup, access.entry)
    except (BrokerUnavailable, BrokerFull) as error:
        _log.warning("doors could not be told of a new token", token=lookup, cause=str(error))
        async with connected(api.pool) as connection:
            await delete_from_database(connection, [lookup])
        raise Unavailable(
            "The token was not made: the doors that take events could not be told of it. Please repeat it."
        ) from error


def token_view(token: Token, *, is_suspended: bool) -> dict[str, Any]:
    """A token as lists show it."""
    members = {
        "id": token.clear_text or token.id,
        "organization_id": _hex(token.organization_id),
        "project_id": _hex(token.project_id),
        "user_id": _hex(token.user_id),
        "default_project_id": _hex(token.default_project_id),
        "scopes": token.scopes,
        "expires_utc": token.expires_utc,
        "notes": token.notes,
        "is_disabled": token.is_disabled,
        "is_suspended": is_suspended,
        "created_utc": token.created_utc,
        "updated_utc": token.updated_utc,
    }
    return {name: value for name, value in members.items() if value is not None}


@dataclass(slots=True)
class _Verdict:
    """What becomes of each id in a DELETE: `revoked` holds public parts, the others ids as given."""

    revoked: list[str] = field(default_factory=list)
    success: list[str] = field(default_factory=list)
    failure: list[dict[str, Any]] = field(default_factory=list)


def _judge(asked: Iterable[str], found: dict[str, Token], identity: Identity) -> _Verdict:
    verdict = _Verdict()
    for text in asked:
        token = found.get(lookup_of(text))
        if token is None or not _exists_for(identity, token, text):
            verdict.failure.append(_failure(text, HTTPStatus.NOT_FOUND, "There is no such token."))
        elif token.user_id not in {None, identity.user_id} and not identity.is_global:
            verdict.failure.append(_failure(text, HTTPStatus.BAD_REQUEST, _NOT_YOURS))
        else:
            verdict.revoked.append(token.id)
            verdict.success.append(text)
    return verdict


def _exists_for(identity: Identity, token: Token, text: str) -> bool:
    """Login tokens are no resource; more than the public part must be the whole token."""
    is_named = len(text) == LOOKUP_LENGTH or token.digest == digest_of(text)
    return is_named and token.kind == ACCESS and identity.reaches(token.organization_id)


def _failure(text: str, status: HTTPStatus, message: str) -> dict[str, Any]:
    return {"allowed": False, "id": text, "message": message, "status_code": int(status)}


def _verdict_response(verdict: _Verdict) -> web.Response:
    if not verdict.failure:
        return json_response({"workers": []}, HTTPStatus.ACCEPTED)
    if not verdict.revoked:
        denied = [failed for failed in verdict.failure if failed["status_code"] != HTTPStatus.NOT_FOUND]
        raise BadRequest(denied[0]["message"]) if denied else NotFound
    body = {"workers": [], "success": verdict.success, "failure": verdict.failure}
    return json_response(body, HTTPStatus.BAD_REQUEST)


async def _revoke_at_doors(api: Api, lookups: Sequence[str]) -> None:
    try:
        await api.projection.remove_tokens(lookups)
    except (BrokerUnavailable, BrokerFull) as error:
        _log.warning("doors could not be told of a revocation", tokens=list(lookups), cause=str(error))
        raise Unavailable(
            "The tokens are revoked for reading and managing, but the doors that take events could not be "
            "told; they are by the next sweep, or when this is repeated."
        ) from error


def _granted(scopes: Iterable[str], identity: Identity) -> tuple[str, ...]:
    """The scopes to keep, with what they imply; none means `client`. Nobody grants more than he has."""
    asked = [scope.strip().lower() for scope in scopes]
    granted = with_implied(asked)
    if not GRANTABLE.issuperset(asked) or (GLOBAL in granted and not identity.is_global):
        raise Invalid(fields={"scopes": ["Invalid token scope requested."]})
    return granted or (CLIENT,)


def _in_utc(moment: datetime | None) -> datetime | None:
    """A moment without an offset is in UTC."""
    if moment is None:
        return None
    with suppress(OverflowError):
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        if _EARLIEST_EXPIRY <= moment < _LATEST_EXPIRY:
            return moment
    raise Invalid(
        fields={"expires_utc": ["The expires_utc field must be a moment of the years 1970 to 9999."]}
    )


def _hex(value: UUID | None) -> str | None:
    return None if value is None else value.hex


ROUTES: Final = (
    Route("POST", "/projects/{projectId:objectid}/tokens", post_token, Role.PERSON),
    Route("DELETE", "/tokens/{ids:tokens}", delete_tokens, Role.PERSON),
)
