"""The parts of a day that have an index of words: few events without one, and few indexes, at any rate."""

import pytest

from collector.database.schema.word_index_parts import (
    LARGE_EVENTS,
    MOST_PARTS,
    STEP_EVENTS,
    STEP_SHARE,
    Part,
    chosen_ranges,
    gaps_between,
    next_part,
)
from collector.domain.ids import DAY_MS


@pytest.mark.parametrize("events_of_day", [1_000_000, 10_000_000, 86_400_000])
def test_a_day_has_few_indexes_and_few_events_without(events_of_day: int) -> None:
    """And every event is indexed some two times, by builds that read the table some tens of times."""
    parts: list[Part] = []
    built = read = most = 0
    for now in range(0, DAY_MS, 60_000):
        stored = events_of_day * now // DAY_MS
        behind = stored - sum(part.events for part in parts)
        assert behind <= max(STEP_EVENTS, stored * STEP_SHARE) + events_of_day / 1440
        begin = parts[-1].end if parts else 0
        while due := next_part(parts, [Part(begin, now, behind)], events=stored):
            inside = [part for part in parts if due[0] <= part.begin and part.end <= due[1]]
            new = Part(*due, sum(part.events for part in inside) if inside else behind)
            parts = sorted([*(part for part in parts if part not in inside), new])
            behind = stored - sum(part.events for part in parts)
            built, read, begin = built + new.events, read + stored, parts[-1].end
            assert new.events <= LARGE_EVENTS
        most = max(most, len(parts))

    assert most <= MOST_PARTS + events_of_day / LARGE_EVENTS
    assert built <= 3 * events_of_day
    assert read <= 50 * events_of_day


def test_the_widest_indexes_are_chosen_and_the_rest_is_known() -> None:
    names = ["w_words_00000010_00000020", "w_words_00000010_00000030", "w_words_00000020_00000030"]

    assert chosen_ranges(names) == ((10, 30),)
    assert gaps_between(((10, 30),)) == ((0, 10), (30, DAY_MS))
    assert chosen_ranges([*names, "w_words"]) == ((0, DAY_MS),)
    assert gaps_between(((0, DAY_MS),)) == ()
