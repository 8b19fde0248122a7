"""What adds up and what does not: on a drained system exactly, on a busy one within what is in hand."""

from collections.abc import Mapping
from datetime import date

import pytest

from collector.domain.accounting.ledger import DatabaseTotals, Ledger, Processed, ShardQueue, differences

DONE = Processed(batches=8, posts=80, events=100, repeated_batches=2, repeated_posts=20)
EMPTY = ShardQueue(0, batches=10, posts=100, bytes=1, length=0, pending=0)
OUTCOMES = {
    ("stored", ""): 90,
    ("duplicate", ""): 4,
    ("discarded", "too_old"): 3,
    ("dead_lettered", "odd"): 3,
}
LEAVES = {date(2026, 11, 22): (90, 90)}


def an_account(
    queue: ShardQueue = EMPTY,
    before: Processed = DONE,
    after: Processed | None = None,
    *,
    outcomes: Mapping[tuple[str, str], int] = OUTCOMES,
    dead_letters: Mapping[str, int] | None = None,
    partitions: Mapping[date, tuple[int, int]] | None = LEAVES,
) -> Ledger:
    """A drained system in which all is well."""
    letters = {"odd": 3} if dead_letters is None else dead_letters
    totals = DatabaseTotals({0: before}, outcomes, letters, partitions)
    return Ledger(totals, (queue,), {0: after or before})


@pytest.mark.parametrize(
    "ledger",
    [
        pytest.param(an_account(), id="drained"),
        pytest.param(Ledger(DatabaseTotals(), (ShardQueue(0),), {}), id="nothing yet"),
        pytest.param(an_account(ShardQueue(0, 13, 130, 1, 3, 3)), id="in hand"),
        pytest.param(an_account(ShardQueue(0, 13, 130, 1, 3, 0)), id="unread"),
        pytest.param(an_account(ShardQueue(0, 12, 120, 1, 3, 1)), id="stored and not yet acknowledged"),
        pytest.param(
            an_account(ShardQueue(0, 12, 120, 1, 0, 0), after=Processed(10, 100, 120, 2, 20)),
            id="finished between the looks",
        ),
        pytest.param(
            an_account(before=Processed(8, 90, 100, 1, 10), after=DONE), id="no exactness while it moves"
        ),
        pytest.param(an_account(partitions=None), id="events not counted"),
        pytest.param(
            an_account(
                outcomes={**OUTCOMES, ("stored", "derived"): 5}, partitions={date(2026, 11, 22): (95, 95)}
            ),
            id="derived events came out of no post",
        ),
    ],
)
def test_what_adds_up_has_no_differences(ledger: Ledger) -> None:
    """Nobody is woken for batches that are on their way."""
    assert differences(ledger) == []


@pytest.mark.parametrize(
    ("ledger", "said"),
    [
        pytest.param(
            an_account(ShardQueue(0, 11, 110, 1, 0, 0)), "1 batches left the stream unfinished", id="lost"
        ),
        pytest.param(
            an_account(ShardQueue(0, 14, 140, 1, 3, 3)), "1 batches left the stream unfinished", id="trimmed"
        ),
        pytest.param(
            an_account(ShardQueue(0, 9, 100, 1, 0, 0)), "1 batches were finished that nobody", id="twice"
        ),
        pytest.param(
            an_account(ShardQueue(0, 12, 120, 1, 4, 1)), "1 batches were finished that nobody", id="too early"
        ),
        pytest.param(
            an_account(ShardQueue(0, 10, 99, 1, 0, 0)), "99 posts were accepted and 100", id="posts"
        ),
        pytest.param(
            an_account(outcomes={**OUTCOMES, ("stored", ""): 91}),
            "100 events came out of the posts and 101 have an outcome",
            id="outcomes",
        ),
        pytest.param(
            an_account(dead_letters={"odd": 2}), "3 events were dead-lettered as odd and 2", id="dead letters"
        ),
        pytest.param(
            an_account(dead_letters={"odd": 3, "new": 1}),
            "0 events were dead-lettered as new and 1",
            id="a dead letter that nobody counted",
        ),
        pytest.param(
            an_account(partitions={date(2026, 11, 22): (90, 89)}),
            "90 events of 2026-11-22 were stored",
            id="partition",
        ),
        pytest.param(
            Ledger(DatabaseTotals(misdated={date(2026, 11, 21): 0, date(2026, 11, 22): 2}), (), {}),
            "2 events of 2026-11-22 lie outside of its partition's dates",
            id="dates of a partition",
        ),
    ],
)
def test_each_difference_is_named(ledger: Ledger, said: str) -> None:
    """One sentence, with the numbers."""
    (difference,) = differences(ledger)

    assert said in difference


def test_a_shard_that_redis_does_not_know_is_named() -> None:
    """Something was finished of it that was never accepted, as far as Redis knows."""
    ledger = Ledger(DatabaseTotals({0: DONE, 3: DONE}), (EMPTY,), {0: DONE, 3: DONE})

    assert any(said.startswith("shard 3: ") for said in differences(ledger))
