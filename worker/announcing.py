"""Announces what was stored, for the pages that count new events while they are open."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Final

from collector.broker.live_feed import LiveFeed
from collector.domain.event.outcome import NormalizedBatch, Tally
from worker.consumer import Store

_project_id: Final = attrgetter("project_id")


@dataclass(frozen=True, slots=True)
class AnnouncingStore:
    """A store that announces each transaction with new events after its commit.

    The counts are those of the normalized events: with duplicates among them a page counts some too many.
    """

    store: Store
    feed: LiveFeed

    def held_projects(self) -> Collection[bytes]:
        """The ids of the projects whose posts are held instead of stored."""
        return self.store.held_projects()

    async def save(self, batches: Sequence[NormalizedBatch]) -> Tally:
        """Store the batches, then announce them."""
        tally = await self.store.save(batches)
        if tally.stored:
            counts = Counter(map(_project_id, chain.from_iterable(batch.events for batch in batches)))
            await self.feed.publish(counts)
        return tally
