"""What the victim measured beside an attacker: its goals and its table, from made-up figures."""

import asyncio
from dataclasses import replace

import pytest

from loadtests.neighbours import Shares, share_out
from loadtests.neighbours_run.attack import ADDRESS, Orders
from loadtests.neighbours_run.attacker_process import started_attacker
from loadtests.neighbours_run.report import MEGABYTE, Goals, Result, p99, table
from loadtests.run import LoadError

GOALS = Goals(accepted_ms=100, readable_ms=1000, refused=0.01)


def a_result(accepted: float = 0.02, readable: float = 0.3, refused: int = 0, unread: int = 0) -> Result:
    """A hundred accepted posts that all took as long."""
    return Result([accepted] * 100, [readable] * 100, [0.05] * 100, refused=refused, unread=unread)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param([], 0.0, id="nothing"),
        pytest.param([0.3], 0.3, id="one value"),
        pytest.param([2.0, 1.0], 2.0, id="of few values the greatest, in any order"),
        pytest.param([*[1.0] * 99, 2.0], 2.0, id="one in a hundred"),
        pytest.param([*[1.0] * 100, 2.0], 1.0, id="less than one in a hundred"),
    ],
)
def test_p99_is_what_one_in_a_hundred_reaches(seconds: list[float], expected: float) -> None:
    assert p99(seconds) == expected


@pytest.mark.parametrize(
    ("result", "are_met"),
    [
        pytest.param(a_result(), True, id="as alone"),
        pytest.param(a_result(accepted=0.11), True, id="a 202 somewhat later"),
        pytest.param(a_result(accepted=0.13), False, id="a 202 later than that"),
        pytest.param(a_result(readable=1.0), True, id="readable in time"),
        pytest.param(a_result(readable=1.1), False, id="readable too late"),
        pytest.param(a_result(refused=1), True, id="one of 101 refused"),
        pytest.param(a_result(refused=2), False, id="two of 102 refused"),
        pytest.param(a_result(unread=1), False, id="an event that was never readable"),
    ],
)
def test_each_goal_counts_by_itself(result: Result, *, are_met: bool) -> None:
    """A 202 is compared with the one alone; the others are limits."""
    assert GOALS.are_met(a_result(), result) is are_met


def test_a_victim_that_sent_nothing_was_refused_nothing() -> None:
    assert Result().refused_share == 0.0


def test_victim_and_attacker_have_cores_of_their_own_if_two_are_left_for_the_servers() -> None:
    """Otherwise they share them, and the attacker takes what the others leave."""
    assert share_out({0, 1}) == Shares(frozenset({0, 1}), frozenset({0, 1}), frozenset())
    assert share_out({3, 0, 2, 1}) == Shares(frozenset({0, 1}), frozenset({2}), frozenset({3}))


async def test_an_attacker_works_in_a_process_of_its_own_until_it_is_ended() -> None:
    """It ends with what it has counted. It comes from an address of its own."""
    peers = asyncio.Queue[str]()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")  # the next request: the answer was read
        peers.put_nowait(writer.get_extra_info("peername")[0])
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    orders = Orders("tokens that do not exist", f"http://127.0.0.1:{port}", "", "", "", "")
    async with asyncio.timeout(30), server, started_attacker(orders) as attacking:
        attacking.begin()
        assert await peers.get() == ADDRESS
        counts = await attacking.end()

    assert counts.answers[401] >= 1
    assert counts.attacks == sum(counts.answers.values())


async def test_an_attacker_that_cannot_prepare_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    """Its process says why."""
    with pytest.raises(LoadError, match="could not prepare"):
        async with asyncio.timeout(30), started_attacker(Orders("nobody", "", "", "", "", "")):
            pass

    assert "KeyError: 'nobody'" in capfd.readouterr().err


def test_the_table_has_a_row_for_each_attacker() -> None:
    """Disk only where something was sent."""
    beside = replace(
        a_result(accepted=1.5, readable=12.3456, refused=25),
        attacks=362,
        sent_bytes=1000,
        disk_bytes=7300,
        searches_refused=2,
        memory_bytes={"worker": 7 * MEGABYTE, "api": 60 * MEGABYTE},
        cores={"worker": 0.52},
    )

    assert table({"alone": a_result(), "a flood": beside}).splitlines()[2:] == [
        "| alone | 20 ms | 300 ms | 50 ms | 0.0% | 0 | 0 |  |  |  |",
        "| a flood | 1,500 ms | 12,346 ms | 50 ms | 20.0% | 2 | 362 | 7.3 | api 60, worker 7 | worker 0.5 |",
    ]
