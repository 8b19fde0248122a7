"""Where crash tests can make ingest die."""

from dataclasses import dataclass

from collector.domain.post import PostBatch
from collector.ingest.post_queue import PostSink
from collector.process.faults import FaultPoint, FaultPoints


def with_fault_points(sink: PostSink, faults: FaultPoints) -> PostSink:
    """The sink itself, unless a crash test is on."""
    return sink if faults.directory is None else _MortalSink(sink, faults)


@dataclass(frozen=True, slots=True)
class _MortalSink:
    sink: PostSink
    faults: FaultPoints

    async def append(self, shard: int, batch: PostBatch) -> None:
        await self.sink.append(shard, batch)
        self.faults.reach(FaultPoint.AFTER_APPEND)
