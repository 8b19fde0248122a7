"""The system that operators' commands work on: identity, connections, and how failures are reported.

Every failure is one line and exit status 2, like a failed start.
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
from collector.process.metrics import ProcessMetrics
from collector.process.settings import read_settings

OPERATOR: Final = Identity(frozenset(effective([GLOBAL])), (), user_id=None, is_token=True)
"""Having the servers' passwords implies every right; it is no user of the API."""


@asynccontextmanager
async def open_system(environ: Mapping[str, str], data_dir: Path | None) -> AsyncIterator[Api]:
    """Open the parts of the API for the block. Turns every error in the block into a StartError."""
    with found_servers(environ, data_dir) as found:
        settings = read_settings(ApiSettings, found)
        configure_logging(settings, "operator")
        with errors_in_one_line():
            async with open_api(settings, ProcessMetrics(CollectorRegistry())) as api:
                yield api


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Turn the errors that operators can cause or meet in the block into a StartError with one line."""
    try:
        with ungrouped():
            yield
    except Refusal as refusal:
        faults = [fault for faults in refusal.fields.values() for fault in faults]
        raise StartError(printable(" ".join(faults) or refusal.title)) from refusal
    except DatabaseUnavailable as error:
        raise StartError(f"Postgres failed ({error}); the change may or may not have been made.") from error
    except (BrokerUnavailable, BrokerFull) as error:
        raise StartError(f"Redis failed ({error}).") from error
