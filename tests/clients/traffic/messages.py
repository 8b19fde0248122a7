"""HTTP/1.1 requests and answers, read from the bytes of a connection."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qs, urlsplit

_END_OF_HEAD: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer. Header names are in lower case."""

    first_line: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer."""

    request: Message
    answer: Message

    @property
    def target(self) -> str:
        """The target as written in the request line."""
        return self.request.first_line.split(" ")[1]

    @property
    def path(self) -> str:
        """The path, without the host of an absolute target and without the query; double slashes stay."""
        return _split(self.target).path.replace("//", "/")

    @property
    def query(self) -> dict[str, list[str]]:
        """The decoded query parameters."""
        return parse_qs(_split(self.target).query)

    @property
    def status(self) -> int:
        return status_of(self.answer)


def _split(target: str) -> SplitResult:
    """Split a target; two leading slashes do not name a host."""
    return urlsplit(target.removeprefix("/") if target.startswith("//") else target)


def status_of(answer: Message) -> int:
    """The status in the first line."""
    return int(answer.first_line.split(" ")[1])


def messages_in(said: bytes) -> Iterator[Message]:
    """The complete messages. Each has a length or no body: these clients send no chunks."""
    begin = 0
    while (end := said.find(_END_OF_HEAD, begin)) >= 0:
        first_line, *lines = said[begin:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        assert "transfer-encoding" not in headers, first_line
        body = end + len(_END_OF_HEAD)
        begin = body + int(headers.get("content-length", "0"))
        if begin > len(said):
            return
        yield Message(first_line, headers, said[body:begin])
