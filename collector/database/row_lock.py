"""Strengths of row locks, held until the transaction ends.

Take `CHANGE` immediately if you will update the row: upgrading from `KEEP` can deadlock with a delete.
"""

from enum import Enum


class RowLock(Enum):
    """What the lock keeps other transactions from doing."""

    NONE = ""
    KEEP = "FOR KEY SHARE"
    """Deleting the row."""
    CHANGE = "FOR NO KEY UPDATE"
    """Deleting, updating or locking the row in the same way."""
