"""Users' descriptions, as ingest receives them."""

import pytest

from collector.domain.errors import BadRequest, Invalid
from collector.domain.intake.description_request import parse_description


@pytest.mark.parametrize(
    ("text", "body"),
    [
        pytest.param(
            '{"email_address":"me@example.com","description":"It broke."}',
            b'{"email_address":"me@example.com","description":"It broke."}',
            id="both",
        ),
        pytest.param(' {"description":"It broke."} ', b'{"description":"It broke."}', id="words alone"),
        pytest.param('{"email_address":" me@x "}', b'{"email_address":"me@x"}', id="an address alone"),
        pytest.param(
            '{"EmailAddress":"a@b","Description":"c","Data":{"K":1}}',
            b'{"email_address":"a@b","description":"c","data":{"K":1}}',
            id="as .NET names them",
        ),
        pytest.param(
            '{"UserEmail":"a@b","UserDescription":"c"}',
            b'{"email_address":"a@b","description":"c"}',
            id="as version 1 names them",
        ),
        pytest.param(
            '{"email_address":null,"description":"c","data":null,"more":1}',
            b'{"description":"c"}',
            id="nulls",
        ),
        pytest.param(
            r'{"description":"a\u0000b\ud800"}', '{"description":"a\ufffdb\ufffd"}'.encode(), id="odd escapes"
        ),
    ],
)
def test_a_description_is_queued_in_one_form(text: str, body: bytes) -> None:
    """Whichever client wrote it."""
    assert parse_description(text) == body


@pytest.mark.parametrize("text", ["{}", '{"email_address":"","description":null}', '{"name":"x"}'])
def test_an_empty_description_is_distinguished(text: str) -> None:
    """Version 1 of the API treats it as no change, version 2 as an error."""
    assert parse_description(text) is None


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        pytest.param('{"email_address":"me"}', {"email_address"}, id="no address"),
        pytest.param('{"email_address":1,"description":"x"}', {"email_address"}, id="a number as address"),
        pytest.param('{"description":["x"]}', {"description"}, id="a list as words"),
        pytest.param('{"description":"x","data":"y"}', {"data"}, id="a text as data"),
        pytest.param('{"data":{"k":1}}', {"description"}, id="data alone"),
        pytest.param('{"email_address":"me","description":1}', {"email_address", "description"}, id="two"),
    ],
)
def test_every_invalid_field_is_named(text: str, fields: set[str]) -> None:
    """422 with `errors`."""
    with pytest.raises(Invalid) as refusal:
        parse_description(text)

    assert refusal.value.fields.keys() == fields


@pytest.mark.parametrize(
    "text", ["", "null", "[]", '"x"', "{", "rubbish", '{"a":' + "[" * 600 + "]" * 600 + "}"]
)
def test_a_body_that_is_not_an_object_is_400(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_description(text)
