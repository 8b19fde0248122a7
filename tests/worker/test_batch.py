"""From stream entries to normalized batches."""

import gzip
from typing import Any
from uuid import UUID

import msgspec
import pytest

from collector.broker.queue.post_stream import StreamEntry
from collector.domain.event.outcome import DeadLetterReason
from collector.domain.intake.normalize import NormalizedPost, normalize, rules_from_settings
from collector.domain.post import Post, PostBatch
from collector.domain.project.rules import DEFAULT_RULES
from tests.support.factories import ACCEPTED_MS, PROJECT, a_batch, a_post
from tests.worker.fakes import normalized
from worker.batch import TRANSACTION_WEIGHT, is_large, normalize_piece, project_ids

RULES = rules_from_settings(body_limit_bytes=200_000, max_event_age_days=3)
PROJECTS = {PROJECT: DEFAULT_RULES}
ENTRY_ID = f"{ACCEPTED_MS}-7"


def test_each_entry_is_a_batch_in_order() -> None:
    """Under the batch ids from ingest."""
    batches = [a_batch(), a_batch(a_post(), a_post())]

    results = normalized([StreamEntry(0, ENTRY_ID, batch) for batch in batches], RULES)

    assert [result.id for result in results] == [UUID(bytes=batch.id) for batch in batches]
    assert [len(result.events) for result in results] == [1, 2]


def test_the_projects_of_entries_are_known_before_normalizing() -> None:
    """Each once. An entry with invalid ids has none."""
    several = a_batch(a_post(), a_post(project_id=b"\x03" * 16))
    batches = [a_batch(), several, a_batch(a_post(project_id=b"x"))]
    entries = [
        *(StreamEntry(0, ENTRY_ID, batch) for batch in batches),
        StreamEntry(0, ENTRY_ID, None, b"raw", "no"),
    ]

    assert project_ids(entries) == {PROJECT, b"\x03" * 16}


def test_an_unreadable_entry_is_one_dead_letter() -> None:
    """With its bytes, the reason, and an id with the entry's time."""
    (result,) = normalized([StreamEntry(0, ENTRY_ID, None, b"raw", "format version 9 is unknown")], RULES)

    (letter,) = result.dead_letters
    assert (letter.reason, letter.body) == (DeadLetterReason.UNREADABLE_ENTRY, b"raw")
    assert letter.detail == "format version 9 is unknown"
    assert letter.project_id is None
    assert result.id == letter.id
    assert letter.id.version == 7
    assert letter.accepted_utc.timestamp() * 1000 == ACCEPTED_MS


def test_an_unreadable_entry_has_the_same_id_each_time() -> None:
    """So a replay stores it once. Another entry with the same bytes has another id."""
    entries = [
        StreamEntry(0, ENTRY_ID, None, b"raw", "p"),
        StreamEntry(1, ENTRY_ID, None, b"raw", "p"),
        StreamEntry(0, f"{ACCEPTED_MS}-8", None, b"raw", "p"),
        StreamEntry(0, ENTRY_ID, None, b"other", "p"),
    ]

    ids = [result.id for result in normalized(entries, RULES)]

    assert len(set(ids)) == len(ids)
    assert [result.id for result in normalized(entries, RULES)] == ids


@pytest.mark.parametrize(
    "batch",
    [
        pytest.param(PostBatch(b"short", (a_post(),)), id="an invalid batch id"),
        pytest.param(a_batch(a_post(), a_post(id=b"\x01" * 15)), id="a post id that is too short"),
        pytest.param(a_batch(a_post(project_id=b"")), id="no project"),
        pytest.param(a_batch(a_post(organization_id=b"x" * 17)), id="an organization id that is too long"),
        pytest.param(a_batch(a_post(id=b"\xff" * 16)), id="a time beyond all calendars"),
    ],
)
def test_an_entry_with_invalid_ids_is_unreadable(batch: PostBatch) -> None:
    """Otherwise it could stop every worker for good. Its posts are kept."""
    (result,) = normalized([StreamEntry(0, ENTRY_ID, batch)], RULES)

    (letter,) = result.dead_letters
    assert letter.reason is DeadLetterReason.UNREADABLE_ENTRY
    assert msgspec.msgpack.decode(letter.body, type=PostBatch) == batch
    assert result.events == []


BOMB = gzip.compress((b"a\n" * 15_000).ljust(60_000), 0)
"""Two of them exceed the size of a transaction."""


def a_bomb() -> Post:
    """As many events as its bytes allow."""
    return a_post(body=BOMB, content_encoding="gzip", content_type="text/plain")


def test_an_entry_that_is_too_large_comes_in_parts() -> None:
    """Each under its post's id, in pieces that are stored separately; the batch itself comes last."""
    batch = a_batch(a_bomb(), a_post(), a_bomb(), a_post(), a_post())
    entry = StreamEntry(3, ENTRY_ID, batch)

    first = normalize_piece(entry, 0, RULES, PROJECTS)
    assert first.next_post == 3
    second = normalize_piece(entry, 3, RULES, PROJECTS)
    assert second.next_post is None

    *parts, whole = first.batches + second.batches
    assert [part.id.bytes for part in parts] == [post.id for post in batch.posts]
    assert [len(part.events) for part in parts] == [15_000, 1, 15_000, 1, 1]
    assert all(part.is_part for part in parts)
    assert (whole.id.bytes, whole.post_count, whole.is_part, whole.events) == (batch.id, 5, False, [])
    assert {(found.shard, found.entry_id) for found in [*parts, whole]} == {(3, ENTRY_ID)}


def test_an_entry_with_one_large_post_is_not_split() -> None:
    """Nor is one whose last post is the large one: nothing is left to split off."""
    for batch in (a_batch(a_bomb()), a_batch(a_post(), a_bomb(), a_bomb())):
        piece = normalize_piece(StreamEntry(0, ENTRY_ID, batch), 0, RULES, PROJECTS)

        assert [found.id.bytes for found in piece.batches] == [batch.id]
        assert piece.next_post is None
        assert piece.weight >= 15_000


def test_an_entry_with_a_post_that_cannot_be_normalized_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one piece, however heavy that post is: once the bug is fixed the parts are found by their ids."""
    posts = [a_bomb(), a_bomb(), a_post()]
    entry = StreamEntry(3, ENTRY_ID, a_batch(*posts))
    assert normalize_piece(entry, 0, RULES, PROJECTS).next_post == 2
    _break(monkeypatch, BOMB)

    piece = normalize_piece(entry, 0, RULES, PROJECTS)

    *parts, whole = piece.batches
    assert [part.id.bytes for part in parts] == [post.id for post in posts]
    assert [(len(part.held), len(part.events), part.is_part) for part in parts] == [
        (1, 0, True),
        (1, 0, True),
        (0, 1, True),
    ]
    assert (whole.id.bytes, whole.post_count, whole.is_part) == (entry.batch.id, 3, False)  # type: ignore[union-attr]
    assert (piece.next_post, piece.weight, list(piece.bugs)) == (None, 1, [PROJECT])


def _break(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    def normalize_some(post: Post, *arguments: Any, **options: Any) -> NormalizedPost:
        if post.body == body:
            raise ZeroDivisionError
        return normalize(post, *arguments, **options)

    monkeypatch.setattr("worker.batch.normalize", normalize_some)


def test_the_posts_alone_decide_how_an_entry_is_split() -> None:
    """So a worker with another limit on age gets the same parts and recognizes them."""
    old = gzip.compress(b"[" + b'{"date":"2001-01-01"},' * 15_000 + b"{}]", 0)
    posts = [a_post(body=old, content_encoding="gzip") for _ in range(3)]
    entry = StreamEntry(0, ENTRY_ID, a_batch(*posts))

    assert TRANSACTION_WEIGHT <= 30_000
    for max_event_age_days in (0, 3):
        rules = rules_from_settings(body_limit_bytes=200_000, max_event_age_days=max_event_age_days)
        assert normalize_piece(entry, 0, rules, PROJECTS).next_post == 2


@pytest.mark.parametrize(
    ("entry", "is_so"),
    [
        pytest.param(StreamEntry(0, ENTRY_ID, a_batch()), False, id="a small one"),
        pytest.param(
            StreamEntry(0, ENTRY_ID, a_batch(*[a_post(body=b"x" * 1000)] * 300)), True, id="many posts"
        ),
        pytest.param(StreamEntry(0, ENTRY_ID, a_batch(*[a_bomb()] * 9)), True, id="bombs"),
        pytest.param(
            StreamEntry(0, ENTRY_ID, a_batch(a_post(content_encoding="gzip"))), False, id="small gzip"
        ),
        pytest.param(StreamEntry(0, ENTRY_ID, a_batch(a_post(content_encoding="br"))), True, id="small br"),
        pytest.param(
            StreamEntry(0, ENTRY_ID, None, b"raw" * 1_000_000, "p"), False, id="one that is not read"
        ),
    ],
)
def test_slow_entries_are_recognized_before_normalizing(entry: StreamEntry, *, is_so: bool) -> None:
    """By their size, and by what a compressed one could decompress to."""
    assert is_large(entry) is is_so


def test_an_entry_is_decompressed_within_the_limit_it_was_accepted_under() -> None:
    """So posts are not lost if ingest has a larger limit than the worker."""
    batch = a_batch(a_post(body=gzip.compress(b"x" * 5_000), content_encoding="gzip"))
    rules = rules_from_settings(body_limit_bytes=100, max_event_age_days=3)

    (by_own,) = normalized([StreamEntry(0, ENTRY_ID, batch)], rules.accepting(0))
    (by_entry,) = normalized([StreamEntry(0, ENTRY_ID, batch)], rules.accepting(1_000))

    assert [letter.reason for letter in by_own.dead_letters] == [DeadLetterReason.TOO_LARGE]
    assert len(by_entry.events) == 1
    assert rules.accepting(100) is rules
