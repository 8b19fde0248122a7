"""`Expect: 100-continue`: the client is asked for the body only once it is wanted.

A request that is refused by its head (without credentials, too long) gets its answer instead, and the
connection is closed unless the body has arrived nevertheless.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy

EXPECTATION: Final = web.RequestKey("expectation", str)
"""What the client expects, in lower case; on requests with that header, which is removed from them."""
CONTINUE: Final = "100-continue"

_CONTINUES: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def without_expectation(message: RawRequestMessage) -> RawRequestMessage:
    """The message without the header, on which aiohttp would ask for the body before it calls the handler."""
    if hdrs.EXPECT not in message.headers:
        return message
    headers = CIMultiDict(message.headers)
    headers.popall(hdrs.EXPECT)
    return message._replace(headers=CIMultiDictProxy(headers))


async def ask_for_body(request: web.BaseRequest) -> None:
    """Ask for the body if the client waits for that; to be called before reading it."""
    if request.get(EXPECTATION) != CONTINUE or request.content.is_eof():
        return
    request[EXPECTATION] = ""  # asked
    await request.writer.write(_CONTINUES)
    request.writer.output_size = 0  # the answer itself has not begun


async def answer_without_body(
    handle: Callable[[Any], Awaitable[web.StreamResponse]], request: web.BaseRequest
) -> web.StreamResponse:
    """The handler's answer; it closes the connection if the client may still send the body or not."""
    response = await handle(request)
    if not request.content.is_eof():
        response.force_close()
    return response
