"""Where the servers of a command are: what the environment says, else those of a running `headrace up`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from collector.process.lifecycle import ServerError, StartError, first_of
from collector.process.settings import PREFIX

_USUAL_DIRECTORY: Final = Path(".headrace")
_URLS: Final = ("REDIS_URL", "DATABASE_URL")


@contextmanager
def found_servers(environ: Mapping[str, str], data_dir: Path | None) -> Iterator[Mapping[str, str]]:
    """The environment with the servers' URLs, inside the block.

    Raises StartError where there are none, and where one that an `up` had started cannot be used; from the
    block in an ExceptionGroup.
    """
    ready = _ready_file(environ, data_dir)
    if ready is None:
        yield environ
        return
    try:
        yield {**environ, **_urls_in(ready)}
    except* ServerError as group:
        raise StartError(
            f"{first_of(group)} The URL is from {ready}; does that `headrace up` still run?"
        ) from group


def _ready_file(environ: Mapping[str, str], data_dir: Path | None) -> Path | None:
    """Of the directory that is named, else of the usual one where no server is."""
    if data_dir is None and any(environ.get(prefix + url) for prefix in (PREFIX, "") for url in _URLS):
        return None
    path = (data_dir or _USUAL_DIRECTORY) / "ready.json"
    if not path.parent.is_dir() and data_dir is None:
        raise StartError(
            f"{PREFIX}DATABASE_URL and {PREFIX}REDIS_URL are not set, and there is no {path.parent} of a "
            "`headrace up` here; see --data-dir."
        )
    return path


def _urls_in(path: Path) -> dict[str, str]:
    # Only here: an image without the embedded servers is always given its servers.
    from collector.embedded.ready_file import read_ready_file  # noqa: PLC0415

    ready = read_ready_file(path)
    if ready is None:
        raise StartError(f"no `headrace up` runs with the data directory {path.parent}: there is no {path}.")
    return {f"{PREFIX}REDIS_URL": ready.redis_url, f"{PREFIX}DATABASE_URL": ready.database_url}
