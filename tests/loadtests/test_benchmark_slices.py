"""The statistics of the benchmark: pairs in turn, ratios of neighbours, median and quartiles."""

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
        pytest.param([1.0, 2.0, 3.0, 4.0, 100.0], Spread(3.0, 2.0, 4.0), id="one wild figure moves nothing"),
    ],
)
def test_a_spread_is_the_median_and_the_quartiles(figures: list[float], expected: Spread) -> None:
    """Quartiles are of the figures themselves, not of a population that they are a sample of."""
    assert spread(figures) == expected


def test_there_is_no_spread_of_nothing() -> None:
    """A figure without slices would be an invention."""
    with pytest.raises(ValueError, match="no figures"):
        spread([])


@given(FIGURES)
def test_a_spread_lies_in_order_within_its_figures(figures: list[float]) -> None:
    """Lower quartile, median, upper quartile; none of them beyond what was measured."""
    found = spread(figures)

    margin = 1e-9 * max(figures)
    assert min(figures) - margin <= found.lower <= found.median + margin
    assert found.median - margin <= found.upper <= max(figures) + margin


class Machine:
    """A machine whose speed changes with every slice; notes who ran."""

    def __init__(self, *speeds: float) -> None:
        self._speeds = iter(speeds)
        self.ran: list[str] = []

    def slice_of(self, name: str, worth: float) -> Slice:
        async def take() -> float:
            self.ran.append(name)
            return worth * next(self._speeds)

        return take


async def test_slices_take_turns_and_every_second_pair_begins_with_the_other() -> None:
    """Neither side always comes first, and each slice is reported as soon as it ends."""
    machine, reported = Machine(*[1.0] * 6), []

    await alternate(
        3, machine.slice_of("it", 1), machine.slice_of("other", 1), lambda: reported.append(len(machine.ran))
    )

    assert machine.ran == ["it", "other", "other", "it", "it", "other"]
    assert reported == [1, 2, 3, 4, 5, 6]


async def test_ratios_survive_a_machine_that_halves_its_speed() -> None:
    """The absolute figures fall by half, the ratio of neighbours stays what it is."""
    machine = Machine(100, 100, 50, 50)

    pairs = await alternate(2, machine.slice_of("it", 3), machine.slice_of("other", 2), lambda: None)

    assert pairs == [Pair(300, 200), Pair(150, 100)]
    assert [pair.ratio for pair in pairs] == [1.5, 1.5]


async def test_a_machine_that_only_slows_down_favours_neither() -> None:
    """Of two pairs one begins with the one, one with the other: the ratios err to either side."""
    machine = Machine(100, 90, 81, 72.9)

    pairs = await alternate(2, machine.slice_of("it", 1), machine.slice_of("other", 1), lambda: None)

    assert pairs[0].ratio * pairs[1].ratio == pytest.approx(1)
