"""The examples for proxies, in front of the services of compose.yaml."""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from collector.api.app import ROUTES as API_ROUTES
from collector.embedded.servers.ports import free_port
from collector.ingest.routes import ROUTES as INGEST_ROUTES
from tests.deploy.composed import Composed
from tests.deploy.proxied import CLIENT, Upstreams, proxied
from tests.support.waiting import until

FORGED = {"X-Forwarded-For": "203.0.113.5", "X-Forwarded-Proto": "http", "X-Real-IP": "203.0.113.6"}


@pytest.fixture(scope="module", params=["caddy", "nginx"])
async def proxy(
    request: pytest.FixtureRequest, deployment: Composed, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[aiohttp.ClientSession]:
    """Clients of a proxy in front of two ingest processes and an api."""
    ports = deployment.ports
    upstreams = Upstreams([ports["ingest-1"], ports["ingest-2"]], ports["api"])
    async with proxied(request.param, tmp_path_factory.mktemp("proxy"), upstreams) as session:
        yield session


def _client(deployment: Composed) -> dict[str, str]:
    return {"Authorization": f"Bearer {deployment.seed.client_token}"} | FORGED


def _user(deployment: Composed) -> dict[str, str]:
    return {"Authorization": f"Bearer {deployment.seed.user_token}"} | FORGED


async def test_an_event_is_posted_and_read_with_the_clients_address(
    proxy: aiohttp.ClientSession, deployment: Composed
) -> None:
    """Not with the one that the client claims."""
    reference = secrets.token_hex(8)
    event = {"type": "log", "message": "through a proxy", "reference_id": reference}
    async with proxy.post("/api/v2/events", json=event, headers=_client(deployment)) as answer:
        assert answer.status == 202, await answer.text()
    found: list[dict[str, object]] = []

    async def is_found() -> bool:
        path = f"/api/v2/events/by-ref/{reference}"
        async with proxy.get(path, headers=_user(deployment)) as answer:
            found[:] = await answer.json() if answer.status == 200 else []
        return bool(found)

    await until(is_found, 30, "the event")
    assert CLIENT in json.dumps(found[0]["data"])
    assert "203.0.113" not in json.dumps(found[0])


async def test_addresses_in_answers_begin_with_https(
    proxy: aiohttp.ClientSession, deployment: Composed
) -> None:
    for number in range(2):
        event = {"type": "log", "message": str(number)}
        async with proxy.post("/api/v2/events", json=event, headers=_client(deployment)) as answer:
            assert answer.status == 202
    links: list[str] = []

    async def is_linked() -> bool:
        async with proxy.get("/api/v2/events?limit=1", headers=_user(deployment)) as answer:
            links[:] = answer.headers.getall("Link", [])
        return bool(links)

    await until(is_linked, 30, "a second page")
    assert f"<https://localhost:{proxy._base_url.port}/api/v2/events?" in links[0]  # type: ignore[union-attr]


@pytest.mark.parametrize(("size", "status"), [(200_000, 202), (200_001, 413)])
async def test_the_largest_post_passes_and_a_larger_one_is_refused_by_us(
    proxy: aiohttp.ClientSession, deployment: Composed, size: int, status: int
) -> None:
    body = json.dumps({"type": "log", "message": "x" * 1000, "data": {"text": ""}})
    body = body.replace('"text": ""', f'"text": "{"y" * (size - len(body))}"')
    assert len(body) == size
    headers = _client(deployment) | {"Content-Type": "application/json"}

    async with proxy.post("/api/v2/events", data=body, headers=headers) as answer:
        assert answer.status == status
        if status == 413:
            assert answer.content_type == "application/problem+json"


async def test_the_stream_of_events_is_not_buffered(
    proxy: aiohttp.ClientSession, deployment: Composed
) -> None:
    """A message arrives while the answer is still open."""
    async with proxy.get("/api/v2/events/stream", headers=_user(deployment)) as stream:
        assert stream.status == 200
        assert stream.content_type == "text/event-stream"
        event = {"type": "log", "message": "live"}
        async with proxy.post("/api/v2/events", json=event, headers=_client(deployment)) as answer:
            assert answer.status == 202
        async with asyncio.timeout(20):
            async for line in stream.content:
                if line.startswith(b"data:"):
                    break
        assert not stream.content.at_eof()


@pytest.mark.parametrize("path", ["/metrics", "/health", "/health/ready", "/health/live"])
async def test_what_is_for_those_inside_stays_inside(proxy: aiohttp.ClientSession, path: str) -> None:
    async with proxy.get(path) as answer:
        assert answer.status == 404
        assert b"headrace_" not in await answer.read()


@pytest.fixture(scope="module", params=["caddy", "nginx"])
async def labelled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[aiohttp.ClientSession]:
    """A proxy in front of two servers that only say which one they are."""
    ports = {}
    runners = []
    for name in ("ingest", "api"):

        async def say(_request: web.Request, name: str = name) -> web.Response:
            return web.Response(text=name)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", say)
        runner = web.AppRunner(app)
        await runner.setup()
        ports[name] = free_port()
        await web.TCPSite(runner, "127.0.0.1", ports[name]).start()
        runners.append(runner)
    upstreams = Upstreams([ports["ingest"]], ports["api"])
    try:
        async with proxied(request.param, tmp_path_factory.mktemp("labelled"), upstreams) as session:
            yield session
    finally:
        for runner in runners:
            await runner.cleanup()


async def test_every_route_goes_to_the_process_that_has_it(labelled: aiohttp.ClientSession) -> None:
    """All routes of both processes, also in the spellings that they accept; the app's pages to the api."""
    routes = [(each.method, each.path, "ingest") for each in INGEST_ROUTES]
    routes += [(each.method, f"/api/v2{each.path}", "api") for each in API_ROUTES]
    routes += [
        ("GET", path, "api") for path in ("/", "/stacks", "/event/1", "/docs", "/docs/v2/openapi.json")
    ]
    wrong = []
    for method, pattern, owner in routes:
        path = re.sub(r"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}", "0123456789abcdef01234567", pattern)
        for spelling in (path, path + "/", path.replace("/events", "/Events")):
            async with labelled.request(method, spelling) as answer:
                if await answer.text() != owner:
                    wrong.append(f"{method} {spelling}")

    assert wrong == []
