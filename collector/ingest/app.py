"""Adds the routes of ingest to an application, which it may share with the api."""

from typing import TYPE_CHECKING

from aiohttp import web

from collector.http.connection.fast_path import FAST_PATHS, FastPath
from collector.ingest.fast_path.posts import PATH, EventsFastPath
from collector.ingest.routes import ROUTES
from collector.ingest.services import INGEST, IngestServices

if TYPE_CHECKING:
    from collections.abc import Mapping


def add_ingest(app: web.Application, ingest: IngestServices) -> None:
    """Add the routes for clients, and the fast path."""
    app[INGEST] = ingest
    direct: Mapping[str, FastPath] = {PATH: EventsFastPath(ingest)}
    app[FAST_PATHS] = direct
    app.add_routes(ROUTES)
