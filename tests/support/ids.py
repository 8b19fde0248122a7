"""Ids of posts in tests: those of one moment ascend within a test, and their time is that moment.

A generator's time runs ahead of the clock after 4,096 ids of one millisecond, which all tests of a process
reach together. So each test begins with new generators.
"""

from collections import defaultdict
from typing import Final

from collector.domain.ids import PostIds, accepted_ms

_by_moment: Final[defaultdict[int, PostIds]] = defaultdict(PostIds)


def next_id(now_ms: int) -> bytes:
    """The id of a post or batch that was accepted at this moment."""
    post_id = _by_moment[now_ms].next(now_ms)
    if accepted_ms(post_id) == now_ms:
        return post_id
    del _by_moment[now_ms]
    return next_id(now_ms)


def pytest_runtest_setup() -> None:
    """Begin again."""
    _by_moment.clear()
