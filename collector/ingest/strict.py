"""Strict handling: a post is parsed and checked before the answer, where its sender asks for that.

In threads, few at once, so that everybody else's posts go on meanwhile.
"""

import asyncio
from typing import Final

from aiohttp import web
from multidict import istr

from collector.domain.errors import Invalid, Unavailable
from collector.domain.post import Post
from collector.domain.strict import faults_in, is_strict
from collector.domain.understanding import UNPACKED_TO_SENT

PREFER: Final = istr("Prefer")
APPLIED: Final = {"Preference-Applied": "handling=strict"}

_CHECKS_AT_ONCE: Final = 2
_WAIT_SECONDS: Final = 10.0
_WORTH_A_THREAD_BYTES: Final = 4096


def is_strict_post(request: web.BaseRequest) -> bool:
    """Whether the sender wants to be told what is wrong with it."""
    return is_strict(request.headers.getall(PREFER, ()))


class StrictChecks:
    """Checks posts, a few at once."""

    def __init__(self, limit_bytes: int) -> None:
        self._unpacked_limit_bytes = limit_bytes * UNPACKED_TO_SENT
        self._turns = asyncio.Semaphore(_CHECKS_AT_ONCE)

    async def check(self, post: Post) -> None:
        """Raise BadRequest or Invalid with everything that is wrong; nothing of the post is queued then."""
        limit_bytes = self._unpacked_limit_bytes
        if len(post.body) < _WORTH_A_THREAD_BYTES and not post.content_encoding:
            faults = faults_in(post, limit_bytes)
        else:
            await self._wait()
            try:
                faults = await asyncio.to_thread(faults_in, post, limit_bytes)
            finally:
                self._turns.release()
        if faults:
            raise Invalid(fields=faults)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            raise Unavailable("Too many posts are being checked at once.") from None
