"""A bound on the rows of one statement, so that even a slow server finishes it within the command timeout.

One post may make a hundred thousand stacks or sessions. Without a bound the statement would time out, and its
batch would be retried with the same result forever.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

ROWS_PER_STATEMENT: Final = 10_000

Row = TypeVar("Row")


def chunked(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """The rows in their order, `ROWS_PER_STATEMENT` at a time; nothing if there are no rows."""
    return (rows[start : start + ROWS_PER_STATEMENT] for start in range(0, len(rows), ROWS_PER_STATEMENT))
