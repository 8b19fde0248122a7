"""Tests read the calendar in one place only."""

import re
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent
CALENDAR: Final = re.compile(
    r"\.(?:now|today)\(UTC\)|\butcnow\(|\bdate\.today\(|datetime\.now\(|\btime\.time(?:_ns)?\("
    r"|\b(?:localtime|gmtime)\(\)"
)


def test_no_test_reads_the_calendar_by_itself() -> None:
    """A day on which it fails would come: set the day, or say by `tests.real_clock` that a server decides."""
    allowed = {TESTS / "real_clock.py", Path(__file__)}
    files = [path for path in TESTS.rglob("*.py") if "node_modules" not in path.parts and path not in allowed]

    assert [str(path.relative_to(TESTS)) for path in files if CALENDAR.search(path.read_text())] == []
