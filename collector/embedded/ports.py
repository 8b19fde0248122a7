"""Which TCP ports the children get: free ones that no outgoing connection takes while a child restarts."""

import random
import socket
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"

_EPHEMERAL_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST: Final = 15_000
_TRIES: Final = 50


def free_port() -> int:
    """A port of the loopback interface that nobody uses, below those of outgoing connections if possible.

    A client that connects again and again to a dead server's ephemeral port can be given that very port.
    """
    for _ in range(_TRIES):
        port = random.randint(_LOWEST, max(_LOWEST, _first_ephemeral() - 1))  # noqa: S311 - no secret
        if is_free(port):
            return port
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        return int(free.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could bind the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _first_ephemeral() -> int:
    try:
        return int(_EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768
