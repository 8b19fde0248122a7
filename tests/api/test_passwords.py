"""Passwords are checked a few at a time, and nobody waits for ever."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from collector.api.passwords import Passwords, open_passwords
from collector.domain.errors import Unavailable
from collector.domain.password import hash_password


async def test_a_password_is_checked() -> None:
    """Off the event loop."""
    password_hash = hash_password("correct horse")

    with open_passwords() as passwords:
        assert await passwords.matches(password_hash, "correct horse")
        assert not await passwords.matches(password_hash, "wrong horse")
        assert not await passwords.matches(None, "correct horse")


async def test_whoever_waits_too_long_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """503 instead of a queue that grows while somebody tries passwords."""
    monkeypatch.setattr("collector.api.passwords._WAIT_SECONDS", 0.05)
    released = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        threads.submit(released.wait, 10)
        try:
            with pytest.raises(Unavailable) as raised:
                await Passwords(threads).matches(None, "correct horse")
        finally:
            released.set()

    assert raised.value.retry_after_seconds
