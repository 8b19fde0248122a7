"""Sketches count users: exactly while they are few, then within their error."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.domain.accounting.user_sketch import FEW, UserSketch

HASHES = st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=40)


@pytest.mark.parametrize("number", [0, 1, 17, FEW])
def test_few_users_are_counted_exactly(number: int) -> None:
    assert UserSketch().add(range(number)).add(range(number)).count == number


@pytest.mark.parametrize("number", [FEW + 1, 5_000, 40_000, 300_000])
def test_many_users_are_counted_within_a_few_per_cent(number: int) -> None:
    """Four times the standard error."""
    random_ = random.Random(number)  # noqa: S311
    sketch = UserSketch().add(random_.getrandbits(64) for _ in range(number))

    assert sketch.count == pytest.approx(number, rel=4 * 0.0163)
    assert len(sketch.packed) == 4096


@given(parts=st.lists(HASHES, max_size=5))
def test_sketches_of_parts_make_that_of_the_whole(parts: list[list[int]]) -> None:
    merged = UserSketch()
    for part in parts:
        merged.merge(UserSketch().add(part).packed)

    assert merged.packed == UserSketch().add(hash_ for part in parts for hash_ in part).packed


@pytest.mark.parametrize(("few", "many"), [(10, 5_000), (900, 2_000), (3_000, 3_000), (600, 600)])
def test_sketches_of_any_size_are_merged(few: int, many: int) -> None:
    random_ = random.Random(few)  # noqa: S311
    one, other = ([random_.getrandbits(64) for _ in range(number)] for number in (few, many))
    whole = UserSketch().add([*one, *other])

    for first, second in ((one, other), (other, one)):
        merged = UserSketch().merge(UserSketch().add(first).packed).merge(UserSketch().add(second).packed)
        assert (merged.packed, merged.count) == (whole.packed, whole.count)


@given(parts=st.lists(HASHES, max_size=5), kept=st.integers(1, 200))
def test_hashes_that_wait_change_nothing_once_there_are_many(parts: list[list[int]], kept: int) -> None:
    many = range(0, 1 << 32, 1 << 21)
    patient, hasty = UserSketch(kept=100_000), UserSketch(kept=FEW + kept)
    for part in [many, *parts]:
        patient.add(part)
        hasty.add(part)

    assert (patient.packed, patient.count) == (hasty.packed, hasty.count)
