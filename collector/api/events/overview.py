"""The state of the whole server: `GET /admin/overview`, which the page `/system` shows."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Final

import msgspec
from aiohttp import web

from collector.api.auth.searching import searching
from collector.api.core.diagnosis import Finding, judge_database, judge_queue
from collector.api.core.route import Role, Route
from collector.api.core.service import API
from collector.broker.errors import BrokerUnavailable
from collector.broker.queue.queue_condition import read_queue_condition
from collector.database.search.condition import read_database_condition
from collector.database.search.overview import read_overview
from collector.database.writing.dead_letters import fullness
from collector.http.operation import Answer, documented
from collector.http.responses import json_response

_DAY: Final = timedelta(hours=24)


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """The queue now; `problem` says why it cannot be read, and then the numbers are null.

    `workers` have asked for entries within the last minute. `oldest_utc` is null if the queue is empty.
    """

    entries: int | None = None
    oldest_utc: datetime | None = None
    workers: int | None = None
    problem: str | None = None


class OutcomeState(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the events accepted in the last 24 hours had this outcome."""

    outcome: str
    reason: str
    events: int


class LetterState(msgspec.Struct, frozen=True, kw_only=True):
    """The dead letters that are kept for a reason."""

    reason: str
    letters: int
    bytes: int


class OverviewView(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the server; `rollups_behind` are days that are over and lack a rollup.

    `dead_letters_fullness` is the part of its room that the project with the most dead letters has used; at 1
    the oldest lose their bytes. `replays` are posts of dead letters that wait to be stored.
    `findings` are what is wrong, as `headrace doctor` says it.

    `partitions_ahead` are the days after today that have their partition.
    """

    queue: QueueState
    outcomes: list[OutcomeState]
    dead_letters: list[LetterState]
    dead_letters_fullness: float
    held_posts: int
    replays: int
    partitions: int
    partitions_ahead: int
    event_bytes: int
    database_bytes: int
    rollups_behind: int
    findings: list[Finding]
    kept_since: datetime


@documented("Admin", {200: Answer(OverviewView)})
async def get_overview(request: web.Request) -> web.Response:
    """Show the state of the server: queue, workers, outcomes of 24 hours, dead letters and sizes."""
    api = request.app[API]
    now = api.clock.now()
    # The page shows what Postgres knows even while Redis is down.
    try:
        queue = QueueState(
            entries=await api.queue_look.length(),
            oldest_utc=min(await api.queue_look.oldest(), default=None),
            workers=await api.queue_look.workers(),
        )
        findings = list(judge_queue(await read_queue_condition(api.redis, api.keys), now))
    except BrokerUnavailable as error:
        queue, findings = QueueState(problem=f"Redis cannot be read: {error}"), []
    async with searching(request) as connection:
        overview = await read_overview(connection, now - _DAY, now)
        full = await fullness(connection)
        findings += judge_database(await read_database_condition(connection), overview, now)
    members = asdict(overview) | {
        "outcomes": [OutcomeState(**each._asdict()) for each in overview.outcomes],
        "dead_letters": [LetterState(**each._asdict()) for each in overview.dead_letters],
    }
    return json_response(
        OverviewView(
            queue=queue,
            dead_letters_fullness=full,
            findings=findings,
            kept_since=api.oldest_kept,
            **members,
        )
    )


ROUTES: Final = (Route("GET", "/admin/overview", get_overview, Role.GLOBAL),)
