"""The OpenAPI document of the whole product; every process that serves it shows the same one."""

from typing import Any

from collector.api import document as api_document
from collector.http.openapi import openapi
from collector.ingest import document as ingest_document


def whole_document() -> dict[str, Any]:
    """The document of the routes of ingest and of the api, as plain values."""
    return openapi([*ingest_document.documented_routes(), *api_document.documented_routes()])
