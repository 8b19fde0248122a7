"""Strict handling: a post is parsed and checked before the answer, where its sender asks for that."""

from datetime import timedelta
from functools import partial
from typing import Final

from aiohttp import web
from multidict import istr

from collector.domain.errors import Invalid
from collector.domain.intake.normalize import MAX_EXPANSION
from collector.domain.intake.strict import find_faults, is_strict
from collector.domain.post import Post
from collector.ingest.bounded_executor import BoundedExecutor

PREFER: Final = istr("Prefer")
APPLIED: Final = {"Preference-Applied": "handling=strict"}


def is_strict_post(request: web.BaseRequest) -> bool:
    """Whether the sender wants to be told what is wrong with it."""
    return is_strict(request.headers.getall(PREFER, ()))


class StrictChecks:
    """Checks posts."""

    def __init__(self, limit_bytes: int, max_age_days: int, turns: BoundedExecutor) -> None:
        self._max_age = timedelta(days=max_age_days) if max_age_days else None
        self._unpacked_limit_bytes = limit_bytes * MAX_EXPANSION
        self._turns = turns

    async def check(self, post: Post) -> None:
        """Raise BadRequest or Invalid with everything that is wrong; nothing of the post is queued then."""
        work = partial(find_faults, post, self._unpacked_limit_bytes, self._max_age)
        if faults := await self._turns.run(post.body, post.content_encoding, work):
            raise Invalid(fields=faults)
