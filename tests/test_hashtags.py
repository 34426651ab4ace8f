"""Hashtags: what categories become, and which of them an article gets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopublish.hashtags import hashtag, hashtags, is_tag_character
from autopublish.models import HashtagRules


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("Kaltim", "Kaltim", id="one word"),
        pytest.param("investasi", "investasi", id="one word stays as written"),
        pytest.param("Pemprov Kaltim", "PemprovKaltim", id="words are joined"),
        pytest.param("kecerdasan buatan", "KecerdasanBuatan", id="each with a capital"),
        pytest.param("Samarinda & Balikpapan", "SamarindaBalikpapan", id="ampersand"),
        pytest.param("Ibu Kota Nusantara (IKN)", "IbuKotaNusantara", id="brackets are left out"),
        pytest.param("(IKN)", "IKN", id="unless there is nothing else"),
        pytest.param("#Kaltim", "Kaltim", id="already a hashtag"),
        pytest.param("Covid-19", "Covid19", id="hyphen"),
        pytest.param("Jum'at Qur’an", "JumatQuran", id="apostrophes"),
        pytest.param("27 November", "27November", id="begins with a digit"),
        pytest.param("Żółć gęślą", "ŻółćGęślą", id="diacritics"),
        pytest.param("Cafe\u0301", "Café", id="composed"),
        pytest.param("नई दिल्ली", "नईदिल्ली", id="Devanagari with its marks"),
        pytest.param("საქართველო თბილისი", "საქართველოთბილისი", id="Georgian without capitals"),
        pytest.param("東京 五輪", "東京五輪", id="Han"),
        pytest.param("می‌خواهم", "میخواهم", id="joiners end a tag on some networks"),
        pytest.param("❤️ Cinta 👍🏽", "Cinta", id="emoji"),
        pytest.param("ßig wort", "ßigWort", id="a letter without a single capital"),
        pytest.param("2024", "", id="digits only"),
        pytest.param("24/7", "", id="digits and punctuation"),
        pytest.param("__", "", id="underscores"),
        pytest.param("🎉 !", "", id="nothing usable"),
        pytest.param("\u0301", "", id="a mark alone"),
        pytest.param("", "", id="empty"),
    ],
)
def test_a_name_becomes_a_tag_that_works_everywhere(name: str, expected: str) -> None:
    assert hashtag(name) == expected


def chosen(*categories: str, longest: int = 64, **rules: object) -> tuple[str, ...]:
    return hashtags(categories, HashtagRules(**{"most": 9, **rules}), longest=longest)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        pytest.param(chosen("b", "a"), ("b", "a"), id="in the order of the categories"),
        pytest.param(chosen("a", "b", "c", "d", most=3), ("a", "b", "c"), id="no more than most"),
        pytest.param(chosen("a", most=0), (), id="none if none are wanted"),
        pytest.param(chosen("a", "b", always=("Z",), most=2), ("Z", "a"), id="always comes first and counts"),
        pytest.param(chosen("a", always=("X", "Y", "Z"), most=2), ("X", "Y"), id="always is bound by most too"),
        pytest.param(chosen("Kaltim", "KALTIM", "kaltim!"), ("Kaltim",), id="no two alike"),
        pytest.param(chosen("kaltim", always=("Kaltim",)), ("Kaltim",), id="always wins among the alike"),
        pytest.param(chosen("2024", "a"), ("a",), id="invalid ones take no place"),
        pytest.param(chosen("abcdef", "abc", longest=5), ("abc",), id="too long ones are left out"),
        pytest.param(chosen("a", sources=(), always=("Z",)), ("Z",), id="without a source only always"),
        pytest.param(chosen("Uncategorized", "Tak Berkategori", "TANPA KATEGORI", "a"), ("a",), id="unfiled"),
    ],
)
def test_the_rules_choose_the_tags(got: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert got == expected


ALIASES = {"Ibu Kota Nusantara (IKN)": "IKN", "Opini": "", "Uncategorized": "Berita", "Samarinda": "#Kota Tepian"}


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        pytest.param("Ibu Kota Nusantara (IKN)", ("IKN",), id="as written"),
        pytest.param("IBU KOTA  nusantara (ikn)", ("IKN",), id="without regard to case and blanks"),
        pytest.param("Opini", (), id="an empty alias gives nothing"),
        pytest.param("Uncategorized", ("Berita",), id="an alias speaks for an unfiled one"),
        pytest.param("Samarinda", ("KotaTepian",), id="an alias is made a tag as well"),
        pytest.param("Ibu Kota Nusantara", ("IbuKotaNusantara",), id="another name"),
    ],
)
def test_an_alias_takes_the_place_of_its_category(category: str, expected: tuple[str, ...]) -> None:
    assert chosen(category, aliases=ALIASES) == expected


@pytest.mark.parametrize(
    ("never", "category", "stays"),
    [
        pytest.param("ADV", "ADV", False, id="the category"),
        pytest.param("adv", "ADV", False, id="without regard to case"),
        pytest.param("#ADV", "ADV", False, id="written as a hashtag"),
        pytest.param("ADV", "ADV Diskominfo Kaltim", False, id="its first word"),
        pytest.param("ADV Diskominfo", "ADV Diskominfo Kaltim", False, id="its first words"),
        pytest.param("Diskominfo Kaltim", "diskominfoKaltim", False, id="the tag that it gives"),
        pytest.param("IKN", "Ibu Kota Nusantara (IKN)", False, id="the tag of its alias"),
        pytest.param("ADV", "Advokat", True, id="the beginning of a word is none"),
        pytest.param("Kaltim", "Pemprov Kaltim", True, id="a later word is none"),
        pytest.param("", "Kaltim", True, id="an empty rule"),
        pytest.param("!", "Kaltim", True, id="a rule without words"),
    ],
)
def test_never_excludes_a_category_its_first_words_and_its_tag(never: str, category: str, *, stays: bool) -> None:
    assert bool(chosen(category, never=(never,), aliases=ALIASES)) is stays


def test_never_wins_over_always() -> None:
    assert chosen("a", always=("ADV",), never=("ADV",)) == ("a",)


def test_the_categories_of_the_example_site_give_its_tags() -> None:
    categories = ("ADV Diskominfo Kaltim", "Ibu Kota Nusantara (IKN)", "Kaltim", "IKN", "investasi", "Pemprov Kaltim")
    rules = HashtagRules(most=4, always=("Kaltim",), never=("ADV",), aliases=ALIASES)
    assert hashtags(categories, rules, longest=64) == ("Kaltim", "IKN", "investasi", "PemprovKaltim")


@given(st.text(max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_name_gives_a_tag_without_breaks_or_nothing(name: str) -> None:
    tag = hashtag(name)
    assert all(map(is_tag_character, tag))
    assert not tag or any(map(str.isalpha, tag))
    assert hashtag(tag) == tag
