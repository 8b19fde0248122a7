"""Windows of ids to look in: the newest leaves first, then ever more of them.

Most of what is asked for is recent, and a look at two leaves costs a fraction of a look at hundreds.
"""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Final
from uuid import UUID

from collector.domain.identifiers import first_id_at

_DAYS_BACK: Final = (1, 7, 30)

LAST_ID: Final = UUID(int=(1 << 128) - 1)
FIRST_ID: Final = UUID(int=0)


def widening_windows(now: datetime) -> Iterator[tuple[UUID, UUID]]:
    """Ranges of ids, newest first, each from its first up to but not including its last; all time in all."""
    today = datetime.combine(now.date(), time(), now.tzinfo)
    end = LAST_ID
    for days in _DAYS_BACK:
        begin = first_id_at(today - timedelta(days=days))
        yield begin, end
        end = begin
    yield FIRST_ID, end
