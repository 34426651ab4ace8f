"""Posts: what the template makes of an article, what gives way, where spans stand, which articles an account takes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from autopublish.errors import ComposeError
from autopublish.models import Account, Article, Filter, HashtagRules, Picture, Post, Span, SpanKind
from autopublish.posts import DEFAULT_TEMPLATE, OUTPUT_CAP, admits, check_template, compose, safe_link
from autopublish.text import TextLimits, characters, graphemes, unlinked, utf16_units, weighted

NOW = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
LINK = "https://news.example/2026/11/peluang-investasi/"
ARTICLE = Article(
    id="a1",
    feed="f1",
    origin="o1",
    link=LINK,
    title="Pemprov Kaltim Buka Peluang Investasi",
    summary="Pemerintah menawarkan kerja sama.",
    text="SAMARINDA – Pemerintah membuka pintu.\n\nMenurut Pemprov, kebutuhan meningkat.",
    author="Redaksi Kaltim",
    categories=("Kaltim", "Ibu Kota Nusantara (IKN)", "investasi"),
    language="id",
    published=datetime(2026, 11, 23, 10, 15, 30, 123456, tzinfo=timezone(timedelta(hours=8))),
    first_seen=NOW,
    feeds=("kaltim", "semua"),
)
ACCOUNT = Account(name="x", platform="x", template=DEFAULT_TEMPLATE)
ROOMY = TextLimits(length=5000, count=characters)


def post(
    template: str = DEFAULT_TEMPLATE,
    *,
    limits: TextLimits = ROOMY,
    tags: HashtagRules | None = None,
    **changes: object,
) -> Post:
    account = replace(ACCOUNT, template=template, hashtags=tags or HashtagRules())
    return compose(replace(ARTICLE, **changes), account, limits, picture=None, now=NOW)  # type: ignore[arg-type]


def limit(length: int) -> TextLimits:
    return TextLimits(length=length, count=characters)


# --- the post --------------------------------------------------------------------------------------------------------


def test_the_default_template_gives_title_link_and_hashtags() -> None:
    assert post().text == f"{ARTICLE.title}\n\n{LINK}\n#Kaltim #IbuKotaNusantara #investasi"


def test_a_post_carries_the_card_the_times_and_the_languages() -> None:
    picture = Picture(path="p", sha256="s", type="image/jpeg", width=1, height=1, size_bytes=1)
    made = compose(ARTICLE, ACCOUNT, ROOMY, picture=picture, now=NOW)
    assert (made.title, made.summary, made.link) == (ARTICLE.title, ARTICLE.summary, LINK)
    assert (made.picture, made.languages, made.created_at) == (picture, ("id",), NOW)
    assert made.published == datetime(2026, 11, 23, 2, 15, 30, tzinfo=UTC)
    assert (made.length, made.room, made.shortened) == (len(made.text), 5000, ())


def test_the_languages_of_the_account_go_before_the_articles() -> None:
    account = replace(ACCOUNT, languages=("id", "ms"))
    assert compose(ARTICLE, account, ROOMY, picture=None, now=NOW).languages == ("id", "ms")


def test_the_card_is_cut_at_a_word() -> None:
    made = post(title="kata " * 200, summary="", text="isi \n\n" * 200)
    assert made.title == "kata " * 59 + "kata…"
    assert len(made.title) == 300
    assert made.summary == "isi " * 74 + "isi…"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param("{{ author }} / {{ feed }}", "Redaksi Kaltim / kaltim", id="author and feed"),
        pytest.param("{{ published.strftime('%d.%m. %H:%M') }}", "23.11. 02:15", id="published in UTC"),
        pytest.param("{{ categories | join(', ') }}", "Kaltim, Ibu Kota Nusantara (IKN), investasi", id="categories"),
        pytest.param("{{ summary }}", "Pemerintah menawarkan kerja sama.", id="summary"),
        pytest.param("{{ text }}", ARTICLE.text, id="text with its paragraphs"),
        pytest.param("{% if author %}by {{ author }}{% endif %}", "by Redaksi Kaltim", id="conditions"),
        pytest.param("{{ title | upper }}", ARTICLE.title.upper(), id="filters"),
    ],
)
def test_a_template_sees_the_values_of_the_article(template: str, expected: str) -> None:
    assert post(template).text == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"link": None}, f"{ARTICLE.title}\n\n#Kaltim", id="without a link"),
        pytest.param({"link": ""}, f"{ARTICLE.title}\n\n#Kaltim", id="with an empty link"),
        pytest.param({"categories": ()}, f"{ARTICLE.title}\n\n{LINK}", id="without categories"),
        pytest.param({"categories": (), "link": None}, ARTICLE.title, id="with a title only"),
        pytest.param({"title": "", "categories": ()}, f"{ARTICLE.summary}\n\n{LINK}", id="without a title"),
        pytest.param(
            {"title": "", "summary": "", "text": "a\n\nb", "categories": ()}, f"a b\n\n{LINK}", id="with a text only"
        ),
    ],
)
def test_what_an_article_lacks_leaves_no_trace(changes: dict[str, object], expected: str) -> None:
    account = replace(ACCOUNT, hashtags=HashtagRules(most=1))
    article = replace(ARTICLE, **changes)  # type: ignore[arg-type]
    assert compose(article, account, ROOMY, picture=None, now=NOW).text == expected


def test_an_article_without_anything_to_show_is_held() -> None:
    with pytest.raises(ComposeError, match="empty") as caught:
        post(title="", summary="", text="", link=None, categories=())
    assert caught.value.hold == "template"


def test_blanks_left_in_a_line_are_tidied() -> None:
    made = post("  {{ author }}  {{ title }}\t \n\n\n\n {{ link }}  {{ hashtags }}\n\n", author=None, categories=())
    assert made.text == f"{ARTICLE.title}\n\n{LINK}"


@pytest.mark.fault("F18")
def test_f18_no_control_character_reaches_a_post() -> None:
    made = post(
        "{{ title }}{{ text }}{{ author }}{{ categories }}", title="a\x00\x1b", text="b\x08\nc", author="\u202ed"
    )
    assert not regex.search(r"(?!\n)\p{C}", made.text + made.title)


@pytest.mark.fault("H03")
@pytest.mark.fault("H06")
@pytest.mark.parametrize(
    "title",
    [
        pytest.param("<b>R&B</b> <script>alert(1)</script>", id="HTML"),
        pytest.param("R&amp;B &#038; &lt;b&gt;", id="entities"),
        pytest.param("*bold* _it_ [x](http://a.b) `c` ~s~ ||sp|| > q # h", id="Markdown"),
        pytest.param("<!channel> <@U123> <https://a.b|c>", id="Slack"),
        pytest.param("@everyone @here <@&1> @user@host $TICK", id="mentions"),
        pytest.param("\\ ' \" \\n %s {0} ${x}", id="escapes"),
    ],
)
def test_h03_h06_markup_in_a_title_is_printed_as_it_is(title: str) -> None:
    assert post("{{ title }}", title=title).text == title


@pytest.mark.fault("H08")
@pytest.mark.parametrize(
    "title",
    [
        "{{ 7*7 }}",
        "{% for x in ''.__class__ %}",
        "{# note #}",
        "{{ title }}",
        "{{ self.__init__.__globals__ }}",
        "#{7*7} ${7*7}",
    ],
)
def test_h08_template_code_in_a_title_is_printed_as_it_is(title: str) -> None:
    made = post("{{ title }} {{ summary }}", title=title, summary=title)
    assert made.text == f"{title} {title}"


# --- words of others -------------------------------------------------------------------------------------------------

LINKING = TextLimits(length=200, count=characters, neutralise=unlinked)


@pytest.mark.fault("H05")
def test_h05_words_of_others_are_neutralised_and_the_operators_own_are_not() -> None:
    template = (
        "{{ title }} {{ author }} {{ summary }} {{ categories | join }} {{ feed }} @kami {{ link }} {{ hashtags }}"
    )
    made = post(
        template,
        limits=LINKING,
        title="@a #Kaltim",
        author="@b",
        summary="@c",
        categories=("@d", "Kaltim"),
        feeds=("@e",),
        link="https://news.example/@f/#g",
    )
    words = "@|a #|Kaltim @|b @|c @|dKaltim @|e @kami https://news.example/@f/#g #d #Kaltim"
    assert made.text == words.replace("|", "\u2060")
    assert [span.value for span in made.spans] == ["https://news.example/@f/#g", "d", "Kaltim"]
    assert (made.title, made.length) == ("@a #Kaltim", len(made.text))


@pytest.mark.parametrize("sign", ["@", "#"])
def test_what_neutralises_words_counts_and_the_post_still_fits(sign: str) -> None:
    made = post("{{ title }} {{ link }}", limits=LINKING, title=f"{sign}nama " * 100)
    assert 190 <= made.length <= 200
    assert made.text.endswith(LINK)


# --- templates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param("{{ title }}\n{{ titel }}", "line 2: `titel` is not known here; did you mean `title`?", id="near"),
        pytest.param("{{ xyz }}", "line 1: `xyz` is not known here; there is author, categories", id="nothing near"),
        pytest.param("{{ title | uper }}", "line 1: no filter is called `uper`; did you mean `upper`?", id="filter"),
        pytest.param("a\n{% if title %}", "line 2: Unexpected end of template", id="unclosed if"),
        pytest.param("\n\n{{ title }", "line 3: unexpected '}'", id="syntax"),
        pytest.param("{{ title.__class__ }}", "line 1: `.__class__` is not allowed", id="underscore attribute"),
        pytest.param("{{ title['__class__'] }}", "line 1: the template cannot be used: access", id="underscore item"),
        pytest.param(
            "\n{{ title | attr('__class__') }}", "line 2: the template cannot be used: access", id="attr filter"
        ),
        pytest.param("{% include 'x' %}", "line 1: a template cannot use another one", id="include"),
        pytest.param("{% import 'x' as x %}", "line 1: a template cannot use another one", id="import"),
        pytest.param("{{ range(9) }}", "line 1: `range` is not known here", id="globals"),
        pytest.param("{{ published.day_name }}", "line 1: the template cannot be used: ", id="unknown attribute"),
        pytest.param("{{ title + 3 }}", "line 1: the template cannot be used: ", id="types"),
        pytest.param(
            "\n{{ categories[0] }}", "line 2: the template cannot be used: list object has no", id="bare article"
        ),
        pytest.param("{{ 'a' * 1000000000 }}", "line 1: the template cannot be used: `*` could", id="large product"),
        pytest.param("{{ 9 ** 9 ** 9 }}", "line 1: the template cannot be used: `**` could", id="large power"),
        pytest.param("a" * (OUTPUT_CAP + 1), "the template gives more than 100,000 characters", id="output"),
        pytest.param(
            "{{ (" + "(" * 500 + "1" + ")" * 500 + ") }}", "the template is nested too deep", id="nested deep"
        ),
    ],
)
def test_a_wrong_template_is_told_with_its_line_and_what_to_write(template: str, expected: str) -> None:
    told = check_template(template)
    assert told is not None
    assert told.startswith(expected)


@pytest.mark.parametrize(
    "template",
    [
        pytest.param(DEFAULT_TEMPLATE, id="default"),
        pytest.param("{% for c in categories %}{{ loop.index }} {{ c }}{% endfor %}", id="loop"),
        pytest.param("{% set t = title %}{{ t | truncate(20) }} {{ 2 * 3 }}", id="set"),
        pytest.param("{% if author %}{{ author.split()[0] }}{% endif %}", id="method"),
        pytest.param("{{ published.strftime('%Y') }} {{ link | urlencode }}", id="date and encoding"),
    ],
)
def test_a_right_template_is_not_complained_about(template: str) -> None:
    assert check_template(template) is None
    assert post(template).text


@pytest.mark.parametrize(
    "template",
    [
        "{{ titel }}",
        "{% if %}",
        "{{ title.__class__.__mro__ }}",
        "{{ text * 999999 }}",
        "{{ title | nope }}",
        "{{ author + 1 }}",
    ],
)
def test_a_template_that_fails_holds_the_delivery(template: str) -> None:
    with pytest.raises(ComposeError) as caught:
        post(template)
    assert caught.value.hold == "template"


@pytest.mark.parametrize(
    "template",
    [
        "{{ '%0999999999d' | format(1) }}",
        "{{ '%.999999999f' | format(1) }}",
        "{{ '%*d' | format(999999999, 1) }}",
        "{{ '%(a)999999999s' | format(a=1) }}",
        "{{ '%((a))999999999s' | format(**{'(a)': 1}) }}",
        "{{ ('%' ~ '0999999999d') | format(1) }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '{:>999999999}'.format(1) }}",
        "{{ '{:>{}}'.format(1, 999999999) }}",
        "{{ '{a:999999999}'.format_map({'a': 1}) }}",
        "{{ title | center(999999999) }}",
        "{{ title | center(width='999999999' | int) }}",
        "{{ (title ~ '\\n' ~ title) | indent(999999999) }}",
        "{{ categories | batch(999999999, 'x') | list }}",
        "{{ ['a'] | map('center', 999999999) | list }}",
        "{{ 5 | round(999999999, 'ceil') }}",
        "{{ title.zfill(999999999) }}",
        "{{ title | attr('ljust')(999999999) }}",
        "{{ (5).to_bytes(999999999, 'big') }}",
    ],
)
def test_a_template_that_could_make_much_out_of_little_is_refused_before_it_does(template: str) -> None:
    told = check_template(template)
    assert told is not None
    assert told.startswith("line 1: the template cannot be used: ")
    with pytest.raises(ComposeError) as caught:
        post(template)
    assert caught.value.hold == "template"


@pytest.mark.parametrize(
    ("template", "changes"),
    [
        pytest.param("{{ title | format(1) }}", {"title": "%0999999999d"}, id="directive"),
        pytest.param("{{ title % 1 }}", {"title": "%0999999999d"}, id="operator"),
        pytest.param("{{ title.format(1) }}", {"title": "{:>999999999}"}, id="field"),
        pytest.param("{{ link | center(title | int) }}", {"title": "999999999"}, id="width"),
        pytest.param("{{ text.replace('', text) }}", {"text": "word " * 10_000}, id="text in itself"),
        pytest.param("{{ text.format(text) }}", {"text": "{0} " * 10_000}, id="text in its fields"),
        pytest.param("{{ text | format(a=text) }}", {"text": "%(a)s " * 9_000}, id="text in its directives"),
        pytest.param("{{ text | join(text) }}", {"text": "word " * 10_000}, id="text between its letters"),
        pytest.param("{{ text.translate({119: text}) }}", {"text": "word " * 10_000}, id="text for a letter"),
    ],
)
def test_a_width_that_an_article_supplies_holds_the_delivery(template: str, changes: dict[str, str]) -> None:
    with pytest.raises(ComposeError, match="could make too much") as caught:
        post(template, **changes)  # type: ignore[arg-type]  # changes of the article only
    assert caught.value.hold == "template"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ '%05.1f%% %s' | format(3.14159, 20261) }}", "003.1% 20261"),
        ("{{ '%%99999d %(a)5s' | format(a=1) }}", "%99999d     1"),
        ("{{ '%03d' % 7 }} {{ 7 % 3 }} {{ 3 * 4 }}", "007 1 12"),
        ("{{ '{:>3}|{}'.format(7, 20261) }}|", "7|20261|"),
        ("{{ 'a' | center(3) }}|{{ 'a'.ljust(3) }}|", "a |a |"),
        ("{{ 'a b' | truncate(5000) }} {{ nothing | default(20261) if false else 5 }}", "a b 5"),
        ("{{ ['a', 'b'] | map('upper') | join(', ') }} {{ 'ab'.replace('a', 'c') }}", "A, B cb"),
    ],
)
def test_formatting_within_bounds_is_as_in_jinja(template: str, text: str) -> None:
    assert " ".join(post(template).text.split()) == " ".join(text.split())


def test_long_texts_may_be_compared_and_cut() -> None:
    template = (
        "{{ text.startswith(summary) }} {{ text.replace(summary, '') | length }} {{ '%s' | format(text) | length }}"
    )
    made = post(template, summary="a" * 900, text="a" * 50_000)
    assert made.text == "True 500 50000"


def test_a_macro_that_calls_itself_without_end_holds_the_delivery() -> None:
    with pytest.raises(ComposeError, match="more memory"):
        post("{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}")


def test_output_without_end_is_cut_off() -> None:
    nested = "{% for a in text %}{% for b in text %}{% for c in text %}{{ text }}{% endfor %}{% endfor %}{% endfor %}"
    with pytest.raises(ComposeError, match="more than 100,000"):
        post(nested, text="word " * 10_000)


# --- fitting ---------------------------------------------------------------------------------------------------------

LONG_TITLE = "Gubernur Kalimantan Timur meresmikan jalan baru yang menghubungkan Samarinda dengan Ibu Kota Nusantara"
TAGGED = "{{ title }}\n{{ link }}\n{{ hashtags }}"
FULL = "{{ title }}\n{{ summary }}\n{{ text }}\n{{ link }}\n{{ hashtags }}"
SHORT_LINK = "https://n.example/a"


def fitted(length: int, template: str = TAGGED) -> Post:
    return post(template, limits=limit(length), title=LONG_TITLE, link=SHORT_LINK, categories=("Kaltim", "IKN"))


@pytest.mark.parametrize(
    ("length", "template", "shortened"),
    [
        pytest.param(500, FULL, (), id="all"),
        pytest.param(220, FULL, ("text",), id="the text first"),
        pytest.param(150, FULL, ("text", "summary"), id="then the summary"),
        pytest.param(120, FULL, ("text", "summary", "title"), id="then the title"),
        pytest.param(135, TAGGED, (), id="what is not in the template does not count"),
        pytest.param(95, TAGGED, ("title",), id="the title down to 60"),
        pytest.param(85, TAGGED, ("title", "hashtags"), id="then hashtags"),
        pytest.param(40, TAGGED, ("title", "hashtags"), id="then the rest of the title"),
    ],
)
def test_parts_give_way_in_their_order(length: int, template: str, shortened: tuple[str, ...]) -> None:
    made = fitted(length, template)
    assert made.shortened == shortened
    assert made.length == len(made.text) <= length
    assert SHORT_LINK in made.text


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        pytest.param(
            95,
            f"Gubernur Kalimantan Timur meresmikan jalan baru yang…\n{SHORT_LINK}\n#Kaltim #IKN",
            id="both hashtags",
        ),
        pytest.param(
            85, f"Gubernur Kalimantan Timur meresmikan jalan baru yang…\n{SHORT_LINK}\n#Kaltim", id="the last one went"
        ),
        pytest.param(
            80, f"Gubernur Kalimantan Timur meresmikan jalan baru yang…\n{SHORT_LINK}", id="both went, the title has 60"
        ),
        pytest.param(50, f"Gubernur Kalimantan Timur…\n{SHORT_LINK}", id="the title gives more"),
        pytest.param(20, SHORT_LINK, id="the link alone"),
    ],
)
def test_title_and_hashtags_share_the_room(length: int, expected: str) -> None:
    assert fitted(length).text == expected


def test_a_link_is_never_cut() -> None:
    with pytest.raises(ComposeError, match="length of 19; the network takes 18") as caught:
        fitted(18)
    assert caught.value.hold == "template"


def test_words_of_the_template_that_do_not_fit_hold_the_delivery() -> None:
    with pytest.raises(ComposeError, match="the network takes 30, or 40 bytes"):
        post("w" * 31, limits=TextLimits(length=30, count=characters, size_bytes=40))


def test_a_link_of_fixed_length_leaves_its_room_to_the_title() -> None:
    limits = TextLimits(length=280, count=weighted, url_length=23)
    made = post("{{ title }}\n{{ link }}", limits=limits, title="a" * 300, link="https://n.example/" + "b" * 300)
    assert made.text.startswith("a" * 254 + "…\n")
    assert (made.length, made.room) == (280, 280)


def test_an_article_with_everything_at_its_bounds_is_shortened_not_refused() -> None:
    made = post(FULL, limits=limit(500), title="t " * 9_000, summary="s " * 9_000, text="kata 😀 " * 40_000)
    assert made.shortened == ("text", "summary", "title")
    assert made.length <= 500


def test_a_limit_in_bytes_is_kept() -> None:
    made = post("{{ title }}", limits=TextLimits(length=300, count=graphemes, size_bytes=100), title="漢" * 200)
    assert made.text == "漢" * 32 + "…"


@pytest.mark.fault("H07")
def test_h07_a_word_of_ten_thousand_letters_fits_in_a_post() -> None:
    made = post(limits=limit(300), title="x" * 10_000, categories=())
    assert made.text == "x" * (300 - len(LINK) - 3) + f"…\n\n{LINK}"


ALPHABET = st.one_of(
    st.sampled_from("ab Z.,#…\né漢한ไक्षमی\u0301\u200d\ufe0f\u202e\u2066\u2069👩🏽🇮🇩"), st.characters(codec="utf-8")
)


@given(
    title=st.one_of(
        st.text(ALPHABET, max_size=80), st.sampled_from([f"see {LINK} #IKN", f"{LINK}x #IKNa #Kaltim", "#IKN#IKN"])
    ),
    summary=st.text(ALPHABET, max_size=40),
    room=st.integers(0, 140),
    count=st.sampled_from([graphemes, characters, utf16_units, weighted]),
    url_length=st.sampled_from([None, 23]),
    template=st.sampled_from([DEFAULT_TEMPLATE, FULL, "{{ hashtags }} {{ link }} {{ title }}: {{ link }}"]),
)
@settings(max_examples=300, deadline=None)
def test_any_article_gives_a_post_that_fits_with_its_link_whole_and_spans_that_point_at_their_text(
    title: str, summary: str, room: int, count: object, url_length: int | None, template: str
) -> None:
    least = 2 * len(LINK) + 12
    limits = TextLimits(length=least + room, count=count, url_length=url_length)  # type: ignore[arg-type]
    made = post(template, limits=limits, title=title, summary=summary, categories=("IKN", "Kaltim"))
    assert limits.fits(made.text, made.spans)
    assert made.length == limits.measure(made.text, made.spans) <= made.room
    assert any(span.kind is SpanKind.LINK for span in made.spans)
    end = 0
    borders = {0, *(match.end() for match in regex.finditer(r"\X", made.text))}
    for span in made.spans:
        shown = span.value if span.kind is SpanKind.LINK else f"#{span.value}"
        assert made.text[span.start : span.end] == shown
        assert span.start >= end
        assert {span.start, span.end} <= borders
        end = span.end


# --- spans -----------------------------------------------------------------------------------------------------------


def shown(made: Post) -> list[tuple[int, str]]:
    return [(span.start, made.text[span.start : span.end]) for span in made.spans]


@pytest.mark.parametrize(
    ("title", "template", "expected"),
    [
        pytest.param("a", "{{ title }} {{ link }} {{ hashtags }}", [(2, SHORT_LINK), (22, "#IKN")], id="each"),
        pytest.param("a", "{{ link }}, {{ link }}.", [(0, SHORT_LINK), (21, SHORT_LINK)], id="twice"),
        pytest.param("😀é", "{{ title }}看{{ link }}看", [(3, SHORT_LINK)], id="counted in characters, without blanks"),
        pytest.param("#Foo #IKN", "{{ title }}", [(5, "#IKN")], id="only our tags in a title"),
        pytest.param("#IKNa x#IKN #IKN\u0301 ##IKN", "{{ title }}", [], id="pieces of other tags"),
        pytest.param(f"{SHORT_LINK}/b {SHORT_LINK}.html", "{{ title }}", [], id="pieces of other links"),
        pytest.param("a", "https://t.example/?u={{ link }}", [], id="inside another link"),
        pytest.param("a", "{{ link | urlencode }}", [], id="encoded"),
        pytest.param("(#IKN)", "{{ title }}", [(1, "#IKN")], id="in brackets"),
    ],
)
def test_spans_mark_what_is_ours(title: str, template: str, expected: list[tuple[int, str]]) -> None:
    made = post(template, title=title, link=SHORT_LINK, categories=("IKN",))
    assert shown(made) == expected


def test_the_span_of_a_link_holds_the_url_and_no_hashtag_lies_inside_it() -> None:
    link = "https://n.example/a?x=1&#IKN"
    made = post("{{ link }} {{ hashtags }}", link=link, categories=("IKN",))
    assert made.spans == (
        Span(kind=SpanKind.LINK, start=0, end=len(link), value=link),
        Span(kind=SpanKind.HASHTAG, start=len(link) + 1, end=len(link) + 5, value="IKN"),
    )


# --- links -----------------------------------------------------------------------------------------------------------


@pytest.mark.fault("H04")
@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "//n.example/a",
        "/a",
        "n.example/a",
        "https:///a",
        "http:///x",
        "///x",
        "http://[::1",
        "HTTP:127.0.0.1",
        "https:/a",
        "https://",
        "https://user:secret@n.example/",
        "https://n.example@evil.example/",
        "https://n.example/a b",
        " https://n.example/",
        "https://n.example/a\nb",
        "https://n.example/\x00",
        "https://n.example/\u202egpj",
        "https://n.example/\u00a0",
        "https://n.example\\@evil.example/",
        "https://n.example/\ud800",
        'https://n.example/"><b>',
        "https://n.example:99999/",
        "https://n.example:x/",
        "https://[::1/",
        "https://n%2eexample/",
        "https://" + "ü" * 70 + ".example/",
        "https://n.example/" + "a" * 4000,
    ],
    ids=lambda link: ascii(link[:32]),
)
def test_h04_a_link_that_may_not_be_posted_is_held(link: str) -> None:
    with pytest.raises(ComposeError) as caught:
        post(link=link)
    assert caught.value.hold == "link"
    assert str(caught.value).isprintable()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        pytest.param(LINK, LINK, id="as it came"),
        pytest.param(
            "http://n.example:8080/?p=12&x=%C3%A9#top", "http://n.example:8080/?p=12&x=%C3%A9#top", id="query"
        ),
        pytest.param("https://n.example/straße/é", "https://n.example/stra%C3%9Fe/%C3%A9", id="path"),
        pytest.param(
            "https://n.example/?q=東京#ü", "https://n.example/?q=%E6%9D%B1%E4%BA%AC#%C3%BC", id="query and fragment"
        ),
        pytest.param(
            "https://n.example/100%/a{b}|c^", "https://n.example/100%25/a%7Bb%7D%7Cc%5E", id="unsafe characters"
        ),
        pytest.param("https://bücher.example/", "https://xn--bcher-kva.example/", id="host"),
        pytest.param("https://пример.рф:8443/", "https://xn--e1afmkfd.xn--p1ai:8443/", id="host with port"),
        pytest.param("https://faß.example/", "https://xn--fa-hia.example/", id="host as browsers map it"),
        pytest.param("HTTPS://N.Example/A", "https://n.example/A", id="scheme and host in lower case"),
        pytest.param("http://[2001:db8::1]:80/a", "http://[2001:db8::1]:80/a", id="IPv6"),
    ],
)
def test_a_link_becomes_a_uri(link: str, expected: str) -> None:
    assert safe_link(link) == expected
    assert safe_link(expected) == expected


# --- filters ---------------------------------------------------------------------------------------------------------


def stopped(
    article: Article = ARTICLE, *, feeds: tuple[str, ...] = (), only: Filter | None = None, never: Filter | None = None
) -> str | None:
    return admits(article, replace(ACCOUNT, feeds=feeds, only=only, never=never), ("kaltim", "semua"))


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        pytest.param(stopped(), None, id="no rules"),
        pytest.param(stopped(feeds=("semua",)), None, id="one of its feeds"),
        pytest.param(stopped(feeds=("lain",)), "feeds", id="none of its feeds"),
        pytest.param(stopped(only=Filter()), None, id="an empty rule asks nothing"),
        pytest.param(stopped(never=Filter()), None, id="an empty rule forbids nothing"),
        pytest.param(stopped(only=Filter(categories=("x", "KALTIM"))), None, id="any of the categories"),
        pytest.param(stopped(only=Filter(categories=("Kal",))), "only.categories", id="categories match whole"),
        pytest.param(stopped(only=Filter(authors=("redaksi kaltim",))), None, id="author"),
        pytest.param(stopped(only=Filter(authors=("redaksi",))), "only.authors", id="another author"),
        pytest.param(stopped(only=Filter(words=("peluang",))), None, id="word"),
        pytest.param(stopped(only=Filter(words=("peluan",))), "only.words", id="words match whole"),
        pytest.param(stopped(only=Filter(matching="(?i)^pemprov")), None, id="expression"),
        pytest.param(stopped(only=Filter(matching="^pemprov")), "only.matching", id="expressions heed case"),
        pytest.param(
            stopped(only=Filter(categories=("Kaltim",), words=("nope",))),
            "only.words",
            id="every part of only is asked",
        ),
        pytest.param(
            stopped(never=Filter(categories=("Investasi",))), "never.categories: Investasi", id="never category"
        ),
        pytest.param(
            stopped(never=Filter(authors=("Redaksi Kaltim",))), "never.authors: Redaksi Kaltim", id="never author"
        ),
        pytest.param(
            stopped(never=Filter(words=("iklan", "Kerja sama"))), "never.words: Kerja sama", id="never phrase"
        ),
        pytest.param(stopped(never=Filter(matching="meningkat\\.$")), "never.matching", id="never expression"),
        pytest.param(
            stopped(never=Filter(categories=("x",), words=("peluang",))),
            "never.words: peluang",
            id="any part of never stops",
        ),
        pytest.param(stopped(only=Filter(words=("nope",)), never=Filter(words=("iklan",))), "only.words", id="both"),
    ],
)
def test_an_account_takes_an_article_or_names_the_rule(got: str | None, expected: str | None) -> None:
    assert got == expected


@pytest.mark.parametrize(
    ("word", "title", "found"),
    [
        pytest.param("iklan", "IKLAN!", True, id="case and punctuation"),
        pytest.param("iklan", "periklanan", False, id="inside a word"),
        pytest.param("iklan", "anti-iklan", True, id="after a hyphen"),
        pytest.param("kerja  sama", "Kerja\nsama", True, id="blanks and line breaks"),
        pytest.param("STRASSE", "Straße", True, id="folded case"),
        pytest.param("café", "Cafe\u0301", True, id="composed"),
        pytest.param("cafe", "Cafe\u0301", False, id="another letter"),
        pytest.param("क", "का", False, id="a letter with a vowel sign is another"),
        pytest.param("C++", "Belajar C++ hari ini", True, id="symbols"),
        pytest.param("C", "vitamin Ca", False, id="one letter"),
        pytest.param("広告", "これは広告です", True, id="scripts without blanks"),
        pytest.param("a.c", "abc", False, id="no expression"),
        pytest.param(" ", "a b", False, id="a blank word"),
    ],
)
def test_words_match_as_people_read_them(word: str, title: str, *, found: bool) -> None:
    article = replace(ARTICLE, title=title, summary="", text="")
    assert (stopped(article, never=Filter(words=(word,))) is not None) is found


@pytest.mark.parametrize("part", ["title", "summary", "text"])
def test_title_summary_and_text_are_searched(part: str) -> None:
    article = replace(ARTICLE, **{part: "promo"})  # type: ignore[arg-type]
    assert stopped(article, never=Filter(words=("promo",))) == "never.words: promo"
    assert stopped(article, never=Filter(matching="^promo$")) == "never.matching"


def test_an_expression_that_cannot_be_decided_holds_the_delivery_and_is_named() -> None:
    article = replace(ARTICLE, title="a" * 40 + "!")
    with pytest.raises(ComposeError, match=r"^never\.matching: .* within a second") as caught:
        stopped(article, never=Filter(matching=r"^(a|aa)+$(?<=b)|^(?:(a+)+)+\d$"))
    assert caught.value.hold == "template"


def test_an_invalid_expression_holds_the_delivery_and_is_named() -> None:
    with pytest.raises(ComposeError, match=r"^only\.matching: "):
        stopped(only=Filter(matching="("))
