"""Where a page goes on."""

import pytest

from collector.api.request.parameters import Page


@pytest.mark.parametrize(
    ("page", "entries", "following"),
    [
        pytest.param(Page(1, 10), 10, Page(2, 10), id="a whole page is followed by one of its size"),
        pytest.param(Page(3, 10), 10, Page(4, 10), id="likewise further down"),
        pytest.param(Page(1, 100), 3, Page(2, 3), id="an early end makes the pages small"),
        pytest.param(Page(2, 10), 4, Page(3, 7), id="as large as they can be"),
        pytest.param(Page(2, 10), 3, Page(14, 1), id="in the worst case of one"),
    ],
)
def test_the_page_after_some_entries_begins_right_behind_them(
    page: Page, entries: int, following: Page
) -> None:
    """Nothing is skipped and nothing is shown twice, in the parameters that every client knows."""
    assert page.after(entries) == following
    assert page.after(entries).offset == page.offset + entries
