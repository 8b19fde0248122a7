"""The door as routes on an application that it may share with the api."""

from typing import TYPE_CHECKING

from aiohttp import web

from collector.http.direct_way import DIRECT, DirectWay
from collector.ingest.direct import PATH, DirectPosts
from collector.ingest.door import DOOR, Door
from collector.ingest.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import Mapping


def add_ingest(app: web.Application, door: Door) -> None:
    """Serve what clients send and ask for on the application."""
    app[DOOR] = door
    direct: Mapping[str, DirectWay] = {PATH: DirectPosts(door)}
    app[DIRECT] = direct
    app.add_routes(ROUTES)
