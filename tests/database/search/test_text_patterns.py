"""Patterns for texts: characters of a filter are literals, whatever they mean to Postgres."""

import pytest

from collector.database.search.text_patterns import holding_pattern
from collector.domain.filter.tree import Wildcard
from collector.domain.filter.words import Pieces


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        pytest.param([("shop",)], "%shop%", id="a word"),
        pytest.param([("a",), ("longer", Wildcard.ANY, "one")], "%a%longer%one%", id="all pieces"),
        pytest.param([("50%_\\",)], "%50\\%\\_\\\\%", id="characters that mean something"),
        pytest.param([(Wildcard.ANY, Wildcard.ONE)], "%%", id="only wildcards"),
    ],
)
def test_a_text_with_the_words_contains_their_pieces_in_order(words: list[Pieces], pattern: str) -> None:
    """So that most texts are excluded by a cheap test."""
    assert holding_pattern(words) == pattern
