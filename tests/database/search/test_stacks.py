"""Changing the status of stacks."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from collector.database.search.stacks import change_status
from collector.database.writing.store import BatchStore
from collector.domain.event.stack import StackStatus
from tests.database.locks import waiting
from tests.database.rows import an_event, normalized, today
from tests.support.waiting import until_equal

pytestmark = pytest.mark.integration


async def test_the_former_status_is_the_one_that_was_changed(pool: asyncpg.Pool) -> None:
    """Of two changes at the same time the second one waits, and replaces what the first one has set."""
    events = [an_event(source=source) for source in "ab"]
    await BatchStore(pool).save([normalized(*events)])
    one, other = ids = sorted(UUID(bytes=event.stack.id) for event in events)

    async with (
        pool.acquire() as first,
        pool.acquire() as second,
        asyncio.TaskGroup() as tasks,
        first.transaction(),
    ):
        await change_status(first, [one], StackStatus.IGNORED, today())
        changing = tasks.create_task(change_status(second, ids, StackStatus.FIXED, today()))
        await until_equal(lambda: waiting(pool), 1)

    assert changing.result() == {one: StackStatus.IGNORED, other: StackStatus.OPEN}
    async with pool.acquire() as connection:
        assert await change_status(connection, ids, StackStatus.FIXED, today()) == {}
