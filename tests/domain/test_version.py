"""Versions are compared as people read them."""

import pytest

from collector.domain.version import is_older

ORDERED = ["", "0.0.1", "1", "1.2", "1.2.0.1", "1.9", "1.10-alpha", "1.10-beta", "1.10", "v2.0-rc1", "2.0.0"]


@pytest.mark.parametrize("place", range(len(ORDERED) - 1))
def test_versions_have_an_order(place: int) -> None:
    """Numbers as numbers, and a pre-release before its release."""
    older, newer = ORDERED[place : place + 2]

    assert is_older(older, newer)
    assert not is_older(newer, older)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("1.2", "1.2.0.0", id="zeros"),
        pytest.param("V1.2", "1.2", id="a letter in front"),
        pytest.param("1.2+build.7", "1.2", id="a build"),
        pytest.param("latest", "", id="no version at all"),
        pytest.param("9" * 5000, "", id="a number beyond any version"),
        pytest.param("1.2.3.4.5", "1.2.3.4", id="more numbers than count"),
    ],
)
def test_some_spellings_are_one_version(one: str, other: str) -> None:
    """Neither is older than the other."""
    assert not is_older(one, other)
    assert not is_older(other, one)


def test_no_version_is_the_oldest() -> None:
    """Of an event that names none nobody knows that it is new."""
    assert is_older(None, "0.1")
