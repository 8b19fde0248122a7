"""Strict handling: a post is parsed and validated before it is answered, if its sender asks for that."""

from functools import partial
from typing import Final

from aiohttp import web
from multidict import istr

from collector.domain.errors import Invalid
from collector.domain.intake.normalize import MAX_EXPANSION
from collector.domain.intake.strict import find_faults, is_strict
from collector.domain.post import Post
from collector.ingest.body.body_executor import BodyExecutor
from collector.ingest.event_age import EventAge

PREFER: Final = istr("Prefer")
APPLIED: Final = {"Preference-Applied": "handling=strict"}


def is_strict_post(request: web.BaseRequest) -> bool:
    """Whether the sender asks for validation before the answer."""
    return is_strict(request.headers.getall(PREFER, ()))


class StrictChecks:
    """Validates posts off the event loop: even a small one may hold thousands of events."""

    def __init__(self, limit_bytes: int, event_age: EventAge, body_executor: BodyExecutor) -> None:
        self._event_age = event_age
        self._unpacked_limit_bytes = limit_bytes * MAX_EXPANSION
        self._body_executor = body_executor

    async def check(self, post: Post) -> None:
        """Raise BadRequest or Invalid with everything that is wrong with the post."""
        work = partial(find_faults, post, self._unpacked_limit_bytes, self._event_age.max_age)
        if faults := await self._body_executor.run_costly(post.body, work, post.organization_id):
            raise Invalid(fields=faults)
