"""What every store does for the worker: the fake that unit tests use, and the one on a real server."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from collector.database.errors import DatabaseUnavailable
from collector.database.pool import create_pool
from collector.database.writing.store import BatchStore
from collector.domain.event.build import INVALID_REFERENCE_ID
from collector.domain.event.outcome import NormalizedBatch, Tally
from collector.domain.intake.normalize import make_batch, normalize, rules_from_settings
from tests.support.factories import a_batch, a_post
from tests.worker.fakes import FakeStore
from worker.consumer import Store

RULES = rules_from_settings(body_limit_bytes=200_000, max_event_age_days=3)


@dataclass(frozen=True, slots=True)
class Subject:
    """An empty store, and one whose server is gone."""

    store: Store
    broken: Store


@pytest.fixture
def fake_store() -> Subject:
    return Subject(FakeStore(), FakeStore(failures=[DatabaseUnavailable("gone")]))


@pytest.fixture
async def real_store(database_url: str) -> AsyncIterator[Subject]:
    pool = await create_pool(database_url, max_size=2)
    gone = await create_pool(database_url, max_size=1)
    await gone.close()
    yield Subject(BatchStore(pool), BatchStore(gone))
    await pool.close()


@pytest.fixture(params=["fake_store", pytest.param("real_store", marks=pytest.mark.integration)])
def subject(request: pytest.FixtureRequest) -> Subject:
    found: Subject = request.getfixturevalue(request.param)
    return found


def a_normalized(*bodies: bytes, **members: Any) -> NormalizedBatch:
    """A batch of posts with these bodies."""
    batch = a_batch(*(a_post(body=body, **members) for body in bodies))
    return make_batch(batch.id, [normalize(post, RULES) for post in batch.posts])


async def test_every_outcome_is_counted(subject: Subject) -> None:
    """The outcomes add up to the events."""
    batch = a_normalized(
        b'[{"message":"a"},{"message":"b"}]',
        b'{"date":"1999-01-01"}',
        b'{"x":' + b"[" * 600 + b"]" * 600 + b"}",
    )

    assert await subject.store.save([batch]) == Tally(stored=2, discarded=1, dead_lettered=1)


async def test_a_batch_is_stored_once(subject: Subject) -> None:
    """Read again, alone or with a new one, it does not count."""
    batch = a_normalized(b"first", b'{"date":"1999-01-01"}')
    await subject.store.save([batch])

    assert await subject.store.save([batch]) == Tally(replayed=1)
    assert await subject.store.save([batch, a_normalized(b"second")]) == Tally(stored=1, replayed=1)


async def test_a_batch_saved_concurrently_is_stored_once(subject: Subject) -> None:
    """One entry, read by two workers."""
    batch = a_normalized(b"line")

    assert await subject.store.save([batch, batch]) == Tally(stored=1, replayed=1)


@pytest.mark.parametrize("is_one_batch", [True, False])
async def test_a_reference_id_is_stored_once_in_its_project(subject: Subject, *, is_one_batch: bool) -> None:
    """In one batch or in two. Another project may use the same id."""
    body = b'{"reference_id":"order-00001"}'
    batches = [a_normalized(body), a_normalized(body), a_normalized(body, project_id=b"\x03" * 16)]

    if is_one_batch:
        tally = await subject.store.save(batches)
        assert (tally.stored, tally.duplicate) == (2, 1)
    else:
        tallies = [await subject.store.save([batch]) for batch in batches]
        assert [(tally.stored, tally.duplicate) for tally in tallies] == [(1, 0), (0, 1), (1, 0)]


async def test_events_without_a_valid_reference_id_are_no_duplicates(subject: Subject) -> None:
    """Without one, or with the placeholder for an invalid one."""
    body = b'[{},{},{"reference_id":"bad"},{"reference_id":"%s"}]' % INVALID_REFERENCE_ID.encode()

    assert await subject.store.save([a_normalized(body)]) == Tally(stored=4)


async def test_the_id_of_a_batch_without_events_is_stored_too(subject: Subject) -> None:
    """An empty post is accepted, and its entry is processed like any other."""
    batch = a_normalized(b"")

    assert await subject.store.save([batch]) == Tally()
    assert await subject.store.save([batch]) == Tally(replayed=1)


async def test_an_unreachable_server_is_database_unavailable(subject: Subject) -> None:
    """The worker waits after this error."""
    with pytest.raises(DatabaseUnavailable):
        await subject.broken.save([a_normalized(b"line")])


async def test_another_entry_of_a_stored_batch_is_a_repeat_once(subject: Subject) -> None:
    """Ingest wrote and counted it twice. Read again, either entry is only a replay."""
    batch = a_normalized(b"line")
    first, second = replace(batch, entry_id="1-0"), replace(batch, entry_id="2-0")

    assert await subject.store.save([first]) == Tally(stored=1)
    assert await subject.store.save([second, first]) == Tally(repeated=1, replayed=1)
    assert await subject.store.save([second]) == Tally(replayed=1)


async def test_two_entries_of_a_batch_in_one_transaction_are_one_batch_and_one_repeat(
    subject: Subject,
) -> None:
    """Either entry, read alone later, is a replay."""
    batch = a_normalized(b"line")
    entries = [replace(batch, entry_id="1-0"), replace(batch, entry_id="2-0"), replace(batch, shard=1)]

    assert await subject.store.save(entries) == Tally(stored=1, repeated=2)
    for entry in entries:
        assert await subject.store.save([entry]) == Tally(replayed=1)


async def test_a_batch_in_parts_is_stored_once(subject: Subject) -> None:
    """Each part has its own id, whatever the transactions. Another entry of the same batch is one repeat."""
    parts = [replace(a_normalized(body), is_part=True, entry_id="1-0") for body in (b"a", b"b\nc", b"d")]
    whole = replace(a_normalized(b""), post_count=3, entry_id="1-0")

    assert await subject.store.save(parts[:2]) == Tally(stored=3)
    assert await subject.store.save(parts[1:]) == Tally(stored=1)
    assert await subject.store.save([*parts, whole]) == Tally()
    assert await subject.store.save([*parts, whole]) == Tally(replayed=1)
    again = [replace(batch, entry_id="2-0") for batch in [*parts, whole]]
    assert await subject.store.save(again[:2]) == Tally()
    assert await subject.store.save(again[2:]) == Tally(repeated=1)
    assert await subject.store.save(again) == Tally(replayed=1)


async def test_a_batch_that_was_stored_whole_is_not_stored_in_parts(subject: Subject) -> None:
    """A worker with a bug splits an entry that another one stored whole: its parts have no ids yet."""
    whole = replace(a_normalized(b"a\nb"), entry_id="1-0")
    parts = [replace(a_normalized(body), is_part=True, entry_id="1-0") for body in (b"a", b"b")]
    end = NormalizedBatch(whole.id, whole.post_count, entry_id="1-0")

    assert await subject.store.save([whole]) == Tally(stored=2)
    assert await subject.store.save([*parts, end]) == Tally(replayed=1)
    of_another = [replace(batch, entry_id="2-0") for batch in [*parts, end]]
    assert await subject.store.save(of_another) == Tally(repeated=1)
    assert await subject.store.save([replace(a_normalized(b"c"), entry_id="3-0"), *parts, end]) == Tally(
        stored=1, replayed=1
    )
