"""Every route of ingest, for the application and the OpenAPI document."""

from typing import Final

from collector.ingest.handlers import configuration, descriptions, events, heartbeats, submissions

ROUTES: Final = [
    *events.ROUTES,
    *submissions.ROUTES,
    *heartbeats.ROUTES,
    *descriptions.ROUTES,
    *configuration.ROUTES,
]
