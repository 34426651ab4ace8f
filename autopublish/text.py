"""Plain text: cleaning, counting as networks count, shortening between graphemes, HTML to plain text.

Knows nothing of articles or platforms; a platform names its way of counting through `TextLimits`. The `regex` library
is imported only for text that needs it, so that a poll of ordinary titles does not pay for it.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from autopublish.models import Span, SpanKind

if TYPE_CHECKING:
    import regex

#: Most characters of a field of one line; the rest is cut off before any expression sees it.
LINE_CAP = 10_000
#: Most characters of HTML that are read, and of plain text that `html_to_text` gives.
HTML_CAP = 1_000_000
TEXT_CAP = 100_000
#: What stands where text was cut off.
ELLIPSIS = "…"

# Letters, digits, punctuation and symbols of which each character is one grapheme, visible and not a mark. Whatever
# lies outside (marks, joiners, controls, most scripts with vowel signs, emoji) takes the thorough way.
_PLAIN = re.compile(
    r"[\n\x20-\x7e\xa1-\xac\xae-\u02ff\u0370-\u0482\u048a-\u052f\u1e00-\u1fff\u2010-\u2027\u2030-\u205e\u20a0-\u20cf"
    r"\u2100-\u22ff\u2500-\u25a9\u3001-\u3029\u3031-\u303c\u3041-\u3096\u309b-\u3163\u3165-\u3296\u329a-\u9fff"
    r"\uac00-\ud7a3\uff01-\uff9d]*"
)


# --- limits ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLimits:
    """How much text a network takes, and how it counts it."""

    #: Most units of `count` in one post.
    length: int
    #: How the network counts: `graphemes`, `characters`, `utf16_units`, `weighted`, or a platform's own function.
    count: Callable[[str], int]
    #: What any link counts, where that is fixed (t.co and its kin); None: as it is written.
    url_length: int | None = None
    #: What a link counts where the network takes not every one, or not the whole of it, for a link; it is given
    #: `url_length` as well. None: `url_length`.
    link_length: Callable[[str, int], int] | None = None
    #: Most UTF-8 bytes, where the network limits them as well.
    size_bytes: int | None = None
    #: Most characters of one hashtag without its `#`.
    hashtag_length: int = 64
    #: How words of others are written so that the network makes no mention and no hashtag of them; None: as they are,
    #: where only what a post marks becomes one.
    neutralise: Callable[[str], str] | None = None
    #: What else takes room in each post, in words that go on after the length; empty if nothing does.
    beside: str = ""

    def measure(self, text: str, spans: Sequence[Span] | None = None) -> int:
        """How many units the network counts.

        Where links have a fixed length, the links of `spans` have it. Other URLs in the text count what is more, the
        fixed length or their own, because a network does not take for a link all that looks like one. Without `spans`
        every http(s) URL in the text has the fixed length.
        """
        if self.url_length is None:
            return self.count(text)
        if spans is None:
            return self.count(_with_placeholders(text, [(*place, self.url_length) for place in _urls(text)]))
        ours = [
            (span.start, span.end, self._length_of(text[span.start : span.end], self.url_length))
            for span in spans
            if span.kind is SpanKind.LINK
        ]
        others = [
            (start, end, max(end - start, self._length_of(text[start:end], self.url_length)))
            for start, end in _urls(text)
            if not any(start < ours_end and end > at for at, ours_end, _ in ours)
        ]
        return self.count(_with_placeholders(text, sorted(ours + others)))

    def _length_of(self, link: str, fixed: int) -> int:
        return fixed if self.link_length is None else self.link_length(link, fixed)

    def fits(self, text: str, spans: Sequence[Span] | None = None) -> bool:
        """Whether the network takes the text, in units and in bytes."""
        if self.size_bytes is not None and len(text.encode("utf-8", "surrogatepass")) > self.size_bytes:
            return False
        return self.measure(text, spans) <= self.length


# A URL as every network sees it: ASCII, without the punctuation that ends a sentence; at least its scheme, where the
# host is in another script.
_URL = re.compile(r"https?://(?:[!-~]*[\w/=&#+%~-])?", re.ASCII | re.IGNORECASE)


def _urls(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in _URL.finditer(text)]


def _with_placeholders(text: str, places: Iterable[tuple[int, int, int]]) -> str:
    """The text with each place (start, end, length) taken by plain letters, which every way of counting counts so."""
    parts: list[str] = []
    done = 0
    for start, end, length in places:
        parts += [text[done:start], "x" * length]
        done = end
    return "".join([*parts, text[done:]])


# --- ways to count ---------------------------------------------------------------------------------------------------


def graphemes(text: str) -> int:
    """How many user-perceived characters: extended grapheme clusters of Unicode Annex 29."""
    if _PLAIN.fullmatch(text):
        return len(text)
    return sum(1 for _ in _clusters(text))


def characters(text: str) -> int:
    """How many Unicode code points."""
    return len(text)


def utf16_units(text: str) -> int:
    """How many UTF-16 code units, as JavaScript, Java and Telegram count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def weighted(text: str) -> int:
    """How many weighted units, as X counts: most scripts 1, an emoji sequence 2, all else (Han, kana, ...) 2.

    URLs count as written; `TextLimits.url_length` gives them their fixed length. Only sequences that X knows are one
    emoji to it, so that a made-up sequence may count more there.

    Source: https://docs.x.com/fundamentals/counting-characters (twitter-text configuration v3)
    """
    composed = unicodedata.normalize("NFC", text)
    if composed.isascii():
        return len(composed)
    if _PLAIN.fullmatch(composed):
        return sum(map(_weight, composed))
    emoji = _patterns().emoji
    return sum(2 if emoji.search(part) else sum(map(_weight, part)) for part in _clusters(composed))


def _weight(character: str) -> int:
    point = ord(character)
    return 1 if point <= 4351 or 8192 <= point <= 8205 or 8208 <= point <= 8223 or 8242 <= point <= 8247 else 2


def _clusters(text: str) -> Iterator[str]:
    return (match.group() for match in _patterns().cluster.finditer(text))


# --- cleaning --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Patterns:
    """The expressions that need the `regex` library, compiled once."""

    cluster: regex.Pattern[str]
    emoji: regex.Pattern[str]
    unwanted: regex.Pattern[str]
    stray_tags: regex.Pattern[str]
    stray_selectors: regex.Pattern[str]
    stray_joiners: regex.Pattern[str]
    many_marks: regex.Pattern[str]
    right_to_left: regex.Pattern[str]


@cache
def _patterns() -> _Patterns:
    import regex

    # Scripts that use no joiners: in them ZWJ and ZWNJ only hide.
    no_joiners = r"\p{Latin}\p{Greek}\p{Cyrillic}\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Common}\p{Inherited}"
    joining = rf"[[\p{{L}}\p{{M}}--[{no_joiners}]]\u064b-\u0655\u0670]"
    pictured = r"\p{Extended_Pictographic}"
    return _Patterns(
        cluster=regex.compile(r"\X"),
        emoji=regex.compile(r"\p{Emoji_Presentation}|\p{Regional_Indicator}{2}|\p{Emoji}\ufe0f|[0-9#*]\ufe0f?\u20e3"),
        # Controls, surrogates, noncharacters, format characters (deprecated ones, overrides and embeddings included)
        # and letters without a shape; not those that the next steps judge, nor the visible signs of Arabic and kin.
        unwanted=regex.compile(
            r"[[\p{Cc}\p{Cs}\p{Cf}\p{Noncharacter_Code_Point}\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0]"
            r"--[\u200c\u200d\u180e\u200e\u200f\u061c\u2066-\u2069\U000e0020-\U000e007f\p{Prepended_Concatenation_Mark}]]",
            regex.V1,
        ),
        # Tag characters spell the flags of England, Scotland and Wales; elsewhere they are hidden text.
        stray_tags=regex.compile(
            "(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f)|[\U000e0020-\U000e007f]"
        ),
        stray_selectors=regex.compile(
            r"(?<![\p{Emoji}\p{S}\p{Han}\p{Myanmar}\p{Phags_Pa}])[\ufe00-\ufe0f]|(?<!\p{Han})[\U000e0100-\U000e01ef]"
        ),
        stray_joiners=regex.compile(
            rf"(?<!{joining})(?:[\u200c\u180e]|(?<![{pictured}\p{{Emoji_Modifier}}\ufe0f\U000e007f])\u200d"
            rf"|\u200d(?!{pictured}))",
            regex.V1,
        ),
        many_marks=regex.compile(r"(\p{M}{4})\p{M}+"),
        right_to_left=regex.compile(r"[\p{Bidi_Class=R}\p{Bidi_Class=AL}]"),
    )


def clean(text: str, *, longest: int = LINE_CAP) -> str:
    """One line of plain text: only what can be seen and what shapes it, blanks folded, at most `longest` characters.

    Controls, surrogates, invisible format characters, bidirectional overrides, embeddings and unclosed isolates are
    gone; ZWJ, ZWNJ, variation selectors and direction marks stay where they have an effect; at most four combining
    marks stand in a row. Cleaning twice changes nothing more.
    """
    return _clean_line(_capped(text.lstrip(), longest))


def clean_lines(text: str, *, longest: int = TEXT_CAP) -> str:
    """Lines of plain text, each as `clean` leaves it, with at most one empty line between two, and none at the ends."""
    lines = [_clean_line(line) for line in _capped(text.lstrip(), longest).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def _capped(text: str, longest: int) -> str:
    """The text up to `longest` characters, not ending inside a grapheme."""
    if len(text) <= longest:
        return text
    kept = text[:longest]
    # Judging the last characters is enough: no grapheme that survives `clean` is longer.
    tail = list(_clusters(kept[-64:]))
    return kept[: -len(tail[-1])] if len(tail) > 1 else kept


def _clean_line(text: str) -> str:
    folded = " ".join(text.split())
    if _PLAIN.fullmatch(folded):
        return folded
    found = _patterns()
    seen = found.unwanted.sub("", folded)
    seen = found.stray_tags.sub(r"\1", seen)
    seen = found.stray_selectors.sub("", seen)
    seen = found.stray_joiners.sub("", seen)
    if not found.right_to_left.search(seen):
        seen = _MARKS_OF_DIRECTION.sub("", seen)
    seen = found.many_marks.sub(r"\1", seen)
    return " ".join(_balanced(seen).split())


_MARKS_OF_DIRECTION = re.compile("[\u200e\u200f\u061c]")
_ISOLATES = re.compile("[\u2066-\u2069]")
_POP_ISOLATE = "\u2069"


def _balanced(text: str) -> str:
    """The text without isolates that nothing closes and ends of isolates that nothing opened."""
    opened: list[int] = []
    stray: list[int] = []
    for match in _ISOLATES.finditer(text):
        if match.group() != _POP_ISOLATE:
            opened.append(match.start())
        elif opened:
            opened.pop()
        else:
            stray.append(match.start())
    for position in sorted(opened + stray, reverse=True):
        text = text[:position] + text[position + 1 :]
    return text


# --- words of others -------------------------------------------------------------------------------------------------

WORD_JOINER = "\u2060"
# The sign begins a mention where no letter or digit stands before it, in the widest reading of the servers (a mail
# address is none); a hashtag also has a letter, and stands apart from what may be an address. At the end of one value
# another may follow. Full-width signs count as well.
_SIGN = re.compile(
    r"(?<![A-Za-z0-9])[@\uff20](?=\w|\Z)|(?<![A-Za-z0-9_/])[#\uff03](?=[\w\u00b7\u30fb]*[^\W\d]|\Z)",
)


def unlinked(text: str) -> str:
    """The text, in which no `@name` mentions anybody and no `#tag` becomes a hashtag on networks that look for them.

    An invisible word joiner after the sign ends what they look for; a reader sees the same.
    """
    return _SIGN.sub(rf"\g<0>{WORD_JOINER}", text)


# --- shortening ------------------------------------------------------------------------------------------------------

#: A cut moves back to the end of a word if that costs no more characters than this, and less than what stays.
_WORD_LOSS = 24
# What must not hang before the ellipsis: blanks, separators, opening brackets and quotes.
_DANGLING = " \t\n.,;:!?¡¿-–—/\\|&+#@([{<\"'“‘„‚«‹…·•、。，．：；！？（「『【《"


def shorten(text: str, fits: Callable[[str], bool]) -> str:
    """The longest beginning of the text that fits, ended by `…`; the text itself if it fits, nothing if nothing does.

    It ends at a word where that loses little, never inside a grapheme, and never with dangling punctuation. `fits` is
    asked a number of times that grows with the logarithm of the result.
    """
    if fits(text):
        return text
    borders = _Borders(text)

    def good(count: int) -> bool:
        end = borders.after(count)
        return end < len(text) and fits(_ended(text[:end]))

    count = _largest(good)
    kept = text[: borders.after(count)]
    return _ended(_at_word(text, kept))


class _Borders:
    """Where the graphemes of a text end, found only as far as asked."""

    def __init__(self, text: str) -> None:
        self._ends = [0]
        self._rest = _clusters(text)

    def after(self, count: int) -> int:
        """The offset after `count` graphemes, or the end of the text."""
        while len(self._ends) <= count:
            following = next(self._rest, None)
            if following is None:
                return self._ends[-1]
            self._ends.append(self._ends[-1] + len(following))
        return self._ends[count]


def _largest(good: Callable[[int], bool]) -> int:
    """The largest count that is good, taking it that all smaller ones are and that some count is not."""
    low, high = 0, 32
    while good(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if good(middle) else (low, middle)
    return low


def _at_word(text: str, kept: str) -> str:
    """`kept`, a beginning of `text`, or the words in it that are whole if that loses little."""
    if text[len(kept) : len(kept) + 1].isspace() or kept[-1:].isspace():
        return kept
    words = " ".join(kept.rsplit(maxsplit=1)[:-1])
    lost = len(kept) - len(words)
    return words if lost <= min(_WORD_LOSS, len(words)) else kept


def _ended(kept: str) -> str:
    """`kept` with an ellipsis in the place of what dangles at its end; nothing if nothing else is left."""
    stripped = _balanced(kept).rstrip(_DANGLING)
    return stripped + ELLIPSIS if stripped else ""


# --- HTML ------------------------------------------------------------------------------------------------------------

# A tag ends at the first `>` outside a quoted value, and an unclosed one at the end of the document, as in browsers.
# Each alternative is possessive, so that no document is scanned twice.
_MARKUP = re.compile(
    r"""<!--(?:>|->|.*?(?:--!?>|\Z))
      | <(?P<close>/?)(?P<name>[a-z][^\s/>]*+)
        (?P<attributes>(?:[^>=]|=\s*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z))?)*+)(?:>|\Z)
      | <[!?/][^>]*+(?:>|\Z)""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
# Controls that no text holds once its white space is folded: a block, and a paragraph, begins or ends here.
_BLOCK, _PARAGRAPH = "\x1e", "\x1d"
_BREAKS = {
    **dict.fromkeys(("p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "ul", "ol", "dl"), _PARAGRAPH),
    **dict.fromkeys(("table", "hr", "figure", "article", "section", "aside", "header", "footer"), _PARAGRAPH),
    **dict.fromkeys(("div", "li", "tr", "dt", "dd", "figcaption", "caption", "address", "main", "nav"), _BLOCK),
    **dict.fromkeys(("body", "form", "fieldset", "details", "summary"), _BLOCK),
    "br": "\n",
    "td": " ",
    "th": " ",
}
# Not a single blank, which stays as it is.
_RUN_OF_BREAKS = re.compile(r" *[\n\x1d\x1e][ \n\x1d\x1e]*| {2,}")
_DROPPED = {
    *("script", "style", "template", "noscript", "head", "title", "textarea", "select"),
    *("iframe", "object", "audio", "video", "svg", "math"),
}
# WordPress puts images in the place of emoji in the content of its feeds: https://developer.wordpress.org/reference/functions/wp_staticize_emoji/
_EMOJI_IMAGE = re.compile(r"""\bclass\s*=\s*["'][^"']*\b(?:wp-smiley|emoji)\b""", re.IGNORECASE)
_ALT = re.compile(r"""\balt\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
# html.unescape raises ValueError where a number has more digits than int() takes.
_HUGE_REFERENCE = re.compile(r"&#(?:0*+[0-9]{8,}|x0*+[0-9a-f]{7,});?", re.IGNORECASE)


def html_to_text(source: str) -> str:
    """The text that a reader of the HTML sees: a line for each block, an empty line between paragraphs.

    Entities are decoded once, scripts, styles and embedded media are dropped, each line is as `clean` leaves it. Any
    nesting is read in linear time; what lies beyond `HTML_CAP` characters of HTML or `TEXT_CAP` of text is left out.
    """
    return clean_lines(_RUN_OF_BREAKS.sub(_broken, "".join(_pieces(source[:HTML_CAP]))))


def _broken(run: re.Match[str]) -> str:
    """What a run of blanks and breaks comes to: a blank, a new line, or an empty line."""
    breaks = run.group()
    if _PARAGRAPH in breaks or breaks.count("\n") > 1:
        return "\n\n"
    return "\n" if breaks.strip(" ") else " "


def _pieces(source: str) -> Iterator[str]:
    """The text between the tags, and line breaks where blocks begin and end."""
    position = 0
    while match := _MARKUP.search(source, position):
        yield _decoded(source[position : match.start()])
        name = (match["name"] or "").lower()
        yield _shown(name, match["attributes"] or "")
        position = match.end()
        # XHTML in feeds writes empty elements as `<iframe/>`.
        if name in _DROPPED and not match["close"] and not (match["attributes"] or "").endswith("/"):
            position = _after(source, name, position)
    yield _decoded(source[position:])


def _shown(name: str, attributes: str) -> str:
    """What a tag itself adds to the text."""
    if name in _BREAKS:
        return _BREAKS[name]
    if name == "img" and _EMOJI_IMAGE.search(attributes):
        alt = _ALT.search(attributes)
        return _decoded(alt[1] or alt[2] or "") if alt else ""
    return ""


def _after(source: str, name: str, position: int) -> int:
    """Where the closing tag of `name` begins, or the end of the document."""
    closing = re.compile(rf"</{name}\b", re.IGNORECASE).search(source, position)
    return closing.start() if closing else len(source)


def _decoded(text: str) -> str:
    """The text with its entities decoded once and its white space, line breaks included, folded."""
    if "&" in text:
        text = html.unescape(_HUGE_REFERENCE.sub("\ufffd", text))
    return re.sub(r"\s+", " ", text)
