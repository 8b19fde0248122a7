"""`make faults`: injects faults while posts arrive, then audits. Exit status 1 if a guarantee was broken.

Everything runs on loopback in a temporary directory. See `loadtests/README.md` for the faults and checks.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from loadtests.benchmarks.machine import revision
from loadtests.fault_run.auditor import Auditor, Findings
from loadtests.fault_run.kinds import FAULTS
from loadtests.fault_run.midnight import plant_before_midnight
from loadtests.fault_run.plant import Plant, PlantError, until
from loadtests.fault_run.report import (
    History,
    Injected,
    Summary,
    as_json,
    as_markdown,
    as_picture,
)
from loadtests.fault_run.sender import IngestTarget, Senders
from loadtests.fault_run.watch import Watch

RECOVER_SECONDS: Final = 60.0
DRAIN_SECONDS: Final = 60.0

_SENDERS: Final = 8
_PROGRESS: Final = 5
"""Posts that each ingest process must accept after a fault before the next one."""
_COUNT_SECONDS: Final = 1.0
_NEXT_DAY: Final = 50
"""The same after midnight: enough to include every kind, and more than were in flight."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to inject: the named faults in this order, or random ones until time or count is used up."""

    seed: int
    faults: Sequence[str] = ()
    seconds: float = 600.0
    count: int = 1_000_000
    posts_per_second: float = 60.0
    midnight_after_seconds: float = 0.0


class _AuditOutput(msgspec.Struct, frozen=True):
    """What we read of `headrace audit --json`."""

    repeated: dict[str, int] = {}


@dataclass(slots=True)
class Run:
    """The result of a run."""

    seed: int
    began_utc: datetime = field(default_factory=partial(datetime.now, UTC))
    history: History = field(default_factory=History)
    seconds: float = 0.0
    drained_seconds: float = 0.0
    answers: Counter[int] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    unseen: list[str] = field(default_factory=list)
    findings: Findings | None = None
    audit_status: int = -1
    audit_output: str = "{}"

    @property
    def faults(self) -> Counter[str]:
        """How often each kind was injected."""
        return Counter(fault.name for fault in self.history.faults)

    @property
    def longest_recovery(self) -> tuple[float, str]:
        """The longest time until every ingest process accepted posts again, and the fault before it."""
        waits = [(fault.recovered - fault.over, fault.name) for fault in self.history.faults]
        return max(waits, default=(0.0, ""))

    @property
    def repeated(self) -> int:
        """Batches that an ingest process wrote twice, by `headrace audit`."""
        return msgspec.json.decode(self.audit_output, type=_AuditOutput).repeated.get("batches", 0)

    @property
    def is_good(self) -> bool:
        """Nothing lost or duplicated, all adds up, no answer made clients drop events, refusals showed."""
        kept = self.findings is not None and self.findings.is_good
        return kept and self.audit_status == 0 and not self.refused and not self.unseen

    def text(self) -> str:
        """The report."""
        seconds, fault = self.longest_recovery
        answers = ", ".join(f"{number:,} x {status}" for status, number in sorted(self.answers.items()))
        lines = [
            f"{self.faults.total()} faults in {self.seconds:.0f} s (seed {self.seed}):",
            *(f"{number:6}  {name}" for name, number in sorted(self.faults.items())),
            f"longest until every ingest process accepted posts again: {seconds:.1f} s ({fault})",
            f"answers: {answers} (0: none)",
            *(f"{number:6}  503: {title}" for title, number in sorted(self.reasons.items())),
            *(f"dropped by clients: {text}" for text in self.refused[:5]),
            *(f"in no readiness and metric: {title}" for title in self.unseen),
            self.findings.text() if self.findings else "no findings",
            f"headrace audit: exit status {self.audit_status}",
            (
                self.audit_output
                if self.audit_status
                else f"written twice, stored once: {self.repeated} batches"
            ),
            "passed" if self.is_good else "FAILED",
        ]
        return "\n".join(lines)


def main() -> int:
    """Return the exit status: 0 if every guarantee held, 1 if not, 2 if the run did not work."""
    arguments, status = parse(sys.argv[1:]), 130
    plan = plan_of(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="headrace-faults-", ignore_cleanup_errors=True) as folder:
            run = asyncio.run(run_faults(plan, Path(folder), verbose=True))
        print(run.text())
        if arguments.report is not None:
            for path in write_report(run, arguments.report):
                print(f"Written: {path}")
        status = 0 if run.is_good else 1
    except* PlantError as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        print(f"faults: {error}", file=sys.stderr)
        status = 2
    except* KeyboardInterrupt:
        pass
    return status


def parse(words: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="start no fault after that (%(default)s)")
    parser.add_argument("--count", type=int, default=1_000_000, help="faults at most (%(default)s)")
    parser.add_argument("--rate", type=float, default=60, help="posts a second at most (%(default)s)")
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() % 1_000_000, help="repeats a run's choices"
    )
    parser.add_argument("--midnight", type=float, default=30, help="seconds until ingest's midnight, 0: none")
    parser.add_argument(
        "--fault", action="append", default=[], choices=list(FAULTS), help="only these, in order"
    )
    parser.add_argument("--report", type=Path, help="a folder for a report as JSON, Markdown and SVG")
    return parser.parse_args(words)


def plan_of(given: argparse.Namespace) -> Plan:
    """The plan that the arguments ask for."""
    return Plan(given.seed, given.fault, given.seconds, given.count, given.rate, given.midnight)


def write_report(run: Run, folder: Path) -> list[Path]:
    """Write a finished run's report, with the time in the names of its files."""
    if run.findings is None:
        return []
    summary = Summary(
        run.began_utc,
        run.seconds,
        run.drained_seconds,
        run.seed,
        revision(),
        run.findings,
        run.audit_status,
        dict(sorted(run.reasons.items())),
        len(run.refused),
        len(run.unseen),
        run.history,
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"faults-{run.began_utc:%Y%m%d-%H%M}.json"
    picture = path.with_suffix(".svg")
    path.write_bytes(as_json(summary))
    path.with_suffix(".md").write_text(as_markdown(summary, picture.name), encoding="utf-8")
    picture.write_text(as_picture(run.history, run.seconds), encoding="utf-8")
    return [path, path.with_suffix(".md"), picture]


async def run_faults(plan: Plan, folder: Path, *, verbose: bool = False) -> Run:
    """Carry out a plan. Raises PlantError if something does not start or does not recover."""
    run, auditor, began = Run(plan.seed), Auditor(), time.monotonic()
    async with plant_before_midnight(folder, plan.midnight_after_seconds) as (plant, midnight):
        ready = plant.ready
        ingest_processes = [IngestTarget(url, ready.client_token) for url in (ready.url, plant.proxied_url)]
        senders = Senders(
            auditor, ingest_processes, plan.seed, run.answers, refused=run.refused, reasons=run.reasons
        )
        watch = Watch([ingest.url for ingest in ingest_processes])
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch.run())
            counting = tasks.create_task(_count_accepted(senders, run.history, began))
            tasks.create_task(senders.run(_SENDERS, plan.posts_per_second))
            try:
                for name in _chosen(plan):
                    fault = await _inject(name, plant, senders, began)
                    run.history.faults.append(fault)
                    if verbose:
                        accepted = senders.accepted_by.total()
                        print(f"{fault.recovered:7.1f} s  {accepted:8,} accepted  {name}", flush=True)
                if await midnight.passed():
                    await _until_posts_are_taken(senders, _NEXT_DAY, "midnight")
            finally:
                senders.stop()
                watching.cancel()
                counting.cancel()
        run.unseen = watch.unseen(run.reasons)
        stopped = time.monotonic()
        run.audit_status, run.audit_output = await plant.audit(DRAIN_SECONDS)
        run.drained_seconds = time.monotonic() - stopped
        run.findings = await auditor.look(ready.database_url)
    run.seconds = time.monotonic() - began
    return run


def _chosen(plan: Plan) -> Iterator[str]:
    """The named faults once each, else random ones while time and count last."""
    if plan.faults:
        yield from plan.faults
        return
    until_, chance = time.monotonic() + plan.seconds, random.Random(plan.seed)
    # Rounds of all kinds in a random order, so that a short run leaves none out.
    round_: list[str] = []
    for _ in range(plan.count):
        if time.monotonic() > until_:
            return
        round_ = round_ or chance.sample(list(FAULTS), len(FAULTS))
        yield round_.pop()


async def _inject(name: str, plant: Plant, senders: Senders, start: float) -> Injected:
    """Inject one fault, and measure the time until every ingest process accepts posts again."""
    began = time.monotonic()
    await FAULTS[name](plant)
    over = time.monotonic()
    await _until_posts_are_taken(senders, _PROGRESS, name)
    return Injected(name, began - start, over - start, time.monotonic() - start)


async def _count_accepted(senders: Senders, history: History, start: float) -> None:
    """Record the number of accepted posts each second, until cancelled."""
    while True:
        history.accepted.append((time.monotonic() - start, senders.accepted_by.total()))
        await asyncio.sleep(_COUNT_SECONDS)


async def _until_posts_are_taken(senders: Senders, number: int, after: str) -> None:
    """Return once every ingest process has accepted `number` more posts."""
    wanted = {ingest.url: senders.accepted_by[ingest.url] + number for ingest in senders.ingest_processes}
    await until(
        lambda: all(senders.accepted_by[url] >= least for url, least in wanted.items()),
        RECOVER_SECONDS,
        f"posts accepted after: {after}",
    )


if __name__ == "__main__":
    sys.exit(main())
