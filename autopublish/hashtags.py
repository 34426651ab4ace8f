"""Categories and tags of an article to hashtags that work on every network.

Knows the operator's rules and no network; how long a tag may be is an argument.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

from autopublish.models import HashtagRules

# What a CMS files articles under that nobody filed: WordPress's default category in the languages of its largest user
# groups. Source: https://translate.wordpress.org/projects/wp/dev/ ("Uncategorized")
_UNFILED = frozenset(
    (
        "uncategorized",
        "uncategorised",
        "tak berkategori",
        "tanpa kategori",
        "tidak berkategori",
        "tiada kategori",
        "allgemein",
        "non classé",
        "sin categoría",
        "sense categoria",
        "sem categoria",
        "senza categoria",
        "geen categorie",
        "bez kategorii",
        "okategoriserade",
        "genel",
        "без рубрики",
        "未分類",
        "未分类",
        "미분류",
    )
)
_BRACKETED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
# Apostrophes stand inside words: Qur'an, Jum'at, O'Connor.
_APOSTROPHES = dict.fromkeys(map(ord, "'’ʼʻ`´"))


def hashtags(categories: Iterable[str], rules: HashtagRules, *, longest: int) -> tuple[str, ...]:
    """At most `rules.most` hashtags without their `#`, no two alike but for case.

    The tags of `always` come first and count towards `most`, so that they are the last to go; the categories follow in
    their order. A category with an alias gives the alias (an empty one gives nothing); one that a CMS uses for articles
    nobody filed gives nothing. A name in `never` excludes a category of that name, each whose first words it is (`ADV`:
    `ADV Diskominfo`, not `Advokat`), and each tag that reads like it; it wins over `always`. Tags of more than
    `longest` characters are left out, never cut.
    """
    aliases = {_folded(name): tag for name, tag in rules.aliases.items()}
    named = [*rules.always, *(categories if rules.sources else ())]
    chosen: dict[str, str] = {}
    for position, name in enumerate(named):
        if len(chosen) >= rules.most:
            break
        always = position < len(rules.always)
        wanted = name if always else aliases.get(_folded(name), name)
        tag = hashtag(wanted)
        unfiled = not always and wanted is name and _folded(name) in _UNFILED
        if tag and len(tag) <= longest and not unfiled and not _excluded(name, tag, rules.never):
            chosen.setdefault(tag.casefold(), tag)
    return tuple(chosen.values())


@lru_cache(maxsize=1024)  # a site has few categories
def hashtag(name: str) -> str:
    """The hashtag that a name gives, without `#`: its words joined, each with a capital; nothing if it has no letter.

    What stands in brackets is left out beside other words. A single word stays as it is written. Joiners are dropped,
    since some networks end a tag there (https://github.com/bluesky-social/atproto, `TAG_REGEX`).
    """
    composed = unicodedata.normalize("NFC", name).translate(_APOSTROPHES)
    words = list(_words(_BRACKETED.sub(" ", composed))) or list(_words(composed))
    if len(words) > 1:
        words = [_capital(word) for word in words]
    tag = "".join(words).strip("_")
    return tag if any(character.isalpha() for character in tag) else ""


def is_tag_character(character: str) -> bool:
    """Whether a hashtag goes on with this character: a letter, mark, digit or underscore of any script."""
    return character == "_" or unicodedata.category(character) in {"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd"}


def _words(text: str) -> Iterator[str]:
    word = ""
    for character in text:
        if _is_invisible(character):
            continue
        # A mark needs a letter before it.
        if is_tag_character(character) and (word or not unicodedata.category(character).startswith("M")):
            word += character
        elif word:
            yield word
            word = ""
    if word:
        yield word


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f" or character >= "\U000e0100"


def _capital(word: str) -> str:
    # The title case: Georgian, for one, has capitals that no title uses.
    first = word[0].title()
    return first + word[1:] if len(first) == 1 else word


def _folded(name: str) -> str:
    """The name as it is compared: composed, without case, `#` and superfluous blanks."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().removeprefix("#").split())


def _excluded(name: str, tag: str, never: tuple[str, ...]) -> bool:
    words = list(_words(_folded(name)))
    for rule in never:
        leading = list(_words(_folded(rule)))
        if leading and words[: len(leading)] == leading:
            return True
        if hashtag(rule).casefold() == tag.casefold():
            return True
    return False
