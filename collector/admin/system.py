"""The system that operators work on: who they are, and how a failure is told.

Whatever cannot be done is one line and exit status 2, like a start that fails.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from collector.admin.output import printable
from collector.admin.servers import found_servers
from collector.api.auth.authentication import Identity
from collector.api.core.service import Api, open_api
from collector.api.settings import ApiSettings
from collector.broker.errors import BrokerFull, BrokerUnavailable
from collector.database.errors import DatabaseUnavailable
from collector.domain.access.scope import GLOBAL, effective
from collector.domain.errors import Refusal
from collector.process.lifecycle import StartError, ungrouped
from collector.process.logging import configure_logging
from collector.process.settings import read_settings

OPERATOR: Final = Identity(frozenset(effective([GLOBAL])), (), user_id=None, is_token=True)
"""Whoever has the servers' passwords may do everything, and is no person."""


@asynccontextmanager
async def open_system(environ: Mapping[str, str], data_dir: Path | None) -> AsyncIterator[Api]:
    """The api's parts, inside the block. Raises StartError for whatever goes wrong there."""
    with found_servers(environ, data_dir) as found:
        settings = read_settings(ApiSettings, found)
        configure_logging(settings, "operator")
        with told_in_one_line():
            async with open_api(settings, CollectorRegistry()) as api:
                yield api


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Turn what goes wrong in the block into a StartError with one line."""
    try:
        with ungrouped():
            yield
    except Refusal as refusal:
        faults = [fault for faults in refusal.fields.values() for fault in faults]
        raise StartError(printable(" ".join(faults) or refusal.title)) from refusal
    except DatabaseUnavailable as error:
        raise StartError(f"Postgres cannot do it right now ({error}); it may have been done.") from error
    except (BrokerUnavailable, BrokerFull) as error:
        raise StartError(f"Redis cannot do it right now ({error}).") from error
