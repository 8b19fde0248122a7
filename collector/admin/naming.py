"""Resolves what operators type for an organization or a project: its id, or a name that only one has."""

from collections.abc import Sequence
from typing import Final

import asyncpg

from collector.admin.system import OPERATOR
from collector.api.manage.organizations import named_organization
from collector.api.manage.projects import named_project
from collector.database.owners.organizations import Organization, find_organization, organizations_called
from collector.database.owners.projects import Project, find_project, projects_called
from collector.database.row_lock import RowLock
from collector.domain.errors import Conflict, NotFound

_CANDIDATES: Final = 10
"""The most that an error message lists."""


async def resolve_organization(
    connection: asyncpg.Connection, text: str, lock: RowLock = RowLock.NONE
) -> Organization:
    """The organization with this id or, in any case, this name. Raises NotFound and Conflict."""
    found = await named_organization(connection, OPERATOR, text, lock)
    if found is not None:
        return found
    called = await organizations_called(connection, text, limit=_CANDIDATES + 1)
    _check(len(called), "organization", text, [each.id.hex for each in called])
    found = await find_organization(connection, called[0].id, lock)
    if found is None:  # deleted since the line above
        raise NotFound("There is no such organization.")
    return found


async def resolve_project(connection: asyncpg.Connection, text: str, lock: RowLock = RowLock.NONE) -> Project:
    """The project with this id or, in any case, this name. Raises NotFound and Conflict."""
    found = await named_project(connection, OPERATOR, text, lock)
    if found is not None:
        return found
    called = await projects_called(connection, text, limit=_CANDIDATES + 1)
    _check(len(called), "project", text, [f"{each.id.hex} (of {each.organization_name})" for each in called])
    found = await find_project(connection, called[0].id, lock)
    if found is None:
        raise NotFound("There is no such project.")
    return found


def _check(number: int, kind: str, text: str, candidates: Sequence[str]) -> None:
    if number == 0:
        raise NotFound(f"There is no such {kind}.")
    if number > 1:
        more = " and more" if number > _CANDIDATES else ""
        listed = ", ".join(candidates[:_CANDIDATES])
        raise Conflict(f"Several {kind}s are called {text}: {listed}{more}. Name one of them by its id.")
