"""Indexes of words for parts of a day, where a test wants them."""

from collections.abc import Sequence
from datetime import date

import asyncpg

from collector.database.schema.partitions import partition_name
from collector.database.schema.word_index_parts import Range
from collector.database.schema.word_indexes import _CLASS, _build


async def build_parts(pool: asyncpg.Pool, day: date, ranges: Sequence[Range]) -> None:
    """Give these parts of the day an index each, in place of the whole day's."""
    async with pool.acquire() as connection:
        schema = await connection.fetchval(_CLASS)
        for part in ranges:
            await _build(connection, day, part, schema)
        await connection.execute(f"DROP INDEX IF EXISTS {partition_name(day)}_words")
