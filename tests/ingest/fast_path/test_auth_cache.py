"""The cache of authenticated senders on the fast path."""

import pytest

from collector.ingest.fast_path.auth_cache import AuthCache
from collector.ingest.senders.auth import Target
from tests.support.factories import CLIENT_TOKEN, ORGANIZATION, PROJECT, a_token_entry
from tests.support.fakes import FakeClock

TARGET = Target(PROJECT, ORGANIZATION, 0, {})


class _Cache:
    """A token cache whose channel is alive and has announced no evictions."""

    evictions = 0
    is_silent = False


@pytest.fixture
def senders() -> AuthCache:
    """An empty cache."""
    return AuthCache(_Cache(), FakeClock())  # type: ignore[arg-type]


def store(senders: AuthCache, *headers: str, token: str = CLIENT_TOKEN) -> None:
    """Cache a token in these spellings."""
    for header in headers:
        senders.store(header, a_token_entry(token), TARGET, senders.begin_check())


def test_many_spellings_of_a_token_evict_no_other_token(senders: AuthCache) -> None:
    """Each token has a few entries."""
    store(senders, "Bearer other", token="o" * 40)
    store(senders, *(f"Bearer {' ' * number}{CLIENT_TOKEN}" for number in range(100)))

    assert senders.find("Bearer other") is not None
    assert senders.find(f"Bearer {' ' * 99}{CLIENT_TOKEN}") is not None
    assert len(senders._senders) == 5


def test_long_headers_are_not_cached(senders: AuthCache) -> None:
    """Their posts take the slow path."""
    store(senders, f"Bearer {' ' * 8000}{CLIENT_TOKEN}")

    assert senders._senders == {}


def test_senders_are_bounded(senders: AuthCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The least recently authenticated one is evicted first."""
    monkeypatch.setattr("collector.ingest.fast_path.auth_cache._SENDERS_AT_MOST", 3)
    for name in ("a", "b", "a", "c", "d"):
        store(senders, f"Bearer {name}", token=name * 40)

    assert [name for name in "abcd" if senders.find(f"Bearer {name}")] == ["a", "c", "d"]
    assert len(senders._spellings) == 3
