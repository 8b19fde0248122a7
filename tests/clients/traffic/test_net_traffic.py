"""An exact imitation of the .NET client, and how its events are stored."""

import json

import pytest

from tests.clients.stored import Reader, as_stored, new_reference_id, written
from tests.clients.traffic.messages import status_of
from tests.clients.traffic.net_client import AGENT, event, headers, post, ticks_now
from tests.clients.traffic.raw_http import answers_to, request_of
from tests.end_to_end.running import RunningUp

pytestmark = pytest.mark.end_to_end


async def test_a_log_with_explicit_nulls_and_seven_digits_of_a_second(up: RunningUp, reader: Reader) -> None:
    """Nulls are left out, the offset stays, the seventh digit is dropped."""
    sent = event(
        type="log",
        source="Shop.Program",
        message="Grüße",
        reference_id=new_reference_id(),
        tags=["one", "two"],
        value=1.5,
        data={"@level": "Warn", "Note": None},
    )

    answer = await post(up, [sent])

    assert status_of(answer) == 202
    assert answer.headers["connection"] == "close"
    assert int(answer.headers["x-exceptionless-configversion"]) >= 1
    stored = await reader.event(sent["reference_id"])
    assert written(stored) == as_stored(sent, AGENT)
    assert stored["date"] == sent["date"].replace(".1234567", ".123456")


async def test_members_in_pascal_case(up: RunningUp, reader: Reader) -> None:
    """As earlier versions write them."""
    own, date = new_reference_id(), ticks_now(-7)

    answer = await post(
        up,
        [
            {
                "Type": "usage",
                "Source": "Checkout",
                "Date": date,
                "Tags": ["a"],
                "Message": None,
                "Value": 3,
                "ReferenceId": own,
                "Data": {"Cart": {"Id": 7}},
            }
        ],
    )

    assert status_of(answer) == 202
    sent = {
        "type": "usage",
        "source": "Checkout",
        "date": date,
        "tags": ["a"],
        "value": 3,
        "reference_id": own,
    }
    assert written(await reader.event(own)) == as_stored({**sent, "data": {"Cart": {"Id": 7}}}, AGENT)


async def test_many_events_in_chunks(up: RunningUp, reader: Reader) -> None:
    """A whole queue, the newest event first."""
    own = new_reference_id()
    sent = [event(message=f"line {n}", reference_id=f"{own}-{n}", data={"N": n}) for n in range(50, 0, -1)]

    assert status_of(await post(up, sent)) == 202

    stored = await reader.events(each["reference_id"] for each in sent)
    assert [written(each) for each in stored] == [as_stored(each, AGENT) for each in sent]


async def test_the_settings_are_asked_for_by_their_version(up: RunningUp) -> None:
    """Version 0 is answered with all settings, the current version with an empty 304."""
    first = request_of("GET /api/v2/projects/config?v=0 HTTP/1.1", *headers(up))
    [answer] = await answers_to(up.ready.url, first)
    settings = json.loads(answer.body)
    again = request_of(f"GET /api/v2/projects/config?v={settings['version']} HTTP/1.1", *headers(up))
    [unchanged] = await answers_to(up.ready.url, again)

    assert status_of(answer) == 200
    assert settings.keys() == {"version", "settings"}
    assert all(isinstance(value, str) for value in settings["settings"].values())
    assert (status_of(unchanged), unchanged.body) == (304, b"")


async def test_an_error_of_a_client_of_version_1(up: RunningUp, reader: Reader) -> None:
    """The document is the error itself, in PascalCase; the settings' version has a separate header."""
    own, date = new_reference_id(), ticks_now()
    document = {
        "Id": own,
        "OccurrenceDate": date,
        "ExceptionlessClientInfo": {"Version": "1.5.2121", "Platform": ".NET 4.5", "SubmissionMethod": None},
        "Code": "-1",
        "Type": "Shop.TillException",
        "Message": "It is closed.",
        "StackTrace": [{"FileName": "Till.cs", "LineNumber": 12, "DeclaringType": "Till", "Name": "Open"}],
        "EnvironmentInfo": {"OSName": "Windows 7", "MachineName": "TILL-1"},
        "ExtendedData": {"Order": {"Total": 5}},
        "UserEmail": "jane@example.org",
        "UserDescription": "Help!",
        "Tags": ["old"],
    }
    body = json.dumps(document).encode()
    kind = "Content-Type: application/json"
    line = "POST /api/v1/error HTTP/1.1"

    [answer] = await answers_to(
        up.ready.url,
        request_of(line, *headers(up, kind, f"Content-Length: {len(body)}"), body=body),
    )

    assert status_of(answer) == 202
    assert answer.headers["v"].isdecimal()
    target = {
        "ExceptionType": "Shop.TillException",
        "Method": "Till.Open()",
        "Message": "It is closed.",
    }
    frame = {"file_name": "Till.cs", "line_number": 12, "declaring_type": "Till", "name": "Open"}
    error = {
        "message": "It is closed.",
        "type": "Shop.TillException",
        "code": "-1",
        "stack_trace": [frame],
        "data": {"@target": target},
    }
    data = {
        "@error": error,
        "@environment": {"o_s_name": "Windows 7", "machine_name": "TILL-1"},
        "@user_description": {"email_address": "jane@example.org", "description": "Help!"},
        "Order": {"Total": 5},
    }
    sent = {
        "type": "error",
        "message": "It is closed.",
        "date": date,
        "reference_id": own,
        "tags": ["old"],
    }
    assert written(await reader.event(own)) == as_stored({**sent, "data": data}, AGENT)
