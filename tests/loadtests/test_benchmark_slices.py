"""The statistics of the benchmark: alternating pairs, ratios of neighbours, median and quartiles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.benchmarks.slices import Pair, Slice, Spread, alternate, spread

FIGURES = st.lists(st.floats(min_value=0.001, max_value=1e6), min_size=1, max_size=50)


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        pytest.param([1.0], Spread(1.0, 1.0, 1.0), id="one figure is its own quartiles"),
        pytest.param([1.0, 3.0], Spread(2.0, 1.5, 2.5), id="two"),
        pytest.param([5.0, 1.0, 3.0], Spread(3.0, 2.0, 4.0), id="in any order"),
        pytest.param([1.0, 2.0, 3.0, 4.0, 100.0], Spread(3.0, 2.0, 4.0), id="one outlier has no effect"),
    ],
)
def test_a_spread_is_the_median_and_the_quartiles(figures: list[float], expected: Spread) -> None:
    """The quartiles are those of the figures themselves, not of an estimated population."""
    assert spread(figures) == expected


def test_a_spread_needs_figures() -> None:
    with pytest.raises(ValueError, match="no figures"):
        spread([])


@given(FIGURES)
def test_a_spread_lies_in_order_within_its_figures(figures: list[float]) -> None:
    """Lower quartile, median, upper quartile, all within the measured range."""
    found = spread(figures)

    margin = 1e-9 * max(figures)
    assert min(figures) - margin <= found.lower <= found.median + margin
    assert found.median - margin <= found.upper <= max(figures) + margin


class Machine:
    """A machine whose speed changes with every slice; it records which side ran."""

    def __init__(self, *speeds: float) -> None:
        self._speeds = iter(speeds)
        self.ran: list[str] = []

    def slice_of(self, name: str, worth: float) -> Slice:
        async def take() -> float:
            self.ran.append(name)
            return worth * next(self._speeds)

        return take


async def test_every_second_pair_begins_with_the_other_side() -> None:
    """Each slice is reported as soon as it ends."""
    machine, reported = Machine(*[1.0] * 6), []

    await alternate(
        3, machine.slice_of("it", 1), machine.slice_of("other", 1), lambda: reported.append(len(machine.ran))
    )

    assert machine.ran == ["it", "other", "other", "it", "it", "other"]
    assert reported == [1, 2, 3, 4, 5, 6]


async def test_ratios_survive_a_machine_that_halves_its_speed() -> None:
    """The absolute figures halve, the ratios of neighbours stay."""
    machine = Machine(100, 100, 50, 50)

    pairs = await alternate(2, machine.slice_of("it", 3), machine.slice_of("other", 2), lambda: None)

    assert pairs == [Pair(300, 200), Pair(150, 100)]
    assert [pair.ratio for pair in pairs] == [1.5, 1.5]


async def test_a_machine_that_only_slows_down_favours_neither() -> None:
    """Successive pairs begin with different sides, so the errors cancel out."""
    machine = Machine(100, 90, 81, 72.9)

    pairs = await alternate(2, machine.slice_of("it", 1), machine.slice_of("other", 1), lambda: None)

    assert pairs[0].ratio * pairs[1].ratio == pytest.approx(1)
