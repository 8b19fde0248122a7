"""A filter of organizations or projects selects exactly the matching ones."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings

from collector.database.owners.organizations import list_organizations
from collector.database.owners.projects import count_projects, list_projects
from collector.database.search.filter_sql import Arguments
from collector.database.search.owner_filters import (
    Narrowing,
    OrganizationConditions,
    ProjectConditions,
    narrowed,
)
from collector.domain.dates.datemath import LocalClock
from collector.domain.errors import BadRequest
from collector.domain.filter.owner_fields import ORGANIZATION_FIELDS, PROJECT_FIELDS
from collector.domain.filter.parser import parse_filter
from collector.domain.filter.tree import And, Bound, Exists, Filter, Match, Range, Term, Wildcard
from tests.conftest import SCALE
from tests.database.filter_reference import PUNCTUATION, Compare, exact, flag, id_, moment, says, words
from tests.database.random_filters import Chance
from tests.database.rows import ORGANIZATION, today
from tests.domain.filter_trees import trees, written

pytestmark = pytest.mark.integration

ROWS, FILTERS = 30, 80 * SCALE
CLOCK = LocalClock(today())


class Kind(NamedTuple):
    """What is filtered: the comparison and the column of each field."""

    table: str
    conditions: type[OrganizationConditions | ProjectConditions]
    fields: Mapping[str, tuple[Compare, str]]


_BOTH: dict[str, tuple[Compare, str]] = {
    "id": (id_, "id"),
    "name": (words(PUNCTUATION), "name"),
    "created": (moment, "created_utc"),
    "created_utc": (moment, "created_utc"),
    "updated": (moment, "updated_utc"),
    "updated_utc": (moment, "updated_utc"),
}
ORGANIZATIONS = Kind(
    "organizations o",
    OrganizationConditions,
    {
        **_BOTH,
        "organization": (id_, "id"),
        "organization_id": (id_, "id"),
        "is_suspended": (flag, "is_suspended"),
    },
)
PROJECTS = Kind(
    "projects p",
    ProjectConditions,
    {
        **_BOTH,
        "organization": (id_, "organization_id"),
        "organization_id": (id_, "organization_id"),
        "project": (id_, "id"),
        "project_id": (id_, "id"),
    },
)
KINDS = pytest.mark.parametrize("kind", [ORGANIZATIONS, PROJECTS], ids=["organizations", "projects"])


@pytest.fixture
async def world(pool: asyncpg.Pool) -> None:
    """Organizations with a project each, with random names."""
    chance, random = Chance(6), Random(6)  # noqa: S311 - the same in every run
    for number in range(ROWS):
        created, updated = (today() - timedelta(hours=random.randrange(80)) for _ in range(2))
        organization, project = (uuid5(ORGANIZATION, f"{kind}{number}") for kind in "op")
        await pool.execute(
            "INSERT INTO organizations (id, name, is_suspended, created_utc, updated_utc)"
            " VALUES ($1, $2, $3, $4, $5)",
            organization,
            chance.text(),
            random.random() < 0.5,
            created,
            updated,
        )
        await pool.execute(
            "INSERT INTO projects (id, organization_id, name, created_utc, updated_utc)"
            " VALUES ($1, $2, $3, $4, $5)",
            project,
            organization,
            chance.text(),
            updated,
            created,
        )


@KINDS
@pytest.mark.usefixtures("world")
async def test_random_filters_select_the_matching_rows(pool: asyncpg.Pool, kind: Kind) -> None:
    """Compared with the reference in plain Python for each row."""
    rows = [dict(row) for row in await pool.fetch(f"SELECT * FROM {kind.table}")]  # noqa: S608
    ids = [str(row[name].hex) for row in rows[:5] for name in ("id", "organization_id") if name in row]
    chance, selective = Chance(7, [*kind.fields, "Name", "NAME", "plan_name", "data.x"]), 0
    for _ in range(FILTERS):
        tree = chance.filter(ids)
        selected = await chosen(pool, kind, tree)
        meant = {row["id"] for row in rows if is_meant(tree, kind, row)}

        assert selected == meant, f"{written(tree)}\n{tree}"
        selective += 0 < len(selected) < len(rows)

    assert selective >= FILTERS / 8


def is_meant(tree: Filter, kind: Kind, row: Mapping[str, Any]) -> bool:
    """Whether the filter selects the row."""

    def values(name: str) -> tuple[Compare, list[Any]]:
        compare, column = kind.fields.get(name.lower(), (exact, ""))
        return compare, [row[column]] if column else []

    return says(tree, ["name", "id"], values, CLOCK)


async def chosen(pool: asyncpg.Pool, kind: Kind, tree: Filter) -> set[UUID]:
    """The ids that the filter's SQL selects."""
    sql, arguments = condition(kind, tree)
    rows = await pool.fetch(f"SELECT id FROM {kind.table} WHERE {sql}", *arguments)  # noqa: S608
    return {row["id"] for row in rows}


def condition(kind: Kind, tree: Filter) -> tuple[str, Sequence[Any]]:
    """The filter's SQL and its arguments."""
    arguments = Arguments()
    return narrowed(kind.conditions, Narrowing(tree, CLOCK), arguments), arguments.values


@given(tree=trees)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # no rows are stored here
async def test_every_tree_gives_a_valid_statement(pool: asyncpg.Pool, tree: Filter) -> None:
    """Invalid values are refused before."""
    for kind in (ORGANIZATIONS, PROJECTS):
        with suppress(BadRequest):
            assert await chosen(pool, kind, tree) == set()


@KINDS
def test_no_text_of_a_filter_is_in_the_statement(kind: Kind) -> None:
    """Names of fields and values are arguments, even if they look like SQL."""
    evil = Term(("');DROP TABLE projects;--", Wildcard.ANY))
    ends = Range(Bound("');DROP", is_included=True), Bound("x", is_included=False))
    for name in [None, *ORGANIZATION_FIELDS, *PROJECT_FIELDS, "data.');DROP", "');DROP"]:
        for value in (evil, Term(("');DROP",), is_quoted=True), ends):
            with suppress(BadRequest):
                assert "DROP" not in condition(kind, And((Match(name, value), Exists(name or "x"))))[0]


async def test_a_filter_only_narrows_the_callers_own(pool: asyncpg.Pool) -> None:
    """Whatever it says: the organizations are given."""
    mine, other = (uuid5(ORGANIZATION, name) for name in ("mine", "other"))
    for owner in (mine, other):
        await pool.execute("INSERT INTO organizations (id, name) VALUES ($1, 'Acme')", owner)
        await pool.execute(
            "INSERT INTO projects (id, organization_id, name) VALUES ($1, $2, 'Shop')",
            uuid5(owner, "project"),
            owner,
        )
    for text, found in (("acme OR shop", 1), (f"name:* OR id:{other.hex}", 1), ("name:none", 0)):
        narrowing = Narrowing(parse_filter(text), CLOCK)
        async with pool.acquire() as connection:
            organizations = await list_organizations(connection, [mine], narrowing)
            projects = await list_projects(connection, [mine], narrowing, limit=10, offset=0)
            assert {one.id for one in organizations} == ({mine} if found else set())
            assert {one.organization_id for one in projects} == ({mine} if found else set())
            assert await count_projects(connection, [mine], narrowing) == found
