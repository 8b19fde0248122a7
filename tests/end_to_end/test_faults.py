"""Crash tests: every fault once while posts arrive, then an audit that shares no code with the product.

`make faults` does the same at random, for as long as you like.
"""

from pathlib import Path
from typing import Final

import pytest

from loadtests.fault_run.kinds import FAULTS
from loadtests.faults import Plan, run_faults

pytestmark = pytest.mark.end_to_end

_SHORT: Final = [name for name in FAULTS if "longer" not in name]


async def test_no_crash_loses_or_doubles_anything_that_was_answered_202(tmp_path: Path) -> None:
    """Valkey, workers, ingest and Postgres are killed, paused, cut off and filled up, across a midnight."""
    run = await run_faults(Plan(seed=1, faults=_SHORT, midnight_after_seconds=25), tmp_path)

    assert run.is_good, run.text()
    assert sorted(run.faults) == sorted(_SHORT)
    assert run.findings is not None
    assert run.findings.accepted > 5 * len(_SHORT)
    assert set(run.findings.outcomes) == {"stored", "duplicate", "discarded", "dead_lettered"}
    assert run.findings.days == 2
    assert run.repeated > 0
