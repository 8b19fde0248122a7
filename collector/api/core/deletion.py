"""Requests that name several things by their ids: one rule for all of them, whether they delete or change.

What can be done is done for each id, whatever the others are. An id that is unknown, deleted or of another
organization is one that does not exist; one that is named twice counts once. A text that can be no id is not
on the route at all: 404, and nothing is done. The longest line of a request (8,190 bytes) holds some 240 ids.
"""

from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from collector.domain.errors import BadRequest, NotFound
from collector.http.operation import Answer
from collector.http.responses import json_response


class Deleting(msgspec.Struct, frozen=True):
    """All of it is deleted, for everybody from now on."""

    workers: tuple[str, ...] = ()


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why one of them is not."""

    allowed: bool = False
    id: str
    message: str
    status_code: int


class BulkResult(msgspec.Struct):
    """What becomes of each id that was given."""

    workers: tuple[str, ...] = ()
    success: list[str] = []
    failure: list[Failure] = []

    def is_absent(self, text: str, message: str) -> None:
        """There is no such thing, or it is somebody else's."""
        self.failure.append(Failure(id=text, message=message, status_code=int(HTTPStatus.NOT_FOUND)))

    def is_denied(self, text: str, message: str) -> None:
        """It is there, but not for this person to delete."""
        self.failure.append(Failure(id=text, message=message, status_code=int(HTTPStatus.BAD_REQUEST)))


DELETED: Final = {
    202: Answer(Deleting),
    400: Answer(BulkResult, "Some of them could not be deleted; the others are."),
}
"""What the document says of deleting."""
CHANGED_IN_PART: Final = {
    400: Answer(BulkResult, "Some of them could not be found; the others are changed as asked.")
}
"""What the document says of changing, beside the answer when all are changed."""


def asked_ids(request: web.Request) -> list[str]:
    """The ids in the path, each once."""
    return list(dict.fromkeys(request.match_info["ids"].split(",")))


def bulk_response(verdict: BulkResult, whole: web.Response | None = None) -> web.Response:
    """`whole` (202 unless given) when all could be done, 404 when none could, else 400 with both lists."""
    if not verdict.failure:
        return whole or json_response(Deleting(), HTTPStatus.ACCEPTED)
    if not verdict.success:
        denied = [failed for failed in verdict.failure if failed.status_code != HTTPStatus.NOT_FOUND]
        raise BadRequest(denied[0].message) if denied else NotFound(verdict.failure[0].message)
    return json_response(verdict, HTTPStatus.BAD_REQUEST)
