"""Crash tests: every single fault once while posts arrive, then an audit with code of its own.

`make faults` does the same at random, with longer ones and with several together, for as long as you like.
"""

from pathlib import Path
from typing import Final

import pytest

from loadtests.fault_run.kinds import FAULTS
from loadtests.faults import Plan, run_faults

pytestmark = pytest.mark.end_to_end

_SINGLE: Final = [
    name
    for name in FAULTS
    if not any(mark in name for mark in ("longer", ", ", "worker and P", "ingest and Valkey k", "second"))
]
"""Each 3 to 5 seconds long. Those left out are longer or combine two of these."""


async def test_no_crash_loses_or_doubles_anything_that_was_answered_202(tmp_path: Path) -> None:
    """Valkey, workers, ingest and Postgres are killed, paused, cut off and filled up, across a midnight."""
    run = await run_faults(Plan(seed=1, faults=_SINGLE, midnight_after_seconds=25), tmp_path)

    assert run.is_good, run.text()
    assert sorted(run.faults) == sorted(_SINGLE)
    assert run.findings is not None
    assert run.findings.accepted > 5 * len(_SINGLE)
    assert set(run.findings.outcomes) == {"stored", "duplicate", "discarded", "dead_lettered"}
    assert run.findings.days == 2
    assert run.repeated > 0
