"""The landing page: what this is, whether it works, and how to send a first event to this very address."""

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

ANY_ADDRESS: Final = "https://headrace.example.com"
"""For a reader whose own address cannot be told."""

_GOOD: Final = '<li class="good"><strong>{name}</strong> <span>yes</span></li>'
_BAD: Final = '<li class="bad"><strong>{name}</strong> <span>not now: {why}</span></li>'


def template_of(name: str) -> Template:
    """A page with places for what changes."""
    return Template(files(__package__).joinpath(name).read_text("utf-8"))


def landing_page(
    template: Template, origin: str | None, found: Mapping[str, Mapping[str, str | None]]
) -> str:
    """The page; `found` is what is wrong by name, for each thing that a reader can do."""
    state = "\n".join(_item(name, outcomes) for name, outcomes in found.items())
    # The shell has a use of its own for the dollar.
    return template.substitute(address=escape(origin or ANY_ADDRESS), state=state, dollar="$")


def _item(name: str, outcomes: Mapping[str, str | None]) -> str:
    # Anybody reads this: what stands behind a colon, as servers' addresses do, is for the health route alone.
    wrong = [f"{check}: {text.partition(': ')[0]}" for check, text in outcomes.items() if text is not None]
    if wrong:
        return _BAD.format(name=escape(name), why=escape("; ".join(wrong)))
    return _GOOD.format(name=escape(name))
