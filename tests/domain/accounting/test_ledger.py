"""The ledger balances exactly on a drained system, and within the pending entries on a busy one."""

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
PARTITIONS = {date(2026, 11, 22): (90, 90)}


def a_ledger(
    queue: ShardQueue = EMPTY,
    before: Processed = DONE,
    after: Processed | None = None,
    *,
    outcomes: Mapping[tuple[str, str], int] = OUTCOMES,
    dead_letters: Mapping[str, int] | None = None,
    partitions: Mapping[date, tuple[int, int]] | None = PARTITIONS,
) -> Ledger:
    """The balanced ledger of a drained system, except for what is given."""
    letters = {"odd": 3} if dead_letters is None else dead_letters
    totals = DatabaseTotals({0: before}, outcomes, letters, partitions)
    return Ledger(totals, (queue,), {0: after or before})


@pytest.mark.parametrize(
    "ledger",
    [
        pytest.param(a_ledger(), id="drained"),
        pytest.param(Ledger(DatabaseTotals(), (ShardQueue(0),), {}), id="empty"),
        pytest.param(a_ledger(ShardQueue(0, 13, 130, 1, 3, 3)), id="pending"),
        pytest.param(a_ledger(ShardQueue(0, 13, 130, 1, 3, 0)), id="unread"),
        pytest.param(a_ledger(ShardQueue(0, 12, 120, 1, 3, 1)), id="stored and not yet acknowledged"),
        pytest.param(
            a_ledger(ShardQueue(0, 12, 120, 1, 0, 0), after=Processed(10, 100, 120, 2, 20)),
            id="processed between the two reads",
        ),
        pytest.param(
            a_ledger(before=Processed(8, 90, 100, 1, 10), after=DONE),
            id="posts on a busy system",
        ),
        pytest.param(a_ledger(partitions=None), id="events not counted"),
        pytest.param(
            a_ledger(
                outcomes={**OUTCOMES, ("stored", "derived"): 5}, partitions={date(2026, 11, 22): (95, 95)}
            ),
            id="derived events come from no post",
        ),
    ],
)
def test_a_balanced_ledger_has_no_differences(ledger: Ledger) -> None:
    assert differences(ledger) == []


@pytest.mark.parametrize(
    ("ledger", "said"),
    [
        pytest.param(
            a_ledger(ShardQueue(0, 11, 110, 1, 0, 0)), "1 batches left the stream unprocessed", id="lost"
        ),
        pytest.param(
            a_ledger(ShardQueue(0, 14, 140, 1, 3, 3)), "1 batches left the stream unprocessed", id="trimmed"
        ),
        pytest.param(
            a_ledger(ShardQueue(0, 9, 100, 1, 0, 0)),
            "1 batches were processed but never",
            id="twice",
        ),
        pytest.param(
            a_ledger(ShardQueue(0, 12, 120, 1, 4, 1)),
            "1 batches were processed but never",
            id="too early",
        ),
        pytest.param(a_ledger(ShardQueue(0, 10, 99, 1, 0, 0)), "99 posts were accepted and 100", id="posts"),
        pytest.param(
            a_ledger(outcomes={**OUTCOMES, ("stored", ""): 91}),
            "the posts contained 100 events and 101 have an outcome",
            id="outcomes",
        ),
        pytest.param(
            a_ledger(dead_letters={"odd": 2}), "3 events were dead-lettered as odd and 2", id="dead letters"
        ),
        pytest.param(
            a_ledger(dead_letters={"odd": 3, "new": 1}),
            "0 events were dead-lettered as new and 1",
            id="a dead letter that was not counted",
        ),
        pytest.param(
            a_ledger(partitions={date(2026, 11, 22): (90, 89)}),
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
def test_each_difference_is_one_sentence_with_the_numbers(ledger: Ledger, said: str) -> None:
    (difference,) = differences(ledger)

    assert said in difference


def test_a_shard_that_only_postgres_knows_is_reported() -> None:
    ledger = Ledger(DatabaseTotals({0: DONE, 3: DONE}), (EMPTY,), {0: DONE, 3: DONE})

    assert any(said.startswith("shard 3: ") for said in differences(ledger))
