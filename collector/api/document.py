"""The api's part of the OpenAPI document: what handlers declare, plus what follows from their routes."""

from collections.abc import Iterator
from typing import Final

from collector.api.app import ROUTES
from collector.api.core.route import Role, Route
from collector.domain.errors import (
    BadRequest,
    BodyTooLarge,
    Forbidden,
    Invalid,
    NotFound,
    Refusal,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    UnsupportedContent,
)
from collector.http.openapi import DocumentedRoute
from collector.http.operation import Operation, find_operation

_NEEDS: Final = {
    Role.ANYONE: "Needs no credentials.",
    Role.USER: "Needs a token with the scope `user`, or a login.",
    Role.PERSON: "Needs a login, or Basic with an address and a password; access tokens are refused.",
    Role.GLOBAL: "Needs a login or a token with the scope `global`.",
}


def documented_routes() -> Iterator[DocumentedRoute]:
    """The routes of the api whose handlers are documented."""
    for route in ROUTES:
        operation = find_operation(route.handler)
        if operation is not None:
            yield DocumentedRoute(
                route.method,
                route.pattern,
                operation,
                tuple(_refusals(route, operation)),
                _NEEDS[route.role],
                is_open=route.role is Role.ANYONE,
            )


def _refusals(route: Route, operation: Operation) -> Iterator[type[Refusal]]:
    """The refusals that any route with this role, path, parameters and body can answer with."""
    if route.role is not Role.ANYONE:
        yield from (Unauthenticated, Forbidden)
    # What a wrong id, parameter or body is answered.
    if "{" in route.path:
        yield NotFound
    if operation.parameters:
        yield BadRequest
    if operation.body is not None:
        yield from (BadRequest, UnsupportedContent, BodyTooLarge, Invalid)
    yield from (TooManyRequests, Unavailable)
