"""Structured logs with ids and without secrets: JSON, or coloured text on a terminal."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog

from collector.process.known_settings import unknown_variables
from collector.process.settings import Settings

_SECRET_PARAMETER: Final = re.compile(r"(?i)\b(access_token|api_key|apikey|password|token)=[^&\s\"']+")
_SECRET_HEADER: Final = re.compile(r"(?i)\b(bearer|basic|token) +[a-z0-9+/=_-]{8,}")
_SECRET_IN_URL: Final = re.compile(r"://([^/@:\s]*):[^/@\s]+@")
_TOKENS_IN_PATH: Final = re.compile(r"(?i)/tokens/[^\s\"'?#]+")
_WHOLE_TOKEN: Final = re.compile(r"([a-zA-Z0-9-]{24})[a-zA-Z0-9-]+")


def configure_logging(settings: Settings, process: str, stream: TextIO | None = None) -> None:
    """Send structlog and the libraries' own logging to `stream` (standard error) in one format."""
    output = stream or sys.stderr

    def add_process(
        _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        event.setdefault("process", process)
        return event

    renderer: Any = structlog.processors.JSONRenderer()
    if settings.log_format == "console" or (settings.log_format == "auto" and output.isatty()):
        # Plain tracebacks: rich ones show local variables, which contain users' events.
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        add_process,
        mask_secrets,
    ]
    level = getattr(logging, settings.log_level.upper())
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(output),
    )
    # Libraries log through the standard module: their warnings get the same format.
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    # During an outage its pool logs a traceback for every connection; we log the outage once ourselves.
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)


def warn_of_unknown_settings(environ: Mapping[str, str]) -> None:
    """Log each variable that has our prefix and is not a setting: it may be misspelled."""
    for unknown in unknown_variables(environ):
        structlog.get_logger().warning("unknown setting", variable=unknown.variable, closest=unknown.closest)


def mask_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask everything that looks like a secret in the texts of a log line."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = masked(value)
    return event


def masked(text: str) -> str:
    """The text with masked tokens and passwords: in query strings, headers, URLs and token paths."""
    text = _SECRET_PARAMETER.sub(r"\1=***", text)
    text = _SECRET_HEADER.sub(r"\1 ***", text)
    text = _SECRET_IN_URL.sub(r"://\1:***@", text)
    return _TOKENS_IN_PATH.sub(lambda path: _WHOLE_TOKEN.sub(r"\1***", path[0]), text)
