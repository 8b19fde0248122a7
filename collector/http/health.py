"""Health and metrics, the same for every process: `/health/live`, `/health/ready`, `/metrics`.

`/health` is the official server's path, for existing monitors: readiness in one word (contract 6).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry

from collector.http.responses import json_response
from collector.process.metrics import CONTENT_TYPE, exposition

Check = Callable[[], Awaitable[str | None]]
"""Returns what is wrong, in words for an operator, or None."""

_HEALTH: Final = "/health"
_LIVE: Final = "/health/live"
_READY: Final = "/health/ready"
_METRICS: Final = "/metrics"
HEALTH_PATHS: Final = frozenset({_HEALTH, _LIVE, _READY, _METRICS})
"""What is answered even while there are too many connections."""

_CHECK_SECONDS: Final = 3.0
_AGAIN: Final = {"Retry-After": "5"}


class Expositor(Protocol):
    """Gives the metrics of more than this process."""

    async def exposition(self) -> bytes:
        """The metrics in the text format of Prometheus."""
        ...


def add_health(
    app: web.Application,
    checks: Mapping[str, Check],
    registry: CollectorRegistry,
    shared: Expositor | None = None,
) -> None:
    """Add the routes. Live: the process answers. Ready: every check returns None.

    The metrics are those of `registry`, or those that `shared` has from every process on the port.
    """
    shared_checks = SharedChecks(checks)

    async def live(_request: web.Request) -> web.Response:
        return json_response({"status": "live"})

    async def ready(_request: web.Request) -> web.Response:
        answers = await shared_checks.run()
        found = {name: answer or "ok" for name, answer in answers.items()}
        if any(answers.values()):
            return json_response(
                {"status": "not ready", "checks": found}, HTTPStatus.SERVICE_UNAVAILABLE, _AGAIN
            )
        return json_response({"status": "ready", "checks": found})

    async def healthy(_request: web.Request) -> web.Response:
        if any((await shared_checks.run()).values()):
            return web.Response(text="Unhealthy", status=HTTPStatus.SERVICE_UNAVAILABLE, headers=_AGAIN)
        return web.Response(text="Healthy")

    async def metrics(_request: web.Request) -> web.Response:
        body = exposition(registry) if shared is None else await shared.exposition()
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    app.router.add_get(_HEALTH, healthy)
    app.router.add_get(_LIVE, live)
    app.router.add_get(_READY, ready)
    app.router.add_get(_METRICS, metrics)


class SharedChecks:
    """Checks that all who ask meanwhile share one run of: they cost many times what an answer costs."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._running: asyncio.Future[dict[str, str | None] | None] | None = None

    async def run(self) -> dict[str, str | None]:
        """Run all checks concurrently; returns what each has found, by name. One that hangs has not answered.

        The first who asks runs them. If it is cancelled (its client disconnected), the next one does.
        """
        while self._running is not None:
            found = await asyncio.shield(self._running)
            if found is not None:
                return found
        self._running = running = asyncio.get_running_loop().create_future()
        found = None
        try:
            answers = await asyncio.gather(*map(_answer, self._checks.values()))
            found = dict(zip(self._checks, answers, strict=True))
            return found
        finally:
            self._running = None
            running.set_result(found)


async def _answer(check: Check) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            return await check()
    except TimeoutError:
        return f"no answer within {_CHECK_SECONDS:.0f} s"
