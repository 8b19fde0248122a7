"""A filter's SQL selects exactly the events that the filter means."""

from contextlib import nullcontext, suppress
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from collector.database.filter_sql import MAXIMUM_EVENT_TERMS, Arguments, EventConditions, StackConditions
from collector.database.store import BatchStore
from collector.database.value_sql import value_condition
from collector.domain.errors import BadRequest
from collector.domain.filter_fields import ALIASES, FIELDS
from collector.domain.filter_terms import VersionBetween
from collector.domain.filter_text import filter_of
from collector.domain.filter_tree import And, Bound, Exists, Filter, Match, Range, Term, Wildcard
from collector.domain.moments import LocalClock
from collector.domain.version import is_version, precedence
from tests.conftest import SCALE
from tests.database.filter_reference import holds
from tests.database.random_filters import VERSIONS, Chance
from tests.database.rows import OTHER_PROJECT, PROJECT, an_event, today, understood
from tests.domain.filter_trees import trees, written

pytestmark = pytest.mark.integration

EVENTS, FILTERS = 100, 250 * SCALE
STATES = ["open", "fixed", "regressed", "snoozed", "ignored", "discarded"]
SELECT = "SELECT id FROM events AS e WHERE project_id = ANY($1) AND "
CLOCK = LocalClock(today(), timedelta(minutes=-90))


def condition(
    tree: Filter, kind: type[EventConditions | StackConditions] = EventConditions
) -> tuple[str, list[Any]]:
    """The filter's condition, and the arguments of a query whose first one are the projects."""
    arguments = Arguments()
    projects = arguments.add([PROJECT, OTHER_PROJECT]) + "::uuid[]"
    return kind(arguments, projects, CLOCK).of(tree), arguments.values


@pytest.fixture
async def world(pool: asyncpg.Pool) -> tuple[list[dict[str, Any]], dict[UUID, dict[str, Any]]]:
    """Random events and their stacks, as they are stored."""
    chance, random = Chance(6), Random(6)  # noqa: S311 - the same in every run
    await BatchStore(pool).save([understood(*[chance.event(today()) for _ in range(EVENTS)])])
    for row in await pool.fetch("SELECT id FROM stacks ORDER BY id"):
        await pool.execute(
            """
            UPDATE stacks SET status = $2, title = $3, fixed_in_version = $4, date_fixed = $5,
                occurrences_are_critical = $6, "references" = $7, description = $8 WHERE id = $1
            """,
            row["id"],
            random.choice(STATES),
            chance.text(),
            chance.maybe("1.2.3"),
            chance.maybe(today()),
            random.random() < 0.5,
            [chance.text()],
            chance.maybe(chance.text()),
        )
    events = [dict(row) for row in await pool.fetch("SELECT * FROM events ORDER BY id")]
    for event in events:
        event["data"] = orjson.loads(event["data"])
    return events, {row["id"]: dict(row) for row in await pool.fetch("SELECT * FROM stacks")}


async def test_random_filters_select_what_they_mean(
    pool: asyncpg.Pool, world: tuple[list[dict[str, Any]], dict[UUID, dict[str, Any]]]
) -> None:
    """Said again in plain Python, for each of the events: at least 5,000 pairs, 50,000 a night."""
    events, stacks = world
    chance, pairs, selective = Chance(7), 0, 0
    ids = [str(event[name].hex) for event in events[:5] for name in ("id", "stack_id", "project_id")]
    for _ in range(FILTERS):
        tree = chance.filter(ids)
        sql, arguments = condition(tree)
        rows = await pool.fetch(SELECT + sql, *arguments)
        selected = {row["id"] for row in rows}
        meant = {event["id"] for event in events if holds(tree, event, stacks.get(event["stack_id"]), CLOCK)}

        odd = [event for event in events if event["id"] in selected ^ meant]
        assert not odd, f"{written(tree)}\n{tree}\nmeant: {odd[0]['id'] in meant}\n{odd[0]}\n{sql}"
        pairs += len(events)
        selective += 0 < len(selected) < len(events)

    assert pairs >= 5_000 * SCALE
    assert selective >= FILTERS / 4


@given(tree=trees)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # nothing is ever stored here
async def test_every_tree_is_a_statement(pool: asyncpg.Pool, tree: Filter) -> None:
    """Whatever is in it; values that cannot be meant are refused before."""
    for kind, table in ((EventConditions, "events AS e"), (StackConditions, "stacks AS s")):
        try:
            sql, arguments = condition(tree, kind)
        except BadRequest:
            continue
        statement = f"SELECT count(*) FROM {table} WHERE project_id = ANY($1) AND {sql}"  # noqa: S608
        assert await pool.fetchval(statement, *arguments) == 0


def test_no_text_of_a_filter_is_in_the_statement() -> None:
    """Names of fields and values are arguments, also where they look like SQL."""
    evil = Term(("');DROP TABLE events;--", Wildcard.ANY))
    ends = Range(Bound("');DROP", is_included=True), Bound("x", is_included=False))
    names = [*FIELDS, *ALIASES, "data.');DROP", "ref.');DROP", "data.a.');DROP", "');DROP"]
    for name in [None, *names]:
        for value in (evil, Term(("');DROP",), is_quoted=True), ends):
            for kind in (EventConditions, StackConditions):
                with suppress(BadRequest):
                    assert "DROP" not in condition(And((Match(name, value), Exists(name or "x"))), kind)[0]


@pytest.mark.parametrize(
    "text", ["value:abc", "value:>x", "first:perhaps", "date:soon", "date:[now TO soon]"]
)
def test_values_that_cannot_be_meant_are_refused(text: str) -> None:
    """With their place, as for whatever cannot be read."""
    with pytest.raises(BadRequest, match=r"The filter is wrong at character \d+: `"):
        condition(filter_of(text))


async def test_a_catastrophic_pattern_takes_no_time(pool: asyncpg.Pool) -> None:
    """Wildcards are few, and Postgres goes through a text once."""
    event = an_event(message="a" * 2000, source="ab" * 1000, tags=("a" * 100,) * 50)
    await BatchStore(pool).save([understood(event)])
    for text in (
        "a*a*a*a*a*a*a*ab?c",
        "message:*a*a*a*a*a*a*ac",
        "tag:a?a?a?a?a?a?a?a?b",
        "source:*b*b*b*b*b*bc",
    ):
        sql, arguments = condition(filter_of(text))
        async with pool.acquire() as connection:
            await connection.execute("SET statement_timeout = '20s'")
            statement = f"SELECT count(*) FROM events AS e WHERE project_id = ANY($1) AND {sql}"  # noqa: S608
            assert await connection.fetchval(statement, *arguments) == 0


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        pytest.param("status:fixed", {"fixed"}, id="its own column"),
        pytest.param("type:log", {"fixed", "open"}, id="what it shares with its events"),
        pytest.param("message:hello", {"open"}, id="what only its events know"),
        pytest.param("NOT message:hello", {"fixed"}, id="or do not"),
        pytest.param("open", {"open"}, id="a bare word"),
        pytest.param("is_hidden:false", {"open"}, id="a state"),
        pytest.param("nothing:x", set(), id="an unknown field"),
    ],
)
async def test_stacks_are_selected_too(pool: asyncpg.Pool, text: str, titles: set[str]) -> None:
    """By what they are and by what their events are."""
    await BatchStore(pool).save(
        [understood(an_event(source="open"), an_event(source="fixed", message="bye"))]
    )
    await pool.execute("UPDATE stacks SET status = title")

    sql, arguments = condition(filter_of(text), StackConditions)
    rows = await pool.fetch(f"SELECT title FROM stacks AS s WHERE project_id = ANY($1) AND {sql}", *arguments)  # noqa: S608

    assert {row["title"] for row in rows} == titles


@pytest.mark.parametrize(
    ("terms", "is_refused"), [(MAXIMUM_EVENT_TERMS, False), (MAXIMUM_EVENT_TERMS + 1, True)]
)
def test_a_filter_of_stacks_asks_only_so_much_of_their_events(terms: int, is_refused: bool) -> None:  # noqa: FBT001
    """Each such term is a search of its own; whatever is about the stacks themselves is not counted."""
    tree = filter_of(" ".join([*(f"message:{number}" for number in range(terms)), *["title:a"] * 30]))
    conditions = StackConditions(Arguments(), "$1", CLOCK)

    with pytest.raises(BadRequest) if is_refused else nullcontext():
        conditions.of(tree)


async def test_versions_have_the_same_order_in_sql(pool: asyncpg.Pool) -> None:
    """Each beside each other one: what is stored and what a filter says are compared by the same rule."""
    versions = [*VERSIONS, "", " \tV1-0", "1.0--.00.A", "1.0.0", "0", "0.0-0"]
    for bound in filter(is_version, versions):
        key, arguments = precedence(bound), Arguments()
        there = arguments.add(versions)
        tests = [VersionBetween(key, None), VersionBetween(None, key, includes_high=False)]
        conditions = [value_condition("v", test, arguments.add, is_native=False) for test in tests]
        (row,) = await pool.fetch(
            f"SELECT {', '.join(f'array_agg({condition})' for condition in conditions)}"  # noqa: S608
            f" FROM unnest({there}::text[]) AS v",
            *arguments.values,
        )

        expected = [precedence(version) >= key if is_version(version) else None for version in versions]
        assert list(row[0]) == expected
        assert list(row[1]) == [None if found is None else not found for found in expected]
