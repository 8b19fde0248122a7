"""A few poisoned rows are written off; when most of a project's are refused, its posts are held."""

from uuid import UUID

import pytest

from collector.database.errors import TooManyRejected
from collector.database.writing.rejected_rows import (
    HELD_SECONDS,
    LEAST_EVENTS,
    RejectedRows,
    RejectionBreaker,
)
from tests.database.rows import OTHER_PROJECT, PROJECT, a_letter, an_event
from tests.fakes import FakeClock

EVENTS = {project: an_event(project_id=project) for project in (PROJECT, OTHER_PROJECT)}


@pytest.fixture
def clock() -> FakeClock:
    """Stands still."""
    return FakeClock()


@pytest.fixture
def watch(clock: FakeClock) -> RejectionBreaker:
    """One that has seen nothing."""
    return RejectionBreaker(clock)


def begun(watch: RejectionBreaker, events: int, project: UUID = PROJECT) -> RejectedRows:
    """A transaction of so many events."""
    return watch.begin([EVENTS[project]] * events)


def after(watch: RejectionBreaker, events: int, refused: int, project: UUID = PROJECT) -> None:
    """A transaction that stored so many events, with so many refused."""
    rows = begun(watch, events, project)
    for _ in range(refused):
        rows.add(a_letter(project_id=project))
    watch.note(rows)


def test_few_events_tell_nothing(watch: RejectionBreaker) -> None:
    """A small service may meet nothing but poison for a while."""
    after(watch, events=LEAST_EVENTS - 1, refused=LEAST_EVENTS - 1)

    assert watch.held() == frozenset()


def test_more_than_half_of_many_are_too_many(watch: RejectionBreaker) -> None:
    """In one transaction; it says which project's and why."""
    rows = begun(watch, LEAST_EVENTS)
    for _ in range(LEAST_EVENTS // 2):
        rows.add(a_letter())

    with pytest.raises(TooManyRejected, match=f"{PROJECT} .*not gzip"):
        rows.add(a_letter())

    assert watch.held() == {PROJECT.bytes}


def test_small_transactions_are_judged_together(watch: RejectionBreaker) -> None:
    """One event after the other, all of them refused, ends as soon as there are enough to tell."""
    for _ in range(LEAST_EVENTS - 1):
        after(watch, events=1, refused=1)

    for _ in range(3):
        with pytest.raises(TooManyRejected):
            after(watch, events=1, refused=1)


def test_only_the_last_events_count(watch: RejectionBreaker) -> None:
    """A long healthy past excuses nothing, a bad one is forgotten."""
    after(watch, events=10_000, refused=0)
    for _ in range(LEAST_EVENTS // 2):
        after(watch, events=1, refused=1)
    for _ in range(LEAST_EVENTS):
        after(watch, events=1, refused=0)
    after(watch, events=LEAST_EVENTS, refused=LEAST_EVENTS // 2)

    with pytest.raises(TooManyRejected):
        after(watch, events=LEAST_EVENTS, refused=LEAST_EVENTS // 2 + 1)


def test_a_transaction_that_came_to_nothing_is_not_counted(watch: RejectionBreaker) -> None:
    """It is repeated, and would count again each time."""
    for _ in range(5):
        rows = begun(watch, 60)
        for _ in range(31):
            rows.add(a_letter())

    after(watch, events=60, refused=31)


def test_one_projects_rubbish_is_not_anothers_fault(watch: RejectionBreaker) -> None:
    """However many of all events it is; the other's few bad ones are written off as ever."""
    with pytest.raises(TooManyRejected):
        after(watch, events=10_000, refused=5001)

    rows = watch.begin([EVENTS[PROJECT]] * 10_000 + [EVENTS[OTHER_PROJECT]] * 200)
    for _ in range(100):
        rows.add(a_letter(project_id=OTHER_PROJECT))

    assert watch.held() == {PROJECT.bytes}
    with pytest.raises(TooManyRejected, match=str(OTHER_PROJECT)):
        rows.add(a_letter(project_id=OTHER_PROJECT))


def test_a_project_is_held_for_a_while(watch: RejectionBreaker, clock: FakeClock) -> None:
    """Then its next events are tried; refused still, it is held again."""
    for _ in range(2):
        with pytest.raises(TooManyRejected):
            after(watch, events=LEAST_EVENTS, refused=LEAST_EVENTS)
        clock.advance(HELD_SECONDS - 1)
        assert watch.held() == {PROJECT.bytes}
        clock.advance(1)
        assert watch.held() == frozenset()


def test_what_stores_nothing_is_not_remembered(watch: RejectionBreaker) -> None:
    """Discarded stacks, deleted projects, replays: no transaction takes longer for those before it."""
    after(watch, events=1, refused=1)
    for _ in range(10_000):
        after(watch, events=0, refused=0)
    assert watch.remembered == 1
    for _ in range(10_000):
        after(watch, events=1, refused=0)

    assert watch.remembered == 0


def test_a_bounded_number_of_transactions_and_projects_is_remembered(watch: RejectionBreaker) -> None:
    """Whatever is refused."""
    for number in range(3000):
        after(watch, events=2, refused=number % 2)
    assert 0 < watch.remembered <= LEAST_EVENTS

    for number in range(1500):
        project = UUID(int=number)
        rows = watch.begin([an_event(project_id=project)])
        rows.add(a_letter(project_id=project))
        watch.note(rows)
    assert watch.remembered == 1000
