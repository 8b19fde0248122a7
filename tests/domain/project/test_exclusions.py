"""What is excluded by its name is gone, at every depth."""

from typing import Any

import pytest

from collector.domain.project.exclusions import cut, exclude
from collector.domain.project.patterns import Patterns

PATTERNS = Patterns(["password", "*card*", "secret*"])


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param({"Password": "x", "user": "u"}, {"user": "u"}, id="a name, in any case"),
        pytest.param({"CreditCardNumber": 1, "secrets": 2, "my_secret": 3}, {"my_secret": 3}, id="patterns"),
        pytest.param({"a": {"b": [{"password": 1, "c": 2}]}}, {"a": {"b": [{"c": 2}]}}, id="within others"),
        pytest.param([[{"password": 1}]], [[{}]], id="within lists"),
        pytest.param({"@card": 1}, {"@card": 1}, id="names that are not the sender's"),
        pytest.param({"card" + "s" * 5000: 1}, {}, id="a name of any length"),
        pytest.param("password", "password", id="a text"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_members_with_an_excluded_name_go(sent: Any, kept: Any) -> None:
    """Their values are never stored."""
    exclude(sent, PATTERNS)

    assert sent == kept


def test_long_texts_keep_their_beginning() -> None:
    """Wherever they are; names and other values stay."""
    value: Any = {"a": "x" * 11, "b": ["y" * 12, 5, {"c" * 20: "z" * 10}], "d": None}

    cut(value, 10)

    assert value == {"a": "x" * 10, "b": ["y" * 10, 5, {"c" * 20: "z" * 10}], "d": None}
