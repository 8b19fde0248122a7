"""How many rows one statement may touch: a slow server must still end each before the driver gives it up.

One post may make a hundred thousand stacks or sessions. A statement that was given up would be repeated with
all of its batch, for ever.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

ROWS_AT_ONCE: Final = 10_000

Row = TypeVar("Row")


def slices(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """The rows in their order, so many at a time; none for no rows."""
    return (rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE))
