from typing import Any

import pytest

from collector.domain.project.exclusions import exclude, truncate_texts
from collector.domain.project.patterns import Patterns

PATTERNS = Patterns(["password", "*card*", "secret*"])


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param({"Password": "x", "user": "u"}, {"user": "u"}, id="a name, in any case"),
        pytest.param({"CreditCardNumber": 1, "secrets": 2, "my_secret": 3}, {"my_secret": 3}, id="patterns"),
        pytest.param(
            {"a": {"b": [{"password": 1, "c": 2}]}}, {"a": {"b": [{"c": 2}]}}, id="in nested objects"
        ),
        pytest.param([[{"password": 1}]], [[{}]], id="in lists"),
        pytest.param({"@card": 1}, {"@card": 1}, id="names of the server's members"),
        pytest.param({"card" + "s" * 5000: 1}, {}, id="a name of any length"),
        pytest.param("password", "password", id="a text"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_members_with_an_excluded_name_are_removed_at_every_depth(sent: Any, kept: Any) -> None:
    exclude(sent, PATTERNS)

    assert sent == kept


def test_long_texts_are_truncated_at_every_depth() -> None:
    value: Any = {"a": "x" * 11, "b": ["y" * 12, 5, {"c" * 20: "z" * 10}], "d": None}

    truncate_texts(value, 10)

    assert value == {"a": "x" * 10, "b": ["y" * 10, 5, {"c" * 20: "z" * 10}], "d": None}
