"""What `headrace up` is given: settings for all of its processes, and perhaps servers.

Both are looked at before anything is started, so that a slip costs a second and not a start.
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

_IN_PLACE: Final = {"redis_url": "redis://ours", "database_url": "postgresql://ours"}
"""Stands for servers of our own, which are not started yet."""

_REDIS_TIMEOUT_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 5.0


def up_settings(environ: Mapping[str, str], console: Console) -> UpSettings:
    """The settings of `up`, once those of its children are known to be right; misspelt ones are named.

    Raises StartError with a line for each variable that is wrong for any of them.
    """
    for unknown in unknown_variables(environ):
        console.say(f"Warning: {unknown}")
    filled = dict(environ)
    for name, url in _IN_PLACE.items():
        if not environ.get(variable := variable_of(name, environ)):
            filled[variable] = url
    check_settings((UpSettings, IngestSettings, ApiSettings, WorkerSettings), filled)
    ingest = read_settings(IngestSettings, filled)
    trusted_proxies(ingest.trusted_proxies, ingest.proxy_header)
    read_faults(environ)
    return read_settings(UpSettings, environ)


async def reach_given_servers(settings: UpSettings, environ: Mapping[str, str], console: Console) -> None:
    """Return once those that are given have answered. Raises StartError that says how to do without them."""
    if settings.redis_url:
        with console.step(f"Reaching Redis at {without_password(settings.redis_url)}"), _advising(environ):
            await _reach_redis(settings.redis_url)
    if settings.database_url:
        with (
            console.step(f"Reaching Postgres at {without_password(settings.database_url)}"),
            _advising(environ),
        ):
            await _reach_postgres(settings.database_url)


async def _reach_redis(url: str) -> None:
    redis = connect(url, socket_timeout_seconds=_REDIS_TIMEOUT_SECONDS)
    try:
        await check_server(redis, url)
    finally:
        await redis.aclose()


async def _reach_postgres(url: str) -> None:
    connection = await connect_once(url)
    await connection.close(timeout=_CLOSE_SECONDS)


@contextmanager
def _advising(environ: Mapping[str, str]) -> Iterator[None]:
    try:
        yield
    except ServerError as error:
        variable = variable_of(error.field_name, environ)
        raise StartError(
            f"{error} Correct {variable}, or unset it and `up` brings its own server."
        ) from error
