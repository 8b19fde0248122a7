"""Tests read the real time in one place only."""

import re
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).parent
CALENDAR: Final = re.compile(
    r"\.(?:now|today)\(UTC\)|\butcnow\(|\bdate\.today\(|datetime\.now\(|\btime\.time(?:_ns)?\("
    r"|\b(?:localtime|gmtime)\(\)"
)


def test_only_the_real_clock_reads_the_calendar() -> None:
    """Use a fixed day instead, or `tests.support.real_clock` where a server's clock decides."""
    allowed = {TESTS / "support" / "real_clock.py", Path(__file__)}
    files = [path for path in TESTS.rglob("*.py") if "node_modules" not in path.parts and path not in allowed]

    assert [str(path.relative_to(TESTS)) for path in files if CALENDAR.search(path.read_text())] == []
