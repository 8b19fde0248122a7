"""The door as routes on an application that it may share with the api."""

from aiohttp import web

from collector.ingest.door import DOOR, Door
from collector.ingest.routes import add_routes


def add_ingest(app: web.Application, door: Door) -> None:
    """Serve posts on the application."""
    app[DOOR] = door
    add_routes(app)
