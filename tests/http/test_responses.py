"""JSON answers hold nothing that HTML could take for its own."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from collector.http.responses import escaped

TEXTS = st.text(st.sampled_from("<>&'\"\\/u003C\né\N{GRINNING FACE}"))
VALUES = st.recursive(TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20)


@given(VALUES)
def test_what_is_escaped_means_the_same(value: Any) -> None:
    """Names, too; other characters are as they were."""
    packed = orjson.dumps(value)
    answer = escaped(packed)

    assert orjson.loads(answer) == value
    assert not set(b"<>&'") & set(answer)
    assert answer.count("é".encode()) == packed.count("é".encode())
