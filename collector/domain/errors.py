"""Every way a request can be refused. The first line of a class's docstring is the title the client reads.

`collector.http.errors` maps each class to its HTTP status.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar


class Refusal(Exception):  # noqa: N818 - an answer to the client, not an error of the server
    """The request was refused.

    `title` overrides the class's title; `fields` maps a field's snake_case name to the list of its errors;
    `retry_after_seconds` is sent as `Retry-After` (every 429 and 503 carries one).
    """

    default_retry_after_seconds: ClassVar[int | None] = None

    def __init__(
        self,
        title: str | None = None,
        *,
        fields: Mapping[str, Sequence[str]] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        self.title = title or (type(self).__doc__ or "").partition("\n")[0]
        self.fields = fields or {}
        self.retry_after_seconds = retry_after_seconds or self.default_retry_after_seconds
        super().__init__(self.title)


class BadRequest(Refusal):
    """The request is malformed."""


class Unauthenticated(Refusal):
    """The request carries no valid credentials."""


class OrganizationSuspended(Refusal):
    """The organization is suspended."""


class MonthlyLimitReached(Refusal):
    """The organization has reached its monthly event limit."""


class Forbidden(Refusal):
    """The credentials do not allow this."""


class NotFound(Refusal):
    """The resource was not found."""


class MethodNotAllowed(Refusal):
    """The path does not support this method."""


class NotSupported(Refusal):
    """The server cannot do this."""


class Conflict(Refusal):
    """The resource already exists or has changed."""


class LengthRequired(Refusal):
    """A post with `Content-Length: 0` has nothing to queue."""


class BodyTooLarge(Refusal):
    """The body is larger than this server accepts."""


class UnsupportedContent(Refusal):
    """The body has a content type or encoding that is not supported."""


class Invalid(Refusal):
    """One or more validation errors occurred."""


class TooManyRequests(Refusal):
    """Too many requests within a quarter of an hour."""

    default_retry_after_seconds = 900


class Unavailable(Refusal):
    """The service is temporarily unavailable; please repeat the request."""

    default_retry_after_seconds = 5
