"""Text that Postgres refuses is made storable."""

import pytest

from collector.database.text import storable


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("Grüße 😀", "Grüße 😀", id="ordinary text stays"),
        pytest.param("a\0b", "a\ufffdb", id="NUL"),
        pytest.param("a\ud800b", "a\ufffdb", id="a lone high surrogate"),
        pytest.param("\udc00", "\ufffd", id="a lone low surrogate"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_text_becomes_storable(text: str, kept: str) -> None:
    """Only what Postgres refuses is replaced."""
    assert storable(text) == kept
    assert kept.encode().decode() == kept
