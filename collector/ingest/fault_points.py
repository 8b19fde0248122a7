"""The points at which crash tests can kill ingest."""

from dataclasses import dataclass

from collector.domain.post import PostBatch
from collector.ingest.post_queue import PostSink
from collector.process.faults import FaultPoint, FaultPoints


def with_fault_points(sink: PostSink, faults: FaultPoints) -> PostSink:
    """The sink, with a fault point after each append if crash tests are enabled."""
    return sink if faults.directory is None else _FaultySink(sink, faults)


@dataclass(frozen=True, slots=True)
class _FaultySink:
    sink: PostSink
    faults: FaultPoints

    async def append(self, shard: int, batch: PostBatch) -> None:
        await self.sink.append(shard, batch)
        self.faults.reach(FaultPoint.AFTER_APPEND)
