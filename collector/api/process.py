"""The api process, which serves the routes of the api and the pages on its own port."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry

from collector.api.app import add_api
from collector.api.auth.first_user import announce_first_invitation
from collector.api.core.service import open_api
from collector.api.pages.routes import add_pages
from collector.api.settings import ApiSettings
from collector.broker.owner import compare_database
from collector.database.agreed_settings import database_id
from collector.http.health import add_health
from collector.http.server import Address, application, serve
from collector.process.lifecycle import Stop
from collector.process.logging import configure_logging, warn_of_unknown_settings
from collector.process.metrics import ProcessMetrics
from collector.process.settings import read_settings


async def run(environ: Mapping[str, str], stop: Stop, document: Mapping[str, Any]) -> None:
    """Serve until `stop` is set, then finish the running requests and return.

    The API page shows `document`, which describes all processes: a proxy may put them on one address.

    Raises StartError if a setting is wrong, a server is out of reach or the port is in use.
    """
    settings = read_settings(ApiSettings, environ)
    configure_logging(settings, "api")
    warn_of_unknown_settings(environ)
    metrics = ProcessMetrics(CollectorRegistry())
    async with open_api(settings, metrics) as api:
        await api.throttle.warn_if_limits_differ()
        await compare_database(api.redis, api.keys, await database_id(api.pool), settings.database_url)
        await announce_first_invitation(api)
        app = application()
        add_api(app, api)
        add_pages(
            app, document, {"Events are taken": api.queue_checks, "Events are read and managed": api.checks}
        )
        add_health(app, api.checks, metrics.registry)
        with metrics.watched():
            await serve(app, Address(settings.host, settings.port), stop, proxies=api.trusted_proxies)
