"""What a handler does, said beside it: the document that describes the API is made of this and of routes.

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
    """Something in the query string, or a header; `kind` is its type."""

    name: str
    description: str
    kind: Any = str
    example: Any = None
    is_required: bool = False
    place: Literal["query", "header"] = "query"


@dataclass(frozen=True, slots=True)
class Content:
    """What a body holds in one media type; `examples` by their names."""

    kind: Any
    examples: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Body:
    """What a request may bring, by media type."""

    contents: Mapping[str, Content]
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back with a status; no `kind` is an empty body."""

    kind: Any = None
    description: str = ""
    headers: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """All that one handler says of itself."""

    tag: Tag
    description: str
    answers: Mapping[int, Answer]
    body: Body | None
    parameters: Sequence[Parameter]
    refusals: Sequence[type[Refusal]]

    @property
    def summary(self) -> str:
        """The first sentence."""
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
    """Say what the handler answers and refuses, beyond what every route of its kind does."""

    def keep(handler: AnyHandler) -> AnyHandler:
        description = inspect.getdoc(handler) or ""
        vars(handler)[_KEY] = Operation(tag, description, answers, body, parameters, refusals)
        return handler

    return keep


def operation_of(handler: Callable[..., Any]) -> Operation | None:
    """What was said of the handler, also of one that is wrapped."""
    found = vars(handler).get(_KEY)
    return found if isinstance(found, Operation) else None


def json_body(kind: Any, example: Any, *, is_required: bool = True, **more_examples: Any) -> Body:
    """A body in JSON with an example that works as it stands, but for ids and passwords."""
    return Body(
        {"application/json": Content(kind, {"example": example, **more_examples})}, is_required=is_required
    )
