"""What a filter looks for; so far a reference id."""

import pytest

from collector.domain.errors import BadRequest
from collector.domain.filter import reference_of


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("reference:order-4711", "order-4711"),
        ("reference_id:order-4711", "order-4711"),
        ('reference:"order-4711"', "order-4711"),
        ("  reference:order-4711\t", "order-4711"),
    ],
)
def test_a_reference_is_understood(text: str, reference: str) -> None:
    """By both names, with or without quotes."""
    assert reference_of(text) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        "*",
        "order-4711",
        "type:error",
        "reference:",
        "reference:a b",
        "reference:or*",
        'reference:"a',
        "Reference:a",
    ],
)
def test_any_other_filter_is_refused(text: str) -> None:
    """A wrong answer would be worse."""
    with pytest.raises(BadRequest):
        reference_of(text)
