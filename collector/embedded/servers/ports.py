"""Chooses TCP ports for the children: free ones that no outgoing connection takes while a child restarts."""

import errno
import random
import socket
from pathlib import Path
from typing import Final

from collector.process.lifecycle import StartError

LOOPBACK: Final = "127.0.0.1"

_EPHEMERAL_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST: Final = 15_000
_HIGHEST: Final = 65_535
_TRIES: Final = 50


def free_port() -> int:
    """A free port of the loopback interface, below the ephemeral range if possible.

    The kernel can give a dead server's ephemeral port to a client that keeps trying to connect to it.
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


def reserve_port(host: str, port: int) -> socket.socket:
    """Reserve a port for children that share it, so that no other server can bind it while they restart.

    The socket never listens, so connections go only to the children. Raises StartError when the port is
    taken, not permitted, or not on any interface of this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as unshared:
            unshared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            unshared.bind(address)
            bound = unshared.getsockname()
        shared = socket.socket(family)
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind(bound)
    except OSError as error:
        raise StartError(_bind_problem(host, port, error)) from error
    return shared


def _bind_problem(host: str, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            other = port + 1 if port < _HIGHEST else port - 1
            return f"port {port} of {host} is in use; stop what uses it, or choose another: {_choose(other)}."
        case errno.EACCES:
            return f"port {port} may not be used by this user; choose one above 1023: {_choose(8080)}."
        case _:
            return f"cannot listen on {host}, port {port}: {error.strerror}; see HEADRACE_HOST and --port."


def _choose(port: int) -> str:
    return f"`PORT={port} make up` or `headrace up --port {port}`"


def _first_ephemeral() -> int:
    try:
        return int(_EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768
