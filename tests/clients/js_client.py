"""An official JavaScript client in a separate Node process, controlled line by line (wire.mjs)."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.clients.installation import HERE, Node
from tests.clients.traffic.relay import Relay
from tests.support.waiting import until

NEW: Final = "exceptionless-node"
"""`@exceptionless/node`."""
OLD: Final = "exceptionless"
"""The client before it, `exceptionless` 1.x."""
AGENTS: Final = {
    NEW: {"ip_address": "127.0.0.1", "user_agent": "exceptionless-js", "version": "3.2.1"},
    OLD: {"ip_address": "127.0.0.1"},
}
"""What is stored about the client. The older one sends its name only when it asks for settings."""

_ANSWER_SECONDS: Final = 20.0
_SENT_SECONDS: Final = 30.0
_END_SECONDS: Final = 20.0


class JsClient:
    """One client that posts through a relay."""

    def __init__(self, process: asyncio.subprocess.Process, relay: Relay) -> None:
        self._process = process
        self._relay = relay

    async def submit(self, *calls: Sequence[Any]) -> bool:
        """Build an event by a chain of calls and queue it; return whether the client dropped it instead."""
        return bool(await self.do({"submit": calls}))

    async def call(self, method: str, *values: Any) -> None:
        """Call the client."""
        await self.do({"call": [method, *values]})

    async def settings(self) -> dict[str, Any]:
        """The client's settings and their version."""
        answer: dict[str, Any] = await self.do({"settings": True})
        return answer

    async def send(self, count: int) -> list[dict[str, Any]]:
        """Send the queue until this many events in all were answered 202; return them as written."""

        async def are_sent() -> bool:
            await self.do({"send": True})
            return len(self._relay.events()) >= count

        await until(are_sent, _SENT_SECONDS, f"202 for {count} events")
        return self._relay.events()

    async def send_event(self, reference_id: str) -> dict[str, Any]:
        """Send the queue until this event was answered 202; return it as written."""
        sent: list[dict[str, Any]] = []

        async def is_sent() -> bool:
            await self.do({"send": True})
            sent[:] = [event for event in self._relay.events() if event.get("reference_id") == reference_id]
            return bool(sent)

        await until(is_sent, _SENT_SECONDS, f"202 for the event {reference_id}")
        return sent[0]

    async def do(self, command: dict[str, Any]) -> Any:
        """Send one command and return its answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(command).encode() + b"\n")
        async with asyncio.timeout(_ANSWER_SECONDS):
            answer = json.loads(await stdout.readline() or b'{"failed":"it has ended"}')
        assert "failed" not in answer, answer["failed"]
        return answer.get("done")

    async def end(self) -> None:
        """Let it exit by itself, like a program that has nothing left to do."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(_END_SECONDS):
            assert await self._process.wait() == 0


@dataclass(frozen=True, slots=True)
class Starter:
    """Starts clients of one kind; what they save is kept in `directory`."""

    node: Node
    kind: str
    relay: Relay
    token: str
    directory: Path

    @asynccontextmanager
    async def started(self, *configure: Sequence[Any], path: str = "") -> AsyncIterator[JsClient]:
        """Start a client; `configure` lists calls on its configuration, `path` is appended to its address."""
        process = await asyncio.create_subprocess_exec(
            *(*self.node.node, str(HERE / f"{self.kind}.mjs")),
            cwd=self.directory,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            client = JsClient(process, self.relay)
            start = {"apiKey": self.token, "serverUrl": self.relay.url + path}
            await client.do({"start": start, "configure": configure})
            yield client
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
