import re
import sys
import unicodedata

import pytest

from collector.domain.filter.fields import ANY_SEPARATOR, SOURCE_SEPARATORS
from collector.domain.filter.tree import Wildcard
from collector.domain.filter.words import (
    IDEOGRAPHS,
    MARKS,
    SEPARATORS,
    Pieces,
    folded,
    is_folded_by_store,
    split_words,
)

CHARACTERS = [
    chr(code)
    for code in range(128, sys.maxunicode + 1)
    if unicodedata.category(chr(code)) not in {"Cn", "Cs"}
]
"""Every character beyond ASCII that this version of Python knows."""


def kind(character: str) -> str:
    """The kind by Unicode category: a separator, a mark of every script, an ideograph, or else a letter."""
    category, name = unicodedata.category(character), unicodedata.name(character, "")
    if category[0] == "M":
        return "mark" if name.startswith(("COMBINING ", "VARIATION SELECTOR-", "IDEOGRAPHIC ")) else "letter"
    if category[0] == "L" or category in {"Nd", "Nl"}:
        is_ideograph = name.startswith(("CJK ", "HIRAGANA ", "HENTAIGANA ", "IDEOGRAPHIC ", "HANGZHOU "))
        return "ideograph" if is_ideograph or character == "\u303b" else "letter"
    return "letter" if character == "\N{RIGHT SINGLE QUOTATION MARK}" else "separator"


def test_the_tables_agree_with_the_categories_of_unicode() -> None:
    tables = {
        name: re.compile(f"[{table}]")
        for name, table in {"separator": SEPARATORS, "mark": MARKS, "ideograph": IDEOGRAPHS}.items()
    }
    for character in CHARACTERS:
        found = [name for name, table in tables.items() if table.match(character)]
        assert (found or ["letter"]) == [kind(character)], hex(ord(character))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("“hello”", ["hello"]),
        ("alpha—beta", ["alpha", "beta"]),
        ("done🎉now", ["done", "now"]),
        ("⚠\ufe0fWarning", ["Warning"]),
        ("１２，ａ：ｂ", ["１２", "ａ", "ｂ"]),
        ("a\u3000b\u200bc\u00a0d\x0be", ["a", "b", "c", "d", "e"]),
        ("x² ½", ["x"]),
        ("登录地址", ["登", "录", "地", "址"]),
        ("调用login失败", ["调", "用", "login", "失", "败"]),
        ("カタカナとひらがな", ["カタカナ", "と", "ひ", "ら", "が", "な"]),
        ("한국어 단어", ["한국어", "단어"]),
        ("人々", ["人", "々"]),
        ("हिन्दी สวัสดี", ["हिन्दी", "สวัสดี"]),
        ("cafe\u0301 か\u3099", ["cafe\u0301", "か\u3099"]),
        ("don’t ‘quoted’ ’tis l’été", ["don’t", "quoted", "tis", "l’été"]),
        ("don't x_y", ["don", "t", "x_y"]),
        ("Мир, Ärger; İ", ["Мир", "Ärger", "İ"]),
        ("—", []),
        ("\u0301", []),
    ],
)
def test_texts_of_any_script_are_split_into_words(text: str, words: list[str]) -> None:
    assert split_words((text,), ANY_SEPARATOR) == tuple((word,) for word in words)


def test_fields_differ_only_in_their_ascii_separators() -> None:
    assert split_words(("a-b’c—d.e",), SOURCE_SEPARATORS) == (("a-b’c",), ("d",), ("e",))


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (("登录", Wildcard.ANY, "失败"), [("登",), ("录", Wildcard.ANY, "失"), ("败",)]),
        (("a b", Wildcard.ONE, " c"), [("a",), ("b", Wildcard.ONE), ("c",)]),
        (("don’", Wildcard.ANY), [("don’", Wildcard.ANY)]),
        (("don’ ", Wildcard.ANY), [("don",), (Wildcard.ANY,)]),
        ((Wildcard.ONE, "\u0301", "—", Wildcard.ANY), [(Wildcard.ONE, "\u0301"), (Wildcard.ANY,)]),
        ((Wildcard.ANY, Wildcard.ONE), [(Wildcard.ANY, Wildcard.ONE)]),
    ],
)
def test_a_wildcard_belongs_to_the_word_next_to_it(pieces: Pieces, words: list[Pieces]) -> None:
    assert split_words(pieces, ANY_SEPARATOR) == tuple(words)


def test_case_is_folded_one_character_at_a_time() -> None:
    """Neither the length of a text nor the kind of its characters may change."""
    assert folded("ÄRGER МИР İSTANBUL ΣΑΣ ß ẞ Ǆ") == "ärger мир istanbul σασ ß ß ǆ"
    for character in CHARACTERS:
        assert len(folded(character)) == 1
        if kind(character) != "letter":
            assert kind(folded(character)) == kind(character)


def test_only_late_capitals_are_left_to_the_store() -> None:
    unfolded = [character for character in CHARACTERS if folded(character) == character != character.lower()]
    assert all(map(is_folded_by_store, unfolded))
    assert not is_folded_by_store("ÄRGER МИР İ" + SEPARATORS + MARKS + IDEOGRAPHS)
