"""`make neighbours`: a victim works beside one attacker at a time, each doing the worst its token allows.

It starts `headrace up` in a temporary directory, on loopback only, and stops it at the end. First the victim
is measured alone, then beside each attacker. It prints a table, and ends with 1 if an attacker cost the
victim more than the goals allow.
"""

import argparse
import os
import resource
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from loadtests.benchmarks.machine import pinned
from loadtests.neighbours_run import attackers, strangers  # noqa: F401 - registers the attackers
from loadtests.neighbours_run.attack import ATTACKERS
from loadtests.neighbours_run.report import Goals, Result, table
from loadtests.neighbours_run.scene import Ready, measured, open_scene, read_ready
from loadtests.run import LoadError, started_collector

_GOALS: Final = Goals(accepted_ms=100, readable_ms=1000, refused=0.01)
_ENOUGH_CORES: Final = 4


def main() -> int:
    """Return the exit status: 0 if the goals are met, 1 if not, 2 if it could not run."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.neighbours", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="beside each attacker (%(default)s)")
    parser.add_argument("--only", nargs="*", choices=sorted(ATTACKERS), help="only these attackers")
    arguments = parser.parse_args()
    # One attacker holds more connections than many systems permit by default.
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    shares = share_out(os.sched_getaffinity(0))
    results: dict[str, Result] = {}
    try:
        for name in ["alone", *(arguments.only or ATTACKERS)]:
            print(f"{name} ...", file=sys.stderr, flush=True)
            # A new collector each time: nothing that one attacker leaves behind is there for the next.
            with (
                tempfile.TemporaryDirectory(
                    prefix="headrace-neighbours-", ignore_cleanup_errors=True
                ) as folder,
                pinned(shares.servers),
                started_collector(Path(folder)),
                pinned(shares.victim),
            ):
                ready = read_ready(Path(folder) / "ready.json")
                results[name] = uvloop.run(_measured(ready, name, arguments.seconds, shares.attacker))
            print(table({name: results[name]}), results[name].answers, file=sys.stderr, flush=True)
    except LoadError as error:
        print(f"neighbours: {error}", file=sys.stderr)
        return 2
    print(table(results))
    missed = [name for name in results if not _GOALS.are_met(results["alone"], results[name])]
    if missed:
        print(f"The goals are missed beside: {', '.join(missed)}.")
    return 1 if missed else 0


@dataclass(frozen=True, slots=True)
class Shares:
    """The cores of each; an attacker without any takes what the others leave."""

    servers: frozenset[int]
    victim: frozenset[int]
    attacker: frozenset[int]


def share_out(available: Iterable[int]) -> Shares:
    """A core for the victim and one for the attacker, if two are left for the servers."""
    cores = sorted(available)
    if len(cores) < _ENOUGH_CORES:
        return Shares(frozenset(cores), frozenset(cores), frozenset())
    return Shares(frozenset(cores[:-2]), frozenset(cores[-2:-1]), frozenset(cores[-1:]))


async def _measured(ready: Ready, name: str, seconds: float, cores: frozenset[int]) -> Result:
    async with open_scene(ready) as scene:
        await measured(scene, "", min(3.0, seconds), frozenset())  # warms up connections and caches
        return await measured(scene, name if name in ATTACKERS else "", seconds, cores)


if __name__ == "__main__":
    sys.exit(main())
