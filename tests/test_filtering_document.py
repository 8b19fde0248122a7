"""`docs/filtering.md` is true: each of its examples finds as many events as it says."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from collector.database.owners.projects import count_projects
from collector.database.pool import close_pool, create_pool
from collector.database.search.event_lists import Selection, count_events
from collector.database.search.owner_filters import Narrowing
from collector.database.search.stack_lists import count_stacks
from collector.database.writing.store import BatchStore
from collector.domain.dates.datemath import LocalClock
from collector.domain.dates.time_range import TimeRange
from collector.domain.filter.aggregation import parse_aggregations
from collector.domain.filter.fields import ALIASES, FIELDS
from collector.domain.filter.parser import parse_filter
from tests.database.rows import ORGANIZATION, PROJECT, an_event, normalized

DOCUMENT = (Path(__file__).parent.parent / "docs" / "filtering.md").read_text()
LANGUAGE, AGGREGATIONS, OWNERS = re.split("\n# (?:Aggregations|Organizations and projects)\n", DOCUMENT)
EXAMPLES, OF_PROJECTS = (re.findall(r"^(\S.*?) +# (\d+)", part, re.MULTILINE) for part in (LANGUAGE, OWNERS))
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

CLOSED = "checkout closed by https://pay.example.com/done at 10.0.0.7:443"
ERROR = {"message": "Payment refused", "type": "Shop.PaymentException", "code": "402"}
MEMBERS: list[dict[str, Any]] = [
    {
        "type": "error",
        "source": "Shop.Orders.Checkout",
        "message": "Payment refused",
        "reference_id": "order-4711",
        "date": datetime(2026, 11, 20, 9, tzinfo=UTC),
        "tags": ("Black Friday", "old"),
        "value": Decimal(10),
        "data": {"@level": "Error", "@version": "2.1.3", "@user": {"identity": "erika"}, "@error": ERROR},
    },
    {
        "type": "error",
        "source": "Shop.Orders.Basket",
        "message": "The basket is empty",
        "date": datetime(2026, 11, 20, 10, tzinfo=UTC),
        "value": Decimal(20),
        "data": {"@level": "Info", "@version": "2.1", "basket": 7, "gift": True},
    },
    {
        "type": "404",
        "source": "GET /cart",
        "date": datetime(2026, 11, 20, 11, tzinfo=UTC),
        "data": {"@request": {"path": "/cart"}, "@version": "2.10"},
    },
    {
        "type": "log",
        "source": "Shop.Mail",
        "message": "50 % off",
        "date": datetime(2026, 11, 21, 9, tzinfo=UTC),
        "value": Decimal(30),
        "data": {"@level": "Warn", "basket": "5", "coupon": "xmas", "@ref:session": "session-4711"},
    },
    {
        "type": "log",
        "message": "checkout opened",
        "reference_id": "order-4712",
        "date": datetime(2026, 11, 21, 10, tzinfo=UTC),
        "data": {"shipping": {"city": "Berlin"}},
    },
    {"type": "log", "message": CLOSED, "date": datetime(2026, 11, 22, 9, tzinfo=UTC)},
]


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """The document's events, three of which have a stack that is fixed and critical."""
    pool = await create_pool(database_url, max_size=2)
    events = [an_event(**{**members, "data": orjson.dumps(members.get("data", {}))}) for members in MEMBERS]
    await BatchStore(pool).save([normalized(*events)])
    await pool.execute(
        "UPDATE stacks SET status = 'fixed', occurrences_are_critical = true,"
        " title = CASE WHEN title = 'Shop.Orders.Checkout' THEN 'Payment refused' ELSE title END"
        " WHERE type <> 'log'"
    )
    yield pool
    await close_pool(pool)


def a_selection(text: str) -> Selection:
    """The example's selection on the document's day."""
    return Selection([PROJECT], parse_filter(text), TimeRange(), LocalClock(NOW))


@pytest.mark.integration
async def test_each_example_finds_what_it_says(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        found = {text: await count_events(connection, a_selection(text)) for text, _ in EXAMPLES}

    assert found == {text: int(count) for text, count in EXAMPLES}


@pytest.mark.integration
async def test_examples_about_stacks_find_stacks(pool: asyncpg.Pool) -> None:
    """The same language for the list of stacks."""
    async with pool.acquire() as connection:
        assert await count_stacks(connection, a_selection("is_fixed:true")) == 3
        assert await count_stacks(connection, a_selection("status:open message:off")) == 1


@pytest.mark.integration
async def test_examples_about_projects_find_projects(pool: asyncpg.Pool) -> None:
    """Those in the document's last part."""
    await pool.execute("INSERT INTO organizations (id, name) VALUES ($1, 'Acme')", ORGANIZATION)
    for number, (name, year) in enumerate((("Web Shop", 2026), ("Shop Mail", 2026), ("Reports", 2025))):
        await pool.execute(
            "INSERT INTO projects (id, organization_id, name, created_utc) VALUES ($1, $2, $3, $4)",
            UUID(int=number),
            ORGANIZATION,
            name,
            datetime(year, 11, 20, tzinfo=UTC),
        )
    async with pool.acquire() as connection:
        found = {
            text: await count_projects(
                connection, [ORGANIZATION], Narrowing(parse_filter(text), LocalClock(NOW))
            )
            for text, _ in OF_PROJECTS
        }

    assert found == {text: int(count) for text, count in OF_PROJECTS}


def test_the_examples_are_found_in_the_document() -> None:
    """So a change of its format does not disable these tests."""
    assert len(EXAMPLES) > 50
    assert len(OF_PROJECTS) > 5


def test_every_aggregation_in_the_document_is_valid() -> None:
    (block,) = re.findall(r"```\n(.*?)```", AGGREGATIONS, re.DOTALL)

    assert all(parse_aggregations(line) for line in block.splitlines())


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_in_the_document(name: str) -> None:
    """In a table or an example, by its name or an alias."""
    names = {name, *(alias for alias, field in ALIASES.items() if field == name)}
    assert any(
        re.search(rf"`{re.escape(each)}`|^{re.escape(each)}:", LANGUAGE, re.MULTILINE) for each in names
    )
