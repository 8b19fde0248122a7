"""The auditor of the crash tests finds violations, and the proxy cuts what it should."""

import json
from collections import Counter
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from loadtests.fault_run.auditor import Answer, Auditor, Findings, Kind
from loadtests.fault_run.kinds import FAULTS
from loadtests.fault_run.proxy import proxied
from loadtests.fault_run.report import Injected
from loadtests.fault_run.watch import Watch
from loadtests.faults import Plan, Run, parse, plan_of, write_report
from tests.conftest import Servers

FOUND = {"e1": 1, "e2": 1, "r1": 1, "broken": 1}
OUTCOMES = {"stored": 3, "duplicate": 1, "discarded": 2, "dead_lettered": 1}


@pytest.fixture
def auditor() -> Auditor:
    """An auditor with one post of every kind, all answered 202; the one with a reference was sent twice."""
    auditor = Auditor()
    for kind, *marks in (
        (Kind.EVENT, "e1", "e2"),
        (Kind.REFERENCED, "r1"),
        (Kind.OLD, "o1", "o2"),
        (Kind.DAMAGED, "broken"),
    ):
        auditor.remember(kind, marks).answers.append(Answer.ACCEPTED)
    auditor.sent[1].answers.insert(0, Answer.UNKNOWN)
    return auditor


def findings(auditor: Auditor, *, found: dict[str, int], outcomes: dict[str, int] | None = None) -> Findings:
    """The findings, with these changes to a correct database."""
    return auditor.judge(Counter(FOUND) | Counter(found), {**OUTCOMES, **(outcomes or {})})


def test_a_kept_promise_is_good(auditor: Auditor) -> None:
    """Everything that was answered 202 is stored once, and the outcomes add up."""
    judged = findings(auditor, found={})

    assert judged.is_good, judged.text()
    assert (judged.accepted, judged.unknown, judged.events_accepted) == (4, 1, 6)


@pytest.mark.parametrize(
    "answer", [pytest.param(Answer.UNKNOWN, id="no answer"), pytest.param(None, id="not yet answered")]
)
@pytest.mark.parametrize("is_there", [True, False])
def test_posts_without_a_202_may_be_stored_or_not(
    auditor: Auditor, answer: Answer | None, *, is_there: bool
) -> None:
    """Only a 202 is a promise."""
    sent = auditor.remember(Kind.EVENT, ["u1"])
    sent.answers += [answer] if answer else []
    counts = {"stored": 3 + is_there, "duplicate": 1 - (is_there and answer is None)}

    judged = findings(auditor, found={"u1": 1} if is_there else {}, outcomes=counts)

    assert judged.is_good, judged.text()


@pytest.mark.parametrize("mark", ["e2", "r1", "broken"])
def test_an_event_that_is_missing_is_lost(auditor: Auditor, mark: str) -> None:
    """Found by its mark."""
    judged = auditor.judge(Counter({key: n for key, n in FOUND.items() if key != mark}), OUTCOMES)

    assert judged.lost == [mark]
    assert not judged.is_good


@pytest.mark.parametrize("mark", ["e2", "r1", "broken"])
def test_an_event_that_is_there_twice_is_found(auditor: Auditor, mark: str) -> None:
    """Even if its post was not answered."""
    assert findings(auditor, found={mark: 2}).twice == [mark]


@pytest.mark.parametrize(
    ("found", "outcomes", "said"),
    [
        pytest.param({"x9": 1}, {"stored": 4, "duplicate": 0}, "x9 was never sent", id="an unknown mark"),
        pytest.param({}, {"stored": 4, "duplicate": 0}, "stored: 4 events are counted, 3", id="stored"),
        pytest.param({}, {"dead_lettered": 0}, "dead_lettered: 0 events", id="dead-lettered"),
        pytest.param({}, {"discarded": 1}, "discarded: 1 events are counted, 2 to 2", id="discarded"),
        pytest.param({}, {"duplicate": 2}, "all outcomes: 8 events are counted, 6 to 7", id="too many"),
        pytest.param({}, {"discarded": 2, "stored": 2, "duplicate": 0}, "all outcomes: 5", id="too few"),
    ],
)
def test_sums_that_do_not_add_up_are_odd(
    auditor: Auditor, found: dict[str, int], outcomes: dict[str, int], said: str
) -> None:
    """Even if every event is stored once."""
    judged = findings(auditor, found=found, outcomes=outcomes)

    assert not judged.is_good
    assert any(odd.startswith(said) for odd in judged.odd), judged.odd


@pytest.mark.integration
async def test_the_auditor_reads_events_dead_letters_and_usage(database_url: str) -> None:
    """With plain SQL, from the tables meant for outside tools."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE TABLE partition PARTITION OF events DEFAULT")
    for mark in ("e1", "e2", "e2"):
        await connection.execute(
            "INSERT INTO events (id, project_id, organization_id, date, created_utc, date_offset_minutes,"
            " is_first_occurrence, type, message, tags)"
            " VALUES ($1, $1, $1, now(), now(), 0, false, 'log', $2, '{}')",
            uuid4(),
            mark,
        )
    await connection.execute(
        "INSERT INTO dead_letters VALUES ($1, NULL, NULL, 'odd', '', $2, '', '', '', '', now())",
        uuid4(),
        b"\x1f\x8bbroken",
    )
    await connection.execute("INSERT INTO usage VALUES ($1, now(), 'stored', '', 3)", uuid4())
    await connection.close()
    auditor = Auditor()
    auditor.remember(Kind.EVENT, ["e1"]).answers.append(Answer.ACCEPTED)
    auditor.remember(Kind.EVENT, ["e2", "e3"], is_text=True).answers.append(Answer.ACCEPTED)
    auditor.remember(Kind.DAMAGED, ["\x1f\x8bbroken"]).answers.append(Answer.ACCEPTED)

    judged = await auditor.look(database_url)

    assert (judged.lost, judged.twice, judged.outcomes) == (["e3"], ["e2"], {"stored": 3})
    assert judged.altered == ["e1"]  # it has lost what it carried
    assert judged.days == 1
    assert "stack None: counted None, there are 3 with 0 first occurrences" in judged.odd


@pytest.mark.integration
async def test_the_proxy_loses_the_reply_to_every_other_write(servers: Servers, key_prefix: str) -> None:
    """The write itself arrives, and other commands are not affected."""
    async with proxied(servers.redis_url) as (cutter, url):
        async with Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=5) as redis:
            stream = f"{key_prefix}stream"
            await redis.xadd(stream, {"n": 0})
            cutter.is_cutting = True
            await redis.ping()
            with pytest.raises(exceptions.ConnectionError):
                await redis.xadd(stream, {"n": 1})
            await redis.xadd(stream, {"n": 2})
            assert await redis.xlen(stream) == 3
        assert cutter.cuts == 1


def test_the_command_line_can_name_faults() -> None:
    """In the given order; by default random ones for ten minutes."""
    first, *_ = FAULTS

    assert plan_of(parse(["--seed", "7", "--fault", first, "--fault", first])).faults == [first, first]
    assert plan_of(parse(["--seed", "7"])) == Plan(7, [], midnight_after_seconds=30)


def test_a_run_is_good_only_when_everything_is() -> None:
    """The auditor's findings, the product's own audit, and no answer that makes clients drop events."""
    kept = Findings(1, 1, 0, 1, 1, {}, [], [], [], [])

    assert Run(1, findings=kept, audit_status=0).is_good
    assert not Run(1, findings=None, audit_status=0).is_good
    assert not Run(1, findings=kept, audit_status=1, audit_output="DIFFERENCE: x").is_good
    assert "DIFFERENCE: x" in Run(1, findings=kept, audit_status=1, audit_output="DIFFERENCE: x").text()
    assert not Run(1, findings=kept, audit_status=0, refused=["401: "]).is_good


def test_a_refusal_that_no_readiness_and_no_metric_names_is_found() -> None:
    """The part after a colon is for operators. A run with such a refusal is not good."""
    watch = Watch([])
    watch.see_readiness(
        b'{"checks":{"queue_full":"The queue is full: 9 bytes","clock":"It is off.","x":"ok"}}'
    )
    watch.see_metrics('headrace_refusing{reason="queue_full"} 1.0\nheadrace_refusing{reason="clock"} 0.0\n')
    watch.see_metrics('headrace_refusing{process="1",reason="disk_short"} 1.0\n')

    assert watch.shows("queue_full")
    assert not watch.shows("clock")
    assert watch.metrics == {"queue_full", "disk_short"}
    assert watch.unseen(["The queue is full.", "It is off.", "Surprise."]) == ["It is off.", "Surprise."]
    kept = Findings(1, 1, 0, 1, 1, {}, [], [], [], [])
    run = Run(1, findings=kept, audit_status=0, unseen=["Surprise."])
    assert not run.is_good
    assert "in no readiness and metric: Surprise." in run.text()


def test_a_report_has_its_figures() -> None:
    """Faults, answers, accepted, lost and duplicated events, and batches written twice."""
    run = Run(7, findings=Findings(3, 2, 1, 5, 2, {"stored": 5}, [], [], [], []), audit_status=0)
    run.audit_output = '{"repeated": {"batches": 4, "posts": 9}}'
    run.history.faults += [Injected("memory full", 1, 2, 2.5), Injected("memory full", 4, 5, 6.5)]
    run.answers.update({202: 2, 0: 1})

    text = run.text()

    assert "     2  memory full" in text
    assert "answers: 1 x 0, 2 x 202" in text
    assert "accepted posts again: 1.5 s (memory full)" in text
    assert "lost 0, twice 0, altered 0" in text
    assert "written twice, stored once: 4 batches" in text
    assert text.endswith("passed")


def test_a_report_is_written_as_json_markdown_and_a_picture(tmp_path: Path) -> None:
    """Sums that do not add up count as unaccounted, and so does a failed audit."""
    findings = Findings(3, 2, 1, 5, 2, {"stored": 4}, ["e1"], [], ["e2"], ["stored: 5 events"])
    run = Run(7, findings=findings, audit_status=1, seconds=10.0)
    run.history.faults += [Injected("memory full", 1, 2, 2.5), Injected("memory full", 4, 5, 6.5)]
    run.history.accepted += [(1.0, 10), (2.0, 30), (9.0, 30)]

    report, text, picture = write_report(run, tmp_path / "reports")

    figures = json.loads(report.read_bytes())
    assert (figures["faults"], figures["accepted_events"], figures["seed"]) == (2, 5, 7)
    assert (figures["lost"], figures["twice"], figures["altered"], figures["unaccounted"]) == (1, 0, 1, 2)
    assert figures["kinds"] == {"memory full": {"count": 2, "longest_seconds_to_next_202": 1.5}}
    assert "**Lost 1, twice 0, altered 1, unaccounted 2.**" in text.read_text()
    assert f"]({picture.name})" in text.read_text()
    assert picture.read_text().count("<title>memory full</title>") == 2
    assert "at most 20;" in picture.read_text()
