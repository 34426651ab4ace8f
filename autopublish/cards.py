"""A post drawn as HTML, the way its network shows it: for the platform `page` and for a preview.

Knows a network only as a `Look`, which is data; asks neither disk nor clock. Whatever comes from a feed is escaped, and
only http and https become links.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from urllib.parse import quote, urlsplit

from autopublish.models import Picture, Post, Span, SpanKind

#: What HTML forbids. Marks of direction may stay: each block of text is isolated (`dir`).
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
#: How many colours the style has for avatars.
_TINTS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How one network shows a post; colours and shapes are in the style under the class `name`."""

    name: str
    #: What people call the network; empty where there is none.
    label: str = ""
    #: Where a hashtag leads, `{}` stands for the tag; None: it leads nowhere.
    hashtag_url: str | None = None
    #: Links in the text are shown without their scheme and cut to this many characters; None: as they are written.
    link_length: int | None = None
    #: Names of the icons below a post, from `_ICONS`.
    actions: tuple[str, ...] = ()


PLAIN = Look(name="plain")

LOOKS: Mapping[str, Look] = {
    look.name: look
    for look in (
        PLAIN,
        Look(
            name="bluesky",
            label="Bluesky",
            hashtag_url="https://bsky.app/hashtag/{}",
            actions=("reply", "repost", "like", "more"),
        ),
        Look(
            name="x",
            label="X",
            hashtag_url="https://x.com/hashtag/{}",
            # t.co shows host and path, cut, whatever the link's length.
            link_length=27,
            actions=("reply", "repost", "like", "views", "share"),
        ),
    )
}


# --- one post --------------------------------------------------------------------------------------------------------


def draw(
    post: Post, *, look: str, account: str, url: str | None, picture_src: str | None, anchor: str | None = None
) -> str:
    """The HTML of one post, for `page`; `anchor` becomes its id there.

    A look that is not known is drawn plain.
    """
    style = LOOKS.get(look, PLAIN)
    name = f' id="{_escape(anchor)}"' if anchor else ""
    language = f' lang="{_escape(post.languages[0])}"' if post.languages else ""
    return (
        f'<article class="post {style.name}"{name}>\n'
        f'<span class="avatar tint{_tint(account)}" aria-hidden="true">{_escape(_initials(account))}</span>\n'
        f'<header><div class="by"><h2 dir="auto">{_escape(account)}</h2>{_time(post, url)}</div>'
        f"{_label(style)}</header>\n"
        f'<p class="text" dir="auto"{language}>{"".join(_text(post, style))}</p>\n'
        f"{_card(post, language, picture_src)}"
        f"{_foot(post, style)}"
        "</article>\n"
    )


def _text(post: Post, look: Look) -> Iterator[str]:
    """The text piece by piece, links and hashtags as anchors; spans that overlap or lie outside are left as text."""
    at = 0
    for span in sorted(post.spans, key=lambda span: span.start):
        if not at <= span.start < span.end <= len(post.text):
            continue
        yield _escape(post.text[at : span.start])
        yield _span(span, post.text[span.start : span.end], look)
        at = span.end
    yield _escape(post.text[at:])


def _span(span: Span, shown: str, look: Look) -> str:
    """One link or hashtag."""
    if span.kind is SpanKind.HASHTAG:
        href = look.hashtag_url.format(quote(span.value, safe="", errors="replace")) if look.hashtag_url else None
        return _anchor(href, _escape(shown), "tag")
    if look.link_length is not None:
        shown = re.sub(r"^https?://", "", shown)
        shown = shown if len(shown) <= look.link_length else f"{shown[: look.link_length - 1]}…"
    return _anchor(span.value, _escape(shown), "link")


def _card(post: Post, language: str, picture_src: str | None) -> str:
    """The preview of the link, or the picture alone where there is no link; empty without both."""
    picture = _picture(post.picture, picture_src)
    if not (post.link and is_web(post.link)):
        return f'<figure class="photo">{picture}</figure>\n' if picture else ""
    summary = f'<p dir="auto">{_escape(post.summary)}</p>' if post.summary else ""
    inside = (
        f"{picture or _BLANK}"
        f'<span class="body"{language}><h3 dir="auto">{_escape(post.title)}</h3>{summary}'
        f'<span class="host">{_icon("globe")}{_escape(_host(post.link))}</span></span>'
    )
    return _anchor(post.link, inside, "card pictured" if picture else "card") + "\n"


def _picture(picture: Picture | None, src: str | None) -> str:
    if picture is None or not src:
        return ""
    return (
        f'<img src="{_escape(src)}" alt="{_escape(picture.alt)}" width="{picture.width}" height="{picture.height}"'
        ' loading="lazy" decoding="async">'
    )


def _time(post: Post, url: str | None) -> str:
    """The post's time for machines and people, leading to the post itself."""
    stamp = post.created_at
    shown = f"{stamp.day} {_MONTHS[stamp.month - 1]} {stamp.year}, {stamp:%H:%M} UTC"
    return _anchor(url, f'<time datetime="{stamp:%Y-%m-%dT%H:%M:%SZ}">{shown}</time>', "when")


def _foot(post: Post, look: Look) -> str:
    """The network's icons, which do nothing here, and how much of its room the text takes."""
    icons = "".join(_icon(action) for action in look.actions)
    notes = [f"{post.length} of {post.room}"] if post.room else []
    if post.shortened:
        notes.append(f"{_escape(', '.join(post.shortened))} shortened")
    if not icons and not notes:
        return ""
    name = "count over" if post.length > post.room > 0 else "count"
    return f'<footer>{icons}<span class="{name}">{" · ".join(notes)}</span></footer>\n'


def _label(look: Look) -> str:
    return f'<span class="network">{_escape(look.label)}</span>' if look.label else ""


def _anchor(href: str | None, inside: str, name: str) -> str:
    """A link with a class, or a span where `href` leads nowhere that is safe."""
    if href is None or not (is_web(href) or href.startswith("#")):
        return f'<span class="{name}">{inside}</span>'
    return f'<a class="{name}" href="{_escape(href)}" rel="noopener nofollow">{inside}</a>'


def is_web(url: str) -> bool:
    """Whether a URL is http or https and names a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").removeprefix("www.")


def _escape(text: str) -> str:
    return escape(_FORBIDDEN.sub("", text))


def _initials(name: str) -> str:
    words = [word for word in re.split(r"[^\w]+|_", name) if word]
    return "".join(word[0] for word in words[:2]).upper() or "·"


def _tint(name: str) -> int:
    """A colour that stays with the name."""
    return sum(name.encode("utf-8", "replace")) % _TINTS


# --- the page --------------------------------------------------------------------------------------------------------


def page(
    cards: Sequence[str],
    *,
    title: str,
    lead: str = "",
    language: str = "en",
    feeds: Mapping[str, tuple[str, str]] | None = None,
) -> str:
    """A whole HTML document of cards, with all that it needs inside but the pictures.

    `feeds` maps a media type to the name and the address of a feed of the same posts.
    """
    named = dict(feeds or {})
    alternates = "".join(
        f'<link rel="alternate" type="{_escape(kind)}" title="{_escape(name)}" href="{_escape(href)}">\n'
        for kind, (name, href) in named.items()
    )
    links = "".join(f'<a href="{_escape(href)}">{_escape(name)}</a>' for name, href in named.values())
    navigation = f'<nav aria-label="Feeds">{links}</nav>\n' if links else ""
    return (
        f'<!doctype html>\n<html lang="{_escape(language)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<link rel="icon" href="data:,">\n'
        f"<title>{_escape(title)}</title>\n{alternates}<style>{_STYLE}</style>\n</head>\n"
        f'<body>\n{_SPRITE}\n<div class="layout">\n<header class="masthead">\n<h1 dir="auto">{_escape(title)}</h1>\n'
        f'<p class="lead">{_escape(lead)}</p>\n'
        f"{navigation}</header>\n"
        f"<main>\n{''.join(cards) or _EMPTY}</main>\n</div>\n</body>\n</html>\n"
    )


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_EMPTY = '<p class="empty">No posts yet.</p>\n'

# Drawn on a square of 24, as lines.
_ICONS = {
    "reply": "M20 11.5a7.5 7.5 0 0 1-11 6.6L4 19.5l1.5-4.4A7.5 7.5 0 1 1 20 11.5Z",
    "repost": "M7 17.5h9a2 2 0 0 0 2-2V10m-3 3 3-3.2 3 3.2M17 6.5H8a2 2 0 0 0-2 2V14m3-3-3 3.2L3 11",
    "like": "M12 19.5S4 14.7 4 9.3A4.3 4.3 0 0 1 12 7a4.3 4.3 0 0 1 8 2.3c0 5.4-8 10.2-8 10.2Z",
    "views": "M5 19v-6M10 19V5M15 19v-9M20 19v-4",
    "share": "M12 15V4m-4 4 4-4 4 4M5 14v4a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2v-4",
    "more": "M6 12h.01M12 12h.01M18 12h.01",
    "globe": "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17Zm-8.2 8.5h16.4M12 3.5c-5 5-5 12 0 17 5-5 5-12 0-17Z",
    "sheet": "M6 4h9l3 3v13H6V4Zm3 7h6m-6 3.5h6M9 7.5h3",
}


def _icon(name: str) -> str:
    return f'<svg class="icon {name}" aria-hidden="true"><use href="#i-{name}"></use></svg>'


_BLANK = f'<span class="blank">{_icon("sheet")}</span>'

_SPRITE = (
    '<svg class="sprite" aria-hidden="true">'
    + "".join(f'<symbol id="i-{name}" viewBox="0 0 24 24"><path d="{path}"/></symbol>' for name, path in _ICONS.items())
    + "</svg>"
)

_STYLE = """
:root {
  color-scheme: light dark;
  --ground: #f4f1ea; --ink: #1d1b16; --soft: #6a655a; --line: #dcd6c8; --accent: #0a6a64; --alarm: #b3261e;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, sans-serif;
  --serif: ui-serif, "Iowan Old Style", "Source Serif 4", "Noto Serif", Georgia, serif;
}
* { box-sizing: border-box; margin: 0 }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth }
body { background: var(--ground); color: var(--ink); font: 16px/1.5 var(--sans); }
a { color: inherit }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 4px }
.sprite { position: absolute; width: 0; height: 0 }
.icon { width: 18px; height: 18px; flex: none; fill: none; stroke: currentColor; stroke-width: 1.7;
  stroke-linecap: round; stroke-linejoin: round }
.icon.more { stroke-width: 3 }

.layout { max-width: 1000px; margin: 0 auto; padding: 0 24px; display: grid; column-gap: 64px;
  grid-template-columns: minmax(0, 1fr) minmax(0, 600px) }
.masthead { position: sticky; top: 0; align-self: start; padding: 72px 0 32px }
.masthead::before { content: ""; display: block; width: 44px; height: 5px; border-radius: 3px; margin-bottom: 22px;
  background: linear-gradient(90deg, var(--accent) 62%, #e3a336 62%) }
h1 { font: 600 clamp(1.9rem, 1.4rem + 1.6vw, 2.6rem)/1.12 var(--serif); letter-spacing: -.018em; text-wrap: balance;
  overflow-wrap: anywhere }
.lead { margin-top: 14px; color: var(--soft); font-size: .95rem; max-width: 32ch }
.masthead nav { margin-top: 26px; display: flex; flex-wrap: wrap; gap: 8px }
.masthead nav a { font-size: .8rem; font-weight: 600; text-decoration: none; color: var(--accent);
  border: 1px solid var(--line); border-radius: 99px; padding: 5px 14px }
.masthead nav a:hover { border-color: var(--accent) }
main { padding: 40px 0 96px; display: grid; gap: 20px; align-content: start }
.empty { color: var(--soft); padding: 48px 0; text-align: center }

.post { --paper: #fff; --text: #1d1b16; --muted: #655f53; --edge: #e0dacd; --link: #0a6a64; --wash: #f6f3ec;
  display: grid; grid-template-columns: 44px minmax(0, 1fr); column-gap: 12px; padding: 18px 20px 14px;
  background: var(--paper); color: var(--text); border: 1px solid var(--edge); border-radius: 18px; overflow: hidden;
  box-shadow: 0 1px 2px rgb(40 30 10 / .05), 0 8px 24px -16px rgb(40 30 10 / .18); scroll-margin-top: 20px }
.post:target { box-shadow: 0 0 0 3px var(--link) }
.post > * { grid-column: 2 }
.post > .avatar { grid-column: 1; grid-row: 1 / span 9; width: 44px; height: 44px; border-radius: 50%; color: #fff;
  display: grid; place-items: center; font-weight: 650; font-size: .95rem; letter-spacing: .01em }
.tint0 { background: linear-gradient(140deg, #0f766e, #115e59) }
.tint1 { background: linear-gradient(140deg, #2563c9, #1b3f8b) }
.tint2 { background: linear-gradient(140deg, #b4532a, #8a3416) }
.tint3 { background: linear-gradient(140deg, #7446b8, #4c2a86) }
.tint4 { background: linear-gradient(140deg, #a83262, #7a1f45) }
.tint5 { background: linear-gradient(140deg, #4a6b1f, #314a10) }
.post > header { display: flex; align-items: flex-start; gap: 8px }
.by { flex: 1; display: flex; flex-wrap: wrap; align-items: baseline; column-gap: 8px; min-width: 0 }
h2 { font-size: .97rem; font-weight: 680; line-height: 1.35; overflow-wrap: anywhere }
.when { color: var(--muted); font-size: .86rem; text-decoration: none; white-space: nowrap }
.when:hover { text-decoration: underline }
.network { color: var(--muted); font-size: .72rem; font-weight: 600; letter-spacing: .02em;
  border: 1px solid var(--edge); border-radius: 99px; padding: 1px 9px }
.text { white-space: pre-wrap; unicode-bidi: plaintext; overflow-wrap: anywhere; margin-top: 3px; font-size: 1rem;
  line-height: 1.46 }
.text .link { word-break: break-all }
.text a { color: var(--link); text-decoration: none }
.text a:hover { text-decoration: underline }
.text .tag:not(a) { color: var(--link) }
.post footer { display: flex; align-items: center; justify-content: space-between; gap: 8px; margin-top: 12px;
  color: var(--muted) }
.count { font-size: .74rem; font-variant-numeric: tabular-nums; margin-left: auto; text-align: right }
footer .icon + .count { margin-left: 0 }
.over { color: var(--alarm); font-weight: 650 }

.card, .photo { display: grid; margin-top: 12px; border: 1px solid var(--edge); border-radius: 14px; overflow: hidden;
  color: inherit; text-decoration: none }
.card img, .photo img { display: block; width: 100%; height: auto; aspect-ratio: 1.91; object-fit: cover;
  background: var(--wash) }
a.card:hover { background: var(--wash) }
.blank { display: none }
.body { display: grid; gap: 3px; padding: 12px 14px; min-width: 0 }
h3 { font-size: .95rem; font-weight: 640; line-height: 1.32; overflow-wrap: anywhere; display: -webkit-box;
  -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden }
.body p { color: var(--muted); font-size: .87rem; line-height: 1.42; overflow-wrap: anywhere; display: -webkit-box;
  -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden }
.host { display: flex; align-items: center; gap: 6px; color: var(--muted); font-size: .79rem; overflow-wrap: anywhere }
.host .icon { width: 14px; height: 14px }

.bluesky { --text: #0b0f14; --muted: #50627b; --edge: #d6dee6; --link: #0a66d6; --wash: #f5f8fb }
.bluesky .card { border-radius: 12px }
.bluesky .pictured .body { border-top: 1px solid var(--edge) }
.bluesky .host { border-top: 1px solid var(--edge); margin-top: 7px; padding-top: 8px }

.x { --text: #0f1419; --muted: #536471; --edge: #d5dde2; --link: #0d6bb5; --wash: #f7f9f9 }
.x .card { border-radius: 16px }
.x .pictured { border: 0; border-radius: 0; overflow: visible; row-gap: 5px }
.x a.pictured:hover { background: none }
.x .pictured .body { display: contents }
.x .pictured img { grid-area: 1 / 1; border: 1px solid var(--edge); border-radius: 16px }
.x .pictured h3 { grid-area: 1 / 1; place-self: end start; margin: 12px; max-width: calc(100% - 24px); padding: 2px 9px;
  position: relative; border-radius: 6px; background: rgb(0 0 0 / .77); color: #fff; font-size: .82rem;
  font-weight: 500; -webkit-line-clamp: 1; word-break: break-all }
.x .pictured p, .x .pictured .host .icon { display: none }
.x .pictured .host { font-size: .82rem }
.x .pictured:hover .host { text-decoration: underline }
.x .card:not(.pictured) { grid-template-columns: 112px minmax(0, 1fr) }
.x .blank { display: grid; place-items: center; background: var(--wash); border-right: 1px solid var(--edge);
  color: var(--muted) }
.x .blank .icon { width: 30px; height: 30px }
.x .card:not(.pictured) .body { align-content: center; min-height: 112px }
.x .card:not(.pictured) .host { order: -1 }
.x .card:not(.pictured) .host .icon { display: none }
.x h3 { font-weight: 500 }

@media (max-width: 860px) {
  .layout { grid-template-columns: minmax(0, 600px); justify-content: center; padding: 0 14px }
  .masthead { position: static; padding: 36px 6px 4px }
  .lead { max-width: none } .masthead nav { margin-top: 18px }
  main { padding: 20px 0 64px; gap: 14px }
}
@media (max-width: 480px) {
  .post { grid-template-columns: 36px minmax(0, 1fr); column-gap: 10px; padding: 14px 14px 12px; border-radius: 16px }
  .post > .avatar { width: 36px; height: 36px; font-size: .82rem }
  .x .card:not(.pictured) { grid-template-columns: 76px minmax(0, 1fr) }
}
@media (prefers-color-scheme: dark) {
  :root { --ground: #111317; --ink: #efece4; --soft: #a19c90; --line: #30333a; --accent: #4fc0b3;
    --alarm: #ff8a7d }
  .post { --paper: #1a1d22; --text: #efece4; --muted: #a19c90; --edge: #30333a; --link: #4fc0b3; --wash: #22262c;
    box-shadow: none }
  .bluesky { --paper: #151e2a; --text: #f0f4f8; --muted: #93a5bd; --edge: #2b3b4f; --link: #5aacff; --wash: #1b2736 }
  .x { --paper: #000; --text: #e7e9ea; --muted: #8b98a5; --edge: #2f3336; --link: #4db2f7; --wash: #16181c }
  img { filter: brightness(.94) }
}
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto } }
@media print { .masthead { position: static } .post { break-inside: avoid; box-shadow: none } }
"""

# Nothing but this very style and pictures: no script, frame, form or request to another host, even if an escape failed.
# https://www.w3.org/TR/CSP3/#framework-directive-source-list
_POLICY = (
    "default-src 'none'; img-src 'self' data:; "
    f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; base-uri 'none'; form-action 'none'"
)
