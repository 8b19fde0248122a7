"""Checks before `headrace up` starts anything: the settings of all its processes, and the user's own servers.

A mistake is reported within a second instead of after a slow start.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from collector.api.settings import ApiSettings
from collector.broker.connection import check_server, connect
from collector.database.pool import connect_once
from collector.embedded.console import Console
from collector.embedded.settings import UpSettings
from collector.http.client_address import trusted_proxies
from collector.ingest.settings import IngestSettings
from collector.process.faults import read_faults
from collector.process.known_settings import unknown_variables
from collector.process.lifecycle import ServerError, StartError
from collector.process.settings import check_settings, read_settings, variable_of, without_password
from worker.settings import WorkerSettings

_PLACEHOLDERS: Final = {"redis_url": "redis://embedded", "database_url": "postgresql://embedded"}
"""For the embedded servers, which have no URL before they are started."""

_REDIS_TIMEOUT_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 5.0


def up_settings(environ: Mapping[str, str], console: Console) -> UpSettings:
    """Check the settings of all children, warn about misspelled variables, and return the settings of `up`.

    Raises StartError with a line for each variable that is wrong for any process.
    """
    for unknown in unknown_variables(environ):
        console.say(f"Warning: {unknown}")
    filled = dict(environ)
    # The embedded servers have no URL yet: with a placeholder all other settings can be checked.
    for name, url in _PLACEHOLDERS.items():
        if not environ.get(variable := variable_of(name, environ)):
            filled[variable] = url
    check_settings((UpSettings, IngestSettings, ApiSettings, WorkerSettings), filled)
    # What only the child itself would find wrong, some seconds later.
    ingest = read_settings(IngestSettings, filled)
    trusted_proxies(ingest.trusted_proxies, ingest.proxy_header)
    read_faults(environ)
    return read_settings(UpSettings, environ)


async def check_own_servers(settings: UpSettings, environ: Mapping[str, str], console: Console) -> None:
    """Connect to the servers whose URLs are set. Raises StartError that says how to do without them."""
    if url := settings.redis_url:
        with console.step(f"Reaching Redis at {without_password(url)}"), _advising(environ):
            redis = connect(url, socket_timeout_seconds=_REDIS_TIMEOUT_SECONDS)
            try:
                await check_server(redis, url)
            finally:
                await redis.aclose()
    if url := settings.database_url:
        with console.step(f"Reaching Postgres at {without_password(url)}"), _advising(environ):
            connection = await connect_once(url)
            await connection.close(timeout=_CLOSE_SECONDS)


@contextmanager
def _advising(environ: Mapping[str, str]) -> Iterator[None]:
    """Add to a ServerError which variable to correct or unset."""
    try:
        yield
    except ServerError as error:
        variable = variable_of(error.field_name, environ)
        raise StartError(
            f"{error} Correct {variable}, or unset it and `up` brings its own server."
        ) from error
