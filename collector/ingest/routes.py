"""Every route of the door, for clients and for whoever lists them."""

from typing import Final

from collector.ingest import configuration, descriptions, events, submissions

ROUTES: Final = [
    *events.ROUTES,
    *submissions.ROUTES,
    *descriptions.ROUTES,
    *configuration.ROUTES,
]
