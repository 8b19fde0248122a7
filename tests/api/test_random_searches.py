"""Random lists and counts are answered or refused, never with an error of ours."""

from random import Random

import pytest

from tests.api.running_api import RunningApi
from tests.conftest import SCALE
from tests.database.random_filters import Chance
from tests.database.rows import today
from tests.domain.filter_trees import written
from tests.support.fakes import FakeClock, clock_of

pytestmark = pytest.mark.integration


@pytest.fixture
def clock() -> FakeClock:
    """Noon of the day on which the events happen."""
    return clock_of(today())


REQUESTS = 150 * SCALE
CHOICES = {
    "sort": ["-date", "value,-count", "source", "+date", "type,reference,created", "x", "-"],
    "time": [
        "all",
        "last 2 days",
        "today",
        "[now-1d TO *]",
        "2026-11-20-2026-11-22",
        "9999",
        "0001-01-01",
        "x",
    ],
    "offset": ["-300m", "+05:30", "23h", "x"],
    "mode": ["summary", "stack_recent", "stack_frequent", "stack_new", "stack_users", "x"],
    "aggregations": [
        "date:(date~month cardinality:user terms:(tags sum:count~1))",
        "terms:(error.type avg:value) terms:user cardinality:tags",
        "date:(date~q^-5h) min:value max:count max:date cardinality:title",
        "terms:(status terms:(tags cardinality:tags)) terms:data.a",
        "date:date~1s",
        "x",
    ],
    "limit": ["1", "100", "0", "-1"],
    "page": ["1", "2", "999"],
    "include": ["total"],
}
PATHS = ["events", "events", "events/count", "stacks", "events/sessions", "events/by-ref/order-4711"]


async def test_random_searches_are_answered_or_refused(api: RunningApi) -> None:
    """200 or 400, and mostly 200, even for queries that mix everything."""
    random, chance = Random(11), Chance(12)  # noqa: S311 - the same in every run
    await api.store(*[chance.event(today()) for _ in range(60)])
    answered = 0
    for _ in range(REQUESTS):
        path = random.choice(PATHS)
        asked = {name: random.choice(values) for name, values in CHOICES.items() if random.random() < 0.3}
        asked |= {"filter": written(chance.filter(["0" * 32]))} if random.random() < 0.8 else {}
        answer = await api.get(f"/api/v2/{path}", api.people.user, params=asked)

        assert answer.status in {200, 400}, f"{path} {asked}: {answer.body!r}"
        answered += answer.status == 200
        for link in answer.headers.getall("Link", []):
            following = await api.get(link[1:].partition(">")[0].removeprefix(api.url), api.people.user)
            assert following.status == 200, f"{link}: {following.body!r}"

    assert answered > REQUESTS / 4
