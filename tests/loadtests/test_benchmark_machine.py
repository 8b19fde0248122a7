"""How cores are shared during a benchmark."""

import os
import subprocess
import sys

import pytest

from loadtests.benchmarks.error import BenchmarkError
from loadtests.benchmarks.machine import Cores, machine_facts, pinned, share_out


@pytest.mark.parametrize(
    ("available", "measured", "others"),
    [
        pytest.param({0, 1}, {1}, {0}, id="two cores"),
        pytest.param({0, 1, 2, 3}, {3}, {0, 1, 2}, id="four cores"),
        pytest.param({2, 5}, {5}, {2}, id="those that we may use"),
    ],
)
def test_the_measured_process_has_a_core_to_itself(
    available: set[int], measured: set[int], others: set[int]
) -> None:
    """The sender and the servers run on the others."""
    assert share_out(available) == Cores(frozenset(measured), frozenset(others))


def test_one_core_is_not_enough() -> None:
    """A sender on the same core would distort the measurement."""
    with pytest.raises(BenchmarkError, match="two cores"):
        share_out({0})


def test_a_process_started_while_pinned_stays_on_those_cores() -> None:
    """Our own process gets all cores back."""
    before = os.sched_getaffinity(0)
    core = frozenset({min(before)})

    with pinned(core):
        program = "import os; input(); print(os.sched_getaffinity(0))"
        child = subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    said, _ = child.communicate("\n", timeout=30)

    assert os.sched_getaffinity(0) == before
    assert said.strip() == str(set(core))


def test_the_facts_name_the_machine_and_the_versions() -> None:
    """Without them figures mean nothing."""
    facts = machine_facts()

    assert {"CPU", "Python", "aiohttp", "uvloop"} <= facts.keys()
    assert all(facts.values())
