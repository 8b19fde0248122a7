"""The HTTP status of each refusal, and the form of every error: problem JSON (RFC 9457), never text or HTML.

The official JavaScript client parses every body as JSON and breaks on anything else.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final, Self

import msgspec
import structlog
from aiohttp import web

from collector.domain import errors
from collector.domain.errors import Refusal
from collector.http.malformed_ids import malformed_id
from collector.http.request_id import REQUEST_ID, request_id
from collector.http.responses import escaped
from collector.process.logging import masked

PROBLEM_TYPE: Final = "application/problem+json"
RETRY_AFTER: Final = "Retry-After"

STATUS: Final[Mapping[type[Refusal], HTTPStatus]] = {
    errors.BadRequest: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.OrganizationSuspended: HTTPStatus.PAYMENT_REQUIRED,
    errors.MonthlyLimitReached: HTTPStatus.PAYMENT_REQUIRED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    errors.NotSupported: HTTPStatus.NOT_IMPLEMENTED,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.LengthRequired: HTTPStatus.LENGTH_REQUIRED,
    errors.BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnsupportedContent: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

# What aiohttp raises by itself is answered as our own refusals are.
_TITLES: Final = {
    HTTPStatus.NOT_FOUND: errors.NotFound().title,
    HTTPStatus.METHOD_NOT_ALLOWED: errors.MethodNotAllowed().title,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: errors.BodyTooLarge().title,
}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong: `title` for people, `errors` by the field at fault."""

    type: str
    title: str
    status: int
    instance: str
    errors: dict[str, list[str]] = {}

    @classmethod
    def build(
        cls, status: int, title: str, instance: str, fields: Mapping[str, Sequence[str]] | None = None
    ) -> Self:
        """The problem for a status and, by field, the texts about it."""
        errors = {name: list(texts) for name, texts in (fields or {}).items()}
        kind = f"https://httpstatuses.io/{int(status)}"
        return cls(type=kind, title=title, status=int(status), instance=instance, errors=errors)


_log = structlog.get_logger()


def problem(
    request: web.BaseRequest,
    status: int,
    title: str,
    *,
    fields: Mapping[str, Sequence[str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An answer with a problem; `fields` becomes its `errors` member."""
    described = Problem.build(status, title, f"{request.method} {masked(request.path)}", fields)
    return web.Response(
        status=status,
        body=escaped(msgspec.json.encode(described)),
        content_type=PROBLEM_TYPE,
        headers={REQUEST_ID: request_id(request), **(headers or {})},
    )


def refusal_response(request: web.BaseRequest, refusal: Refusal) -> web.Response:
    """The answer to a refused request."""
    status = STATUS[type(refusal)]
    headers: dict[str, str] = {}
    if refusal.retry_after_seconds is not None:
        headers[RETRY_AFTER] = str(refusal.retry_after_seconds)
    if status is HTTPStatus.UNAUTHORIZED:
        # Not Negotiate or Basic: .NET would send the user's own login, and browsers would ask for one.
        headers["WWW-Authenticate"] = "Bearer"
    return problem(request, status, refusal.title, fields=refusal.fields, headers=headers)


@web.middleware
async def problems(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answer whatever a handler raises with problem JSON."""
    try:
        return await handler(request)
    except errors.NotFound as refusal:
        # A malformed id may be why nothing was found: say which one.
        fault = malformed_id(request)
        return refusal_response(
            request, refusal if fault is None else errors.NotFound(f"{refusal.title} {fault}")
        )
    except Refusal as refusal:
        return refusal_response(request, refusal)
    except web.HTTPException as error:
        # Redirects are exceptions, too, and no errors.
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        title = _TITLES.get(HTTPStatus(error.status), error.reason)
        # No route has this path.
        if error.status == HTTPStatus.NOT_FOUND and (fault := malformed_id(request)) is not None:
            title = f"{title} {fault}"
        kept = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
        return problem(request, error.status, title, headers=kept)
    except Exception:  # noqa: BLE001 - the edge: logged once, answered with a problem
        _log.exception("request failed", method=request.method, path=request.path)
        return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong on our side.")
