"""A few bad rows become dead letters; when most of a project's rows are rejected, its posts are held."""

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
from tests.support.fakes import FakeClock

EVENTS = {project: an_event(project_id=project) for project in (PROJECT, OTHER_PROJECT)}


@pytest.fixture
def clock() -> FakeClock:
    """Stands still."""
    return FakeClock()


@pytest.fixture
def breaker(clock: FakeClock) -> RejectionBreaker:
    """A breaker without any history."""
    return RejectionBreaker(clock)


def begin(breaker: RejectionBreaker, events: int, project: UUID = PROJECT) -> RejectedRows:
    """Begin a transaction of this number of events."""
    return breaker.begin([EVENTS[project]] * events)


def commit(breaker: RejectionBreaker, events: int, rejected: int, project: UUID = PROJECT) -> None:
    """Commit a transaction of `events`, of which Postgres rejected some."""
    rows = begin(breaker, events, project)
    for _ in range(rejected):
        rows.add(a_letter(project_id=project))
    breaker.record(rows)


def test_few_events_are_not_enough_to_hold_a_project(breaker: RejectionBreaker) -> None:
    """A small service may send nothing but bad events for a while."""
    commit(breaker, events=LEAST_EVENTS - 1, rejected=LEAST_EVENTS - 1)

    assert breaker.held() == frozenset()


def test_a_transaction_with_more_than_half_of_its_events_rejected_is_given_up(
    breaker: RejectionBreaker,
) -> None:
    """The error names the project and the reason."""
    rows = begin(breaker, LEAST_EVENTS)
    for _ in range(LEAST_EVENTS // 2):
        rows.add(a_letter())

    with pytest.raises(TooManyRejected, match=f"{PROJECT}: not gzip"):
        rows.add(a_letter())

    assert breaker.held() == {PROJECT.bytes}


def test_small_transactions_count_together(breaker: RejectionBreaker) -> None:
    """Events that are stored and rejected one by one trip the breaker once they are enough."""
    for _ in range(LEAST_EVENTS - 1):
        commit(breaker, events=1, rejected=1)

    for _ in range(3):
        with pytest.raises(TooManyRejected):
            commit(breaker, events=1, rejected=1)


def test_only_the_last_events_count(breaker: RejectionBreaker) -> None:
    """A long healthy history does not help, and an old bad one does not harm."""
    commit(breaker, events=10_000, rejected=0)
    for _ in range(LEAST_EVENTS // 2):
        commit(breaker, events=1, rejected=1)
    for _ in range(LEAST_EVENTS):
        commit(breaker, events=1, rejected=0)
    commit(breaker, events=LEAST_EVENTS, rejected=LEAST_EVENTS // 2)

    with pytest.raises(TooManyRejected):
        commit(breaker, events=LEAST_EVENTS, rejected=LEAST_EVENTS // 2 + 1)


def test_a_transaction_that_was_rolled_back_is_not_counted(breaker: RejectionBreaker) -> None:
    """It is repeated and would count each time."""
    for _ in range(5):
        rows = begin(breaker, 60)
        for _ in range(31):
            rows.add(a_letter())

    commit(breaker, events=60, rejected=31)


def test_one_projects_rejected_events_do_not_affect_another_project(breaker: RejectionBreaker) -> None:
    """Even if they are most of all events: the other's few bad events still become dead letters."""
    with pytest.raises(TooManyRejected):
        commit(breaker, events=10_000, rejected=5001)

    rows = breaker.begin([EVENTS[PROJECT]] * 10_000 + [EVENTS[OTHER_PROJECT]] * 200)
    for _ in range(100):
        rows.add(a_letter(project_id=OTHER_PROJECT))

    assert breaker.held() == {PROJECT.bytes}
    with pytest.raises(TooManyRejected, match=str(OTHER_PROJECT)):
        rows.add(a_letter(project_id=OTHER_PROJECT))


def test_a_project_is_held_for_a_while(breaker: RejectionBreaker, clock: FakeClock) -> None:
    """Then its next events are tried; if they are rejected it is held again."""
    for _ in range(2):
        with pytest.raises(TooManyRejected):
            commit(breaker, events=LEAST_EVENTS, rejected=LEAST_EVENTS)
        clock.advance(HELD_SECONDS - 1)
        assert breaker.held() == {PROJECT.bytes}
        clock.advance(1)
        assert breaker.held() == frozenset()


def test_a_transaction_without_events_leaves_no_history(breaker: RejectionBreaker) -> None:
    """Discarded stacks, deleted projects, replays: they must not make later transactions slower."""
    commit(breaker, events=1, rejected=1)
    for _ in range(10_000):
        commit(breaker, events=0, rejected=0)
    assert breaker.transaction_count == 1
    for _ in range(10_000):
        commit(breaker, events=1, rejected=0)

    assert breaker.transaction_count == 0


def test_histories_are_bounded(breaker: RejectionBreaker) -> None:
    """In transactions for each project, and in projects."""
    for number in range(3000):
        commit(breaker, events=2, rejected=number % 2)
    assert 0 < breaker.transaction_count <= LEAST_EVENTS

    for number in range(1500):
        project = UUID(int=number)
        rows = breaker.begin([an_event(project_id=project)])
        rows.add(a_letter(project_id=project))
        breaker.record(rows)
    assert breaker.transaction_count == 1000
