"""The system that operators work on: where its servers are, who operators are, how a failure is told.

Whatever cannot be done is one line and exit status 2, like a start that fails.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from collector.api.authentication import Identity
from collector.api.service import Api, open_api
from collector.api.settings import ApiSettings
from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.database.errors import DatabaseUnavailable
from collector.domain.errors import Refusal
from collector.domain.scope import GLOBAL, effective
from collector.process.lifecycle import ServerError, StartError
from collector.process.logging import configure_logging
from collector.process.settings import PREFIX, read_settings

OPERATOR: Final = Identity(frozenset(effective([GLOBAL])), (), user_id=None, is_token=True)
"""Whoever has the servers' passwords may do everything, and is no person."""

_USUAL_DIRECTORY: Final = Path(".headrace")
_URLS: Final = ("REDIS_URL", "DATABASE_URL")


@asynccontextmanager
async def open_system(environ: Mapping[str, str], data_dir: Path | None) -> AsyncIterator[Api]:
    """The api's parts, inside the block. Raises StartError for whatever goes wrong there."""
    ready = _ready_file(environ, data_dir)
    found = {**environ, **_urls_in(ready)} if ready else environ
    settings = read_settings(ApiSettings, found)
    configure_logging(settings, "operator")
    try:
        with _in_one_line():
            async with open_api(settings, CollectorRegistry()) as api:
                yield api
    except ServerError as error:
        if ready is None:
            raise
        raise StartError(f"{error} The URL is from {ready}; does that `headrace up` still run?") from error


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


@contextmanager
def _in_one_line() -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        faults = [fault for faults in refusal.fields.values() for fault in faults]
        raise StartError(" ".join(faults) or refusal.title) from refusal
    except DatabaseUnavailable as error:
        raise StartError(f"Postgres cannot do it right now ({error}); it may have been done.") from error
    except (BrokerUnavailable, BrokerFull) as error:
        raise StartError(f"Redis cannot do it right now ({error}).") from error
