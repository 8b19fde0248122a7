"""Building a row from a raw event: defaults, limits, and no value lost."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from collector.domain.event.build import INVALID_REFERENCE_ID, Sender, build_event
from collector.domain.event.outcome import DiscardReason, Event
from collector.domain.ids import event_id
from tests.support.factories import ACCEPTED_MS, a_post

NOW = datetime.fromtimestamp(ACCEPTED_MS / 1000, UTC)
THREE_DAYS = timedelta(days=3)
POST = a_post(user_agent="Exceptionless-JS/3.2.1", client_ip="203.0.113.7")
CLIENT = {"ip_address": "203.0.113.7", "user_agent": "exceptionless-js", "version": "3.2.1"}


def an_event(raw: dict[str, Any]) -> Event:
    """The row of a raw event without a limit on its age."""
    event = build_event(raw, 0, Sender.of(POST), None)
    assert isinstance(event, Event)
    return event


def data_of(raw: dict[str, Any]) -> dict[str, Any]:
    """The stored `data`, without members that the server adds."""
    data = msgspec.json.decode(an_event(raw).data or b"{}", type=dict[str, Any])
    assert data.pop("@submission_client") == CLIENT
    return data


def test_an_empty_event_is_a_log_of_now() -> None:
    """Every member has a default."""
    event = an_event({})

    assert (event.type, event.date, event.created_utc) == ("log", NOW, NOW)
    assert (event.message, event.source, event.reference_id, event.geo) == (None, None, None, None)
    assert (event.value, event.count, event.tags) == (None, None, ())
    assert data_of({}) == {}


def test_an_event_belongs_to_its_post() -> None:
    """Its id is that of the post with its position; organization and project are those that ingest found."""
    event = build_event({"id": "f" * 24, "project_id": "x", "OrganizationId": "y"}, 7, Sender.of(POST), None)

    assert isinstance(event, Event)
    assert event.id == event_id(POST.id, 7)
    assert event.project_id == POST.project_id
    assert event.organization_id == POST.organization_id


@pytest.mark.parametrize(
    ("raw", "members"),
    [
        pytest.param({"type": "usage", "source": "a.b"}, {"type": "usage", "source": "a.b"}, id="as written"),
        pytest.param(
            {"Message": "m", "ReferenceId": "ref-00001"},
            {"message": "m", "reference_id": "ref-00001"},
            id="PascalCase",
        ),
        pytest.param({"referenceId": "ref-00001"}, {"reference_id": "ref-00001"}, id="camelCase"),
        pytest.param({"MESSAGE": "m"}, {"message": "m"}, id="upper case"),
        pytest.param(
            {"type": None, "message": None, "value": None}, {"type": "log"}, id="nulls are not given"
        ),
        pytest.param({"type": " \t"}, {"type": "log"}, id="a blank type"),
        pytest.param({"type": "t" * 101}, {"type": "t" * 100}, id="a long type"),
        pytest.param(
            {"message": "m" * 2001, "source": "s" * 2001},
            {"message": "m" * 2000, "source": "s" * 2000},
            id="long texts are cut",
        ),
        pytest.param(
            {"message": "", "source": ""}, {"message": None, "source": None}, id="empty texts are dropped"
        ),
        pytest.param(
            {"message": 5, "source": True, "type": Decimal("1.50")},
            {"message": "5", "source": "true", "type": "1.50"},
            id="scalars for texts",
        ),
        pytest.param({"value": 5, "count": 3}, {"value": Decimal(5), "count": 3}, id="whole numbers"),
        pytest.param(
            {"value": Decimal("0.10"), "count": Decimal("2.0")},
            {"value": Decimal("0.10"), "count": 2},
            id="fractions",
        ),
        pytest.param({"count": 2**31 - 1}, {"count": 2**31 - 1}, id="the largest count"),
        pytest.param({"geo": "40.5,-74.25"}, {"geo": "40.5,-74.25"}, id="a place"),
        pytest.param({"geo": " -90 , 180 "}, {"geo": "-90,180"}, id="the edge of the map"),
        pytest.param(
            {"id": "5f0e2d3c4b5a69788796a5b4"},
            {"reference_id": "5f0e2d3c4b5a69788796a5b4"},
            id="the sender's id becomes the reference",
        ),
        pytest.param(
            {"id": "sender-id-1", "reference_id": "ref-00001"},
            {"reference_id": "ref-00001"},
            id="unless there is one",
        ),
        pytest.param({"@error": {"message": "m"}}, {"type": "error"}, id="an error at the root"),
        pytest.param({"data": {"@simple_error": {}}}, {"type": "error"}, id="a simple error"),
        pytest.param({"data": {"@error": None}}, {"type": "log"}, id="an error that is null"),
        pytest.param({"data": {"@error": "text"}}, {"type": "log"}, id="an invalid error"),
        pytest.param(
            {"type": "log", "@error": {"message": "m"}}, {"type": "log"}, id="a type given beats it"
        ),
    ],
)
def test_known_members_become_columns(raw: dict[str, Any], members: dict[str, Any]) -> None:
    """In any of the spellings that clients use, within the limits of the contract."""
    event = an_event(raw)

    assert {name: getattr(event, name) for name in members} == members


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        pytest.param(
            {"name": "value", "Other": None}, {"name": "value", "Other": None}, id="unknown members"
        ),
        pytest.param({"_id": 1, "m_essage": 2}, {"_id": 1, "m_essage": 2}, id="names that only look known"),
        pytest.param({"message": {"a": 1}}, {"message": {"a": 1}}, id="an object for a text"),
        pytest.param({"Value": "five"}, {"Value": "five"}, id="a text for a number"),
        pytest.param({"value": True}, {"value": True}, id="a boolean for a number"),
        pytest.param({"count": -1}, {"count": -1}, id="a negative count"),
        pytest.param({"count": 2**31}, {"count": 2**31}, id="a count that is too large"),
        pytest.param({"count": Decimal("1.5")}, {"count": 1.5}, id="half a count"),
        pytest.param({"geo": "91,0"}, {"geo": "91,0"}, id="off the map"),
        pytest.param({"geo": "203.0.113.7"}, {"geo": "203.0.113.7"}, id="an address for a place"),
        pytest.param({"tags": ["a", {"b": 1}]}, {"tags": ["a", {"b": 1}]}, id="an object among tags"),
        pytest.param({"date": "garbage"}, {"date": "garbage"}, id="an invalid date"),
        pytest.param({"date": 5}, {"date": 5}, id="a number for a date"),
        pytest.param({"data": "text"}, {"data": "text"}, id="a text for data"),
        pytest.param({"data": [1]}, {"data": [1]}, id="a list for data"),
        pytest.param({"reference_id": {"a": 1}}, {"reference_id": {"a": 1}}, id="an object for a reference"),
        pytest.param({"message": "m", "Message": "n"}, {"Message": "n"}, id="a member twice"),
        pytest.param(
            {"a": 1, "data": {"a": 2, "a1": 3}}, {"a": 2, "a1": 3, "a2": 1}, id="a name that is taken"
        ),
        pytest.param({"@x": 1, "data": {"@x": 2}}, {"@x": 2, "_@x": 1}, id="a name with @ that is taken"),
        pytest.param(
            {"@user": {"identity": "u"}}, {"@user": {"identity": "u"}}, id="a known object at the root"
        ),
        pytest.param(
            {"@user": '{"identity": "u"}'}, {"@user": {"identity": "u"}}, id="a known object as text"
        ),
        pytest.param(
            {"data": {"@user": ' {"a": "\\ud800"}'}}, {"@user": {"a": "\ufffd"}}, id="repaired, too"
        ),
        pytest.param({"@stack": "text"}, {"_@stack": "text"}, id="a text for a known object"),
        pytest.param({"@error": [1]}, {"_@error": [1]}, id="a list for a known object"),
        pytest.param(
            {"data": {"@user": 3}, "@user": {"a": 1}},
            {"_@user": 3, "@user": {"a": 1}},
            id="a wrong one gives way to a right one",
        ),
        pytest.param(
            {"@user": '{"a":' * 600 + "1" + "}" * 600},
            {"_@user": '{"a":' * 600 + "1" + "}" * 600},
            id="a known object as text that is too deep",
        ),
        pytest.param(
            {"@version": "1.0", "@level": "Warn"}, {"@version": "1.0", "@level": "Warn"}, id="known texts"
        ),
        pytest.param({"data": {"@submission_client": {"a": 1}}}, {}, id="only the server sets the client"),
        pytest.param(
            {"stack_id": "s", "CreatedUtc": "c", "idx": {}, "is_first_occurrence": True},
            {},
            id="members that are the server's",
        ),
        pytest.param({"reference_id": "short"}, {"InvalidReferenceId": "short"}, id="a bad reference"),
        pytest.param({"id": 5}, {"InvalidReferenceId": "5"}, id="a bad id in its place"),
    ],
)
def test_what_has_no_column_is_kept_in_data(raw: dict[str, Any], data: dict[str, Any]) -> None:
    """Every value from the sender is stored, under its name or a variant of it."""
    assert data_of(raw) == data


@pytest.mark.parametrize("reference", ["short", "x" * 101, "with space 1", "umlaut-\u00e4\u00f6\u00fc"])
def test_an_invalid_reference_id_is_replaced(reference: str) -> None:
    """The event is stored; the original can be found in its data."""
    assert an_event({"reference_id": reference}).reference_id == INVALID_REFERENCE_ID


def test_a_wrong_date_is_now_and_a_future_one_too() -> None:
    """The offset of a date in the future stays."""
    future = an_event({"date": "9999-01-01T00:00:00+01:00"})

    assert (future.date, future.date_offset_minutes) == (NOW, 60)
    assert an_event({"date": "garbage"}).date == NOW


def test_an_event_that_is_too_old_is_discarded() -> None:
    """By its age at acceptance."""
    written = (NOW - THREE_DAYS - timedelta(seconds=1)).isoformat()

    assert build_event({"date": written}, 0, Sender.of(POST), THREE_DAYS) is DiscardReason.TOO_OLD
    assert an_event({"date": written}).date == NOW - THREE_DAYS - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("tags", "kept"),
    [
        pytest.param(["a", "b"], ("a", "b"), id="as written"),
        pytest.param(["a", "A", "b", "a"], ("a", "b"), id="each once, whatever its case"),
        pytest.param(["", " ", None, "a"], ("a",), id="no empty ones"),
        pytest.param(["t" * 100, "t" * 101], ("t" * 100,), id="no long ones"),
        pytest.param([1, True], ("1", "true"), id="scalars"),
        pytest.param("a", ("a",), id="a single text"),
        pytest.param([f"t{n}" for n in range(60)], tuple(f"t{n}" for n in range(50)), id="the first 50"),
        pytest.param(
            [*(f"t{n}" for n in range(60)), "Critical", "internal"],
            (*(f"t{n}" for n in range(48)), "Critical", "internal"),
            id="Critical and Internal stay",
        ),
    ],
)
def test_tags_are_a_small_set(tags: Any, kept: tuple[str, ...]) -> None:
    """In the order they came in."""
    assert an_event({"tags": tags}).tags == kept


@pytest.mark.parametrize(
    ("agent", "client"),
    [
        pytest.param(
            "exceptionless/6.2", {"user_agent": "exceptionless", "version": "6.2"}, id="name and version"
        ),
        pytest.param("Curl/8.5.0-DEV", {"user_agent": "curl", "version": "8.5.0-dev"}, id="in lower case"),
        pytest.param("script", {"user_agent": "script"}, id="a name alone"),
        pytest.param(
            "a" * 8000 + "/" + "1" * 8000, {"user_agent": "a" * 255, "version": "1" * 255}, id="long ones"
        ),
        pytest.param(
            "Mozilla/5.0 (X11) Firefox/9", {"user_agent": "mozilla/5.0 (x11) firefox/9"}, id="a browser"
        ),
        pytest.param("", {}, id="none"),
    ],
)
def test_the_client_comes_from_the_request(agent: str, client: dict[str, str]) -> None:
    """The address and the user agent as ingest saw them."""
    event = build_event({}, 0, Sender.of(a_post(user_agent=agent, client_ip="")), None)

    assert isinstance(event, Event)
    assert msgspec.json.decode(event.data or b"") == {"@submission_client": client}
