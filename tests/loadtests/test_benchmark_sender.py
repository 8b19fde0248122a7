"""Both senders of the benchmark, against a tiny server."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from loadtests.benchmarks.error import BenchmarkError
from loadtests.benchmarks.sender import CONNECTIONS, PATH, Sender

BODIES = [b'{"message":"first"}', b'{"message":"second"}', b'{"message":"third"}']
WITHOUT_WRK = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
SENDERS = [pytest.param(0.2, id="built in"), pytest.param(1.0, id="wrk", marks=WITHOUT_WRK)]


class Receiver:
    """Records the requests, and answers as a test sets."""

    def __init__(self) -> None:
        self.status = 202
        self.port = 0
        self.posts = 0
        self.bodies: set[bytes] = set()
        self.headers: dict[str, str] = {}

    async def accept(self, request: web.Request) -> web.Response:
        self.posts += 1
        self.bodies.add(await request.read())
        self.headers = dict(request.headers)
        return web.Response(status=self.status)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A server that accepts everything until a test changes that."""
    receiver, app = Receiver(), web.Application()
    app.router.add_post(PATH, receiver.accept)
    async with TestServer(app) as server:
        receiver.port = server.port or 0
        yield receiver


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    """A file of three posts."""
    (file := tmp_path / "bodies").write_bytes(b"\n".join(BODIES))
    return file


def a_sender(seconds: float) -> Sender:
    """A sender on any core: nothing is measured here."""
    return Sender(frozenset(os.sched_getaffinity(0)), seconds, "t" * 40)


@pytest.mark.parametrize("seconds", SENDERS)
async def test_every_post_of_the_file_is_sent_as_a_client_would(
    receiver: Receiver, bodies: Path, seconds: float
) -> None:
    """In turn, complete, with a token. The sender's count equals the received posts."""
    sent = await a_sender(seconds).send(receiver.port, bodies)

    assert receiver.bodies == set(BODIES)
    assert receiver.headers["Authorization"] == f"Bearer {'t' * 40}"
    assert receiver.headers["Content-Type"] == "application/json"
    assert (
        0 <= receiver.posts - sent.posts <= CONNECTIONS
    )  # at the end, one answer may be in flight on each connection
    assert sent.seconds >= seconds * 0.9
    assert 0 < sent.p50_ms <= sent.p99_ms


async def test_a_slice_lasts_until_every_connection_was_answered(receiver: Receiver, bodies: Path) -> None:
    """Even on a machine that is too slow for the slice, so that no slice is without a post."""
    sent = await a_sender(0).send(receiver.port, bodies)

    assert sent.posts >= CONNECTIONS
    assert sent.seconds > 0


@pytest.mark.parametrize("seconds", SENDERS)
async def test_a_refused_post_ends_the_benchmark(receiver: Receiver, bodies: Path, seconds: float) -> None:
    """Refusing is faster than accepting, so a rate of refusals must not be taken for one of posts."""
    receiver.status = 503

    with pytest.raises(BenchmarkError, match="were not answered 202"):
        await a_sender(seconds).send(receiver.port, bodies)


@pytest.mark.parametrize("seconds", SENDERS)
async def test_an_unreachable_server_gives_no_figures(bodies: Path, seconds: float) -> None:
    """No process listens on port 1."""
    with pytest.raises(BenchmarkError):
        await a_sender(seconds).send(1, bodies)


def test_a_slice_too_short_for_wrk_uses_the_built_in_sender() -> None:
    """Wrk counts in whole seconds."""
    assert a_sender(0.2).description.startswith("the built-in sender")
