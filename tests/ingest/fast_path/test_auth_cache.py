"""Whom the fast path remembers."""

import pytest

from collector.ingest.fast_path.auth_cache import AuthCache
from collector.ingest.senders.auth import Target
from tests.factories import CLIENT_TOKEN, ORGANIZATION, PROJECT, a_token_entry
from tests.fakes import FakeClock

TARGET = Target(PROJECT, ORGANIZATION, 0, {})


class _Cache:
    """A token cache whose channel is alive and silent of evictions."""

    evictions = 0
    is_silent = False


@pytest.fixture
def senders() -> AuthCache:
    """Nobody yet."""
    return AuthCache(_Cache(), FakeClock())  # type: ignore[arg-type]


def remember(senders: AuthCache, *headers: str, token: str = CLIENT_TOKEN) -> None:
    """A token, written in these ways."""
    for header in headers:
        senders.store(header, a_token_entry(token), TARGET, senders.begin_check())


def test_a_token_written_in_ever_new_ways_pushes_out_no_other(senders: AuthCache) -> None:
    """It has a few places of its own."""
    remember(senders, "Bearer other", token="o" * 40)
    remember(senders, *(f"Bearer {' ' * number}{CLIENT_TOKEN}" for number in range(100)))

    assert senders.find("Bearer other") is not None
    assert senders.find(f"Bearer {' ' * 99}{CLIENT_TOKEN}") is not None
    assert len(senders._senders) == 5


def test_long_headers_are_not_remembered(senders: AuthCache) -> None:
    """They are let in the slow way."""
    remember(senders, f"Bearer {' ' * 8000}{CLIENT_TOKEN}")

    assert senders._senders == {}


def test_senders_are_bounded(senders: AuthCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was let in longest ago goes first, and no other."""
    monkeypatch.setattr("collector.ingest.fast_path.auth_cache._SENDERS_AT_MOST", 3)
    for name in ("a", "b", "a", "c", "d"):
        remember(senders, f"Bearer {name}", token=name * 40)

    assert [name for name in "abcd" if senders.find(f"Bearer {name}")] == ["a", "c", "d"]
    assert len(senders._spellings) == 3
