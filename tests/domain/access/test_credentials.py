import base64

import pytest
from multidict import MultiDict

from collector.domain.access.credentials import (
    Credentials,
    PasswordCredentials,
    TokenCredentials,
    parse_credentials,
)

TOKEN = TokenCredentials("abcdefghij")


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "query", "expected"),
    [
        pytest.param("Bearer abcdefghij", {}, TOKEN, id="bearer"),
        pytest.param("bEaReR abcdefghij", {}, TOKEN, id="bearer in any case"),
        pytest.param("Token abcdefghij", {}, TOKEN, id="token"),
        pytest.param(_basic("client:abcdefghij"), {}, TOKEN, id="basic with the user client"),
        pytest.param(_basic("CLIENT:abcdefghij"), {}, TOKEN, id="basic with the user client in any case"),
        pytest.param(_basic("abcdefghij:"), {}, TOKEN, id="basic with the token as user and no password"),
        pytest.param(_basic("abcdefghij:x-oauth-basic"), {}, TOKEN, id="basic as an oauth client sends it"),
        pytest.param(
            _basic("me@example.com:a:b"), {}, PasswordCredentials("me@example.com", "a:b"), id="password"
        ),
        pytest.param(None, {"access_token": "abcdefghij"}, TOKEN, id="query access_token"),
        pytest.param(None, {"api_key": "abcdefghij"}, TOKEN, id="query api_key"),
        pytest.param(None, {"apikey": "abcdefghij"}, TOKEN, id="query apikey"),
        pytest.param(None, {"Access_Token": "abcdefghij"}, TOKEN, id="a query name in any case"),
        pytest.param(None, {"apikey": "other", "access_token": "abcdefghij"}, TOKEN, id="access_token first"),
        pytest.param("Digest x", {"access_token": "abcdefghij"}, TOKEN, id="query with an unknown scheme"),
        pytest.param("Bearer abcdefghij", {"access_token": "other"}, TOKEN, id="header before query"),
        pytest.param("Bearer", {"access_token": "abcdefghij"}, None, id="an empty bearer hides the query"),
        pytest.param(_basic("nocolon"), {}, None, id="basic without a colon"),
        pytest.param(_basic(":abcdefghij"), {}, None, id="basic without a user"),
        pytest.param(_basic("client:"), {}, None, id="basic client without a token"),
        pytest.param("Basic %%%", {}, None, id="basic, not base64"),
        pytest.param("Basic /w==", {}, None, id="basic, not UTF-8"),
        pytest.param("Basic é", {}, None, id="basic, not ASCII"),
        pytest.param(None, {"access_token": " "}, None, id="a blank query token"),
        pytest.param(None, {}, None, id="nothing"),
    ],
)
def test_credentials_are_read_from_header_then_query(
    authorization: str | None, query: dict[str, str], expected: Credentials | None
) -> None:
    assert parse_credentials(authorization, query) == expected


def test_the_first_of_a_repeated_query_parameter_counts() -> None:
    query = MultiDict([("access_token", "abcdefghij"), ("ACCESS_TOKEN", "another-one")])

    assert parse_credentials(None, query) == TOKEN
