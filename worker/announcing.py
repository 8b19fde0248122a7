"""Announces what was stored, for the pages that count new events while they are open."""

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import chain
from operator import attrgetter
from typing import Final

from collector.broker.live_feed import LiveFeed
from collector.domain.event.outcome import NormalizedBatch, Tally
from worker.consumer import Store

ANNOUNCE_SECONDS: Final = 0.5
"""How old an announcement may be; the pages show a number that changes no faster."""

_project_id: Final = attrgetter("project_id")


class AnnouncingStore:
    """A store that counts the events of each committed transaction, for `flush` to announce.

    The counts are those of the normalized events: with duplicates among them a page counts some too many.
    """

    def __init__(self, store: Store, feed: LiveFeed) -> None:
        self._store = store
        self._feed = feed
        # As many projects as send events between two flushes.
        self._stored: Counter[bytes] = Counter()

    def held_projects(self) -> Collection[bytes]:
        """The ids of the projects whose posts are held instead of stored."""
        return self._store.held_projects()

    async def save(self, batches: Sequence[NormalizedBatch]) -> Tally:
        """Store the batches and count their events."""
        tally = await self._store.save(batches)
        if tally.stored:
            self._stored.update(map(_project_id, chain.from_iterable(batch.events for batch in batches)))
        return tally

    async def flush(self) -> None:
        """Announce what was stored since the last flush, in one message. Never fails."""
        stored, self._stored = self._stored, Counter()
        if stored:
            await self._feed.publish(stored)
