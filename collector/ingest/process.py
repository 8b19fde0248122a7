"""The ingest process: ingest alone on its own port. It connects to Redis only."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial

from prometheus_client import CollectorRegistry

from collector.domain.reasons import CONNECTIONS
from collector.http.health import add_health
from collector.http.server import Address, application, serve
from collector.http.shared_metrics import shared_metrics
from collector.ingest.app import add_ingest
from collector.ingest.services import open_ingest
from collector.ingest.settings import IngestSettings
from collector.process.faults import read_faults
from collector.process.lifecycle import Stop
from collector.process.logging import configure_logging, warn_of_unknown_settings
from collector.process.metrics import ProcessMetrics
from collector.process.settings import read_settings


async def run(environ: Mapping[str, str], stop: Stop) -> None:
    """Serve until `stop`; then accept no more posts, write those that were accepted, and return.

    Raises StartError if a setting is wrong, Redis is unreachable or the port is in use.
    """
    settings = read_settings(IngestSettings, environ)
    configure_logging(settings, "ingest")
    warn_of_unknown_settings(environ)
    metrics, faults = ProcessMetrics(CollectorRegistry()), read_faults(environ)
    address = Address(settings.host, settings.port, is_shared=settings.reuse_port)
    async with open_ingest(settings, metrics, faults) as ingest, AsyncExitStack() as stack:
        stack.enter_context(metrics.watched())
        shared = await stack.enter_async_context(shared_metrics(address, metrics.registry))
        app = application()
        add_ingest(app, ingest)
        add_health(app, ingest.readiness.checks, metrics.registry, shared)
        await serve(
            app,
            address,
            stop,
            connections=settings.connections,
            proxies=ingest.trusted_proxies,
            on_refused=partial(ingest.reasons.note, CONNECTIONS),
        )
