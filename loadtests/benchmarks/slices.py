"""Comparing by ratios of neighbours: short slices of two things in turn, each pair of them one ratio.

A machine whose speed changes within seconds changes it for both slices of a pair, so the ratio keeps its
meaning where the absolute figures lose theirs. The report shows the median and quartiles of the ratios.
"""

import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec

Slice = Callable[[], Awaitable[float]]
"""One slice; answers the figure it came to, such as posts a second."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured: pairs of slices for each figure, and seconds per slice."""

    slices: int
    slice_seconds: float


class Pair(msgspec.Struct, frozen=True):
    """The results of two neighbouring slices: the subject's and the reference's."""

    subject: float
    reference: float

    @property
    def ratio(self) -> float:
        """The subject in units of the reference."""
        return self.subject / self.reference


class Spread(msgspec.Struct, frozen=True):
    """The middle of many figures, and the quarter below and above which half of them are."""

    median: float
    lower: float
    upper: float


def spread(figures: Sequence[float]) -> Spread:
    """Median and quartiles; of one figure all three are that one. Raises ValueError without figures."""
    if not figures:
        raise ValueError("no figures")
    if len(figures) == 1:
        return Spread(figures[0], figures[0], figures[0])
    lower, median, upper = statistics.quantiles(figures, n=4, method="inclusive")
    return Spread(median, lower, upper)


async def alternate(count: int, subject: Slice, reference: Slice, on_slice: Callable[[], None]) -> list[Pair]:
    """`count` pairs of slices, one after the other; `on_slice` is called after each slice.

    Every second pair begins with the reference, so that a machine that only slows down favours neither.
    """
    pairs = []
    for number in range(count):
        figures = {}
        order = [("subject", subject), ("reference", reference)]
        for name, take in order if number % 2 == 0 else reversed(order):
            figures[name] = await take()
            on_slice()
        pairs.append(Pair(**figures))
    return pairs
