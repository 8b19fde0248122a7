"""Work runs side by side until something has to be alone."""

import asyncio

from tests.support.waiting import until
from worker.gate import Gate


async def test_work_that_is_alone_waits_for_all_others_and_keeps_them_waiting() -> None:
    """What comes after it waits, too, so that it gets its turn."""
    gate, ends, seen = Gate(), asyncio.Event(), []

    async def share(name: str) -> None:
        async with gate.shared():
            seen.append(name)
            await ends.wait()

    async def be_alone() -> None:
        async with gate.alone():
            seen.append("alone")

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(share("first"))
        tasks.create_task(share("second"))
        await until(lambda: len(seen) == 2)
        tasks.create_task(be_alone())
        await asyncio.sleep(0)
        tasks.create_task(share("late"))
        await asyncio.sleep(0)
        assert seen == ["first", "second"]
        ends.set()

    assert seen == ["first", "second", "alone", "late"]
