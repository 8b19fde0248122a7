"""Every way a request can be refused. The first line of a class's docstring is the title the client reads.

`collector.http.errors` maps each class to its HTTP status.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a fault of ours
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
    """The request cannot be understood."""


class Unauthenticated(Refusal):
    """The request carries no valid credentials."""


class OrganizationSuspended(Refusal):
    """The organization is suspended."""


class MonthlyLimitReached(Refusal):
    """The organization has as many events this month as it may have."""


class Forbidden(Refusal):
    """The credentials do not allow this."""


class NotFound(Refusal):
    """There is nothing here."""


class MethodNotAllowed(Refusal):
    """The path does not take this method."""


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
    """These are more requests than this server takes from one in a quarter of an hour."""

    default_retry_after_seconds = 900


class Unavailable(Refusal):
    """The service cannot take this right now; please repeat it."""

    default_retry_after_seconds = 5
