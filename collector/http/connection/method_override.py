"""`X-HTTP-Method-Override`: the intended method, from clients whose network lets only POST through.

It replaces the sent method when the request is made: routes, permissions, logs and answers see no other.
"""

from typing import Final

from aiohttp import hdrs
from aiohttp.http_parser import RawRequestMessage
from multidict import istr

METHOD_OVERRIDE: Final = istr("X-HTTP-Method-Override")


def apply_method_override(message: RawRequestMessage) -> RawRequestMessage:
    """The message with the method that its sender intends; an invalid one is kept, and no route has it."""
    if message.method != hdrs.METH_POST or METHOD_OVERRIDE not in message.headers:
        return message
    override = ",".join(message.headers.getall(METHOD_OVERRIDE))
    method = override.encode("ascii", "replace").decode().strip().upper() or hdrs.METH_POST
    # A client that sent a POST waits for a body, which an answer to HEAD announces but does not have.
    return message._replace(method=hdrs.METH_GET if method == hdrs.METH_HEAD else method)
