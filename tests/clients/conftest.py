"""A collector for the clients, and Node with the packages from npm, or a reason to skip."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from collector.audit import AuditOptions, reconcile
from collector.process.clock import SystemClock
from tests.clients.installation import INSTALLED, Node, found_node
from tests.clients.js_client import NEW, OLD, JsClient, Starter
from tests.clients.stored import Reader
from tests.clients.traffic.relay import Relay, relaying
from tests.end_to_end.running import RunningUp, started_up


@pytest.fixture(scope="session")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningUp]:
    """One collector for all of these tests; at the end the audit must balance."""
    async with started_up(tmp_path_factory.mktemp("clients") / "data") as up:
        await up.until_ready()
        yield up
        urls = {"REDIS_URL": up.ready.redis_url, "DATABASE_URL": up.ready.database_url}
        sums = await reconcile(urls, AuditOptions(wait_seconds=20), SystemClock())
        assert sums.is_sound, sums.differences


@pytest.fixture
async def api(up: RunningUp) -> AsyncIterator[aiohttp.ClientSession]:
    """A session that may read and change settings."""
    headers = {"Authorization": f"Bearer {up.ready.user_token}"}
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(up.ready.url, headers=headers, timeout=timeout) as session:
        yield session


@pytest.fixture
def reader(api: aiohttp.ClientSession) -> Reader:
    """Reads back what was stored."""
    return Reader(api)


@pytest.fixture
async def relay(up: RunningUp) -> AsyncIterator[Relay]:
    """A relay between a client and the collector."""
    async with relaying(up.ready.url) as relay:
        yield relay


@pytest.fixture(scope="session")
def node() -> Node:
    """Node with the clients. Without it the test is skipped; in CI it fails."""
    found = found_node() if INSTALLED.exists() else None
    if found is not None:
        return found
    reason = "Node or the official clients are not there; `make test` installs them from PyPI and npm"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def starter(node: Node, kind: str, relay: Relay, up: RunningUp, tmp_path: Path) -> Starter:
    """Starts clients of either kind."""
    return Starter(node, kind, relay, up.ready.client_token, tmp_path)


@pytest.fixture(params=[pytest.param(NEW, id="@exceptionless/node"), pytest.param(OLD, id="exceptionless 1")])
def kind(request: pytest.FixtureRequest) -> str:
    """Each of the two clients."""
    return str(request.param)


@pytest.fixture
async def client(starter: Starter) -> AsyncIterator[JsClient]:
    """A client of either kind, with its default configuration."""
    async with starter.started() as client:
        yield client
