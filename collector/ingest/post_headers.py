"""The headers that a post has of its own."""

from typing import Final

from multidict import istr

CONFIG_VERSION_HEADER: Final = "X-Exceptionless-ConfigVersion"
CLIENT_HEADER: Final = istr("X-Exceptionless-Client")


def text_of(header: str) -> str:
    """A header's text without the lone surrogates that bytes outside UTF-8 arrive as."""
    return header if header.isascii() else header.encode("utf-8", "replace").decode()
