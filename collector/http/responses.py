"""Answers with JSON, encoded by orjson; `orjson.Fragment` passes JSON that exists already as it is."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

JSON_TYPE: Final = "application/json; charset=utf-8"


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer with `value` as JSON. Moments in UTC end in Z; ids go in as text (`UUID.hex`)."""
    body = orjson.dumps(value, option=orjson.OPT_UTC_Z)
    return web.Response(status=status, body=body, headers={"Content-Type": JSON_TYPE, **(headers or {})})
