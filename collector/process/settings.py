"""Settings: one frozen class per process, built once from the environment. Nothing else reads `os.environ`.

A field `body_limit_bytes` is the variable `HEADRACE_BODY_LIMIT_BYTES`; `redis_url` and `database_url` are
also read from `REDIS_URL` and `DATABASE_URL`, where the prefixed name wins.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from collector.process.lifecycle import StartError

PREFIX: Final = "HEADRACE_"
_UNPREFIXED: Final = ("redis_url", "database_url")
_SECRETS: Final = frozenset(_UNPREFIXED)

Port = Annotated[int, Meta(ge=0, le=65535, description="a port number, 0 to 65535")]
RedisUrl = Annotated[
    str, Meta(pattern=r"^(rediss?|unix)://", description="a URL like redis://user:password@host:6379/0")
]
DatabaseUrl = Annotated[
    str,
    Meta(pattern=r"^postgres(ql)?://", description="a URL like postgresql://user:password@host:5432/name"),
]
KeyPrefix = Annotated[
    str, Meta(pattern=r"^[\w.:-]{0,64}$", description="at most 64 of letters, digits and _.:-")
]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What every process reads."""

    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class RedisSettings(Settings, frozen=True, kw_only=True):
    """What every process that talks to Redis reads."""

    redis_url: RedisUrl
    redis_key_prefix: KeyPrefix = ""
    shards: Annotated[int, Meta(ge=1, le=256, description="the number of streams, 1 to 256")] = 1


AnySettings = TypeVar("AnySettings", bound=Settings)


def read_settings(kind: type[AnySettings], environ: Mapping[str, str]) -> AnySettings:
    """The settings of one process.

    Raises StartError with one line that says which variable, what it holds and what it may hold.
    """
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        variable, text = _lookup(field.name, environ)
        if text is None:
            if field.required:
                raise StartError(f"{variable} is not set; it must be {_allowed(hints[field.name])}.")
            continue
        try:
            values[field.name] = msgspec.convert(
                _parts(text, hints[field.name]), hints[field.name], strict=False
            )
        except msgspec.ValidationError:
            held = "a value" if field.name in _SECRETS else repr(text)
            raise StartError(f"{variable} holds {held}; it must be {_allowed(hints[field.name])}.") from None
    return kind(**values)


def without_password(url: str) -> str:
    """A URL that may be shown and logged."""
    return re.sub(r"(?<=://)([^/@:]*):[^/]*@", r"\1:***@", re.sub(r"([?&]password=)[^&]*", r"\1***", url))


def _lookup(name: str, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """The variable's name and what it holds; an empty one counts as not set."""
    prefixed = PREFIX + name.upper()
    if environ.get(prefixed, "") != "":
        return prefixed, environ[prefixed]
    if name in _UNPREFIXED:
        return prefixed, environ.get(name.upper()) or None
    return prefixed, None


def _parts(text: str, hint: Any) -> Any:
    """A tuple is written as a comma-separated list."""
    if get_origin(_bare(hint)) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _allowed(hint: Any) -> str:
    """What a setting may hold, in words."""
    if get_origin(hint) is Annotated:
        described = [meta.description for meta in get_args(hint)[1:] if isinstance(meta, Meta)]
        if described and described[0]:
            return described[0]
    bare = _bare(hint)
    if get_origin(bare) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(bare))
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(bare, "text")
