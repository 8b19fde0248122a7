"""What a handler does, declared next to it: the OpenAPI document is made from this and the routes.

The first sentence of the handler's docstring is the summary, all of it the description.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from collector.domain.errors import Refusal

Tag = Literal["Event", "Stack", "Project", "Organization", "Token", "Auth", "User", "Status", "Admin"]

AnyHandler = TypeVar("AnyHandler", bound=Callable[..., Any])

_KEY: Final = "operation"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or a header; `kind` is its type."""

    name: str
    description: str
    kind: Any = str
    example: Any = None
    is_required: bool = False
    location: Literal["query", "header"] = "query"


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a body in one media type; `examples` by name."""

    kind: Any
    examples: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a request, by media type."""

    contents: Mapping[str, Content]
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer with one status; without a `kind` its body is empty."""

    kind: Any = None
    description: str = ""
    headers: Sequence[str] = ()
    media_type: str = "application/json"
    more_types: Sequence[str] = ()
    """Other media types, whose bodies are text."""


@dataclass(frozen=True, slots=True)
class Operation:
    """Everything that one handler declares."""

    tag: Tag
    description: str
    answers: Mapping[int, Answer]
    body: Body | None
    parameters: Sequence[Parameter]
    refusals: Sequence[type[Refusal]]

    @property
    def summary(self) -> str:
        """The first sentence of the description."""
        sentence, end, _ = " ".join(self.description.split()).partition(". ")
        return f"{sentence}." if end else sentence


def documented(
    tag: Tag,
    answers: Mapping[int, Answer],
    *,
    body: Body | None = None,
    parameters: Sequence[Parameter] = (),
    refusals: Sequence[type[Refusal]] = (),
) -> Callable[[AnyHandler], AnyHandler]:
    """Declare what the handler answers and refuses, besides what every route of its process does."""

    def keep(handler: AnyHandler) -> AnyHandler:
        description = inspect.getdoc(handler) or ""
        vars(handler)[_KEY] = Operation(tag, description, answers, body, parameters, refusals)
        return handler

    return keep


def find_operation(handler: Callable[..., Any]) -> Operation | None:
    """The operation that the handler, which may be wrapped, has declared; None if it has not."""
    found = vars(handler).get(_KEY)
    return found if isinstance(found, Operation) else None


def json_body(kind: Any, example: Any, *, is_required: bool = True, **more_examples: Any) -> Body:
    """A JSON body with an example that works as it is, apart from ids and passwords."""
    return Body(
        {"application/json": Content(kind, {"example": example, **more_examples})}, is_required=is_required
    )
