"""What happened to an event, for operators, who name projects by name, too."""

from collector.api.service import Api
from collector.api.trace import check_reference
from collector.api.trace import trace as traced
from collector.api.trace_view import TraceView
from collector.database.pool import connected
from collector.operate.naming import meant_project


async def trace(api: Api, reference: str, project: str | None) -> TraceView:
    """What is known of the reference id, in one project or in all."""
    check_reference(reference)
    async with connected(api.pool) as connection:
        project_id = None if project is None else (await meant_project(connection, project)).id
        return await traced(api, connection, reference, project_id)
