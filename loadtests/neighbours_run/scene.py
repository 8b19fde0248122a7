"""The victim and what is measured of it: 50 posts and one search a second, beside one attacker."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
import msgspec
import psutil

from loadtests.neighbours_run.attack import Orders
from loadtests.neighbours_run.attacker_process import started_attacker
from loadtests.neighbours_run.report import Result

POSTS_A_SECOND: Final = 50
_POLL_SECONDS: Final = 0.02
_UNREAD_SECONDS: Final = 60.0
"""How long the last posts may take to become readable before they count as unread."""
_DRAIN_SECONDS: Final = 20.0
_ANSWER: Final = aiohttp.ClientTimeout(total=30)
_KINDS: Final = ("ingest", "worker", "valkey", "postgres")


class Ready(msgspec.Struct, frozen=True):
    """What is read of the file that `headrace up --ready-file` writes."""

    url: str
    user_token: str
    organization_id: str
    project_id: str
    client_token: str
    database_url: str
    pids: dict[str, list[int]]


@dataclass(slots=True)
class Scene:
    """A running collector with a project of the victim."""

    ready: Ready
    session: aiohttp.ClientSession
    database: asyncpg.Connection

    async def call(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        """Call the API, as the administrator without a token; returns the answer's JSON, or the status."""
        headers = {"Authorization": f"Bearer {token or self.ready.user_token}"}
        url = f"{self.ready.url}/api/v2/{path}"
        async with self.session.request(method, url, json=body, headers=headers) as answer:
            is_json = answer.content_type.endswith("json")
            return await answer.json() if is_json else answer.status


def read_ready(file: Path) -> Ready:
    """What `headrace up` wrote when it was ready."""
    return msgspec.json.decode(file.read_bytes(), type=Ready)


@asynccontextmanager
async def open_scene(ready: Ready) -> AsyncIterator[Scene]:
    """Connect to a running collector."""
    connector = aiohttp.TCPConnector(limit=0)
    database = await asyncpg.connect(ready.database_url)
    async with aiohttp.ClientSession(
        connector=connector, timeout=_ANSWER, auto_decompress=False, skip_auto_headers=["Content-Encoding"]
    ) as session:
        yield Scene(ready, session, database)
    await database.close()


async def measured(scene: Scene, attacker: str, seconds: float, cores: frozenset[int]) -> Result:
    """What the victim measures in this number of seconds, beside the attacker of this name, if any."""
    result = Result()
    async with AsyncExitStack() as ending:
        attacking = None
        if attacker:
            orders = await _orders(scene, attacker, cores)
            attacking = await ending.enter_async_context(started_attacker(orders))
        disk_before = await _database_bytes(scene)
        if attacking is not None:
            attacking.begin()
        await _measure(scene, result, seconds)
        if attacking is not None:
            counts = await attacking.end()
            result.attacks, result.sent_bytes, result.answers = (
                counts.attacks,
                counts.sent_bytes,
                counts.answers,
            )
    await _until_drained(scene)
    result.disk_bytes = max(0, await _database_bytes(scene) - disk_before)
    return result


async def _measure(scene: Scene, result: Result, seconds: float) -> None:
    waiting: dict[str, float] = {}
    async with asyncio.TaskGroup() as tasks:
        background = [
            tasks.create_task(_search(scene, result)),
            tasks.create_task(_sample_processes(scene, result)),
            tasks.create_task(_look_for(scene, waiting, result)),
        ]
        began = time.monotonic()
        async with asyncio.TaskGroup() as posts:
            number = 0
            while (due := began + number / POSTS_A_SECOND) < began + seconds:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                posts.create_task(_post(scene, waiting, result))
                number += 1
        deadline = time.monotonic() + _UNREAD_SECONDS
        while waiting and time.monotonic() < deadline:  # noqa: ASYNC110 - another process makes them readable
            await asyncio.sleep(_POLL_SECONDS)
        result.unread = len(waiting)
        for task in background:
            task.cancel()


async def _orders(scene: Scene, attacker: str, cores: frozenset[int]) -> Orders:
    """An organization of its own for the attacker, with a project and tokens."""
    organization = (await scene.call("POST", "organizations", {"name": f"attacker {uuid.uuid4()}"}))["id"]
    new = {"organization_id": organization, "name": f"attacker {uuid.uuid4()}"}
    project = (await scene.call("POST", "projects", new))["id"]
    client = await scene.call("POST", f"projects/{project}/tokens", {"scopes": ["client"]})
    user = await scene.call("POST", f"organizations/{organization}/tokens", {"scopes": ["user"]})
    return Orders(attacker, scene.ready.url, organization, project, client["id"], user["id"], cores)


async def _post(scene: Scene, waiting: dict[str, float], result: Result) -> None:
    reference = uuid.uuid4().hex
    body = {"type": "log", "message": "hello", "reference_id": reference, "data": {"order": {"id": 1}}}
    headers = {"Authorization": f"Bearer {scene.ready.client_token}"}
    began = time.monotonic()
    try:
        url = f"{scene.ready.url}/api/v2/events"
        async with scene.session.post(url, json=body, headers=headers) as answer:
            status = answer.status
    except (aiohttp.ClientError, TimeoutError):
        status = 0
    if status == HTTPStatus.ACCEPTED:
        result.accepted.append(time.monotonic() - began)
        waiting[reference] = began
    else:
        result.refused += 1


async def _look_for(scene: Scene, waiting: dict[str, float], result: Result) -> None:
    """Find out when posts are readable: committed, which is when every query returns them."""
    while True:
        if waiting:
            rows = await scene.database.fetch(
                "SELECT reference_id FROM events WHERE project_id = $1 AND reference_id = ANY($2)"
                " AND reference_id <> 'invalid-reference-id'",
                scene.ready.project_id,
                list(waiting),
            )
            now = time.monotonic()
            for (reference,) in rows:
                if (began := waiting.pop(reference, None)) is not None:
                    result.readable.append(now - began)
        await asyncio.sleep(_POLL_SECONDS)


async def _search(scene: Scene, result: Result) -> None:
    """Search once a second as the victim's organization: the administrator is in those of attackers, too."""
    path = f"organizations/{scene.ready.organization_id}/tokens"
    token = (await scene.call("POST", path, {"scopes": ["user"]}))["id"]
    while True:
        began = time.monotonic()
        with suppress(aiohttp.ClientError, TimeoutError):
            path = f"projects/{scene.ready.project_id}/events?filter=type:log&limit=10"
            found = await scene.call("GET", path, token=token)
            result.searches_refused += not isinstance(found, list)
            result.searches.append(time.monotonic() - began)
        await asyncio.sleep(max(0.0, began + 1 - time.monotonic()))


async def _sample_processes(scene: Scene, result: Result) -> None:
    """Note the most memory of each kind of process, and the processor time of the whole kind."""
    used: dict[str, dict[int, float]] = {}
    first: dict[str, float] = {}
    began = time.monotonic()
    while True:
        for kind in _KINDS:
            for pid in scene.ready.pids.get(kind, []):
                with suppress(psutil.NoSuchProcess):
                    owner = psutil.Process(pid)
                    for process in (owner, *owner.children(recursive=True)):
                        with suppress(psutil.NoSuchProcess):
                            times = process.cpu_times()
                            used.setdefault(kind, {})[process.pid] = times.user + times.system
                    result.memory_bytes[kind] = max(owner.memory_info().rss, result.memory_bytes.get(kind, 0))
            total = sum(used.get(kind, {}).values())
            first.setdefault(kind, total)
            result.cores[kind] = (total - first[kind]) / max(0.1, time.monotonic() - began)
        await asyncio.sleep(0.5)


async def _until_drained(scene: Scene) -> None:
    """Wait, within a bound, until what the attacker left is stored, so that its disk is measured."""
    deadline, before = time.monotonic() + _DRAIN_SECONDS, -1
    while time.monotonic() < deadline:
        stored = await scene.database.fetchval("SELECT sum(batches)::bigint FROM processed")
        if stored == before:
            return
        before = stored
        await asyncio.sleep(2)


async def _database_bytes(scene: Scene) -> int:
    size: int = await scene.database.fetchval("SELECT pg_database_size(current_database())")
    return size
