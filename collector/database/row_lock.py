"""How firmly a row is held until the transaction ends.

Whoever will change a row asks for `CHANGE` at once: with `KEEP` first he would wait for somebody who deletes
it, who in turn waits for him.
"""

from enum import Enum


class RowLock(Enum):
    """What nobody else can do meanwhile."""

    NONE = ""
    KEEP = "FOR KEY SHARE"
    """Delete it."""
    CHANGE = "FOR NO KEY UPDATE"
    """Delete it, change it or ask for the same."""
