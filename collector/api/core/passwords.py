"""Checks and hashes passwords in threads: hashing is slow on purpose, and only a few may run concurrently."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from collector.domain.access.password import hash_password, is_password
from collector.process.bounded_executor import BoundedExecutor

_THREADS: Final = max(1, min(4, (os.cpu_count() or 1) // 4))
"""Each hash takes 64 MiB and a tenth of a second of a core, which it spreads over four threads."""
_CAPACITY: Final = 32
"""Passwords that wait or are being hashed; more are refused immediately."""
_WAIT_SECONDS: Final = 10.0
_TOO_MANY: Final = "Too many passwords are being checked right now; please try again."


class Passwords:
    """Checks and hashes passwords off the event loop."""

    def __init__(self, executor: BoundedExecutor) -> None:
        self._executor = executor

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether the hash is that of the password. Without a hash it is False, after the same time.

        Raises Unavailable if too many passwords are being hashed.
        """
        return await self._executor.run(partial(is_password, password_hash, password))

    async def hashed(self, password: str) -> str:
        """The hash of a new password. Raises Unavailable if too many passwords are being hashed."""
        return await self._executor.run(partial(hash_password, password))


@contextmanager
def open_passwords() -> Iterator[Passwords]:
    """Run the threads inside the block."""
    with BoundedExecutor(
        "passwords", threads=_THREADS, capacity=_CAPACITY, wait_seconds=_WAIT_SECONDS, refusal=_TOO_MANY
    ) as executor:
        yield Passwords(executor)
