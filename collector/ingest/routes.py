"""Every route of ingest, for clients and for whoever lists them."""

from typing import Final

from collector.ingest.handlers import configuration, descriptions, events, heartbeats, submissions

ROUTES: Final = [
    *events.ROUTES,
    *submissions.ROUTES,
    *heartbeats.ROUTES,
    *descriptions.ROUTES,
    *configuration.ROUTES,
]
