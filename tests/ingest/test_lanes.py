"""Who waits behind whom: a project's lane follows from what its posts cost."""

import gzip
import random
from collections import Counter, deque

import pytest

from collector.broker.keys import LANES
from collector.broker.queue.queue_load import LaneLoad
from collector.domain.post import Post
from collector.ingest.lanes import LARGEST_ALLOWANCE, SMALLEST_ALLOWANCE, Lanes
from tests.support.factories import a_post

TICK_SECONDS = 0.5
_TICKS = 30
LOG = b'{"type":"log","message":"hello","reference_id":"0123456789","data":{"a":{"b":1}}}'
BOMB = gzip.compress(b"a\n" * 1000)


@pytest.fixture(autouse=True)
def sampling() -> None:
    """The same samples in every run."""
    random.seed(12)


def _post(project: int, **members: object) -> Post:
    return a_post(project_id=project.to_bytes(16), **({"body": LOG} | members))


def _bomb(project: int) -> Post:
    return _post(project, body=BOMB, content_encoding="gzip", content_type="text/plain")


def _last_lane(lanes: Lanes, posts: list[Post], seconds: float) -> list[int]:
    """The lanes of the posts of the last tick, when as many are sent in each tick."""
    now, found = 0.0, []
    while now < seconds:
        now += TICK_SECONDS
        lanes.observe(now, LaneLoad())
        found = [lanes.charge(post) for post in posts]
    return found


def test_modest_projects_share_the_first_lane() -> None:
    """A thousand of them, with 50 posts a second each, in JSON or compressed."""
    lanes = Lanes()
    posts = [_post(project) for project in range(1000)] * 2
    posts += [_post(7, body=gzip.compress(LOG), content_encoding="gzip")] * 25

    assert set(_last_lane(lanes, posts, 20)) == {0}


def test_a_flood_leaves_the_first_lane_within_a_second_and_others_stay() -> None:
    """The further it is above the allowance, the later its lane."""
    lanes = Lanes()
    flood = [_post(1)] * 2000
    assert LANES - 1 in _last_lane(lanes, [*flood, _post(2)], 5)

    assert set(_last_lane(lanes, flood, 10)) == {LANES - 1}
    assert lanes.charge(_post(2)) == 0


def test_a_project_of_more_than_the_allowance_is_not_put_with_a_flood() -> None:
    """It would wait as long as the flood. 600 posts a second for a minute."""
    lanes = Lanes()

    assert set(_last_lane(lanes, [_post(1)] * 300, 60)) == {1}


def test_compressed_posts_of_many_events_leave_the_first_lane_by_what_they_hold() -> None:
    """A few dozen bytes each: their size says nothing."""
    lanes, events = Lanes(), 0
    while lanes.charge(_bomb(1)) == 0:
        events += 1000

    assert events <= 100_000
    assert len(BOMB) < 50


def test_a_project_is_back_in_the_first_lane_within_a_minute_of_the_worst() -> None:
    """It is forgiven, whatever it sent; meanwhile it cannot return for a moment to send the next burst."""
    lanes = Lanes()
    for _ in range(10_000):
        lanes.charge(_bomb(1))

    seconds = 0
    while _last_lane(lanes, [_post(1)], 1)[0]:
        lanes.observe(seconds := seconds + 1, LaneLoad())

    assert 20 <= seconds <= 60


def test_the_allowance_shrinks_while_the_first_lane_has_a_backlog_and_grows_again() -> None:
    """So that many projects, each below the largest allowance, cannot fill the first lane together."""
    lanes, now = Lanes(), 0.0
    allowances = []

    # 1,000 entries are added in each tick and 600 are read; then everything is read.
    for added in range(0, 20_000, 1000):
        now += TICK_SECONDS
        lanes.observe(now, LaneLoad(unread=added * 4 // 10, added=added))
        allowances.append(lanes.allowance)
    assert allowances[-1] == SMALLEST_ALLOWANCE
    for _ in range(40):
        now += TICK_SECONDS
        lanes.observe(now, LaneLoad(unread=0, added=20_000))

    assert lanes.allowance == LARGEST_ALLOWANCE


def test_without_a_worker_the_allowance_stays() -> None:
    """No project delays another then."""
    lanes = Lanes()
    for tick in range(20):
        lanes.observe(tick * TICK_SECONDS, LaneLoad(unread=tick * 1000, added=tick * 1000))

    assert lanes.allowance == LARGEST_ALLOWANCE


@pytest.mark.parametrize(
    ("modest", "flood", "stored_in_a_tick"),
    [
        pytest.param(5, 4_000, 5_000, id="as much as the worker stores without the flood"),
        pytest.param(2, 10_000, 5_000, id="a flood of twice what the worker stores"),
    ],
)
def test_no_project_waits_for_a_flood_or_starves_among_a_thousand(
    modest: int, flood: int, stored_in_a_tick: int
) -> None:
    """In a model of a worker that serves each lane in order and gives the first one three turns of four.

    A thousand projects send a few posts in each tick, one sends 50 a second, one floods.
    """
    stored, waits = _served({**dict.fromkeys(range(1000), modest), 1000: flood, 1001: 25}, stored_in_a_tick)

    assert min(stored[project] for project in range(1000)) >= _TICKS * modest / 4
    assert stored[1000] >= _TICKS * stored_in_a_tick / 20
    assert waits[1001] <= 2 * TICK_SECONDS


def test_several_floods_and_several_large_projects_share_their_lanes() -> None:
    """Floods share what the others leave by what they send; large projects do not wait for them."""
    floods, large = {1000: 8_000, 1001: 4_000, 1002: 4_000}, {1003: 300, 1004: 300}
    stored, waits = _served({**dict.fromkeys(range(1000), 1), **floods, **large, 1005: 25}, 5_000)

    for project, number in floods.items():
        share = stored[project] / sum(stored[other] for other in floods)
        assert share == pytest.approx(number / sum(floods.values()), rel=0.25)
    for project, number in large.items():
        assert stored[project] >= _TICKS * number / 2
    assert min(stored[project] for project in range(1000)) >= _TICKS / 2
    assert waits[1005] <= 2 * TICK_SECONDS


def _served(sent: dict[int, int], stored_in_a_tick: int) -> tuple[Counter[int], dict[int, float]]:
    """What is stored of each project, which sends as many posts in each tick, and its longest wait."""
    lanes, posts = Lanes(), {project: _post(project) for project in sent}
    queues: list[deque[tuple[float, int]]] = [deque() for _ in range(LANES)]
    added, stored, waits = 0, Counter[int](), dict.fromkeys(sent, 0.0)
    for tick in range(_TICKS):
        now = tick * TICK_SECONDS
        arriving = list(Counter(sent).elements())
        random.shuffle(arriving)
        for project in arriving:
            lane = lanes.charge(posts[project])
            added += lane == 0
            queues[lane].append((now, project))
        room = stored_in_a_tick
        while room > 0 and any(queues):
            busy = [queue for queue in queues if queue]
            for queue in busy:
                weight = 3 * (len(busy) - 1) if queue is queues[0] else 1
                weights = len(busy) - 1 if not queues[0] else 4 * max(1, len(busy) - 1)
                share = room if len(busy) == 1 else max(1, room * weight // max(1, weights))
                for _ in range(min(share, len(queue), room)):
                    room -= 1
                    since, project = queue.popleft()
                    stored[project] += 1
                    waits[project] = max(waits[project], now - since)
        lanes.observe(now, LaneLoad(len(queues[0]), added))
    return stored, waits
