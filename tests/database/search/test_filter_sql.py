"""A filter's SQL selects exactly the events that match the filter."""

import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import nullcontext, suppress
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from collector.database.pool import close_pool, create_pool
from collector.database.schema.migrations import migrate
from collector.database.search.filter_sql import (
    MAXIMUM_EVENT_TERMS,
    Arguments,
    EventConditions,
    StackConditions,
)
from collector.database.search.value_sql import value_condition
from collector.database.text import lowered
from collector.database.writing.store import BatchStore
from collector.domain.dates.datemath import LocalClock
from collector.domain.errors import BadRequest
from collector.domain.filter.fields import ALIASES, ANY_SEPARATOR, FIELDS
from collector.domain.filter.parser import parse_filter
from collector.domain.filter.predicates import HasWords, VersionBetween
from collector.domain.filter.tree import And, Bound, Exists, Filter, Match, Range, Term, Wildcard
from collector.domain.filter.words import (
    APOSTROPHE,
    IDEOGRAPHS,
    MARKS,
    SEPARATORS,
    folded,
    is_folded_by_store,
    split_words,
)
from collector.domain.version import is_version, precedence
from tests.conftest import SCALE, Servers
from tests.database.filter_reference import holds
from tests.database.random_filters import VERSIONS, Chance
from tests.database.rows import OTHER_PROJECT, PROJECT, an_event, normalized, today
from tests.domain.filter_trees import trees, written

pytestmark = pytest.mark.integration

EVENTS, FILTERS = 100, 60 * SCALE
STATES = ["open", "fixed", "regressed", "snoozed", "ignored", "discarded"]
SELECT = "SELECT id FROM events AS e WHERE project_id = ANY($1) AND "
CLOCK = LocalClock(today(), timedelta(minutes=-90))


def condition(
    tree: Filter, kind: type[EventConditions | StackConditions] = EventConditions
) -> tuple[str, list[Any]]:
    """The filter's condition, and the arguments of a query whose first argument is the projects."""
    arguments = Arguments()
    projects = arguments.add([PROJECT, OTHER_PROJECT]) + "::uuid[]"
    return kind(arguments, projects, CLOCK).of(tree), arguments.values


@pytest.fixture
async def world(pool: asyncpg.Pool) -> tuple[list[dict[str, Any]], dict[UUID, dict[str, Any]]]:
    """Random events and their stacks, stored."""
    chance, random = Chance(6), Random(6)  # noqa: S311 - the same in every run
    await BatchStore(pool).save([normalized(*[chance.event(today()) for _ in range(EVENTS)])])
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


async def test_random_filters_select_the_matching_events(
    pool: asyncpg.Pool, world: tuple[list[dict[str, Any]], dict[UUID, dict[str, Any]]]
) -> None:
    """Compared with the reference in plain Python for at least 5,000 pairs, 50,000 in the nightly run."""
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
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # no rows are stored here
async def test_every_tree_gives_a_valid_statement(pool: asyncpg.Pool, tree: Filter) -> None:
    """Invalid values are refused before."""
    for kind, table in ((EventConditions, "events AS e"), (StackConditions, "stacks AS s")):
        try:
            sql, arguments = condition(tree, kind)
        except BadRequest:
            continue
        statement = f"SELECT count(*) FROM {table} WHERE project_id = ANY($1) AND {sql}"  # noqa: S608
        assert await pool.fetchval(statement, *arguments) == 0


def test_no_text_of_a_filter_is_in_the_statement() -> None:
    """Names of fields and values are arguments, even if they look like SQL."""
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
def test_invalid_values_are_refused(text: str) -> None:
    """With their position, like syntax errors."""
    with pytest.raises(BadRequest, match=r"The filter is wrong at character \d+: `"):
        condition(parse_filter(text))


async def test_a_pattern_with_many_wildcards_is_cheap(pool: asyncpg.Pool) -> None:
    """Wildcards are limited, and Postgres scans a text once."""
    event = an_event(message="a" * 2000, source="ab" * 1000, tags=("a" * 100,) * 50)
    await BatchStore(pool).save([normalized(event)])
    for text in (
        "a*a*a*a*a*a*a*ab?c",
        "message:*a*a*a*a*a*a*ac",
        "tag:a?a?a?a?a?a?a?a?b",
        "source:*b*b*b*b*b*bc",
    ):
        sql, arguments = condition(parse_filter(text))
        async with pool.acquire() as connection:
            await connection.execute("SET statement_timeout = '20s'")
            statement = f"SELECT count(*) FROM events AS e WHERE project_id = ANY($1) AND {sql}"  # noqa: S608
            assert await connection.fetchval(statement, *arguments) == 0


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        pytest.param("status:fixed", {"fixed"}, id="its own column"),
        pytest.param("type:log", {"fixed", "open"}, id="a column of its events"),
        pytest.param("message:hello", {"open"}, id="data of its events"),
        pytest.param("NOT message:hello", {"fixed"}, id="the negation of it"),
        pytest.param("open", {"open"}, id="a bare word"),
        pytest.param("is_hidden:false", {"open"}, id="a state"),
        pytest.param("nothing:x", set(), id="an unknown field"),
    ],
)
async def test_stacks_are_selected_too(pool: asyncpg.Pool, text: str, titles: set[str]) -> None:
    """By their columns and by their events."""
    await BatchStore(pool).save(
        [normalized(an_event(source="open"), an_event(source="fixed", message="bye"))]
    )
    await pool.execute("UPDATE stacks SET status = title")

    sql, arguments = condition(parse_filter(text), StackConditions)
    rows = await pool.fetch(f"SELECT title FROM stacks AS s WHERE project_id = ANY($1) AND {sql}", *arguments)  # noqa: S608

    assert {row["title"] for row in rows} == titles


@pytest.mark.parametrize(
    ("terms", "is_refused"), [(MAXIMUM_EVENT_TERMS, False), (MAXIMUM_EVENT_TERMS + 1, True)]
)
def test_conditions_of_stacks_on_their_events_are_limited(terms: int, is_refused: bool) -> None:  # noqa: FBT001
    """Each is a separate subquery; conditions on the stacks themselves are not limited."""
    tree = parse_filter(" ".join([*(f"message:{number}" for number in range(terms)), *["title:a"] * 30]))
    conditions = StackConditions(Arguments(), "$1", CLOCK)

    with pytest.raises(BadRequest) if is_refused else nullcontext():
        conditions.of(tree)


async def test_versions_have_the_same_order_in_sql(pool: asyncpg.Pool) -> None:
    """Compared pair by pair: stored versions and those in a filter follow the same rule."""
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


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("data.n:1e3", ["1000", "1000.0", '"1E+3"', '"1000"'], id="an exponent"),
        pytest.param("data.n:1000", ["1000", "1000.0", '"1E+3"', '"1000"'], id="none"),
        pytest.param("data.n:.5", ["0.50", '".5"'], id="only a fraction"),
        pytest.param("data.n:-.5", ["-5e-1"], id="below zero"),
        pytest.param("data.n:[-.5 TO +.5]", ["0.50", "-5e-1", '".5"'], id="a range"),
        pytest.param("data.n:(>1e3 AND <1e25)", ["18446744073709551617"], id="beyond 64 bits"),
        pytest.param("data.n:18446744073709551617", ["18446744073709551617"], id="an unparsable one"),
        pytest.param("data.n:>1e998", ["1" + "0" * 999], id="a very large one"),
        pytest.param("data.n:nan", ['"NaN"'], id="a word"),
        pytest.param("data.n:>=NaN", ['"NaN"'], id="texts after a word"),
        pytest.param("value:1e3", ["1000"], id="a column"),
    ],
)
async def test_numbers_are_compared_in_every_spelling(
    pool: asyncpg.Pool, text: str, found: list[str]
) -> None:
    """In the filter and in the data, also if they were sent as text."""
    stored = [
        "1000", "1000.0", '"1E+3"', '"1000"', "0.50", '".5"', "-5e-1", "18446744073709551617", '"NaN"',
        "1" + "0" * 999, '"1e9999999"', '"' + "1" * 2000 + '"', '"-"',
    ]  # fmt: skip
    events = [
        an_event(data=b'{"n":%s}' % text.encode(), value=Decimal(1000) if text == "1000" else None)
        for text in stored
    ]
    await BatchStore(pool).save([normalized(*events)])

    sql, arguments = condition(parse_filter(text))
    rows = await pool.fetch(SELECT + sql, *arguments)

    ids = {UUID(bytes=event.id): text for event, text in zip(events, stored, strict=True)}
    assert {ids[row["id"]] for row in rows} == set(found)


SCRIPTS = [
    "调用接口跳转到登录地址失败", "登录 地址", "“hello” alpha—beta", "⚠\ufe0fWarning: done🎉", "don’t ‘stop’",
    "Ärger mit ÖL", "Мир", "İstanbul", "カタカナとひらがな", "한국어 오류", "१२३ नमस्ते", "x登录y",
    "\U00010d50aray", "cafe\u0301",
]  # fmt: skip


SEARCHES: list[tuple[str, list[int]]] = [
    ("message:登录地址", [0, 1]),
    ("message:登录", [0, 1, 11]),
    ("message:地址登录", []),
    ("message:登录*失败", [0]),
    ("message:登?地址", [0]),
    ('message:"到登录"', [0]),
    ("登录地址", [0, 1]),
    ("message:登", [0, 1, 11]),
    ("message:x", [11]),
    ("message:hello", [2]),
    ("message:“hello”", [2]),
    ("message:alpha", [2]),
    ('message:"ALPHA beta"', [2]),
    ("message:alpha—beta", [2]),
    ("message:al*", [2]),
    ("message:warning", [3]),
    ("message:done", [3]),
    ("message:done — 🎉", [3]),
    ("message:don’t", [4]),
    ("message:DON’T", [4]),
    ("message:t", []),
    ("message:stop", [4]),
    ("message:ärger", [5]),
    ("message:ÄRGER", [5]),
    ("message:öl", [5]),
    ("message:мир", [6]),
    ("message:МИР", [6]),
    ("message:м*", [6]),
    ("message:İstanbul", [7]),
    ("message:istanbul", [7]),
    ("message:ISTANBUL", [7]),
    ("message:カタカナ", [8]),
    ("message:カタ", []),
    ("message:ひらがな", [8]),
    ("message:らが", [8]),
    ("message:오류", [9]),
    ("message:오", []),
    ("message:नमस्ते", [10]),
    ("message:\U00010d50aray", [12]),
    ("message:\U00010d50*", [12]),
    ("message:cafe", []),
    ("message:cafe\u0301", [13]),
    ("title:登录地址", [0, 1]),
    ("title:МИР", [6]),
    ("data.Größe:МИР", [6]),
    ("data.GRÖSSE:мир", []),
    ("data.grÖße:м*р", [6]),
    ("tag:İSTANBUL", [7]),
    ("tag:\U00010d50*", [12]),
    ("data.größe:[мира TO мис]", []),
    ("data.größe:[МИ TO МИС]", [6]),
]


@pytest.fixture(params=["LOCALE_PROVIDER libc LOCALE 'C'", "LOCALE_PROVIDER builtin LOCALE 'C.UTF-8'"])
async def pool_of_locale(servers: Servers, request: pytest.FixtureRequest) -> AsyncIterator[asyncpg.Pool]:
    """A pool on a database with this locale."""
    name = f"headrace_test_{secrets.token_hex(6)}"
    url = urlsplit(servers.database_url)._replace(path=f"/{name}").geturl()
    admin = await asyncpg.connect(servers.database_url)
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' {request.param}")
        await migrate(url)
        pool = await create_pool(url, max_size=1)
        yield pool
        await close_pool(pool)
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


async def test_words_of_any_script_are_found_in_any_case(pool_of_locale: asyncpg.Pool) -> None:
    """Whatever the locale of the database."""
    events = [
        an_event(
            message=text,
            source=text,
            tags=(text,),
            data=orjson.dumps({"Größe": text}),
        )
        for text in SCRIPTS
    ]
    await BatchStore(pool_of_locale).save([normalized(*events)])
    numbers = {UUID(bytes=event.id): number for number, event in enumerate(events)}
    for number, event in enumerate(events):
        await pool_of_locale.execute(
            "UPDATE stacks SET title = $1 WHERE id = (SELECT stack_id FROM events WHERE id = $2)",
            SCRIPTS[number],
            UUID(bytes=event.id),
        )
    selected = {}
    for text, _ in SEARCHES:
        sql, arguments = condition(parse_filter(text))
        rows = await pool_of_locale.fetch(SELECT + sql, *arguments)
        selected[text] = sorted(numbers[row["id"]] for row in rows)

    assert selected == dict(SEARCHES)


async def test_case_is_folded_as_postgres_does(pool: asyncpg.Pool) -> None:
    """For all characters, except capitals since Unicode 14, which are left to Postgres."""
    rows = await pool.fetch(
        f"""
        SELECT character, low
        FROM generate_series(1, $1::int) AS code, chr(code) AS character, {lowered("character")} AS low
        WHERE code NOT BETWEEN 55296 AND 57343 AND low <> character COLLATE "C"
        """,  # noqa: S608 - constants only
        sys.maxunicode,
    )
    stored = {row["character"]: row["low"] for row in rows}
    everything = (chr(code) for code in range(1, sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF)

    assert len(stored) > 1000
    odd = {character for character in everything if folded(character) != stored.get(character, character)}
    assert all(map(is_folded_by_store, odd))


async def test_words_end_in_postgres_where_they_end_in_a_filter(pool: asyncpg.Pool) -> None:
    """At and next to the limits of all ranges in the tables: between letters, and before one."""
    ends = {
        character
        for table in (SEPARATORS, MARKS, IDEOGRAPHS, APOSTROPHE)
        for end in table
        for code in (ord(end) - 1, ord(end), ord(end) + 1)
        if (character := chr(code)) not in "\0\x7f"
        and not 0xD800 <= code <= 0xDFFF
        and folded(character) == character
    }
    texts = [text for one in sorted(ends) for text in (f"x{one}y", f" {one}y", f"x{one} ", f"登{one}y")]
    for word in ("x", "y", "登"):
        test = HasWords(((word,),), ANY_SEPARATOR)
        arguments = Arguments()
        sql = value_condition("t.text", test, arguments.add, is_native=False)
        number = arguments.add(texts)
        rows = await pool.fetch(
            f"SELECT text FROM unnest({number}::text[]) AS t (text) WHERE {sql}",  # noqa: S608
            *arguments.values,
        )

        meant = {text for text in texts if (word,) in split_words((text,), ANY_SEPARATOR)}
        assert {row["text"] for row in rows} == meant
