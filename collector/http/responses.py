"""Answers with JSON: msgspec Structs or plain values; `orjson.Fragment` passes JSON that is there already."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
import orjson
from aiohttp import web

JSON_TYPE: Final = "application/json; charset=utf-8"


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer with `value` as JSON. Moments in UTC end in Z; ids go in as text (`UUID.hex`)."""
    body = orjson.dumps(value, default=_members, option=orjson.OPT_UTC_Z)
    return web.Response(status=status, body=body, headers={"Content-Type": JSON_TYPE, **(headers or {})})


def _members(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value, builtin_types=(datetime,))
    raise TypeError(f"{type(value).__name__} is no JSON")
