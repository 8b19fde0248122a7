"""Bulk requests, which name several things by their ids in the path: one rule for deletions and changes.

Each id is processed independently of the others. An id that is unknown, deleted or of another organization
does not exist; an id that is named twice counts once. A malformed id does not match the route: the answer is
404 and nothing is changed. The longest request line (8,190 bytes) holds about 240 ids.
"""

from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from collector.domain.errors import BadRequest, NotFound
from collector.http.operation import Answer
from collector.http.responses import json_response


class Deleting(msgspec.Struct, frozen=True):
    """Everything that was named is deleted."""

    workers: tuple[str, ...] = ()


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why one of the ids could not be processed."""

    allowed: bool = False
    id: str
    message: str
    status_code: int


class BulkResult(msgspec.Struct):
    """The result for each id in the request."""

    workers: tuple[str, ...] = ()
    success: list[str] = []
    failure: list[Failure] = []

    def add_not_found(self, text: str, message: str) -> None:
        """Record an id that does not exist, or not for this identity."""
        self.failure.append(Failure(id=text, message=message, status_code=int(HTTPStatus.NOT_FOUND)))

    def add_denied(self, text: str, message: str) -> None:
        """Record an id that this person may see but not delete."""
        self.failure.append(Failure(id=text, message=message, status_code=int(HTTPStatus.BAD_REQUEST)))


DELETED: Final = {
    202: Answer(Deleting),
    400: Answer(BulkResult, "Some could not be deleted; the others are."),
}
"""The documented answers of a bulk deletion."""
CHANGED_IN_PART: Final = {400: Answer(BulkResult, "Some could not be found; the others are changed.")}
"""The documented answer of a bulk change in which some ids failed."""


def asked_ids(request: web.Request) -> list[str]:
    """The ids in the path, without repeats."""
    return list(dict.fromkeys(request.match_info["ids"].split(",")))


def bulk_response(result: BulkResult, success: web.Response | None = None) -> web.Response:
    """`success` (202 by default) if every id succeeded, an error if none did, else 400 with both lists."""
    # All, none or some of the ids succeeded.
    if not result.failure:
        return success or json_response(Deleting(), HTTPStatus.ACCEPTED)
    if not result.success:
        # A denied id is the more useful error: 400 if there is one, 404 if no id was found.
        denied = [failed for failed in result.failure if failed.status_code != HTTPStatus.NOT_FOUND]
        raise BadRequest(denied[0].message) if denied else NotFound(result.failure[0].message)
    return json_response(result, HTTPStatus.BAD_REQUEST)
