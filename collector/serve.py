"""Ingest and api in one process on one port: the usual first setup, and what `headrace up` starts."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial

from prometheus_client import CollectorRegistry

from collector.api.app import add_api
from collector.api.auth.first_user import announce_first_invitation
from collector.api.core.service import open_api
from collector.api.pages.routes import add_pages
from collector.api.settings import ApiSettings
from collector.broker.owner import compare_database
from collector.database.agreed_settings import database_id
from collector.document import whole_document
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
from collector.process.settings import check_settings, read_settings


async def run(environ: Mapping[str, str], stop: Stop) -> None:
    """Serve until `stop` is requested; then answer the requests in flight, write accepted posts, and end.

    Host, port and queue settings are those of ingest. Raises StartError when a setting is wrong, a server is
    out of reach or the port is taken.
    """
    check_settings((IngestSettings, ApiSettings), environ)
    settings = read_settings(IngestSettings, environ)
    api_settings = read_settings(ApiSettings, environ)
    configure_logging(settings, "serve")
    warn_of_unknown_settings(environ)
    metrics, faults = ProcessMetrics(CollectorRegistry()), read_faults(environ)
    address = Address(settings.host, settings.port, is_shared=settings.reuse_port)
    async with (
        open_api(api_settings, metrics) as api,
        open_ingest(settings, metrics, faults) as ingest,
        AsyncExitStack() as stack,
    ):
        stack.enter_context(metrics.watched())
        shared = await stack.enter_async_context(shared_metrics(address, metrics.registry))
        await compare_database(api.redis, api.keys, await database_id(api.pool), api_settings.database_url)
        await announce_first_invitation(api)
        app = application()
        add_ingest(app, ingest)
        add_api(app, api)
        states = {"Events are taken": ingest.readiness.checks, "Events are read and managed": api.checks}
        add_pages(app, whole_document(), states)
        # Without the api's checks: posts are accepted while Postgres is down, so the balancer must keep us.
        add_health(app, ingest.readiness.checks, metrics.registry, shared)
        await serve(
            app,
            address,
            stop,
            connections=settings.connections,
            proxies=ingest.trusted_proxies,
            on_refused=partial(ingest.reasons.note, CONNECTIONS),
        )
