"""Heartbeats as clients send them, with the id not encoded."""

import pytest

from collector.domain.session.heartbeat import MAXIMUM_KEY_LENGTH, Heartbeat, parse_heartbeat


@pytest.mark.parametrize(
    ("query", "heartbeat"),
    [
        pytest.param("id=0123abcd&close=false", Heartbeat("0123abcd", closes=False), id="alive"),
        pytest.param("id=0123abcd&close=true", Heartbeat("0123abcd", closes=True), id="closing"),
        pytest.param("id=0123abcd&close=True", Heartbeat("0123abcd", closes=True), id="as .NET spells it"),
        pytest.param("id=0123abcd", Heartbeat("0123abcd", closes=False), id="the id alone"),
        pytest.param("ID=0123abcd&Close=1", Heartbeat("0123abcd", closes=True), id="names in any case"),
        pytest.param("close=true&id=ab", Heartbeat("ab", closes=True), id="in another order"),
        pytest.param("id=a+b@c.d&close=false", Heartbeat("a+b@c.d", closes=False), id="a plus is a plus"),
        pytest.param("id=a%2Bb%40c.d&close=false", Heartbeat("a+b@c.d", closes=False), id="encoded"),
        pytest.param("id=Ann%20Lee&close=false", Heartbeat("Ann Lee", closes=False), id="a name"),
        pytest.param("id=Smith&Sons&close=true", Heartbeat("Smith&Sons", closes=True), id="an ampersand"),
        pytest.param("id=a=b&close=true", Heartbeat("a=b", closes=True), id="an equals sign"),
        pytest.param(
            "id=ab&close=true&access_token=xyz", Heartbeat("ab", closes=True), id="with the browser's token"
        ),
        pytest.param("access_token=xyz&id=ab&close=true", Heartbeat("ab", closes=True), id="token first"),
        pytest.param("id=100%&close=false", Heartbeat("100%", closes=False), id="a lone percent sign"),
        pytest.param(
            "id=" + "x" * 5000, Heartbeat("x" * MAXIMUM_KEY_LENGTH, closes=False), id="far too long"
        ),
        pytest.param("id=%20&close=true", None, id="a blank id"),
        pytest.param("close=true", None, id="no id"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_the_session_id_is_read_undecoded(query: str, heartbeat: Heartbeat | None) -> None:
    """Otherwise a heartbeat for `a+b@c.d` would find no session."""
    assert parse_heartbeat(query) == heartbeat
