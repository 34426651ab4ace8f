"""Article + account + limits -> Post: the step between deliveries and receipts that writes the words.

    filter      does the account take the article
    render      the account's template over the article's values, tidied
    fit         text, summary, title and hashtags give way, in this order; the link never does
    mark        where our link and hashtags stand in the text

Pure: `now` comes in, a `Post` goes out. What a feed says is data here and nothing else: no template, markup or entity
in a title is ever interpreted. Knows no platform; what one takes comes as `TextLimits`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache, lru_cache, wraps
from string import Formatter
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import SplitResult, quote, urlsplit

from autopublish.errors import ComposeError
from autopublish.hashtags import hashtags, is_tag_character
from autopublish.models import Account, Article, Filter, Picture, Post, Span, SpanKind, Stop
from autopublish.text import TextLimits, clean, clean_lines, graphemes, shorten

if TYPE_CHECKING:
    import regex
    from jinja2 import Template, nodes
    from jinja2.sandbox import SandboxedEnvironment

DEFAULT_TEMPLATE = """\
{{ title }}

{{ link }}
{{ hashtags }}
"""

#: What a template may name; `compose` says what each holds.
VARIABLES = ("title", "link", "hashtags", "summary", "text", "author", "categories", "feed", "published")
#: Most characters that a template may give.
OUTPUT_CAP = 100_000
#: Most characters of an article's text that a template sees: with all else that is capped it stays below `OUTPUT_CAP`.
BODY_CAP = 60_000
#: Most characters of a link, and of the card's title and summary.
LINK_CAP = 4_000
CARD_CAP = 300
#: The title keeps as many graphemes while there are hashtags that can go in its place.
TITLE_FLOOR = 60
#: Most that a template may name as a width, a precision or a count, where that much is made.
SIZE_CAP = 1_000
#: Most characters that one filter, method or operator may be able to make.
WORK_CAP = 10_000_000
#: How long an expression of a filter may search one article.
MATCH_TIMEOUT_SECONDS = 1.0

Value: TypeAlias = str | list[str] | datetime


# --- compose ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """The values of one post that may give way, and those that do not."""

    title: str
    summary: str
    text: str
    tags: tuple[str, ...]
    link: str
    author: str
    categories: tuple[str, ...]
    feed: str
    published: datetime

    def values(self, neutralise: Callable[[str], str] | None = None) -> dict[str, Value]:
        """What the template sees; words of others as `neutralise` writes them."""
        said = neutralise or str
        return {
            "title": said(self.title),
            "link": self.link,
            "hashtags": " ".join(f"#{tag}" for tag in self.tags),
            "summary": said(self.summary),
            "text": said(self.text),
            "author": said(self.author),
            "categories": [said(category) for category in self.categories],
            "feed": said(self.feed),
            "published": self.published,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rendered:
    """A draft as the template gives it, and how the network sees that."""

    text: str
    spans: tuple[Span, ...]
    length: int
    fits: bool


def compose(article: Article, account: Account, limits: TextLimits, *, picture: Picture | None, now: datetime) -> Post:
    """The post of the article for the account, which fits the limits and holds the whole link.

    The template sees `title` (the beginning of the summary or text where the article has none), `link`, `hashtags` (one
    string, each with its `#`), `summary`, `text`, `author`, `categories` (a list), `feed` (the name of the first feed
    that showed it) and `published` (a datetime in UTC). What an article lacks is empty, and lines that it leaves empty
    are tidied.

    What is too long gives way in this order, each as little as possible: the text, the summary, the title down to 60
    graphemes, the hashtags from the last, the rest of the title.

    Raises:
        ComposeError: `hold` is `link` if the link is none that may be posted, else `template`.
    """
    whole = _draft(article, account, limits)
    page = _Page(account.template, limits)
    rendered, shortened = page.fitted(whole)
    if not rendered.text:
        raise ComposeError("the post would be empty: the article has nothing of what the template shows")
    return Post(
        text=rendered.text,
        link=whole.link or None,
        title=_for_card(whole.title),
        summary=_for_card(whole.summary or " ".join(whole.text.split())),
        spans=rendered.spans,
        picture=picture,
        languages=account.languages or ((article.language,) if article.language else ()),
        created_at=now,
        published=article.published.replace(microsecond=0),
        length=rendered.length,
        room=limits.length,
        shortened=shortened,
    )


def _draft(article: Article, account: Account, limits: TextLimits) -> _Draft:
    summary = clean(article.summary)
    text = clean_lines(article.text, longest=BODY_CAP)
    return _Draft(
        title=clean(article.title) or _for_card(summary or " ".join(text.split())),
        summary=summary,
        text=text,
        tags=hashtags(article.categories, account.hashtags, longest=limits.hashtag_length),
        link=safe_link(article.link) if article.link else "",
        author=clean(article.author or ""),
        categories=tuple(filter(None, map(clean, article.categories))),
        feed=article.feeds[0] if article.feeds else "",
        published=article.published.astimezone(UTC),
    )


def _for_card(text: str) -> str:
    return shorten(text, lambda kept: len(kept) <= CARD_CAP)


class _Page:
    """One template and one network's limits: how a draft looks, and how it is made to fit."""

    def __init__(self, source: str, limits: TextLimits) -> None:
        self._template, self._used = _compiled(source)
        self._limits = limits

    def render(self, draft: _Draft) -> _Rendered:
        text = _tidy(_output(self._template, draft.values(self._limits.neutralise)))
        spans = _spans(text, draft.link, draft.tags)
        length = self._limits.measure(text, spans)
        return _Rendered(text=text, spans=spans, length=length, fits=self._limits.fits(text, spans))

    def fitted(self, whole: _Draft) -> tuple[_Rendered, tuple[str, ...]]:
        """The draft that fits with the least taken away, as it looks, and the names of what gave way.

        Raises:
            ComposeError: not even the link alone fits.
        """
        draft, rendered = whole, self.render(whole)
        for step in (_shorten_text, _shorten_summary, _shorten_title_a_little, _drop_hashtags, _shorten_title):
            if rendered.fits:
                break
            draft = step(draft, whole, self._fits)
            rendered = self.render(draft)
        if not rendered.fits:
            raise ComposeError(self._too_long(rendered.length))
        return rendered, tuple(self._what_gave_way(whole, draft))

    def _fits(self, draft: _Draft) -> bool:
        return self.render(draft).fits

    def _what_gave_way(self, whole: _Draft, draft: _Draft) -> Iterator[str]:
        pairs = (
            ("text", whole.text, draft.text),
            ("summary", whole.summary, draft.summary),
            ("title", whole.title, draft.title),
            ("hashtags", whole.tags, draft.tags),
        )
        return (name for name, before, after in pairs if before != after and name in self._used)

    def _too_long(self, length: int) -> str:
        room = f"{self._limits.length}" + (f", or {self._limits.size_bytes} bytes" if self._limits.size_bytes else "")
        why = f", {self._limits.beside}" if self._limits.beside else ""
        return f"with nothing left to shorten the post has a length of {length}; the network takes {room}{why}"


Fits: TypeAlias = Callable[[_Draft], bool]


def _shorten_text(draft: _Draft, _whole: _Draft, fits: Fits) -> _Draft:
    return _with_less(draft, draft.text, lambda kept: replace(draft, text=kept), fits)


def _shorten_summary(draft: _Draft, _whole: _Draft, fits: Fits) -> _Draft:
    return _with_less(draft, draft.summary, lambda kept: replace(draft, summary=kept), fits)


def _shorten_title_a_little(draft: _Draft, _whole: _Draft, fits: Fits) -> _Draft:
    floor = replace(draft, title=shorten(draft.title, lambda kept: graphemes(kept) <= TITLE_FLOOR))
    return _shorten_title(draft, draft, fits) if fits(floor) else floor


def _drop_hashtags(draft: _Draft, whole: _Draft, fits: Fits) -> _Draft:
    """The draft with as many of the first hashtags as fit, and with what that frees given back to the title."""
    while draft.tags:
        draft = replace(draft, tags=draft.tags[:-1])
        if fits(draft):
            return _shorten_title(draft, whole, fits)
    return draft


def _shorten_title(draft: _Draft, whole: _Draft, fits: Fits) -> _Draft:
    return _with_less(draft, whole.title, lambda kept: replace(draft, title=kept), fits)


def _with_less(draft: _Draft, text: str, put: Callable[[str], _Draft], fits: Fits) -> _Draft:
    """The draft with the longest beginning of the text that fits; without it if that does not help either."""
    if not text:
        return draft
    if not fits(put("")):
        return put("")
    return put(shorten(text, lambda kept: fits(put(kept))))


# --- templates -------------------------------------------------------------------------------------------------------


def check_template(source: str) -> str | None:
    """What is wrong with a template, in words with its line and a near spelling; None if nothing is.

    It is tried on an article that has everything and on one that has a title only.
    """
    from jinja2 import TemplateSyntaxError, nodes

    environment = _environment()
    try:
        tree = environment.parse(source)
        for node in tree.find_all(nodes.Node):
            if wrong := _wrong_with(node, environment.filters):
                return f"line {node.lineno}: {wrong}"
        if unknown := sorted(_undeclared(source) - set(VARIABLES)):
            return (
                f"line {_line_of(tree, unknown[0])}: `{unknown[0]}` is not known here{_instead(unknown[0], VARIABLES)}"
            )
    except TemplateSyntaxError as error:
        return f"line {error.lineno}: {error.message}"
    except RecursionError:
        return "the template is nested too deep"
    return _fails_with(source, _FULL_SAMPLE, "") or _fails_with(source, _BARE_SAMPLE, " (an article with only a title)")


def _fails_with(source: str, sample: _Draft, which: str) -> str | None:
    try:
        _output(_compiled(source)[0], sample.values())
    except ComposeError as error:
        return f"{error}{which}"
    return None


def _wrong_with(node: nodes.Node, filters: Mapping[str, object]) -> str | None:
    from jinja2 import nodes

    if isinstance(node, nodes.Include | nodes.Extends | nodes.Import | nodes.FromImport):
        return "a template cannot use another one"
    if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        return f"`.{node.attr}` is not allowed: names that begin with an underscore are internal"
    if isinstance(node, nodes.Filter) and node.name not in filters:
        return f"no filter is called `{node.name}`{_instead(node.name, filters)}"
    return None


def _line_of(tree: nodes.Template, name: str) -> int:
    from jinja2 import nodes

    return next((node.lineno for node in tree.find_all(nodes.Name) if node.name == name), 1)


def _instead(name: str, known: Iterable[str]) -> str:
    """What to write in its place: a near spelling, else everything if that is little."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean `{near[0]}`?"
    return f"; there is {', '.join(names)}" if len(names) <= len(VARIABLES) else ""


_FULL_SAMPLE = _Draft(
    title="Title",
    summary="Summary.",
    text="Text.\n\nMore text.",
    tags=("One", "Two"),
    link="https://news.example/article",
    author="Author",
    categories=("One", "Two"),
    feed="feed",
    published=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
)
_BARE_SAMPLE = replace(_FULL_SAMPLE, summary="", text="", tags=(), link="", author="", categories=())


@cache
def _environment() -> SandboxedEnvironment:
    """The sandbox: no loader, no globals, no way to make much out of little before the output is counted."""
    from jinja2 import StrictUndefined
    from jinja2.runtime import Context
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Sandbox(ImmutableSandboxedEnvironment):
        # An intercepted operator is not folded when the template is compiled, where nothing could stop it.
        intercepted_binops = frozenset(("*", "**", "%"))

        def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
            return _operated(operator, left, right)

        def call(__self, __context: Context, __obj: object, /, *args: object, **kwargs: object) -> object:  # noqa: N805
            # Python's own methods; what a template defines is made of checked parts.
            owner, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
            if isinstance(owner, str | bytes | int | float):
                _check_sizes(name, (owner, *args), kwargs)
            return super().call(__context, __obj, *args, **kwargs)

        def wrap_str_format(self, value: object) -> Callable[..., str] | None:
            wrapped = super().wrap_str_format(value)
            if wrapped is None:
                return None
            pattern, formatted = str(getattr(value, "__self__", "")), wrapped

            def checked(*args: object, **kwargs: object) -> str:
                _check_fields(pattern)
                _check_repeated("format", pattern.count("{"), [*args, *kwargs.values()])
                return formatted(*args, **kwargs)

            return checked

    # Autoescape would write HTML entities into plain text; platforms escape what they send as markup.
    environment = Sandbox(undefined=StrictUndefined, autoescape=False)
    environment.globals.clear()
    # A post is a function of article and configuration.
    del environment.filters["random"]
    environment.filters.update({name: _bounded(name, made) for name, made in environment.filters.items()})
    return environment


def _operated(operator: str, left: object, right: object) -> object:
    """What `*`, `**` or `%` gives.

    Raises:
        SecurityError: it could be much.
    """
    from jinja2.exceptions import SecurityError

    if operator == "%" and isinstance(left, str):
        _check_directives(left)
        _check_repeated(operator, left.count("%"), right if isinstance(right, tuple) else (right,))
        return left % right
    if isinstance(left, int | float) and isinstance(right, int | float):
        if operator == "%":
            return left % right
        # Not without end either: a macro can square a number again and again.
        if operator == "*" and abs(left) <= WORK_CAP and abs(right) <= WORK_CAP:
            return left * right
    raise SecurityError(f"`{operator}` could make too much; only `*` between numbers is allowed")


def _bounded(name: str, made: Callable[..., object]) -> Callable[..., object]:
    """The filter, refusing arguments that would let it make too much."""

    # Keeps the mark by which Jinja passes the context, the evaluation context or the environment first.
    @wraps(made)
    def checked(*args: object, **kwargs: object) -> object:
        given = args[1:] if hasattr(made, "jinja_pass_arg") else args
        if name == "format":
            pattern = str(given[0])
            _check_directives(pattern)
            _check_repeated(name, pattern.count("%"), [*given[1:], *kwargs.values()])
        elif name not in _MAKE_NOTHING:
            _check_sizes(name, given, kwargs)
        return made(*args, **kwargs)

    return checked


_MAKE_NOTHING = frozenset(("d", "default"))
#: Their numbers say how much is kept, or are what is given if there is nothing else.
_SHORTEN = frozenset(("float", "int", "truncate", "wordwrap"))
#: They may put a text that they are given at each character of another.
_REPEAT = frozenset(("indent", "join", "replace", "tojson", "translate", "urlize", "wordwrap"))
# https://docs.python.org/3.11/library/stdtypes.html#printf-style-string-formatting
_DIRECTIVE = re.compile(r"%(?:%|(?:\([^()]*\))?[#0\- +]*(\*|[0-9]+)?(?:\.(\*|[0-9]+))?)")


def _check_directives(pattern: str) -> None:
    """No `%` directive of the pattern can make much out of little.

    Raises:
        SecurityError: one takes its width from a value, has a large one, or names a value in a way hard to read.
    """
    from jinja2.exceptions import SecurityError

    for match in _DIRECTIVE.finditer(pattern):
        if pattern.startswith("%(", match.start()) and not pattern.startswith(")", match.end()) and match[0] == "%":
            raise SecurityError("a name after `%` must not hold brackets")
        for size in match.groups():
            if size == "*" or (size and (len(size) > 4 or int(size) > SIZE_CAP)):
                raise SecurityError(_wide(match[0]))


def _check_fields(pattern: str) -> None:
    """No field of a pattern for `str.format` can make much out of little.

    Raises:
        SecurityError: one takes its width from a value, or has a large one.
    """
    from jinja2.exceptions import SecurityError

    for _, _, spec, _ in Formatter().parse(pattern):
        sizes = re.findall(r"[0-9]+", spec or "")
        if "{" in (spec or "") or any(len(size) > 4 or int(size) > SIZE_CAP for size in sizes):
            raise SecurityError(_wide(f"{{:{spec}}}"))


def _wide(directive: str) -> str:
    shown = directive if len(directive) <= 20 else directive[:20] + "…"
    return f"`{shown}` could make too much; a width or precision is a number up to {SIZE_CAP:,}"


def _check_sizes(name: str, values: Sequence[object], named: Mapping[str, object]) -> None:
    """What a filter or a method makes of the values stays within bounds, whichever way it puts them together.

    Raises:
        SecurityError: it might not.
    """
    from jinja2.exceptions import SecurityError

    given = [*values[1:], *named.values()]
    numbers = [abs(value) for value in given if isinstance(value, int | float)]
    if name not in _SHORTEN and max(numbers, default=0) > SIZE_CAP:
        raise SecurityError(f"`{name}` could make too much; a number that it is given is at most {SIZE_CAP:,}")
    if name in _REPEAT and values:
        size = _length(values[0])
        # What is replaced is not put in; what has no length may be as long as a text.
        _check_repeated(name, BODY_CAP if size is None else size + 1, given[1:] if name == "replace" else given)


def _check_repeated(name: str, times: int, parts: Iterable[object]) -> None:
    """The longest of the parts may be put in as many times.

    Raises:
        SecurityError: it would be too much.
    """
    from jinja2.exceptions import SecurityError

    if times * max((_length(part) or 0 for part in parts), default=0) > WORK_CAP:
        raise SecurityError(f"`{name}` could make too much of these values")


def _length(value: object) -> int | None:
    """Characters of a text, or of the longest in a dictionary; None if it is neither."""
    if isinstance(value, dict):
        return max((len(part) for part in value.values() if isinstance(part, str)), default=0)
    return len(value) if isinstance(value, str | bytes | list | tuple) else None


@lru_cache(maxsize=256)
def _compiled(source: str) -> tuple[Template, frozenset[str]]:
    """The template ready to render, and the names that it uses.

    Raises:
        ComposeError: it is no template.
    """
    from jinja2 import TemplateError

    try:
        return _environment().from_string(source), _undeclared(source)
    except (TemplateError, RecursionError, SyntaxError) as error:
        raise ComposeError(_at_line(error, f"the template cannot be read: {error}")) from error


def _undeclared(source: str) -> frozenset[str]:
    from jinja2 import meta

    return frozenset(meta.find_undeclared_variables(_environment().parse(source)))


def _output(template: Template, values: Mapping[str, Value]) -> str:
    """What the template gives, at most `OUTPUT_CAP` characters.

    Raises:
        ComposeError: it cannot be rendered, or gives more.
    """
    from jinja2 import TemplateError

    parts: list[str] = []
    size = 0
    try:
        for part in template.generate(values):
            parts.append(part)
            size += len(part)
            if size > OUTPUT_CAP:
                raise ComposeError(f"the template gives more than {OUTPUT_CAP:,} characters")
    # Whatever expressions of an operator can raise on values; none of it is a fault of the program.
    except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ComposeError(_at_line(error, f"the template cannot be used: {error}")) from error
    except (RecursionError, MemoryError) as error:
        raise ComposeError("the template needs more memory than it may have") from error
    return "".join(parts)


def _at_line(error: BaseException, words: str) -> str:
    """The words with the line of the template where the error was raised, if it tells."""
    line = getattr(error, "lineno", None)
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == "<template>":
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return f"line {line}: {words}" if isinstance(line, int) else words


def _tidy(text: str) -> str:
    """The text without what empty values leave: blanks in a row or at the ends of lines, and rows of empty lines."""
    lines = [re.sub(r"[ \t]{2,}", " ", line).strip(" \t") for line in text.splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


# --- spans -----------------------------------------------------------------------------------------------------------

# A URL that begins right after one of these, or that one of these follows, is a piece of a longer one.
_GOES_BEFORE = re.compile(r"[A-Za-z0-9/=&?%#_~+@-]")
_GOES_ON = re.compile(rf"[.,:;!]*{_GOES_BEFORE.pattern}")


def _spans(text: str, link: str, tags: Sequence[str]) -> tuple[Span, ...]:
    """Each place where our link or one of our hashtags stands by itself, in order and without overlaps."""
    links = [
        Span(kind=SpanKind.LINK, start=start, end=start + len(link), value=link)
        for start in _places(text, link)
        if _is_whole_link(text, start, start + len(link))
    ]
    found = [
        Span(kind=SpanKind.HASHTAG, start=start, end=start + len(tag) + 1, value=tag)
        for tag in tags
        for start in _places(text, f"#{tag}")
        if _is_whole_tag(text, start, start + len(tag) + 1)
        and not any(span.start <= start < span.end for span in links)
    ]
    return tuple(sorted(links + found, key=lambda span: span.start))


def _places(text: str, part: str) -> Iterator[int]:
    start = text.find(part) if part else -1
    while start >= 0:
        yield start
        start = text.find(part, start + len(part))


def _is_whole_link(text: str, start: int, end: int) -> bool:
    """Whether the URL there is not a piece of a longer one."""
    return not _GOES_BEFORE.fullmatch(text[start - 1 : start]) and not _GOES_ON.match(text, end)


def _is_whole_tag(text: str, start: int, end: int) -> bool:
    """Whether the hashtag there begins and ends as networks see it."""
    before, after = text[start - 1 : start], text[end : end + 1]
    return not (before and (is_tag_character(before) or before in "&#/")) and not (after and is_tag_character(after))


# --- links -----------------------------------------------------------------------------------------------------------

# What RFC 3986 lets stand in a path, a query or a fragment, and `%`.
_URI_SAFE = "%/:@!$&'()*+,;=~?-._"
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


def safe_link(link: str) -> str:
    """The link as a URI in ASCII: host in punycode, what must be percent-encoded encoded, the rest as it came.

    Raises:
        ComposeError: `hold` is `link`; it is not http or https, names a user, or holds blanks, controls or a backslash.
    """
    if reason := _refused(link):
        raise ComposeError(f"the link {_quoted(link)} cannot be posted: {reason}", hold="link")
    try:
        parts = urlsplit(link)
        host = _ascii_host(parts)
        path, query, fragment = (_encoded(part) for part in (parts.path, parts.query, parts.fragment))
    except ValueError as error:
        raise ComposeError(f"the link {_quoted(link)} cannot be posted: it is no URL", hold="link") from error
    return SplitResult(parts.scheme, host, path, query, fragment).geturl()


def _refused(link: str) -> str | None:
    if len(link) > LINK_CAP:
        return f"it has {len(link)} characters"
    if not link.isprintable() or any(character in link for character in ' \\<>"'):
        return "it holds blanks, controls or invisible characters, brackets, quotes or a backslash"
    try:
        parts = urlsplit(link)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "it is no URL"
    if parts.scheme not in {"http", "https"} or not host:
        return "it is no http or https address"
    if "@" in parts.netloc:
        return "it names a user"
    return None


def _ascii_host(parts: SplitResult) -> str:
    """Host and port as DNS has them."""
    host = parts.hostname or ""
    if not parts.netloc.isascii():
        import idna

        # The mapping of browsers (UTS 46), so that readers and `net` reach the same host.
        host = idna.encode(host, uts46=True).decode("ascii")
    elif ":" in host:
        host = f"[{host}]"
    if not _HOST.fullmatch(host):
        raise ValueError(host)
    return host if parts.port is None else f"{host}:{parts.port}"


def _encoded(part: str) -> str:
    return quote(re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", part), safe=_URI_SAFE)


def _quoted(link: str) -> str:
    """The link as an alert may show it: one short line without a password."""
    hidden = re.sub(r"//[^/]*@", "//…@", link)
    shown = hidden if len(hidden) <= 100 else hidden[:100] + "…"
    return f"<{shown}>" if shown.isprintable() else ascii(shown)


# --- filters ---------------------------------------------------------------------------------------------------------


def admits(article: Article, account: Account, feed_names: tuple[str, ...]) -> str | None:
    """None if the account takes the article, else the rule that stops it: `feeds`, `only.words`, `never.words: iklan`.

    `only` asks that each of its parts that is set is fulfilled, `never` that none is. Categories, authors and words are
    compared without regard to case; words and phrases match whole, except in scripts that put no blanks between words.

    Raises:
        ComposeError: an expression is invalid or cannot be decided within a second.
    """
    if not account.takes_articles or (account.feeds and not set(account.feeds) & set(feed_names)):
        return "feeds"
    if account.only is not None:
        for part, value in _matches(account.only, article, "only"):
            if value is None:
                return f"only.{part}"
    if account.never is not None:
        for part, value in _matches(account.never, article, "never"):
            if value is not None:
                return f"never.{part}: {value}" if value else f"never.{part}"
    return None


def category_key(category: str) -> str:
    """What a category is compared by: without regard to case."""
    return _folded(category)


def stops_of(article: Article, stops: Iterable[Stop]) -> tuple[Stop, ...]:
    """Those of the stops whose category the article has."""
    return tuple(stop for stop in stops if stop.category and _first_equal((stop.category,), article.categories))


def _matches(rule: Filter, article: Article, name: str) -> Iterator[tuple[str, str | None]]:
    """Each part of the rule that is set, with its first value that the article fulfils, None if there is none."""
    if rule.categories:
        yield "categories", _first_equal(rule.categories, article.categories)
    if rule.authors:
        yield "authors", _first_equal(rule.authors, (article.author,) if article.author else ())
    subject = f"{article.title}\n{article.summary}\n{article.text}"
    if rule.words:
        yield "words", _first_word(rule.words, subject)
    if rule.matching is not None:
        yield "matching", "" if _is_found(rule.matching, subject, f"{name}.matching") else None


def _first_equal(wanted: Iterable[str], present: Iterable[str]) -> str | None:
    found = {_folded(value) for value in present}
    return next((value for value in wanted if _folded(value) in found), None)


def _first_word(words: Iterable[str], subject: str) -> str | None:
    folded = _folded(subject)
    return next((word for word in words if _folded(word) and _word_pattern(_folded(word)).search(folded)), None)


@lru_cache(maxsize=1024)
def _word_pattern(word: str) -> regex.Pattern[str]:
    import regex

    unspaced = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]")
    literal = regex.escape(word)
    before = "" if unspaced.match(word[0]) else r"(?<![\w\p{M}])"
    after = "" if unspaced.match(word[-1]) else r"(?![\w\p{M}])"
    return regex.compile(f"{before}{literal}{after}")


def _is_found(pattern: str, subject: str, rule: str) -> bool:
    import regex

    try:
        # `concurrent` lets other threads go on meanwhile.
        found = _expression(pattern).search(subject, timeout=MATCH_TIMEOUT_SECONDS, concurrent=True)
    except TimeoutError as error:
        raise ComposeError(f"{rule}: the expression could not be decided within a second; make it simpler") from error
    except regex.error as error:
        raise ComposeError(f"{rule}: {error}") from error
    return found is not None


@lru_cache(maxsize=256)
def _expression(pattern: str) -> regex.Pattern[str]:
    import regex

    # Title, summary and text are lines of their own to `^` and `$`.
    return regex.compile(pattern, regex.MULTILINE)


def _folded(text: str) -> str:
    """The text as it is compared: composed, without case, blanks folded."""
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()).split())
