"""The document of the whole API, of ingest and of the api, whichever process shows it."""

from typing import Any

from collector.api import document as of_the_api
from collector.http.openapi import openapi
from collector.ingest import document as of_ingest


def whole_document() -> dict[str, Any]:
    """The OpenAPI document, as plain values."""
    return openapi([*of_ingest.documented_routes(), *of_the_api.documented_routes()])
