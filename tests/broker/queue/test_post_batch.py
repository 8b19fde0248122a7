"""A post batch passes through the stream unchanged, and damage is reported."""

import sys

import pytest

from collector.broker.queue import post_batch
from collector.broker.queue.post_batch import UnreadableEntry
from collector.domain.post import Post
from tests.support.factories import a_batch, a_post

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@pytest.mark.parametrize(
    "posts",
    [
        pytest.param((a_post(),), id="one small post"),
        pytest.param(tuple(a_post(body=b"x" * 1000) for _ in range(50)), id="many posts, compressed"),
        pytest.param((a_post(body=bytes(range(256)) * 900, user_agent="ü"),), id="any bytes and text"),
        pytest.param((a_post(body=b""),), id="an empty body"),
    ],
)
def test_a_batch_comes_back_as_it_was_written(posts: tuple[Post, ...]) -> None:
    """Bytes, ids and text are unchanged."""
    batch = a_batch(*posts)

    assert post_batch.decode(post_batch.encode(batch)) == batch


def test_large_batches_are_compressed() -> None:
    """So the queue's memory holds several times as much."""
    batch = a_batch(*(a_post(body=b'{"message":"hello world"}' * 20) for _ in range(32)))

    size = sum(len(value) for value in post_batch.encode(batch).values())

    assert size < sum(len(post.body) for post in batch.posts) / 4


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        pytest.param({b"v": b"9"}, "format version", id="a version from the future"),
        pytest.param({b"b": b"\xc1"}, "Error", id="no msgpack"),
        pytest.param({b"e": b"lz9"}, "encoding", id="an unknown encoding"),
        pytest.param({b"e": b"zstd", b"b": b"nonsense"}, "Zstd", id="a damaged frame"),
    ],
)
def test_a_damaged_entry_is_unreadable_with_a_reason(damage: dict[bytes, bytes], problem: str) -> None:
    """The worker dead-letters it instead of failing on it forever."""
    with pytest.raises(UnreadableEntry, match=problem):
        post_batch.decode(post_batch.encode(a_batch()) | damage)


def test_a_cut_off_frame_is_unreadable() -> None:
    """Half a compressed batch is no batch."""
    fields = post_batch.encode(a_batch(a_post(body=b"x" * 5000)))

    with pytest.raises(UnreadableEntry, match="cut off"):
        post_batch.decode(fields | {b"b": fields[b"b"][:-3]})


def test_an_entry_without_its_body_is_unreadable() -> None:
    """Foreign entries in our stream must not stop a worker."""
    with pytest.raises(UnreadableEntry):
        post_batch.decode({b"v": post_batch.FORMAT_VERSION})


def test_an_unreadable_entry_may_still_state_its_number_of_posts() -> None:
    """They were counted as accepted, so they must be counted as processed."""
    fields = post_batch.encode(a_batch(a_post(), a_post()))

    assert post_batch.post_count(fields | {b"v": b"9"}) == 2


@pytest.mark.parametrize("count", [b"", b"-1", b"many", b"9" * 5000, "٣".encode()])
def test_an_invalid_count_is_zero(count: bytes) -> None:
    """Foreign entries must not stop a worker."""
    assert post_batch.post_count({b"n": count}) == 0
    assert post_batch.post_count({}) == 0


def test_an_entry_states_the_limit_its_posts_were_accepted_under() -> None:
    """One of an earlier version does not."""
    fields = post_batch.encode(a_batch(), 1_000_000)

    assert post_batch.body_limit_bytes(fields) == 1_000_000
    assert post_batch.body_limit_bytes({b"v": b"1"}) == 0


@pytest.mark.parametrize("posts", [(a_post(),), tuple(a_post(body=b"x" * 200_000) for _ in range(9))])
def test_an_entry_states_its_decompressed_size(posts: tuple[Post, ...]) -> None:
    """Without being decompressed. For an entry of an earlier version, only its frame does."""
    fields = post_batch.encode(a_batch(*posts))
    bodies = sum(len(post.body) for post in posts)

    size = post_batch.unpacked_bytes(fields)

    assert bodies < size < bodies + 200 * len(posts)
    assert int(fields.pop(b"u")) == size
    assert post_batch.unpacked_bytes(fields) == size
    assert len(post_batch.decode(fields).posts) == len(posts)


def test_an_unreadable_entry_counts_with_its_own_size() -> None:
    """If its frame states no size, it counts as the largest possible."""
    unknown = zstd.ZstdCompressor()
    frame = unknown.compress(b"x" * 10) + unknown.flush()

    assert post_batch.unpacked_bytes({b"what": b"ever"}) == 0
    assert post_batch.unpacked_bytes({b"e": b"zstd", b"b": b"nonsense"}) == 8
    assert post_batch.unpacked_bytes({b"e": b"zstd", b"b": frame}) == 256 << 20
