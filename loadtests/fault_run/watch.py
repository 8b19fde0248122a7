"""Checks that refusals show: polls the readiness and metrics of every ingest process throughout a fault run.

The title of each refusal must be a reason that a readiness named with the same sentence, and a metric with
the same name. This shares no code with the product.
"""

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import aiohttp
import msgspec

_PAUSE_SECONDS: Final = 0.2
_PROBE: Final = aiohttp.ClientTimeout(total=5)
_HELD: Final = re.compile(r'^headrace_refusing\{[^}]*\breason="(\w+)"[^}]*\} 1\.0$', re.MULTILINE)


class _Ready(msgspec.Struct):
    checks: dict[str, str] = {}


@dataclass(slots=True)
class Watch:
    """What was seen so far: sentences of readiness by the name of their reason, and names in metrics."""

    urls: Sequence[str]
    sentences: dict[str, str] = field(default_factory=dict)
    metrics: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Poll until cancelled; a process that does not answer is polled again next time."""
        connector = aiohttp.TCPConnector(
            force_close=True
        )  # a new connection reaches another process that shares the port
        async with aiohttp.ClientSession(timeout=_PROBE, connector=connector) as session:
            while True:
                await asyncio.gather(*(self._look(session, url) for url in self.urls))
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _look(self, session: aiohttp.ClientSession, url: str) -> None:
        try:
            async with session.get(f"{url}/health/ready") as answer:
                if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
                    self.see_readiness(await answer.read())
            async with session.get(f"{url}/metrics") as answer:
                self.see_metrics(await answer.text())
        except (aiohttp.ClientError, OSError, TimeoutError):
            pass

    def see_readiness(self, body: bytes) -> None:
        """Record the reasons of one answer."""
        checks = msgspec.json.decode(body, type=_Ready).checks
        self.sentences |= {name: _sentence(text) for name, text in checks.items() if text != "ok"}

    def see_metrics(self, text: str) -> None:
        """Record the reasons of one answer."""
        self.metrics.update(refused_for(text))

    def shows(self, name: str) -> bool:
        """Whether the reason was seen in both."""
        return name in self.sentences and name in self.metrics

    def unseen(self, titles: Iterable[str]) -> list[str]:
        """The titles that posts were refused with and that did not show in both."""
        shown = {sentence for name, sentence in self.sentences.items() if name in self.metrics}
        return sorted(title for title in titles if _sentence(title) not in shown)


def refused_for(metrics: str) -> set[str]:
    """The reasons that metrics report, of any process of theirs."""
    return set(_HELD.findall(metrics))


def _sentence(text: str) -> str:
    return text.partition(": ")[0].rstrip(".")
