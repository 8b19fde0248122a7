"""How events and heartbeats are assigned to sessions."""

import pytest

from collector.domain.event.session_key import digest_of_key, session_key

PROJECT = b"\x02" * 16


@pytest.mark.parametrize(
    ("members", "text", "is_manual"),
    [
        pytest.param(("log", None, "abc", "jane"), "abc", True, id="its session id comes before its user"),
        pytest.param(("log", None, None, "jane"), "jane", False, id="a user"),
        pytest.param(("session", "abcdefgh", None, "jane"), "abcdefgh", True, id="a start by its reference"),
        pytest.param(("log", "abcdefgh", None, "jane"), "jane", False, id="only a start by its reference"),
        pytest.param(("session", "invalid-reference-id", None, "jane"), "jane", False, id="no reference"),
        pytest.param(("log", None, " ", "jane"), "jane", False, id="a blank name"),
    ],
)
def test_an_event_finds_its_session(
    members: tuple[str, str | None, str | None, str | None],
    text: str,
    is_manual: bool,  # noqa: FBT001
) -> None:
    """By the id that it names, otherwise by its user."""
    key = session_key(PROJECT, *members)

    assert key is not None
    assert (key.digest, key.is_manual) == (digest_of_key(text), is_manual)


@pytest.mark.parametrize(("named", "identity"), [(None, None), ("", ""), (" ", "\t")])
def test_an_event_without_user_and_session_id_has_no_session(named: str | None, identity: str | None) -> None:
    """Most events of servers are like that."""
    assert session_key(PROJECT, "log", None, named, identity) is None


def test_all_keys_have_the_same_length() -> None:
    """Even for a text of a megabyte, or one with lone surrogates."""
    assert len(digest_of_key("x" * 1_000_000)) == len(digest_of_key("\udcff")) == 20
    assert digest_of_key(" jane ") == digest_of_key("jane")
