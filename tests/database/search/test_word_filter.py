"""What an event needs to match a filter is in its searched text, so that an index of it misses no event."""

from datetime import timedelta
from math import inf
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from collector.database.schema.word_indexes import (
    build_word_index,
    prepare_word_indexes,
    seen_letters,
)
from collector.database.search import word_scan
from collector.database.search.event_lists import Selection, count_events, find_events
from collector.database.search.filter_sql import Arguments, EventConditions
from collector.database.search.word_filter import Lookup, need_condition, need_of
from collector.database.writing.store import BatchStore
from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import TimeRange
from collector.domain.filter.parser import parse_filter
from collector.domain.filter.sorting import parse_order
from collector.domain.filter.tree import Term, Wildcard
from collector.domain.ids import DAY_MS
from tests.conftest import SCALE
from tests.database.filter_reference import holds
from tests.database.random_filters import Chance
from tests.database.rows import OTHER_PROJECT, PROJECT, an_event, days_ago, normalized, today
from tests.database.word_parts import build_parts
from tests.domain.filter_trees import written

EVENTS, FILTERS = 150, 400 * SCALE
CLOCK = LocalClock(today())
TEXTS = [
    "first line\nunheardof\ttabbed\r\n",
    'he said "unheard-of words" and \\left',
    "erika.mustermann+shop@example.com",
    "https://pay.example.com:8443/done/order?order=4711&next=%2Fcart#top",
    "Shop.Orders.Checkout.PaymentRefusedException",
    "version 2.10.3-beta.11+build.7",
    "snake_case_name __init__ a_b",
    "café crème GRÖSSE straße ẞ",
    "e\u0301te\u0301 Ame\u0301lie",
    "调用接口跳转到登录地址失败 error登录",
    "ひらがなカタカナ한국어테스트",
    "Привет, МИР! ПРИВЕТСТВИЕ",
    "C:\\temp\\new\\readme.txt \\\\server\\share",
    "control\x01\x1fcharacters\x7fhere \\u0041 \\n",
    "İstanbul ISTANBUL ıssız K\u212aelvin",
    "o’clock can’t ’quoted’ “quotes”",
    "<script>alert('x')</script> {\"json\": [1, true, null]}",
    "-4711 100% 50_50 10.0.0.12 ::ffff:10.0.0.1",
    "long" + "x" * 3000 + "tail",
    "⚠\ufe0fWarning🎉party²³¹",
]


class Chances(Chance):
    """Also texts with what JSON escapes and indexes split, and pieces of them in filters."""

    _pieces = Random(9)  # noqa: S311 - the same in every run

    def text(self) -> str:
        if self._pieces.random() < 0.4:
            return super().text()
        return self._pieces.choice(TEXTS)

    def value(self, name: str, ids: list[str]) -> str:
        found = super().value(name, ids)
        if found not in TEXTS:
            return found
        return self.piece(found)

    def term(self, text: str, name: str = "") -> Term:
        return super().term(self.piece(text) if text in TEXTS else text, name)

    def piece(self, text: str) -> str:
        """A word of the text, or any part of it."""
        if self._pieces.random() < 0.5:
            return self._pieces.choice(text.split() or [text])
        begin = self._pieces.randrange(len(text))
        return text[begin : begin + self._pieces.randrange(1, 14)]


@pytest.fixture
async def world(pool: asyncpg.Pool) -> tuple[list[dict[str, Any]], dict[UUID, Any]]:
    """Random events of four milliseconds of a day that has an index of words, and their stacks."""
    chance = Chances(6)
    moments = [days_ago(1) + timedelta(milliseconds=number) for number in range(4)]
    events = [chance.event(moments[number % 4], days_ago(1)) for number in range(EVENTS)]
    events += [
        an_event(
            accepted=moments[place % 4],
            place=place,
            message=text,
            source=text[:500],
            tags=(text[:200],),
            data=orjson.dumps({"own": {"text": text}, "list": [text], text[:50]: "key", "@error": ["odd"]}),
        )
        for place, text in enumerate(TEXTS)
    ]
    await BatchStore(pool).save([normalized(*events)])
    await prepare_word_indexes(pool)
    assert await build_word_index(pool) == days_ago(1).date()
    rows = [dict(row) for row in await pool.fetch("SELECT * FROM events ORDER BY id")]
    for event in rows:
        event["data"] = orjson.loads(event["data"])
    return rows, {row["id"]: dict(row) for row in await pool.fetch("SELECT * FROM stacks")}


@pytest.mark.integration
async def test_no_matching_event_lacks_what_the_filter_needs(
    pool: asyncpg.Pool, world: tuple[list[dict[str, Any]], dict[UUID, Any]]
) -> None:
    """Neither by the filter's SQL nor by the reference in plain Python, for thousands of random pairs."""
    events, stacks = world
    chance, needs, selective = Chances(7), 0, 0
    ids = [event[name].hex for event in events[:5] for name in ("id", "stack_id", "project_id")]
    for _ in range(FILTERS):
        tree = chance.filter(ids)
        if (need := need_of(tree, CLOCK)) is None:
            continue
        needs += 1
        arguments = Arguments()
        projects = arguments.add([PROJECT, OTHER_PROJECT]) + "::uuid[]"
        exact = EventConditions(arguments, projects, CLOCK).of(tree)
        needed = need_condition(need, arguments.add)
        rows = await pool.fetch(
            f"SELECT id, ({exact}) IS TRUE AS is_exact, {needed} AS is_needed FROM events AS e"  # noqa: S608
            " WHERE project_id = ANY($1)",
            *arguments.values,
        )
        lost = [row["id"] for row in rows if row["is_exact"] and not row["is_needed"]]
        kept = {row["id"] for row in rows if row["is_needed"]}
        lost += [
            event["id"]
            for event in events
            if event["id"] not in kept and holds(tree, event, stacks.get(event["stack_id"]), CLOCK)
        ]

        assert not lost, (
            f"{written(tree)}\n{tree}\n{need}\n{[event for event in events if event['id'] in lost][:1]}"
        )
        selective += len(kept) < len(rows)

    assert needs >= FILTERS / 8
    assert selective >= FILTERS / 16


@pytest.mark.integration
@pytest.mark.parametrize("has_parts", [False, True], ids=["whole day", "parts of a day"])
async def test_random_filters_find_the_same_events_by_the_index(
    pool: asyncpg.Pool,
    world: tuple[list[dict[str, Any]], dict[UUID, Any]],
    monkeypatch: pytest.MonkeyPatch,
    *,
    has_parts: bool,
) -> None:
    """With parts: three of the four milliseconds are in two of them, the last one is in none."""
    events, stacks = world
    if has_parts:
        noon = DAY_MS // 2
        await build_parts(pool, days_ago(1).date(), [(0, noon + 1), (noon + 1, noon + 3)])
    monkeypatch.setattr(word_scan, "_FEW_EVENTS", 0.0)
    monkeypatch.setattr(word_scan, "_COST_BYTES", inf)
    chance, by_index = Chances(8), 0
    ids = [event[name].hex for event in events[:5] for name in ("id", "stack_id", "project_id")]
    async with pool.acquire() as connection:
        await connection.execute("SET enable_seqscan = off")
        for number in range(FILTERS // 8):
            tree = chance.filter(ids)
            selection = Selection([PROJECT, OTHER_PROJECT], tree, TimeRange(), CLOCK)
            meant = {
                event["id"] for event in events if holds(tree, event, stacks.get(event["stack_id"]), CLOCK)
            }
            order = parse_order(("-created", "-date")[number % 2])
            found = await find_events(connection, selection, order, limit=1000)
            assert {event.id for event in found} == meant, written(tree)
            assert await count_events(connection, selection) == len(meant), written(tree)
            by_index += need_of(tree, CLOCK) is not None
        await connection.execute("RESET enable_seqscan")
    assert by_index >= FILTERS / 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("checkout", [[{"checkout"}]]),
        ("Payment refused", [[{"payment"}], [{"refused"}]]),
        ('"payment refused"', [[{"payment", "refused"}]]),
        ("payment OR refused", [[{"payment"}, {"refused"}]]),
        ("payment OR NOT refused", None),
        ("payment NOT refused", [[{"payment"}]]),
        ("NOT payment", None),
        ("at", None),
        ("message:re?sed", [[{"sed"}]]),
        ("message:*fuse*", [[{"fuse"}]]),
        ("cafe*", None),
        ("cafe", [[Lookup("reference_id", "cafe"), {"cafe"}]]),
        ("reference:CAFE*", None),
        ("reference:order-47*", [[{"order"}]]),
        ("message:cafe*", [[{"cafe"}]]),
        ("chec*", [[{"chec"}]]),
        ("user:erika@example.com", [[{"erika"}]]),
        ("erika@example.com", [[{"erika"}]]),
        ("source:Shop.Orders", [[{"shop", "orders"}]]),
        ("message:登录地址", None),
        ("message:МИР", [[{"мир"}]]),
        ("message:\U00010d50\U00010d51\U00010d52", None),
        ("message:abc\U00010d50", [[{"abc"}]]),
        ("data.basket:>5", [[{"basket"}]]),
        ("_exists_:data.basket", [[{"basket"}]]),
        ("_exists_:level", None),
        ("data.order.lines.0:x", [[{"order", "lines"}]]),
        ("data.@error.inner:foobar", None),
        ("data.@error.stack_trace.0.name:foobar", None),
        ("status:open", None),
        ("status:open payment", [[{"payment"}]]),
        ("status:open OR payment", None),
        ("type:error", [[{"error"}]]),
        ("value:>900", None),
        ("unknown:payment", None),
        ("unknown:payment OR payment", None),
        (
            "01a0000000007000800000000000000a",
            [
                [
                    Lookup("id", UUID("01a00000-0000-7000-8000-00000000000a")),
                    Lookup("reference_id", "01a0000000007000800000000000000a"),
                    {"01a000000000700080000000"},
                ]
            ],
        ),
    ],
)
def test_what_an_event_needs_to_match(text: str, expected: list[list[Any]] | None) -> None:
    need = need_of(parse_filter(text), CLOCK)

    found = None if need is None else [set(clause) for clause in need.clauses]
    meant = (
        None
        if expected is None
        else [{one if isinstance(one, Lookup) else frozenset(one) for one in clause} for clause in expected]
    )
    assert found == meant


@pytest.mark.parametrize(
    "text", [" OR ".join(f"word{n}" for n in range(150)), " ".join(f"word{n}" for n in range(150))]
)
def test_what_an_event_needs_is_bounded(text: str) -> None:
    need = need_of(parse_filter(text), CLOCK)

    assert need is None or sum(map(len, need.clauses)) <= 20


@pytest.mark.integration
@pytest.mark.parametrize("wildcard", [*Wildcard, None])
async def test_characters_that_the_database_takes_for_no_letters_are_not_needed(
    pool: asyncpg.Pool, wildcard: Wildcard | None
) -> None:
    """An index without any letter of a word would have to be read as a whole."""
    await prepare_word_indexes(pool)
    star = {Wildcard.ANY: "*", Wildcard.ONE: "?", None: ""}[wildcard]
    need = need_of(parse_filter(f"message:²³¹{star} message:größe"), CLOCK)
    assert need is not None
    async with pool.acquire() as connection:
        assert await seen_letters(connection, need.foreign) in ({"ö", "ß"}, {"ö", "ß", "²", "³", "¹"}, set())

    without = need.seen_as(set())

    assert without is None
    some = need.seen_as({"ö"})
    assert some is not None
    assert some.clauses == (frozenset([frozenset(["grö"])]),)
