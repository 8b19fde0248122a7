"""Finds the servers that a command works on: from the environment, or those of a running `headrace up`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from collector.process.lifecycle import ServerError, StartError, first_of
from collector.process.settings import PREFIX, names_a_server, with_servers

_USUAL_DIRECTORY: Final = Path(".headrace")


@contextmanager
def found_servers(environ: Mapping[str, str], data_dir: Path | None) -> Iterator[Mapping[str, str]]:
    """Yield the environment with the servers' URLs.

    Raises StartError when there are no servers, and, in an ExceptionGroup, when the block cannot use a server
    of an `up`.
    """
    path = _ready_path(environ, data_dir)
    if path is None:
        yield environ
        return
    # Imported only here: an image without the embedded servers always has its servers in the environment.
    from collector.embedded.ready_file import read_ready_file  # noqa: PLC0415

    ready = read_ready_file(path)
    if ready is None:
        raise StartError(f"no `headrace up` runs with the data directory {path.parent}: there is no {path}.")
    try:
        yield with_servers(environ, redis_url=ready.redis_url, database_url=ready.database_url)
    except* ServerError as group:
        raise StartError(
            f"{first_of(group)} The URL is from {path}; is that `headrace up` still running?"
        ) from group


def used_directory(environ: Mapping[str, str], data_dir: Path | None) -> Path | None:
    """The data directory of the `headrace up` that a command works on; None if it works on other servers."""
    path = _ready_path(environ, data_dir)
    return None if path is None else path.parent


def _ready_path(environ: Mapping[str, str], data_dir: Path | None) -> Path | None:
    """The ready file to read, or None if the environment names a server and no directory was given."""
    if data_dir is None and names_a_server(environ):
        return None
    path = (data_dir or _USUAL_DIRECTORY) / "ready.json"
    if not path.parent.is_dir() and data_dir is None:
        raise StartError(
            f"{PREFIX}DATABASE_URL and {PREFIX}REDIS_URL are not set, and there is no {path.parent} of a "
            "`headrace up` here; see --data-dir."
        )
    return path
