"""The check behind `headrace health`: whether a process on this machine answers.

Container engines run it every few seconds, so it imports nothing but sockets: some milliseconds beside the
interpreter's own start.
"""

import socket
from collections.abc import Mapping
from typing import Final

_PORTS: Final = ("8080", "8081", "8082")
"""Where serve and ingest, the api and the worker listen unless a setting says otherwise."""
_SECONDS: Final = 5.0
_ANY_INTERFACE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - read, not bound
_FIRST_LINE: Final = 64


def health_problem(environ: Mapping[str, str], *, is_ready: bool = False) -> str | None:
    """Why no process is alive (or ready) on `HEADRACE_PORT`, or on any default port; None if one is."""
    host = environ.get("HEADRACE_HOST", "")
    host = _ANY_INTERFACE.get(host, host)
    ports = (environ["HEADRACE_PORT"],) if environ.get("HEADRACE_PORT") else _PORTS
    path = "/health/ready" if is_ready else "/health/live"
    problems = []
    for port in ports:
        problem = _problem(host, port, path)
        if problem is None:
            return None
        problems.append(f"port {port}: {problem}")
    return "; ".join(problems)


def _problem(host: str, port: str, path: str) -> str | None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((host, int(port)), timeout=_SECONDS) as connection:
            connection.sendall(request.encode())
            answer = connection.recv(_FIRST_LINE)
    except TimeoutError:
        return f"no answer within {_SECONDS:.0f} s"
    except (OSError, ValueError) as error:
        return str(error)
    status = answer.split(b"\r\n")[0].decode("latin-1")
    return None if status.startswith("HTTP/1.1 200 ") else status or "the connection was closed"
