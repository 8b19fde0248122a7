"""JSON answers contain no characters with a meaning in HTML."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from collector.http.responses import escaped

TEXTS = st.text(st.sampled_from("<>&'\"\\/u003C\né\N{GRINNING FACE}"))
VALUES = st.recursive(TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20)


@given(VALUES)
def test_escaping_does_not_change_the_value(value: Any) -> None:
    """In names, too; other characters are not escaped."""
    packed = orjson.dumps(value)
    answer = escaped(packed)

    assert orjson.loads(answer) == value
    assert not set(b"<>&'") & set(answer)
    assert answer.count("é".encode()) == packed.count("é".encode())
