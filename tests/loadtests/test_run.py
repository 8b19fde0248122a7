"""`python -m loadtests.run` against a tiny collector, and its rules about where the load may go."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from loadtests.run import LoadError, is_loopback, target_from_environment

GIVEN: Final = {
    "HEADRACE_URL": "http://127.0.0.1:8080/",
    "HEADRACE_CLIENT_TOKEN": "c" * 40,
    "HEADRACE_USER_TOKEN": "u" * 40,
}


class TinyCollector:
    """Accepts events and finds them. A test can make it lose, duplicate or refuse events."""

    def __init__(self) -> None:
        self.copies_kept = 1
        self.status = 202
        self.posts = 0
        self.refuses_after: int | None = None
        self.stored: dict[str, int] = {}

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/api/v2/events", self.accept)
        app.router.add_get("/api/v2/events/by-ref/{reference}", self.find)
        app.router.add_get("/api/v2/{rest:.*}", self.search)
        return app

    async def accept(self, request: web.Request) -> web.Response:
        self.posts += 1
        if request.headers["Authorization"] != f"Bearer {GIVEN['HEADRACE_CLIENT_TOKEN']}":
            return web.Response(status=401)
        content = await request.read()  # the server has decompressed it
        body = orjson.loads(content)
        for event in body if isinstance(body, list) else [body]:
            self.stored[event["reference_id"]] = self.copies_kept
        is_too_much = self.refuses_after is not None and self.posts > self.refuses_after
        return web.Response(status=503 if is_too_much else self.status)

    async def find(self, request: web.Request) -> web.Response:
        copies = self.stored.get(request.match_info["reference"], 0)
        return web.json_response([{"reference_id": request.match_info["reference"]}] * copies)

    async def search(self, _request: web.Request) -> web.Response:
        return web.json_response([])


Load = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def collector() -> TinyCollector:
    """A collector without faults until a test sets one."""
    return TinyCollector()


@pytest.fixture
async def load(collector: TinyCollector, tmp_path: Path) -> AsyncIterator[Load]:
    """Put a second of load on the collector; return the exit status and the output."""
    async with TestServer(collector.application()) as server:

        async def run(*options: str, module: str = "loadtests.run") -> tuple[int, str]:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, "--users", "5", "--seconds", "1", "--rate", "20"),
                *("--results", str(tmp_path), *options),
                env=os.environ
                | GIVEN
                | {"HEADRACE_URL": str(server.make_url("")), "HEADRACE_LOAD_MAX_WAIT_SECONDS": "0.2"},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            async with asyncio.timeout(60):
                output, _ = await process.communicate()
            return process.returncode or 0, output.decode()

        yield run


async def test_the_load_passes_when_every_event_is_found(
    load: Load, collector: TinyCollector, tmp_path: Path
) -> None:
    """The locustfile posts single events, batches and errors, and reads some of them back; with reports."""
    status, said = await load("--shape", "ramp", "--fail-above", "p99=20000")

    assert status == 0, said
    assert "passed" in said
    assert collector.stored
    reports = await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
    assert {path.suffix for path in reports} == {".html", ".csv"}


@pytest.mark.parametrize("options", [(), ("--processes", "2")], ids=["one process", "two workers"])
async def test_the_load_ends_at_the_first_refused_token(
    load: Load, collector: TinyCollector, options: tuple[str, ...]
) -> None:
    """One line says which token; nothing is waited for."""
    collector.status = 401

    status, said = await load("--seconds", "60", *options)

    assert status == 2, said
    assert "load: answered 401: is HEADRACE_CLIENT_TOKEN a token that may post at http://127.0.0.1:" in said
    assert collector.posts < 50


async def test_the_limit_is_the_last_step_before_a_refusal(load: Load, collector: TinyCollector) -> None:
    """With two workers, as in a distributed run."""
    collector.refuses_after = 100

    status, said = await load(
        *("--seconds", "60", "--step", "1", "--rate", "0", "--p99", "20000", "--processes", "2"),
        module="loadtests.limit",
    )

    assert status == 0, said
    assert "requests failed." in said


async def test_the_load_fails_when_an_accepted_event_is_missing(load: Load, collector: TinyCollector) -> None:
    """The load test exists to find these."""
    collector.copies_kept = 0

    status, said = await load()

    assert status == 1, said
    assert "was answered 202 and cannot be read" in said


async def test_the_load_fails_when_an_event_is_stored_twice(load: Load, collector: TinyCollector) -> None:
    """Found by its reference id."""
    collector.copies_kept = 2

    status, said = await load()

    assert status == 1, said
    assert "2 events have the reference id" in said


async def test_the_load_fails_when_posts_are_refused(load: Load, collector: TinyCollector) -> None:
    """Only a 202 counts, even if the event was stored."""
    collector.status = 503

    status, said = await load()

    assert status == 1, said
    assert "answered 503" in said


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("http://127.0.0.1:8080", True, id="the loopback address"),
        pytest.param("http://127.8.9.1", True, id="another loopback address"),
        pytest.param("http://[::1]:8080", True, id="the loopback address of IPv6"),
        pytest.param("http://localhost:8080", True, id="its name"),
        pytest.param("http://10.0.0.1:8080", False, id="another machine"),
        pytest.param("https://collector.example", False, id="a name"),
        pytest.param("http://localhost.example", False, id="a name that begins like it"),
        pytest.param("nonsense", False, id="no URL"),
    ],
)
def test_loopback_is_distinguished_from_other_hosts(url: str, expected: bool) -> None:  # noqa: FBT001 - a case
    """A typo must not put the load on another server."""
    assert is_loopback(url) is expected


def test_without_a_url_a_collector_is_started() -> None:
    """Tokens alone name no collector."""
    assert target_from_environment({"HEADRACE_CLIENT_TOKEN": "c" * 40}, is_remote_allowed=False) is None


def test_a_given_collector_is_used_with_its_tokens() -> None:
    """The trailing slash is removed, because paths are appended."""
    target = target_from_environment(GIVEN, is_remote_allowed=False)

    assert target is not None
    assert target.url == "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"HEADRACE_URL": "https://collector.example"}, "not on this machine", id="elsewhere"),
        pytest.param({"HEADRACE_CLIENT_TOKEN": ""}, "HEADRACE_CLIENT_TOKEN", id="no client token"),
        pytest.param({"HEADRACE_USER_TOKEN": ""}, "HEADRACE_USER_TOKEN", id="no user token"),
    ],
)
def test_a_given_collector_that_cannot_be_used_is_refused(changes: dict[str, str], reason: str) -> None:
    """One line says what is missing."""
    with pytest.raises(LoadError, match=reason):
        target_from_environment(GIVEN | changes, is_remote_allowed=False)


def test_another_machine_is_used_with_an_explicit_option() -> None:
    """`--anywhere`."""
    assert target_from_environment(
        GIVEN | {"HEADRACE_URL": "https://collector.example"}, is_remote_allowed=True
    )
