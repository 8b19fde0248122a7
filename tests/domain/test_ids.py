from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from collector.domain import ids
from collector.domain.ids import PostIds, accepted_at, event_id, ids_of_day, lowest_id, parse_uuid

NOW_MS = 1_760_000_000_123


def test_a_post_id_is_a_version_7_uuid_of_its_time_of_acceptance() -> None:
    made = PostIds().next(NOW_MS)

    assert UUID(bytes=made).version == 7
    assert UUID(bytes=made).variant == "specified in RFC 4122"
    assert accepted_at(made) == datetime.fromtimestamp(NOW_MS / 1000, UTC).replace(microsecond=123000)


def test_ids_grow_within_a_millisecond_and_when_the_clock_steps_back() -> None:
    """Even if more posts arrive in a millisecond than the counter can hold."""
    ids = PostIds()

    made = [ids.next(NOW_MS) for _ in range(5000)] + [ids.next(NOW_MS - 1000) for _ in range(10)]

    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_two_ingest_processes_make_different_ids_in_the_same_millisecond() -> None:
    assert PostIds().next(NOW_MS) != PostIds().next(NOW_MS)


def test_the_index_of_an_event_is_in_the_last_20_bits() -> None:
    """The first event has its post's id; all events of a post sort before the next post."""
    ids = PostIds()
    first, second = ids.next(NOW_MS), ids.next(NOW_MS)

    assert event_id(first, 0) == first
    assert UUID(bytes=event_id(first, 5)).int == UUID(bytes=first).int + 5
    assert first < event_id(first, (1 << 20) - 1) < second


def test_the_lowest_id_of_a_moment_separates_earlier_from_later_ids() -> None:
    midnight = datetime(2026, 11, 23, tzinfo=UTC)
    boundary = lowest_id(midnight)

    before = PostIds().next(int(midnight.timestamp() * 1000) - 1)
    after = PostIds().next(int(midnight.timestamp() * 1000))

    assert UUID(bytes=before) < boundary <= UUID(bytes=after)
    assert lowest_id(midnight + timedelta(days=1)) > boundary


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("0199c7e6f8007abc8def0123456789ab", UUID("0199c7e6f8007abc8def0123456789ab"), id="ours"),
        pytest.param(
            "0199C7E6F8007ABC8DEF0123456789AB", UUID("0199c7e6f8007abc8def0123456789ab"), id="capitals"
        ),
        pytest.param("537650f3b77efe23a47914f4", None, id="24 characters of the official server"),
        pytest.param("z" * 32, None, id="no hex"),
        pytest.param("0199c7e6-f800-7abc-8def-0123456789ab", None, id="with hyphens"),
    ],
)
def test_only_32_hex_characters_are_an_id(text: str, expected: UUID | None) -> None:
    assert parse_uuid(text) == expected


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [
        ("a" * 8, True),
        ("A-1" * 30, True),
        ("a" * 7, False),
        ("a" * 101, False),
        ("ab cd efgh", False),
        ("ü" * 9, False),
        ("٣" * 9, False),
    ],
)
def test_reference_ids_have_8_to_100_letters_digits_or_hyphens(text: str, is_valid: bool) -> None:  # noqa: FBT001
    assert ids.is_reference_id(text) is is_valid


def test_the_ids_of_a_day_are_those_between_its_midnights() -> None:
    midnight = datetime(2026, 11, 23, tzinfo=UTC)

    assert ids_of_day(date(2026, 11, 23)) == (lowest_id(midnight), lowest_id(midnight + timedelta(days=1)))
