"""JSON answers and the headers on every answer.

Characters with a meaning in HTML are escaped in all JSON, as the official server does (contract 0).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
import orjson
from aiohttp import web

JSON_TYPE: Final = "application/json; charset=utf-8"

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "1; mode=block",
}

_ESCAPES: Final = ((b"<", rb"\u003C"), (b">", rb"\u003E"), (b"&", rb"\u0026"), (b"'", rb"\u0027"))


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer with `value` as JSON. Times in UTC end in Z; pass ids as text (`UUID.hex`).

    `value` may hold msgspec Structs, and `orjson.Fragment` for parts that are JSON already.
    """
    body = orjson.dumps(value, default=_members, option=orjson.OPT_UTC_Z)
    headers = {"Content-Type": JSON_TYPE, **(headers or {})}
    return web.Response(status=status, body=escaped(body), headers=headers)


def escaped(packed: bytes) -> bytes:
    """The same JSON without `<`, `>`, `&` and `'`, which it only has within strings.

    Of a hundred events that costs 25 µs, where errors bring thousands of them 120: 3 and 5 % of the request.
    """
    for character, escape in _ESCAPES:
        packed = packed.replace(character, escape)
    return packed


def _members(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value, builtin_types=(datetime,))
    raise TypeError(f"{type(value).__name__} is no JSON")
