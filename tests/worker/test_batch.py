"""From stream entries to understood batches."""

from uuid import UUID

import msgspec
import pytest

from collector.broker.post_stream import Entry
from collector.domain.outcome import DeadLetterReason
from collector.domain.post import PostBatch
from collector.domain.understanding import rules_of
from tests.factories import ACCEPTED_MS, a_batch, a_post
from worker.batch import understood

RULES = rules_of(body_limit_bytes=200_000, max_event_age_days=3)
ENTRY_ID = f"{ACCEPTED_MS}-7"


def test_each_entry_is_a_batch_in_order() -> None:
    """Under the batch ids that the door gave."""
    batches = [a_batch(), a_batch(a_post(), a_post())]

    results = understood([Entry(0, ENTRY_ID, batch) for batch in batches], RULES)

    assert [result.id for result in results] == [UUID(bytes=batch.id) for batch in batches]
    assert [len(result.events) for result in results] == [1, 2]


def test_an_unreadable_entry_is_one_dead_letter() -> None:
    """With its bytes, what was wrong, and an id of its own that has the entry's time."""
    (result,) = understood([Entry(0, ENTRY_ID, None, b"raw", "format version 9 is unknown")], RULES)

    (letter,) = result.dead_letters
    assert (letter.reason, letter.body) == (DeadLetterReason.UNREADABLE_ENTRY, b"raw")
    assert letter.detail == "format version 9 is unknown"
    assert letter.project_id is None
    assert result.id == letter.id
    assert letter.id.version == 7
    assert letter.accepted_utc.timestamp() * 1000 == ACCEPTED_MS


def test_an_unreadable_entry_has_the_same_id_each_time() -> None:
    """So that a replay stores it once; another entry with the same bytes is another one."""
    entries = [
        Entry(0, ENTRY_ID, None, b"raw", "p"),
        Entry(1, ENTRY_ID, None, b"raw", "p"),
        Entry(0, f"{ACCEPTED_MS}-8", None, b"raw", "p"),
        Entry(0, ENTRY_ID, None, b"other", "p"),
    ]

    ids = [result.id for result in understood(entries, RULES)]

    assert len(set(ids)) == len(ids)
    assert [result.id for result in understood(entries, RULES)] == ids


@pytest.mark.parametrize(
    "batch",
    [
        pytest.param(PostBatch(b"short", (a_post(),)), id="a batch id that is none"),
        pytest.param(a_batch(a_post(), a_post(id=b"\x01" * 15)), id="a post id that is too short"),
        pytest.param(a_batch(a_post(project_id=b"")), id="no project"),
        pytest.param(a_batch(a_post(organization_id=b"x" * 17)), id="an organization id that is too long"),
        pytest.param(a_batch(a_post(id=b"\xff" * 16)), id="a time beyond all calendars"),
    ],
)
def test_an_entry_whose_ids_are_not_ours_is_unreadable(batch: PostBatch) -> None:
    """It could otherwise stop every worker for good; its posts are kept."""
    (result,) = understood([Entry(0, ENTRY_ID, batch)], RULES)

    (letter,) = result.dead_letters
    assert letter.reason is DeadLetterReason.UNREADABLE_ENTRY
    assert msgspec.msgpack.decode(letter.body, type=PostBatch) == batch
    assert result.events == []
