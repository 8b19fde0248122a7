import tracemalloc
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
        pytest.param("password", True, id="the whole text"),
        pytest.param("PASSWORD", True, id="in another case"),
        pytest.param("*word", True, id="its end"),
        pytest.param("pass*", True, id="its beginning"),
        pytest.param("*ssw*", True, id="its middle"),
        pytest.param("*", True, id="anything"),
        pytest.param("**SSW**", True, id="several stars"),
        pytest.param("pa*rd", False, id="an inner star, which is a literal"),
        pytest.param("passwords*", False, id="longer than the text"),
        pytest.param("word", False, id="a part without a star"),
        pytest.param("*pass", False, id="not its end"),
        pytest.param("word*", False, id="not its beginning"),
    ],
)
def test_a_star_at_either_end_is_a_wildcard(pattern: str, is_match: bool) -> None:  # noqa: FBT001
    assert Patterns(["other", pattern]).match("Password") is is_match


@given(patterns=st.lists(SHORT_TEXTS.filter(bool), max_size=8), text=st.text("ab", max_size=6))
def test_a_list_matches_if_any_of_its_patterns_matches(patterns: list[str], text: str) -> None:
    assert Patterns(patterns).match(text) is any(Patterns([pattern]).match(text) for pattern in patterns)


def test_an_empty_list_is_false_and_matches_nothing() -> None:
    assert not Patterns()
    assert not Patterns().match("")
    assert Patterns(["*"])


@pytest.mark.parametrize("pattern", ["{}", "{}*", "*{}", "*{}*"])
def test_thousands_of_patterns_cost_little_more_than_one(pattern: str) -> None:
    """A post may hold hundreds of thousands of names; comparing each with every pattern took minutes."""
    three_letters = ["".join(letters) for letters in product(ascii_lowercase, repeat=3)][:2000]
    names = ["".join(letters) for letters in product(ascii_uppercase[::-1], repeat=3)][:5000]

    one = seconds_to_match(Patterns([pattern.format("aaa")]), names)
    many = seconds_to_match(Patterns([pattern.format(letters) for letters in three_letters]), names)

    assert many < 20 * one


@pytest.mark.parametrize("pattern", ["{}*", "*{}", "*{}*"])
def test_the_lengths_of_patterns_cost_nothing(pattern: str) -> None:
    """137 patterns of different lengths fit into a setting; trying each length for each name took seconds."""
    patterns = Patterns([pattern.format("ab" * length + "c") for length in range(1, 138)])
    names = [f"{number:06}{'ba' * 40}" for number in range(1_000)]

    assert seconds_to_match(patterns, names) < 20 * seconds_to_match(Patterns(["*xyz*"] * 20), names) + 0.5


@given(
    patterns=st.lists(SHORT_TEXTS.filter(bool), min_size=17, max_size=40, unique=True),
    texts=st.lists(st.text("ab", max_size=6), max_size=20),
)
def test_a_long_list_matches_as_its_patterns_do_one_by_one(patterns: list[str], texts: list[str]) -> None:
    many = Patterns(patterns)
    for text in texts:
        assert many.match(text) is any(Patterns([pattern]).match(text) for pattern in patterns)


def test_the_longest_list_takes_little_memory() -> None:
    """A worker keeps the lists of many projects."""
    tracemalloc.start()
    try:
        patterns = Patterns([f"*{number:06}*" for number in range(1_100)])
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert patterns.match("xx001099xx")
    assert size < 2_500_000


def seconds_to_match(patterns: Patterns, names: list[str]) -> float:
    """The CPU time of matching all names, none of which matches."""
    start = process_time()
    assert not any(map(patterns.match, names))
    return process_time() - start
