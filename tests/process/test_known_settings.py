"""Misspelt variables are reported, whichever process would read them."""

import importlib
import io
import json
import pkgutil
from collections.abc import Iterator

import msgspec
import pytest

import collector
import worker
from collector.process.known_settings import MEANINGS, unknown_variables
from collector.process.logging import configure_logging, warn_of_unknown_settings
from collector.process.settings import Settings


def settings_classes(kind: type[Settings]) -> Iterator[type[Settings]]:
    """The class and its subclasses in the product."""
    yield kind
    for below in kind.__subclasses__():
        if below.__module__.partition(".")[0] in {"collector", "worker"}:
            yield from settings_classes(below)


def test_the_list_has_every_field_of_every_process_and_no_other() -> None:
    """A setting that is missing from it would be reported as unknown."""
    for package in (collector, worker):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)

    fields = {
        field.name for kind in set(settings_classes(Settings)) for field in msgspec.structs.fields(kind)
    }

    assert sorted(fields) == list(MEANINGS)


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [
        pytest.param(
            "HEADRACE_SHRADS",
            "HEADRACE_SHRADS is not a setting; did you mean HEADRACE_SHARDS?",
            id="one letter",
        ),
        pytest.param(
            "HEADRACE_BODY_LIMIT",
            "HEADRACE_BODY_LIMIT is not a setting; did you mean HEADRACE_BODY_LIMIT_BYTES?",
            id="no unit",
        ),
        pytest.param("HEADRACE_XYZZY", "HEADRACE_XYZZY is not a setting.", id="similar to none"),
    ],
)
def test_an_unknown_variable_is_named_with_the_closest_known_one(variable: str, sentence: str) -> None:
    """Variables of other processes are known."""
    known = {"HEADRACE_READ_BLOCK_MS": "5", "HEADRACE_LOAD_RATE": "1", "HEADRACE_REDIS_URL_FILE": "/x"}
    environ = {variable: "1", "SHRADS": "1"} | known

    assert [str(unknown) for unknown in unknown_variables(environ)] == [sentence]


def test_a_process_warns_once_per_variable_and_starts() -> None:
    """In the format of its other logs."""
    output = io.StringIO()
    configure_logging(Settings(log_format="json"), "ingest", output)

    warn_of_unknown_settings({"HEADRACE_SHRADS": "2", "HEADRACE_SHARDS": "1"})

    line = json.loads(output.getvalue())
    assert (line["level"], line["event"]) == ("warning", "unknown setting")
    assert (line["variable"], line["closest"]) == ("HEADRACE_SHRADS", "HEADRACE_SHARDS")
