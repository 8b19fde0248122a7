"""The dashboard on a live system: Debian's Prometheus scrapes a `headrace up`, and each expression is run."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil
import pytest

from collector.embedded.servers.ports import free_port
from tests.conftest import SCALE
from tests.deploy.test_alerts import PROMETHEUS, dashboard_expressions
from tests.end_to_end.running import RunningUp, started_up
from tests.support.waiting import until

PROGRAM: Final = shutil.which("prometheus")
_CONFIGURATION: Final = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: headrace
    static_configs: [{{targets: [{targets}]}}]
"""

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(PROGRAM is None, reason="Prometheus is not installed (apt: prometheus)"),
    pytest.mark.skipif(SCALE == 1, reason="only in `make nightly`: it takes twenty seconds"),
]


class Scraping:
    """A running Prometheus."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def get(self, path: str, **query: str) -> Any:
        """The data of an answer of its API."""
        async with self._session.get(f"{self._url}/api/v1/{path}", params=query) as answer:
            return (await answer.json())["data"]

    async def series(self, expression: str) -> list[Any]:
        """What the expression returns now."""
        return list((await self.get("query", query=expression))["result"])


@asynccontextmanager
async def scraped(up: RunningUp, directory: Path) -> AsyncIterator[Scraping]:
    """Prometheus, scraping the processes of `up` every second, with our rules."""
    targets = [up.ready.url.removeprefix("http://"), f"127.0.0.1:{_worker_port(up)}"]
    port, configuration = free_port(), directory / "prometheus.yaml"
    configuration.write_text(
        _CONFIGURATION.format(
            rules=PROMETHEUS / "rules.yaml", targets=", ".join(f"'{each}'" for each in targets)
        )
    )
    with (directory / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            str(PROGRAM),
            f"--config.file={configuration}",
            f"--storage.tsdb.path={directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
    try:
        async with aiohttp.ClientSession() as session:
            scraping = Scraping(session, f"http://127.0.0.1:{port}")

            async def is_scraping() -> bool:
                try:
                    return len(await scraping.series("up == 1")) == len(targets)
                except (aiohttp.ClientError, OSError, ValueError):
                    return False

            await until(is_scraping, 60, "Prometheus and its targets")
            yield scraping
    finally:
        process.terminate()
        await process.wait()


def _worker_port(up: RunningUp) -> int:
    """Where the worker listens."""
    [pid] = up.ready.pids["worker"]
    listening = {
        each.laddr.port for each in psutil.Process(pid).net_connections("tcp") if each.status == "LISTEN"
    }
    [port] = listening
    return int(port)


async def test_every_expression_returns_series(tmp_path: Path) -> None:
    """With two ingest processes on one port; and what Prometheus thinks of our rules: all healthy."""
    async with (
        started_up(tmp_path / "data", "--ingest", "2") as up,
        aiohttp.ClientSession() as session,
    ):
        await up.until_ready()
        async with scraped(up, tmp_path) as scraping:
            number, missing = 0, dict[str, list[Any]]()

            async def have_all_series() -> bool:
                nonlocal number
                number += 1
                await _use(up, session, number)
                missing.clear()
                for expression in dashboard_expressions():
                    expression = expression.replace("$__rate_interval", "30s")  # noqa: PLW2901
                    if not (found := await scraping.series(expression)) or "NaN" in str(found):
                        missing[expression] = found
                return not missing

            await until(have_all_series, 90, "every series")
            processes = await scraping.series("count by (process) (headrace_posts_accepted_total)")
            rules = await scraping.get("rules")

    assert len(processes) == 2
    states = {rule["name"]: rule["health"] for group in rules["groups"] for rule in group["rules"]}
    assert set(states.values()) == {"ok"}


async def _use(up: RunningUp, session: aiohttp.ClientSession, number: int) -> None:
    """A post, one that cannot be read, one with an unknown token, and a search."""
    url = f"{up.ready.url}/api/v2"
    client = {"Authorization": f"Bearer {up.ready.client_token}"}
    assert await up.post(session, f"dashboard-{number}") == 202
    corrupt = client | {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    for headers in (corrupt, {"Authorization": "Bearer " + "x" * 40}):
        async with session.post(f"{url}/events", data=b"no gzip", headers=headers) as answer:
            assert answer.status in {202, 401}
    person = {"Authorization": f"Bearer {up.ready.user_token}"}
    async with session.get(f"{url}/events?filter=hello", headers=person) as answer:
        assert answer.status == 200
