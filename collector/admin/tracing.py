"""The operators' command that traces an event; a project can be given by name, too."""

from collector.admin.naming import resolve_project
from collector.api.core.service import Api
from collector.api.events.trace import check_reference
from collector.api.events.trace import trace as traced
from collector.api.events.trace_view import TraceView
from collector.database.pool import connected


async def trace(api: Api, reference: str, project: str | None) -> TraceView:
    """What is known about the reference id, in one project or in all."""
    check_reference(reference)
    async with connected(api.pool) as connection:
        project_id = None if project is None else (await resolve_project(connection, project)).id
        return await traced(api, connection, reference, project_id)
