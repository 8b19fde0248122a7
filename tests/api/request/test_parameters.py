"""The parameters of the next page."""

import pytest

from collector.api.request.parameters import Page


@pytest.mark.parametrize(
    ("page", "entries", "following"),
    [
        pytest.param(Page(1, 10), 10, Page(2, 10), id="a whole page is followed by one of its size"),
        pytest.param(Page(3, 10), 10, Page(4, 10), id="also further down the list"),
        pytest.param(Page(1, 100), 3, Page(2, 3), id="an early end makes the pages small"),
        pytest.param(Page(2, 10), 4, Page(3, 7), id="as large as they can be"),
        pytest.param(Page(2, 10), 3, Page(14, 1), id="in the worst case of one"),
    ],
)
def test_the_next_page_starts_right_after_the_entries_shown(
    page: Page, entries: int, following: Page
) -> None:
    """No entry is skipped or repeated, and `page` and `limit` suffice to ask for it."""
    assert page.after(entries) == following
    assert page.after(entries).offset == page.offset + entries
