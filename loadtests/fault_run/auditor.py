"""The auditor: records every post and its answer, then checks in Postgres that every 202 was honoured.

An event's contents follow from its mark (see `contents`), so that a changed one is found without a copy.

It shares no code with the product. It reads, with plain SQL, the tables that are meant for outside tools, and
knows how each kind of post must end: see `Kind`.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import asyncpg

_CONNECT_SECONDS: Final = 30
_QUERY_SECONDS: Final = 300
_CHUNK: Final = 5_000
_SHOWN: Final = 5
_DAYS: Final = "SELECT count(DISTINCT (created_utc AT TIME ZONE 'UTC')::date) FROM events"
_EVENTS: Final = "SELECT message, reference_id, data->>'contents' FROM events WHERE type <> 'session'"
_STACKS: Final = """
    SELECT coalesce(stacks.id, there.stack_id) AS id, total_occurrences, occurrences, firsts
    FROM stacks FULL JOIN (
        SELECT stack_id, sum(coalesce(nullif(count, 0), 1)) AS occurrences,
            count(*) FILTER (WHERE is_first_occurrence) AS firsts
        FROM events GROUP BY stack_id
    ) AS there ON there.stack_id = stacks.id
    WHERE total_occurrences IS DISTINCT FROM occurrences OR firsts <> 1
"""
_SESSIONS: Final = """
    SELECT 'session ' || session_id || ': ' || starts || ' starts of ' || members || ' events' AS finding
    FROM (
        SELECT data->>'@ref:session' AS session_id, count(*) FILTER (WHERE type = 'session') AS starts,
            count(*) FILTER (WHERE type <> 'session') AS members
        FROM events WHERE data ? '@ref:session' GROUP BY 1
    ) AS named WHERE starts <> 1
    UNION ALL
    SELECT 'sessions ' || a.session_id || ' and ' || b.session_id || ' are one user''s without a pause'
    FROM sessions AS a JOIN sessions AS b USING (project_id, digest, is_manual)
    WHERE a.session_id <> b.session_id
        AND b.start_utc BETWEEN a.start_utc AND a.last_utc + interval '15 minutes'
"""
_MISCOUNTED: Final = "stack {}: counted {}, there are {} with {} first occurrences"


def contents(mark: str) -> str:
    """What an event with this mark carries in `data.contents`."""
    return hashlib.sha256(mark.encode()).hexdigest()


class Kind(StrEnum):
    """How every event of a post must end."""

    EVENT = "event"
    """A row of `events`, found by its message."""
    REFERENCED = "referenced"
    """The same with a reference id: however often it is sent, one row."""
    OLD = "old"
    """Nothing but a count: it is older than the server takes."""
    DAMAGED = "damaged"
    """A dead letter with the post's bytes."""


class Answer(StrEnum):
    """What a sender knows about a post."""

    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    """No answer, or a 503: it may or may not have been stored."""


@dataclass(slots=True)
class Sent:
    """A post: what it was, the marks of its events (their messages, or the damaged body), and its answers."""

    kind: Kind
    marks: tuple[str, ...]
    answers: list[Answer] = field(default_factory=list)
    is_text: bool = False
    """Lines of text have nothing but their messages."""

    @property
    def is_accepted(self) -> bool:
        """Whether a 202 was seen, however often it was sent."""
        return Answer.ACCEPTED in self.answers

    def stored_with(self, mark: str) -> tuple[str | None, str | None]:
        """The reference id and the contents of its event with this mark."""
        reference_id = f"reference-{mark}" if self.kind is Kind.REFERENCED else None
        return reference_id, None if self.is_text else contents(mark)


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found; `lost`, `twice`, `altered` and `odd` must be empty.

    `accepted` and `unknown` are in answers.
    """

    posts: int
    accepted: int
    unknown: int
    events_accepted: int
    days: int
    outcomes: dict[str, int]
    lost: list[str]
    twice: list[str]
    altered: list[str]
    odd: list[str]

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.twice or self.altered or self.odd)

    def text(self) -> str:
        """Return the lines for the report."""
        counts = ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(self.outcomes.items()))
        lines = [
            f"posts: {self.posts:,}, answers: {self.accepted:,} x 202, {self.unknown:,} x 503 or none",
            f"events: {self.events_accepted:,} answered 202; counted: {counts}",
            f"UTC days of acceptance: {self.days}",
            f"lost {len(self.lost)}, twice {len(self.twice)}, altered {len(self.altered)}",
        ]
        named = {"lost": self.lost, "twice": self.twice, "altered": self.altered, "odd": self.odd}
        return "\n".join(
            [*lines, *(f"{name}: {each}" for name, all_ in named.items() for each in all_[:_SHOWN])]
        )


class Auditor:
    """Everything that was sent."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def remember(self, kind: Kind, marks: Iterable[str], *, is_text: bool = False) -> Sent:
        """Record a post that is about to be sent."""
        sent = Sent(kind, tuple(marks), is_text=is_text)
        self.sent.append(sent)
        return sent

    @property
    def accepted(self) -> int:
        """Posts that were answered 202 so far."""
        return sum(sent.is_accepted for sent in self.sent)

    async def look(self, database_url: str) -> Findings:
        """Compare with what is in the database; the stream must be empty by now."""
        connection = await asyncpg.connect(
            database_url, timeout=_CONNECT_SECONDS, command_timeout=_QUERY_SECONDS
        )
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                found, altered = await self._found(connection)
                outcomes = await _outcomes(connection)
                days = await connection.fetchval(_DAYS)
                wrong = [_MISCOUNTED.format(*row) for row in await connection.fetch(_STACKS)]
                wrong += [row["finding"] for row in await connection.fetch(_SESSIONS)]
        finally:
            await connection.close(timeout=_CONNECT_SECONDS)
        return self.judge(found, outcomes, days, wrong, altered)

    async def _found(self, connection: asyncpg.Connection) -> tuple[Counter[str], list[str]]:
        """How often each mark is there, as an event or as a dead letter, and events with other contents."""
        sent_with = {mark: sent for sent in self.sent for mark in sent.marks}
        found: Counter[str] = Counter()
        altered: list[str] = []
        async for mark, reference_id, carried in connection.cursor(_EVENTS, prefetch=_CHUNK):
            found[mark] += 1
            sent = sent_with.get(mark)
            if sent is not None and (reference_id, carried) != sent.stored_with(mark):
                altered.append(mark)
        async for row in connection.cursor("SELECT body FROM dead_letters", prefetch=_CHUNK):
            found[bytes(row["body"]).decode("latin-1")] += 1
        return found, altered

    def judge(
        self,
        found: Counter[str],
        outcomes: dict[str, int],
        days: int = 1,
        wrong: Iterable[str] = (),
        altered: Iterable[str] = (),
    ) -> Findings:
        """Compare with marks by how often they were found, and with events by outcome. Pure.

        `wrong` is what was found wrong with stacks and sessions, `altered` are events with other contents.
        """
        answers = Counter(answer for sent in self.sent for answer in sent.answers)
        wanted = {mark: sent for sent in self.sent if sent.kind is not Kind.OLD for mark in sent.marks}
        return Findings(
            posts=len(self.sent),
            accepted=answers[Answer.ACCEPTED],
            unknown=answers[Answer.UNKNOWN],
            events_accepted=self._events(Kind, Answer.ACCEPTED),
            days=days,
            outcomes=outcomes,
            lost=[mark for mark, sent in wanted.items() if sent.is_accepted and not found[mark]],
            twice=[mark for mark, number in found.items() if number > 1],
            altered=list(altered),
            odd=[
                *(f"{mark} was never sent" for mark in found.keys() - wanted.keys()),
                *self._wrong_sums(found, wanted, outcomes),
                *wrong,
            ],
        )

    def _wrong_sums(
        self, found: Counter[str], wanted: dict[str, Sent], outcomes: dict[str, int]
    ) -> Iterator[str]:
        """Outcomes are events; an answer that is unknown may count or not."""
        damaged = sum(n for mark, n in found.items() if mark in wanted and wanted[mark].kind is Kind.DAMAGED)
        yield from _differs("stored", outcomes.get("stored", 0), found.total() - damaged)
        yield from _differs("dead_lettered", outcomes.get("dead_lettered", 0), damaged)
        yield from self._out_of_bounds("discarded", [Kind.OLD], outcomes.get("discarded", 0))
        yield from self._out_of_bounds("all outcomes", Kind, sum(outcomes.values()))

    def _out_of_bounds(self, what: str, kinds: Iterable[Kind], number: int) -> Iterator[str]:
        kinds = set(kinds)
        least = self._events(kinds, Answer.ACCEPTED)
        most = least + self._events(kinds, Answer.UNKNOWN)
        if not least <= number <= most:
            yield f"{what}: {number} events are counted, {least} to {most} were sent"

    def _events(self, kinds: Iterable[Kind], answer: Answer) -> int:
        wanted = set(kinds)
        return sum(len(sent.marks) * sent.answers.count(answer) for sent in self.sent if sent.kind in wanted)


def _differs(outcome: str, counted: int, found: int) -> Iterator[str]:
    if counted != found:
        yield f"{outcome}: {counted} events are counted, {found} are there"


async def _outcomes(connection: asyncpg.Connection) -> dict[str, int]:
    """Of what was sent: the worker's own events, the starts of sessions, are counted apart."""
    rows = await connection.fetch(
        "SELECT outcome, sum(events)::bigint AS events FROM usage WHERE reason <> 'derived' GROUP BY 1"
    )
    return {row["outcome"]: row["events"] for row in rows}
