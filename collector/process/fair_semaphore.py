"""Slots that clients take in turn: a client that asks for more waits behind those that have less.

A client that holds a slot gets another only while enough slots are left for the others: one for each client
that held a slot lately and holds none now, and always one for a client not seen before. So no client can hold
all slots, and one that asks regularly finds a slot whatever the others do, as long as there are enough slots.
Where several slots of one client slow down all others, it has fewer beside them than alone.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from collector.domain.errors import Unavailable

LATELY_SECONDS: Final = 60.0
"""How long a slot is kept for a client that held one."""


class FairSemaphore:
    """`total` slots, up to `per_client` of them for one client, for which clients wait in turn.

    A client has at most `beside_others` while another one holds a slot or did so lately.

    A request for a slot waits up to `wait_seconds`, and at most `waiting_per_client` of a client's wait;
    `refusal` is the text for those that get none.
    """

    def __init__(
        self,
        total: int,
        *,
        wait_seconds: float,
        refusal: str,
        per_client: int | None = None,
        beside_others: int | None = None,
        waiting_per_client: int = 1000,
    ) -> None:
        self._total = total
        self._free = total
        self._per_client = total if per_client is None else per_client
        self._beside_others = self._per_client if beside_others is None else beside_others
        self._wait_seconds = wait_seconds
        self._waiting_per_client = waiting_per_client
        self._refusal = refusal
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._lately: dict[str, float] = {}
        """When each of the clients seen last, `total` at most, took a slot or freed one."""

    @property
    def free(self) -> int:
        """How many slots are free."""
        return self._free

    @property
    def waiting(self) -> int:
        """How many requests wait for a slot."""
        return sum(not granted.done() for waiting in self._waiting.values() for granted in waiting)

    @asynccontextmanager
    async def slot(self, client: str, *, longest_seconds: float | None = None) -> AsyncIterator[None]:
        """Hold a slot inside the block; waits for one up to the semaphore's `wait_seconds`.

        Raises Unavailable after that, or if too many of the client's wait. A holder frees its slot within
        `longest_seconds`: the `Retry-After`.
        """
        if self._may_start(client):
            self._start(client)
        else:
            await self._wait(client, longest_seconds)
        try:
            yield
        finally:
            self._release(client)

    async def _wait(self, client: str, longest_seconds: float | None) -> None:
        retry_after_seconds = None if longest_seconds is None else round(longest_seconds)
        waiting = self._waiting.setdefault(client, deque())
        if len(waiting) >= self._waiting_per_client:
            raise Unavailable(self._refusal, retry_after_seconds=retry_after_seconds)
        granted = asyncio.get_running_loop().create_future()
        waiting.append(granted)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await granted
        except (TimeoutError, asyncio.CancelledError) as error:
            if granted.cancelled():
                self._forget(client, granted)
            else:  # the slot was granted in the same moment: it is ours to release
                self._release(client)
            if isinstance(error, TimeoutError):
                raise Unavailable(self._refusal, retry_after_seconds=retry_after_seconds) from None
            raise

    def _forget(self, client: str, given_up: asyncio.Future[None]) -> None:
        """Remove a request that has given up, unless a release has removed it already."""
        waiting = self._waiting.get(client)
        if waiting is not None and given_up in waiting:
            waiting.remove(given_up)
            if not waiting:
                del self._waiting[client]

    def _may_start(self, client: str) -> bool:
        # Without a slot, any free one will do: it may be the one that was kept for this client.
        if not self._running[client]:
            return self._free > 0
        oldest = asyncio.get_running_loop().time() - LATELY_SECONDS
        others = [other for other, since in self._lately.items() if other != client and since >= oldest]
        most = self._beside_others if others else self._per_client
        kept = sum(not self._running[other] for other in others)
        return self._running[client] < most and self._free > max(1, kept)

    def _start(self, client: str) -> None:
        self._free -= 1
        self._running[client] += 1
        self._note(client)

    def _note(self, client: str) -> None:
        self._lately.pop(client, None)
        self._lately[client] = asyncio.get_running_loop().time()
        if len(self._lately) > self._total:
            del self._lately[next(iter(self._lately))]

    def _release(self, client: str) -> None:
        """Free a slot, and grant the free slots to waiting clients: one each, then that client goes last."""
        self._free += 1
        self._running[client] -= 1
        if not self._running[client]:
            del self._running[client]
        self._note(client)
        for other, waiting in list(self._waiting.items()):
            # Those that have given up.
            while waiting and waiting[0].cancelled():
                waiting.popleft()
            if waiting and not self._may_start(other):
                continue
            del self._waiting[other]
            if waiting:
                waiting.popleft().set_result(None)
                self._start(other)
            # Inserted again, the client stands behind all others.
            if waiting:
                self._waiting[other] = waiting
