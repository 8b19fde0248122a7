"""Postgres stores and returns unchanged whatever normalizing makes of random posts."""

import random
from datetime import timedelta
from decimal import Context, Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from collector.database.search.events import StoredEvent
from collector.database.writing.store import BatchStore
from collector.domain.event.outcome import NormalizedBatch
from collector.domain.ids import PostIds
from collector.domain.intake.normalize import make_batch, normalize, rules_from_settings
from collector.domain.jsonb.text import decode_number
from collector.domain.post import Post
from tests.database.rows import as_stored, stored, today

pytestmark = pytest.mark.integration

RULES = rules_from_settings(200_000, 0)
RANDOM = random.Random(20)  # noqa: S311 - the same events in every run
NAMES = [
    "id", "type", "Type", "source", "date", "tags", "message", "Message", "geo", "value", "count", "data",
    "Data", "reference_id", "@error", "@simple_error", "@request", "@environment", "@stack", "@user",
    "@user_description", "user_agent", "UserAgent", "stack_trace", "StackTrace", "inner", "Inner", "name",
    "identity", "post_data", "ExtendedData", "Code", "@ref:session", "signature_data", "a", "", "\u00e4",
]  # fmt: skip
ATOMS = [
    "null", "true", "false", "0", "-0", "-0.0", "1.50", "1e5", "1E-7", "1e40", "1e1000", "-1e-1000", "1e1001",
    "9" * 400, "12345678901234567890.123456789", '""', '" "', '"404"', '"error"', '"session"', '"\\u0000"',
    '"\\ud800"', '"\\ud83d\\ude00"', '"\\u0001\\u001f\\u007f"', '"\\\\u0000"', '"{\\"a\\":1}"', '"x"', "[]",
    '"2020-02-29T23:59:59.1234567+02:00"', '"0001-01-01"', '"9999-12-31T23:59:59Z"', '"order-4711"', "{}",
    '"40.5,-74.25"', '"' + "\u00e4" * 2500 + '"', '"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"',
]  # fmt: skip


def a_value(levels: int) -> str:
    """Random JSON as a sender may write it."""
    kind = RANDOM.random()
    if levels == 0 or kind < 0.4:
        return RANDOM.choice(ATOMS)
    if kind < 0.6:
        return f"[{','.join(a_value(levels - 1) for _ in range(RANDOM.randrange(4)))}]"
    return an_object(levels)


def an_object(levels: int) -> str:
    """Random members, some of them twice."""
    members = (f'"{RANDOM.choice(NAMES)}":{a_value(levels - 1)}' for _ in range(RANDOM.randrange(7)))
    return f"{{{','.join(members)}}}"


def a_body() -> bytes:
    """Mostly events, sometimes bytes of any kind."""
    if RANDOM.random() < 0.1:
        return RANDOM.randbytes(RANDOM.randrange(60))
    text = f"[{','.join(an_object(5) for _ in range(3))}]"
    return text.encode("utf-8", "surrogatepass")


@pytest.fixture(scope="module")
def batch() -> NormalizedBatch:
    """Hundreds of normalized posts, of both versions of the API."""
    ids = PostIds()
    accepted = int((today() - timedelta(hours=1)).timestamp() * 1000)
    posts = [
        Post(ids.next(accepted), UUID(int=1).bytes, UUID(int=2).bytes, a_body(), api_version=number % 2 + 1)
        for number in range(400)
    ]
    return make_batch(posts[0].id, [normalize(post, RULES) for post in posts])


async def test_random_posts_are_stored_as_they_are_normalized(
    pool: asyncpg.Pool, batch: NormalizedBatch
) -> None:
    """In every column and all data; nothing is rejected or changed on the way."""
    tally = await BatchStore(pool, has_sessions=False).save([batch])

    assert tally.dead_lettered == len(batch.dead_letters)
    assert tally.stored + tally.duplicate == len(batch.events) > 800
    rows = {row["id"].bytes: StoredEvent(**{**row, "tags": tuple(row["tags"])}) for row in await stored(pool)}
    assert len(rows) == tally.stored
    for event in batch.events:
        if event.id in rows:
            assert comparable(rows[event.id]) == comparable(as_stored(event))


async def test_random_posts_are_stored_with_sessions(pool: asyncpg.Pool, batch: NormalizedBatch) -> None:
    """Derived events are stored with the others, and nothing is rejected."""
    tally = await BatchStore(pool).save([batch])

    assert tally.dead_lettered == len(batch.dead_letters)
    assert tally.stored + tally.duplicate + tally.discarded >= len(batch.events)


def comparable(event: StoredEvent) -> dict[str, Any]:
    """All columns except those that the store sets."""
    members = {name: getattr(event, name) for name in StoredEvent.__slots__}
    del members["is_first_occurrence"], members["stack_id"]
    return members | {"data": kept(event.data)}


_decoder = msgspec.json.Decoder(float_hook=decode_number)
_ALL_DIGITS = Context(prec=3000)
_encoder = msgspec.json.Encoder(order="sorted", decimal_format="number")


def kept(data: bytes | None) -> bytes:
    """JSON with its members sorted, and its numbers by their value."""
    return _encoder.encode(spelled_out(_decoder.decode(data or b"null")))


def spelled_out(value: Any) -> Any:
    """The value with numbers as canonical texts: the same for `1.50` and `15e-1`, for `-0` and `0`."""
    match value:
        case dict():
            return {name: spelled_out(item) for name, item in value.items()}
        case list():
            return [spelled_out(item) for item in value]
        case bool() | None | str():
            return value
        case _:
            return "0" if value == 0 else f"{Decimal(value).normalize(_ALL_DIGITS):f}"
