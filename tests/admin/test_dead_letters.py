"""`headrace dead-letters`, as a shell runs it."""

import gzip

import pytest

from collector.domain.event.outcome import DeadLetterReason
from tests.admin.test_commands import Shell, shell
from tests.api.running_api import RunningApi
from tests.database.rows import a_letter, normalized

__all__ = ["shell"]

pytestmark = pytest.mark.integration


async def test_an_operator_lists_shows_replays_and_discards(shell: Shell, api: RunningApi) -> None:
    """What a letter holds cannot write to the terminal."""
    body = gzip.compress(b'{"message": "\x1b[31mred"}', mtime=0)
    large = a_letter(reason=DeadLetterReason.TOO_LARGE, body=body, content_encoding="gzip")
    corrupt = a_letter(detail="not\x1b[0m gzip")
    await api.save(normalized(dead_letters=[large, corrupt]))

    listed = await shell.said("dead-letters", "list", "--reason", "too_large", "--project", "shop")
    table = (await shell.run("dead-letters", "list", "--time", "last hour")).stdout
    shown = await shell.run("dead-letters", "show", str(large.id))
    refusals = [
        await shell.refused("dead-letters", "replay"),
        await shell.refused("dead-letters", "discard", "--yes"),
    ]
    replayed = await shell.said("dead-letters", "replay", large.id.hex, "--yes")
    discarded = await shell.said("dead-letters", "discard", "--all", "--yes")

    assert [letter["id"] for letter in listed] == [large.id.hex]
    assert len(table.splitlines()) == 4
    assert "\x1b" not in table + shown.stdout
    assert '{"message": "\ufffd[31mred"}' in shown.stdout
    assert "this replays 2 dead letters; say --yes." in refusals[0]
    assert "say which" in refusals[1]
    assert replayed == [{"replayed": 1, "left": 0}]
    assert discarded == [{"discarded": 1, "left": 0}]
