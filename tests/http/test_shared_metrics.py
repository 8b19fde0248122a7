"""The metrics of several processes on one port: real sockets, in one process."""

import socket
from contextlib import AsyncExitStack

import pytest
from prometheus_client import CollectorRegistry, Counter

from collector.embedded.servers.ports import free_port
from collector.http import shared_metrics as module
from collector.http.server import Address
from collector.http.shared_metrics import SharedMetrics, merged, shared_metrics


@pytest.fixture
def address() -> Address:
    """Of processes that share it."""
    return Address("127.0.0.1", free_port(), is_shared=True)


def counting(number: int) -> CollectorRegistry:
    """The registry of a process that has accepted this many posts."""
    registry = CollectorRegistry()
    Counter("posts", "Posts.", registry=registry).inc(number)
    return registry


async def test_each_process_shows_the_metrics_of_all(address: Address) -> None:
    """One description, then a sample for each process; another port's stay out."""
    async with (
        shared_metrics(address, counting(1)) as first,
        shared_metrics(address, counting(20)) as second,
        shared_metrics(address._replace(port=address.port + 1), counting(300)) as other,
    ):
        assert first is not None
        assert second is not None
        assert other is not None
        assert sorted((await first.exposition()).decode().splitlines()) == [
            "# HELP posts_total Posts.",
            "# TYPE posts_total counter",
            'posts_total{process="0"} 1.0',
            'posts_total{process="1"} 20.0',
        ]
        shown = [sorted((await each.exposition()).splitlines()) for each in (first, second)]
        assert shown[0] == shown[1]
        assert b" 1.0" not in await other.exposition()


async def test_a_process_leaves_its_number_to_its_successor(address: Address) -> None:
    """However often processes are replaced, there are no more labels than processes."""
    async with shared_metrics(address, counting(1)) as first:
        assert first is not None
        async with shared_metrics(address, counting(2)):
            pass
        async with shared_metrics(address, counting(3)):
            shown = await first.exposition()

    assert b'posts_total{process="1"} 3.0' in shown
    assert b" 2.0" not in shown


async def test_a_process_that_does_not_answer_is_left_out(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hang: the others' metrics are shown all the same."""
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.05)
    async with AsyncExitStack() as stack:
        shared = SharedMetrics(address, counting(1))
        await stack.enter_async_context(shared.served())
        silent = stack.enter_context(socket.socket(socket.AF_UNIX))
        silent.bind(f"{shared._prefix}1")
        silent.listen()

        assert b'posts_total{process="0"} 1.0' in await shared.exposition()


async def test_beyond_the_bound_a_process_shows_its_own(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PROCESSES", 1)
    async with shared_metrics(address, counting(1)), shared_metrics(address, counting(2)) as beyond:
        assert beyond is not None
        assert (await beyond.exposition()).splitlines()[2:] == [b"posts_total 2.0"]


async def test_a_port_of_one_process_needs_none_of_this() -> None:
    async with shared_metrics(Address("127.0.0.1", 1), counting(1)) as shared:
        assert shared is None


def test_samples_of_a_metric_stand_together() -> None:
    """As the text format wants it."""
    one = b"# HELP a A.\n# TYPE a gauge\na 1.0\n# HELP b B.\n# TYPE b gauge\nb 1.0\n"

    assert merged([one, one.replace(b" 1.0", b" 2.0")]) == (
        b"# HELP a A.\n# TYPE a gauge\na 1.0\na 2.0\n# HELP b B.\n# TYPE b gauge\nb 1.0\nb 2.0\n"
    )
