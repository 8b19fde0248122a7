"""The output of `headrace up` on the terminal: each step with its duration, then one line per event."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console as Terminal

from collector.process.clock import Clock


class Console:
    """Prints progress: with a spinner on a terminal, as plain lines elsewhere."""

    def __init__(self, output: TextIO, clock: Clock) -> None:
        self._terminal = Terminal(file=output, highlight=False, markup=False, soft_wrap=True)
        self._clock = clock

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show a step while it lasts, and how long it took when it succeeds."""
        begun = self._clock.monotonic()
        if self._terminal.is_terminal:
            with self._terminal.status(f"{what} ..."):
                yield
        else:
            self.say(f"{what} ...")
            yield
        self.say(f"{what}: {self._clock.monotonic() - begun:.1f} s")

    def say(self, text: str) -> None:
        """Print the text as it is, without wrapping."""
        self._terminal.print(text)

    def log(self, text: str) -> None:
        """Print the text with the time of day."""
        self.say(f"{self._clock.now().astimezone():%H:%M:%S} {text}")
