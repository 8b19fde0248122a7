"""Patterns match what they are for, however many there are."""

from itertools import product
from string import ascii_lowercase, ascii_uppercase
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.domain.project.patterns import Patterns

SHORT_TEXTS = st.text("ab*", max_size=5)


@pytest.mark.parametrize(
    ("pattern", "is_match"),
    [
        pytest.param("password", True, id="the same"),
        pytest.param("PASSWORD", True, id="in another case"),
        pytest.param("*word", True, id="its end"),
        pytest.param("pass*", True, id="its beginning"),
        pytest.param("*ssw*", True, id="within"),
        pytest.param("*", True, id="anything"),
        pytest.param("**SSW**", True, id="several stars"),
        pytest.param("pa*rd", False, id="a star within, which is a letter like others"),
        pytest.param("passwords*", False, id="longer than the text"),
        pytest.param("word", False, id="a part without a star"),
        pytest.param("*pass", False, id="not its end"),
        pytest.param("word*", False, id="not its beginning"),
    ],
)
def test_a_pattern_has_stars_at_its_ends(pattern: str, is_match: bool) -> None:  # noqa: FBT001
    """As the official server reads `@@DataExclusions`."""
    assert Patterns(["other", pattern]).match("Password") is is_match


@given(patterns=st.lists(SHORT_TEXTS.filter(bool), max_size=8), text=st.text("ab", max_size=6))
def test_a_text_is_matched_where_one_pattern_matches_it(patterns: list[str], text: str) -> None:
    """Whatever other patterns are listed with it."""
    assert Patterns(patterns).match(text) is any(Patterns([pattern]).match(text) for pattern in patterns)


def test_no_patterns_match_nothing() -> None:
    """And can be told from some."""
    assert not Patterns()
    assert not Patterns().match("")
    assert Patterns(["*"])


@pytest.mark.parametrize("pattern", ["{}", "{}*", "*{}", "*{}*"])
def test_thousands_of_patterns_cost_little_more_than_one(pattern: str) -> None:
    """A post may hold hundreds of thousands of names: compared with each pattern they took minutes."""
    three_letters = ["".join(letters) for letters in product(ascii_lowercase, repeat=3)][:2000]
    names = ["".join(letters) for letters in product(ascii_uppercase[::-1], repeat=3)][:5000]

    one = seconds_to_match(Patterns([pattern.format("aaa")]), names)
    many = seconds_to_match(Patterns([pattern.format(letters) for letters in three_letters]), names)

    assert many < 20 * one


def seconds_to_match(patterns: Patterns, names: list[str]) -> float:
    """The CPU time for all names, none of which matches."""
    begun = process_time()
    assert not any(map(patterns.match, names))
    return process_time() - begun
