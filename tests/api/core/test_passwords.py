"""Passwords are checked a few at a time, and nobody waits for ever."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from collector.api.core.passwords import Passwords, open_passwords
from collector.domain.access.password import hash_password
from collector.domain.errors import Unavailable


async def test_a_password_is_checked() -> None:
    """Off the event loop."""
    password_hash = hash_password("correct horse")

    with open_passwords() as passwords:
        assert await passwords.matches(password_hash, "correct horse")
        assert not await passwords.matches(password_hash, "wrong horse")
        assert not await passwords.matches(None, "correct horse")


async def test_whoever_waits_too_long_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """503 instead of a queue that grows while somebody tries passwords."""
    monkeypatch.setattr("collector.api.core.passwords._WAIT_SECONDS", 0.05)
    released = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        threads.submit(released.wait, 10)
        try:
            with pytest.raises(Unavailable) as raised:
                await Passwords(threads).matches(None, "correct horse")
        finally:
            released.set()

    assert raised.value.retry_after_seconds


async def test_only_so_many_wait_and_the_next_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of passwords holds up nobody for longer than the checks before his."""
    monkeypatch.setattr("collector.api.core.passwords._MAXIMUM_PENDING", 3)
    released = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        threads.submit(released.wait, 10)
        passwords = Passwords(threads)
        try:
            waiting = [asyncio.create_task(passwords.matches(None, "correct horse")) for _ in range(3)]
            await asyncio.sleep(0)  # each of them begins
            with pytest.raises(Unavailable) as raised:
                await passwords.matches(None, "correct horse")
        finally:
            released.set()
        assert await asyncio.gather(*waiting) == [False] * 3
        assert not await passwords.matches(None, "correct horse")

    assert raised.value.retry_after_seconds
