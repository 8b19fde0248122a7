"""The landing page: what this server is, whether it works, and how to send a first event to it."""

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

ANY_ADDRESS: Final = "https://headrace.example.com"
"""Shown if the request's `Host` is not a valid host."""

_GOOD: Final = '<li class="good"><strong>{name}</strong> <span>yes</span></li>'
_BAD: Final = '<li class="bad"><strong>{name}</strong> <span>not now: {why}</span></li>'


def load_template(name: str) -> Template:
    """The page's template."""
    return Template(files(__package__).joinpath(name).read_text("utf-8"))


def landing_page(
    template: Template, origin: str | None, found: Mapping[str, Mapping[str, str | None]]
) -> str:
    """The page; `found` maps each capability of the server to its checks and their problems."""
    state = "\n".join(_item(name, outcomes) for name, outcomes in found.items())
    # `$dollar` in the template stands for a literal dollar of the shell example.
    return template.substitute(address=escape(origin or ANY_ADDRESS), state=state, dollar="$")


def _item(name: str, outcomes: Mapping[str, str | None]) -> str:
    # This page is public: details after a colon, such as addresses of servers, are for the health route only.
    wrong = [f"{check}: {text.partition(': ')[0]}" for check, text in outcomes.items() if text is not None]
    if wrong:
        return _BAD.format(name=escape(name), why=escape("; ".join(wrong)))
    return _GOOD.format(name=escape(name))
