"""A few poisoned rows are the data's fault; when most are refused, it is ours."""

import pytest

from collector.database.errors import MostlyRefused
from collector.database.refusals import LEAST_EVENTS, RefusalWatch
from tests.database.rows import a_letter


def after(watch: RefusalWatch, events: int, refused: int) -> None:
    """A transaction that stored so many events, with so many refused."""
    rows = watch.begin(events)
    for _ in range(refused):
        rows.add(a_letter())
    watch.note(rows)


def test_few_events_tell_nothing() -> None:
    """A small service may meet nothing but poison for a while."""
    after(RefusalWatch(), events=LEAST_EVENTS - 1, refused=LEAST_EVENTS - 1)


def test_more_than_half_of_many_are_too_many() -> None:
    """In one transaction."""
    rows = RefusalWatch().begin(LEAST_EVENTS)
    for _ in range(LEAST_EVENTS // 2):
        rows.add(a_letter())

    with pytest.raises(MostlyRefused, match="not gzip"):
        rows.add(a_letter())


def test_small_transactions_are_judged_together() -> None:
    """One event after the other, all of them refused, ends as soon as there are enough to tell."""
    watch = RefusalWatch()
    for _ in range(LEAST_EVENTS - 1):
        after(watch, events=1, refused=1)

    for _ in range(3):
        with pytest.raises(MostlyRefused):
            after(watch, events=1, refused=1)


def test_only_the_last_events_count() -> None:
    """A long healthy past excuses nothing, a bad one is forgotten."""
    watch = RefusalWatch()
    after(watch, events=10_000, refused=0)
    for _ in range(LEAST_EVENTS // 2):
        after(watch, events=1, refused=1)
    for _ in range(LEAST_EVENTS):
        after(watch, events=1, refused=0)
    after(watch, events=LEAST_EVENTS, refused=LEAST_EVENTS // 2)

    with pytest.raises(MostlyRefused):
        after(watch, events=LEAST_EVENTS, refused=LEAST_EVENTS // 2 + 1)


def test_a_transaction_that_came_to_nothing_is_not_counted() -> None:
    """It is repeated, and would count again each time."""
    watch = RefusalWatch()
    for _ in range(5):
        rows = watch.begin(60)
        for _ in range(31):
            rows.add(a_letter())

    after(watch, events=60, refused=31)
