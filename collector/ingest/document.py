"""Ingest's routes for the OpenAPI document, with the refusals and the access common to all of them."""

from collections.abc import Iterator
from typing import Final

from collector.domain.errors import Forbidden, NotFound, TooManyRequests, Unauthenticated, Unavailable
from collector.http.openapi import DocumentedRoute
from collector.http.operation import find_operation
from collector.ingest.routes import ROUTES

_REFUSALS: Final = (Unauthenticated, Forbidden, NotFound, TooManyRequests, Unavailable)
_NEEDS: Final = "Needs a token with the scope `client`, which `user` implies."


def documented_routes() -> Iterator[DocumentedRoute]:
    """Every route of ingest whose handler declares an operation."""
    for route in ROUTES:
        operation = find_operation(route.handler)
        if operation is not None:
            yield DocumentedRoute(route.method, route.path, operation, _REFUSALS, _NEEDS)
