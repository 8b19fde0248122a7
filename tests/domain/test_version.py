import pytest

from collector.domain.version import is_older, is_version

ORDERED = [
    *("", "0.0.0-0", "0.0.1", "1", "1.2", "1.2.0.1", "1.9", "1.10-alpha", "1.10-beta", "1.10"),
    *("2.0.0-alpha", "2.0.0-alpha.1", "2.0.0-alpha.beta", "2.0.0-beta", "2.0.0-beta.2", "2.0.0-beta.11"),
    *("2.0.0-rc.1", "2.0.0", "2.0.0.1-9", "2.0.0.1-010", "2.0.0.1--", "2.0.0.1-Z.1", "2.0.0.1-a"),
    *("2.0.0.1-a.99999999999999999999", "2.0.0.1-a.100000000000000000000", "2.0.0.1", "v3.0-rc1", "3.0.0"),
]


@pytest.mark.parametrize("index", range(len(ORDERED) - 1))
def test_versions_are_ordered_as_semver_demands(index: int) -> None:
    older, newer = ORDERED[index : index + 2]

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
        pytest.param("1.2.3.4.5.6.7", "1.2.3.4.5.6", id="more numbers than count"),
        pytest.param("1.2.3rc1", "1.2.3-rc1", id="a pre-release without its hyphen"),
        pytest.param("1.2.3-rc.1+77", "1.2.3-rc.1+5", id="builds of a pre-release"),
        pytest.param("1.2.3 (of Monday)", "1.2.3", id="a remark"),
    ],
)
def test_some_spellings_are_the_same_version(one: str, other: str) -> None:
    assert not is_older(one, other)
    assert not is_older(other, one)


def test_a_missing_version_is_the_oldest() -> None:
    assert is_older(None, "0.1")


@pytest.mark.parametrize("text", ["garbage", "", "-1", "v", ".5", "9999999999", "\u0661.\u0662"])
def test_other_texts_are_no_version(text: str) -> None:
    assert not is_version(text)
