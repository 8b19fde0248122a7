"""Which events belong to one session, and where it starts."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.domain.event.outcome import DiscardReason, Event
from collector.domain.event.session_key import SessionKey, session_key
from collector.domain.ids import derived_event_id
from collector.domain.session.assignment import Assignment, assign, dates_by_key
from collector.domain.session.session import Session
from tests.database.rows import PROJECT, an_event

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
USER_KEY = SessionKey(PROJECT.bytes, b"u" * 20, is_manual=False)
NAMED_KEY = SessionKey(PROJECT.bytes, b"n" * 20, is_manual=True)


def _event(minutes: float = 0, **members: Any) -> Event:
    """An event of the user, this many minutes after noon."""
    values: dict[str, Any] = {
        "date": NOON + minutes * MINUTE,
        "session_key": USER_KEY,
        "data": b'{"@user":{"identity":"jane"}}',
    }
    return an_event(**(values | members))


def _named(minutes: float = 0, **members: Any) -> Event:
    """An event of the manual session `a-session-id`."""
    return _event(minutes, session_key=NAMED_KEY, data=b'{"@ref:session":"a-session-id"}', **members)


def _session(first: float = 0, last: float = 0, key: SessionKey = USER_KEY, **members: Any) -> Session:
    """A known session."""
    values: dict[str, Any] = {"start_event_id": b"\x07" * 16, "session_id": "0" * 32}
    return Session(key, start_utc=NOON + first * MINUTE, last_utc=NOON + last * MINUTE, **(values | members))


def _sessions_of(result: Assignment) -> dict[bytes, str]:
    """The session of each stored event."""
    return {event.id: _data(event)["@ref:session"] for event in result.events}


def _data(event: Event) -> dict[str, Any]:
    return msgspec.json.decode(event.data or b"{}", type=dict[str, Any])


def test_an_event_without_a_key_stays_unchanged() -> None:
    """Nothing is looked up or derived for it."""
    events = [_event(session_key=None)]

    assert assign(events, {}) == Assignment(events)
    assert dates_by_key(events) == {}


def test_a_users_first_event_starts_a_session() -> None:
    """Its start is derived, with the event's date, client data, and an id of the same partition."""
    members = b'{"@user":{"identity":"jane"},"@environment":{"o_s_name":"Linux"},"other":1,"@version":"2.0"}'
    event = _event(data=members, geo="40.5,-74", date_offset_minutes=60)

    result = assign([event], {})

    [start], [session] = result.derived, result.new
    assert (start.type, start.date, start.date_offset_minutes) == ("session", NOON, 60)
    assert (start.value, start.geo, start.created_utc) == (Decimal(0), "40.5,-74", event.created_utc)
    assert start.id == derived_event_id(event.id) == session.start_event_id
    assert start.reference_id == session.session_id == start.id.hex()
    assert _data(start) == {
        "@user": {"identity": "jane"},
        "@environment": {"o_s_name": "Linux"},
        "@version": "2.0",
        "@ref:session": session.session_id,
    }
    assert _sessions_of(result) == {event.id: session.session_id}
    assert _data(result.events[0])["other"] == 1


def test_events_of_a_user_without_a_long_pause_are_one_session() -> None:
    """In any order of arrival: some clients send the newest first."""
    events = [_event(minutes) for minutes in (28, 0, 14)]

    result = assign(events, {})

    [session] = result.new
    assert (session.start_utc, session.last_utc) == (NOON, NOON + 28 * MINUTE)
    assert set(_sessions_of(result).values()) == {session.session_id}


def test_after_a_long_pause_a_user_starts_another_session() -> None:
    """More than a quarter of an hour."""
    result = assign([_event(0), _event(15), _event(30.1)], {})

    assert [session.last_utc for session in result.new] == [NOON + 15 * MINUTE, NOON + 30.1 * MINUTE]
    assert len(result.derived) == 2
    assert len(set(_sessions_of(result).values())) == 2


def test_users_and_projects_have_separate_sessions() -> None:
    keys = [session_key(project, "log", None, None, "jane") for project in (b"\1" * 16, b"\2" * 16)]
    keys += [
        session_key(b"\1" * 16, "log", None, None, "john"),
        session_key(b"\1" * 16, "log", None, "john", None),
    ]

    result = assign([_event(session_key=key, data=b'{"@ref:session":"john"}') for key in keys], {})

    assert len(result.new) == 4


@pytest.mark.parametrize(
    "minutes",
    [
        pytest.param(25, id="shortly after"),
        pytest.param(-15, id="shortly before"),
        pytest.param(5, id="within"),
    ],
)
def test_an_event_joins_a_known_session(minutes: float) -> None:
    """The session is extended to its events; the known value itself is not modified."""
    known = _session(0, 10)

    result = assign([event := _event(minutes)], {USER_KEY: [known]})

    [touched] = result.touched
    assert _sessions_of(result) == {event.id: known.session_id}
    assert touched.start_utc == min(NOON, event.date)
    assert touched.last_utc == max(NOON + 10 * MINUTE, event.date)
    assert (result.new, result.derived, known.is_touched) == ([], [], False)


def test_an_event_joins_the_nearest_session() -> None:
    """Late events of an offline client belong to the time when they happened."""
    earlier = _session(-60, -50, session_id="1" * 32, start_event_id=b"\1" * 16)
    later = _session(-30, 0, session_id="2" * 32, start_event_id=b"\2" * 16)
    events = [_event(-62), _event(-44), _event(-36), _event(3)]

    result = assign(events, {USER_KEY: [later, earlier]})

    assert list(_sessions_of(result).values()) == ["1" * 32, "1" * 32, "2" * 32, "2" * 32]
    assert len(result.touched) == 2


def test_a_closed_session_accepts_no_later_events() -> None:
    """The user's next event starts another one; a late earlier event still belongs to it."""
    known = _session(0, 10, closed_utc=NOON + 10 * MINUTE)

    result = assign([late := _event(9), following := _event(11)], {USER_KEY: [known]})

    [new] = result.new
    assert _sessions_of(result) == {late.id: known.session_id, following.id: new.session_id}


def test_an_end_closes_the_session_and_is_no_event() -> None:
    """Later events in the same post belong to another session."""
    events = [_event(0), end := _event(5, type="sessionend"), _event(6)]

    result = assign(events, {})

    assert result.discarded == [(end, DiscardReason.SESSION_END)]
    assert [session.closed_utc for session in result.new] == [NOON + 5 * MINUTE, None]


def test_an_end_without_a_session_starts_none() -> None:
    """It is discarded with its reason all the same."""
    end = _event(type="sessionend")

    assert assign([end], {}) == Assignment(discarded=[(end, DiscardReason.SESSION_END)])


def test_a_start_from_the_client_is_used() -> None:
    """None is derived, even if an event of the same moment comes before it."""
    other, start = _event(), _event(type="session")

    result = assign([other, start], {})

    [session] = result.new
    assert (session.start_event_id, session.session_id) == (start.id, start.id.hex())
    assert result.derived == []
    stored = {event.id: event for event in result.events}
    assert (stored[start.id].reference_id, stored[start.id].value) == (start.id.hex(), Decimal(0))
    assert _data(stored[start.id]) == _data(start)
    assert _data(stored[other.id])["@ref:session"] == start.id.hex()


def test_a_start_with_a_reference_id_keeps_it() -> None:
    """It is the session's id, which later events name."""
    start = _named(type="session", reference_id="a-session-id", value=Decimal(3))

    result = assign([start, event := _named(1)], {})

    assert result.new[0].session_id == "a-session-id"
    assert result.events == [start, event]


def test_a_start_that_follows_its_events_replaces_the_derived_one() -> None:
    """In one transaction. The session starts at the first event's date."""
    events = [_named(0), start := _named(1, type="session", reference_id="a-session-id")]

    result = assign(events, {})

    assert (result.derived, result.new[0].start_event_id, result.new[0].start_utc) == ([], start.id, NOON)


def test_a_second_start_is_discarded() -> None:
    """Also if the first was derived before the client's own arrived."""
    first, second = _event(0, type="session"), _event(1, type="session")
    late = _event(2, type="session")

    together = assign([first, second], {})
    apart = assign([late], {USER_KEY: [_session(0, 10)]})

    assert together.discarded == [(second, DiscardReason.REPEATED_SESSION_START)]
    assert apart.discarded == [(late, DiscardReason.REPEATED_SESSION_START)]
    assert apart.touched[0].last_utc == NOON + 10 * MINUTE


def test_a_manual_session_has_no_maximum_pause() -> None:
    """Its events name it and stay unchanged."""
    events = [_named(0), _named(600)]

    result = assign(events, {})

    [session] = result.new
    assert (session.session_id, result.events) == ("a-session-id", events)
    assert result.derived[0].reference_id == "a-session-id"


def test_a_manual_sessions_id_may_be_any_text() -> None:
    """If it cannot be a reference id, it is only in the data."""
    event = _event(session_key=NAMED_KEY, data=b'{"@ref:session":"\\u00fc \\"x\\""}')

    [start] = assign([event], {}).derived

    assert start.reference_id is None
    assert _data(start)["@ref:session"] == 'ü "x"'


def test_an_error_marks_its_session() -> None:
    """Whether known or new."""
    assert assign([_event(), _event(1, type="error")], {}).new[0].has_error
    assert not assign([_event()], {}).new[0].has_error
    assert assign([_event(1, type="error")], {USER_KEY: [_session()]}).touched[0].has_error


def test_dates_at_the_limits_of_the_calendar_work() -> None:
    """Without a limit on age they are accepted."""
    first = datetime(1, 1, 1, tzinfo=UTC)
    last = datetime.max.replace(tzinfo=UTC)

    result = assign([_event(date=first), _event(date=last)], {})

    assert len(result.new) == 2
    assert dates_by_key([_event(date=last), _event(date=first)]) == {USER_KEY: (first, last)}


@given(
    st.lists(st.tuples(st.integers(0, 90), st.sampled_from(["log", "error", "sessionend"])), max_size=12),
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 30), st.booleans()), max_size=5),
)
def test_the_search_finds_the_same_session_as_comparing_all(
    sent: list[tuple[int, str]], known: list[tuple[int, int, bool]]
) -> None:
    """Though it skips sessions that are over or far ahead."""
    events = [_event(minutes, type=kind) for minutes, kind in sent]
    sessions = [
        _session(
            first,
            first + length,
            closed_utc=NOON + (first + length) * MINUTE if is_closed else None,
            start_event_id=derived_event_id(an_event().id),
            session_id=f"{number:032}",
        )
        for number, (first, length, is_closed) in enumerate(known)
    ]
    expected = _by_a_look_at_all(events, sessions)

    result = assign(events, {USER_KEY: sessions})

    named = _sessions_of(result)
    known_names = {session.session_id for session in sessions}
    found = {id_: name if name in known_names else "new" for id_, name in named.items()}
    assert found == {id_: name if name in known_names else "new" for id_, name in expected.items()}
    together = {(one, other): named[one] == named[other] for one in named for other in named}
    assert together == {(one, other): expected[one] == expected[other] for one, other in together}


def _by_a_look_at_all(events: list[Event], known: list[Session]) -> dict[bytes, str]:
    """The rule: the nearest of the sessions that accept the event; of equals the earliest."""
    sessions = sorted((replace(session) for session in known), key=lambda each: each.start_utc)
    names: dict[bytes, str] = {}
    for event in sorted(events, key=lambda event: (event.date, event.type == "sessionend", event.id)):
        date = event.date
        taking = [session for session in sessions if session.takes(date)]
        session = min(
            taking,
            key=lambda each: (max(each.start_utc - date, date - each.last_utc, 0 * MINUTE), each.start_utc),
            default=None,
        )
        if event.type == "sessionend":
            if session is not None:
                session.close(date)
            continue
        if session is None:
            session = Session(USER_KEY, b"", f"new {len(sessions)}", date, date)
            sessions.append(session)
        session.touch(date)
        names[event.id] = session.session_id
    return names


@pytest.mark.parametrize(
    ("minutes", "kinds", "known"),
    [
        pytest.param(16, ["log"], 0, id="each in a separate session"),
        pytest.param(0.01, ["log", "sessionend"], 0, id="each ended immediately"),
        pytest.param(0.001, ["log"], 1, id="known ones ahead"),
        pytest.param(0.001, ["log"], -1, id="known ones that are over"),
    ],
)
def test_the_time_is_linear_in_the_sessions_of_a_user(minutes: float, kinds: list[str], known: int) -> None:
    """A post of a few kilobytes can start thousands and must not block the worker."""
    seconds = {}
    for number in (500, 4000):
        events = [_event(i * minutes, type=kinds[i % len(kinds)]) for i in range(number)]
        starts = [known * (60 + i * 20) for i in range(number // 4)] if known else []
        sessions = {
            USER_KEY: [
                _session(start, start, start_event_id=derived_event_id(an_event().id)) for start in starts
            ]
        }
        seconds[number] = min(_cpu_seconds(events, sessions) for _ in range(3))

    assert seconds[4000] < 8 * 3 * seconds[500]  # in quadratic time it would be 64 times as long


def _cpu_seconds(events: list[Event], known: dict[SessionKey, list[Session]]) -> float:
    began = time.process_time()
    assign(events, known)
    return time.process_time() - began


@given(st.lists(st.tuples(st.integers(0, 120), st.sampled_from(["log", "session", "sessionend", "error"]))))
def test_the_order_of_arrival_decides_nothing(sent: list[tuple[int, str]]) -> None:
    """Each event is stored or discarded, and each session has one start."""
    events = [_event(minutes, type=event_type) for minutes, event_type in sent]

    result = assign(events, {})
    turned = assign(events[::-1], {})

    discarded = [event for event, _ in result.discarded]
    assert sorted(event.id for event in [*result.events, *discarded]) == sorted(event.id for event in events)
    starts = [event for event in [*result.events, *result.derived] if event.type == "session"]
    assert sorted(event.id for event in starts) == sorted(session.start_event_id for session in result.new)
    assert _sessions_of_all(result) == _sessions_of_all(turned)


def _sessions_of_all(result: Assignment) -> dict[bytes, Any]:
    return {event.id: _data(event).get("@ref:session", event.reference_id) for event in result.events}
