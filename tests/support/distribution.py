"""How pytest-xdist distributes tests: one process for those of a file, and for those that share a collector.

The mark `xdist_group` would say the same, but pytest-xdist 3.8 writes it into an attribute that pytest 9.2 no
longer reads.
"""

from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

SHARING: Final = ("tests/clients/", "tests/pages/")
"""Folders whose tests share one `headrace up`."""

LONGEST: Final = ("tests/pages/", "tests/clients/", "tests/end_to_end/", "tests/installing/", "tests/api/")
"""Folders with slow tests: two processes finish at about the same time if these come first."""


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """One unit of work for each file, or for a folder whose tests share a collector."""

    def _split_scope(self, nodeid: str) -> str:
        folder = next((folder for folder in SHARING if nodeid.startswith(folder)), None)
        return folder or nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Whatever `--dist` says."""
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    order = {folder: place for place, folder in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get("/".join(item.nodeid.split("/")[:2]) + "/", len(order)))
