"""`X-HTTP-Method-Override`: the method that is meant, where something on the way lets only POST through.

It takes the sent one's place where a request is made: routes, permissions, logs and answers know no other.
"""

from typing import Final

from aiohttp import hdrs
from aiohttp.http_parser import RawRequestMessage
from multidict import istr

METHOD_OVERRIDE: Final = istr("X-HTTP-Method-Override")


def apply_method_override(message: RawRequestMessage) -> RawRequestMessage:
    """The message with the method that its sender means; rubbish is a method, too, which no route has."""
    if message.method != hdrs.METH_POST or METHOD_OVERRIDE not in message.headers:
        return message
    said = ",".join(message.headers.getall(METHOD_OVERRIDE))
    method = said.encode("ascii", "replace").decode().strip().upper() or hdrs.METH_POST
    # Whoever sent a POST waits for the content of the answer, which one to HEAD would only announce.
    return message._replace(method=hdrs.METH_GET if method == hdrs.METH_HEAD else method)
