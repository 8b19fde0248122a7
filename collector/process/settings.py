"""Settings: one frozen class per process, built once from the environment. Nothing else reads `os.environ`.

A field `body_limit_bytes` is the variable `HEADRACE_BODY_LIMIT_BYTES`; `redis_url` and `database_url` are
also read from `REDIS_URL` and `DATABASE_URL`, where the prefixed name wins. A secret may also stand in a
file that `HEADRACE_REDIS_URL_FILE` names.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from collector.process.lifecycle import ServerError, StartError

PREFIX: Final = "HEADRACE_"
SECRETS: Final = ("redis_url", "database_url")
"""Also read without the prefix, or from a file; they may hold a password."""
FILE_SUFFIX: Final = "_FILE"
_OF_SECRETS: Final = tuple(name.upper() + suffix for name in SECRETS for suffix in ("", FILE_SUFFIX))
_LONGEST_SECRET: Final = 65_536

NOT_UNDERSTOOD: Final = (
    "cannot be understood; what is not a letter or digit in a user or password is written like %2F."
)
"""Goes on after a URL that a driver has refused."""

Port = Annotated[int, Meta(ge=0, le=65535, description="a port number, 0 to 65535")]
RedisUrl = Annotated[
    str, Meta(pattern=r"^(rediss?|unix)://", description="a URL like redis://user:password@host:6379/0")
]
DatabaseUrl = Annotated[
    str,
    Meta(pattern=r"^postgres(ql)?://", description="a URL like postgresql://user:password@host:5432/name"),
]
RequestLimit = Annotated[
    int, Meta(ge=0, le=1_000_000_000, description="a number of requests, 0 to 1000000000")
]
EventAgeDays = Annotated[int, Meta(ge=0, le=36_500, description="a number of days, 0 (no limit) to 36500")]
ProxyHeader = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}$", description="the name of one header, like x-forwarded-for")
]
RetentionDays = Annotated[int, Meta(ge=1, le=36_500, description="a number of days, 1 to 36500")]
MOST_SHARDS: Final = 256
ShardCount = Annotated[
    int, Meta(ge=1, le=MOST_SHARDS, description=f"the number of streams, 1 to {MOST_SHARDS}")
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


AnySettings = TypeVar("AnySettings", bound=Settings)


def read_settings(kind: type[AnySettings], environ: Mapping[str, str]) -> AnySettings:
    """The settings of one process.

    Raises StartError with a line for each wrong one: which variable, what it holds and what it may hold.
    """
    values, problems = _read(kind, environ)
    if problems:
        raise StartError("\n".join(problems.values()))
    return kind(**values)


def check_settings(kinds: Iterable[type[Settings]], environ: Mapping[str, str]) -> None:
    """Raise StartError with a line for each variable that is wrong for any of these processes."""
    problems: dict[str, str] = {}
    for kind in kinds:
        problems = _read(kind, environ)[1] | problems
    if problems:
        raise StartError("\n".join(problems.values()))


def named_settings(settings: Settings, environ: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Those of the settings that the environment names, as texts; a default is not a choice."""
    return {name: str(getattr(settings, name)) for name in names if _lookup(name, environ)[1] is not None}


def names_a_server(environ: Mapping[str, str]) -> bool:
    """Whether the environment says which Redis or Postgres to use."""
    return any(_lookup(name, environ)[1] for name in SECRETS)


def variable_of(field_name: str, environ: Mapping[str, str]) -> str:
    """The variable that the field is read from; of two, the one that is set."""
    return _lookup(field_name, environ)[0]


def with_servers(environ: Mapping[str, str], *, redis_url: str, database_url: str) -> dict[str, str]:
    """The environment with these servers instead of those that it names, whichever way."""
    files = {PREFIX + name.upper() + FILE_SUFFIX for name in SECRETS}
    return {
        **{variable: text for variable, text in environ.items() if variable not in files},
        PREFIX + "REDIS_URL": redis_url,
        PREFIX + "DATABASE_URL": database_url,
    }


def in_words(error: StartError, environ: Mapping[str, str]) -> str:
    """What a person reads whose process could not start; of a server's URL also where it came from."""
    if not isinstance(error, ServerError):
        return str(error)
    return f"{error} The URL is from {variable_of(error.field_name, environ)}; `headrace up` needs none."


def without_password(url: str) -> str:
    """A URL that may be shown and logged."""
    shown = re.sub(r"(?i)([?&](?:ssl)?password=)[^&]*", r"\1***", url)
    # To the last "@": a password with a slash or another "@" in it is none, but is still a secret.
    return re.sub(r"(?<=://)([^/@:]*):.*@", r"\1:***@", shown, flags=re.DOTALL)


def _read(kind: type[Settings], environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """What was read, by field, and what is wrong, by variable."""
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for field in msgspec.structs.fields(kind):
        variable, text = _lookup(field.name, environ)
        hint = stated(hints[field.name])
        if text is None:
            if field.required:
                problems[variable] = f"{variable} is not set; it must be {allowed(hint)}."
            continue
        holder = f"{variable} holds"
        if variable.endswith(FILE_SUFFIX) and field.name in SECRETS:
            if environ.get(direct := variable.removesuffix(FILE_SUFFIX)):
                problems[variable] = f"{direct} and {variable} are both set; unset one of them."
                continue
            try:
                text, holder = _file_text(text), f"{variable} names {text}, which holds"
            except (OSError, ValueError) as error:
                problems[variable] = f"{variable} names {text}, which cannot be read: {_reason(error)}."
                continue
        # A tuple is written as a comma-separated list.
        value: Any = text
        if get_origin(_bare(hint)) is tuple:
            value = [part.strip() for part in text.split(",") if part.strip()]
        try:
            values[field.name] = msgspec.convert(value, hint, strict=False)
        except msgspec.ValidationError:
            problems[variable] = f"{holder} {_shown(variable, text)}; it must be {allowed(hint)}."
    return values, problems


def _lookup(name: str, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """The variable's name and what it holds; an empty one counts as not set."""
    prefixed = PREFIX + name.upper()
    variables = (prefixed + FILE_SUFFIX, prefixed, name.upper()) if name in SECRETS else (prefixed,)
    for variable in variables:
        if text := environ.get(variable):
            return variable, text
    return prefixed, None


def _file_text(path: str) -> str:
    """The content of a secret's file without the line end that editors add."""
    with Path(path).open(encoding="utf-8") as file:
        text = file.read(_LONGEST_SECRET + 1)
    if len(text) > _LONGEST_SECRET:
        raise ValueError("it is too long")
    return text.strip()


def _reason(error: OSError | ValueError) -> str:
    """Why a file cannot be read; nothing of its content."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not text in UTF-8"
    return (error.strerror or "no reason given") if isinstance(error, OSError) else str(error)


def _shown(variable: str, text: str) -> str:
    """What a variable or its file holds, for an error; of a secret nothing that could be a password."""
    if "://" in text or not variable.endswith(_OF_SECRETS):
        return repr(without_password(text))
    if variable.endswith(FILE_SUFFIX) or "@" in text or "password" in text.lower():
        return "something that is no URL"
    return repr(text)


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def stated(hint: Any) -> Any:
    """What a variable may hold that is set; None stands for one that is not."""
    parts = [part for part in get_args(hint) if part is not NoneType]
    return parts[0] if get_origin(hint) is UnionType or get_origin(hint) is Union else hint


def allowed(hint: Any) -> str:
    """What a setting may hold, in words."""
    hint = stated(hint)
    if get_origin(hint) is Annotated:
        described = [meta.description for meta in get_args(hint)[1:] if isinstance(meta, Meta)]
        if described and described[0]:
            return described[0]
    # Without a description of its own: from the type.
    bare = _bare(hint)
    if get_origin(bare) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(bare))
    if get_origin(bare) is tuple:
        return "a comma-separated list"
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(bare, "text")
