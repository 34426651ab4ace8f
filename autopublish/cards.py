"""A post drawn as HTML, the way its network shows it: for the platform `page` and for a preview.

Knows a network only as a `Look`, which is data; asks neither disk nor clock. Whatever comes from a feed is escaped, and
only http and https become links.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from html import escape
from urllib.parse import quote, urlsplit

from autopublish.models import Picture, Post, Span, SpanKind

#: What HTML forbids. Marks of direction may stay: each block of text is isolated (`dir`).
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
#: How many colours the style has for avatars.
_TINTS = 6


class Part(StrEnum):
    """What the preview of a link is made of."""

    #: Above the rest where a look names it first, else below.
    PICTURE = "picture"
    TITLE = "title"
    SUMMARY = "summary"
    HOST = "host"


class TimeAt(StrEnum):
    """Where the time of a post stands; the member's value is its class in the style."""

    #: On the line of the account's name.
    BESIDE = "beside"
    #: On a line of its own below the name.
    UNDER = "under"
    #: At the end of the post.
    FOOT = "foot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How one network shows a post; colours and shapes are in the style under the class `name`."""

    name: str
    #: What people call the network; empty where there is none.
    label: str = ""
    #: Where a hashtag leads, `{}` stands for the tag; None: it leads nowhere.
    hashtag_url: str | None = None
    #: Links in the text are shown without scheme and `www.`, cut after so many characters; None: as they are written.
    link_length: int | None = None
    time_at: TimeAt = TimeAt.BESIDE
    #: Name of the icon beside the time, from `_ICONS`: who may see the post, or who saw it.
    time_icon: str | None = None
    #: The parts of the preview, in their order.
    card: tuple[Part, ...] = (Part.PICTURE, Part.TITLE, Part.SUMMARY, Part.HOST)
    #: Name of the icon beside the host.
    host_icon: str | None = None
    #: Names of the icons below a post, and the words beside those that have one.
    actions: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)


PLAIN = Look(name="plain", host_icon="globe")

LOOKS: Mapping[str, Look] = {
    look.name: look
    for look in (
        PLAIN,
        Look(
            name="bluesky",
            label="Bluesky",
            hashtag_url="https://bsky.app/hashtag/{}",
            host_icon="globe",
            actions=("reply", "repost", "like", "more"),
        ),
        Look(
            name="x",
            label="X",
            hashtag_url="https://x.com/hashtag/{}",
            # t.co shows host and path, cut, whatever the link's length.
            link_length=26,
            actions=("reply", "repost", "like", "views", "share"),
        ),
        Look(
            name="mastodon",
            label="Mastodon",
            # Each server has its own page for a hashtag; the largest one shows it to everybody.
            hashtag_url="https://mastodon.social/tags/{}",
            # https://github.com/mastodon/mastodon/blob/main/app/lib/text_formatter.rb
            link_length=30,
            time_icon="globe",
            card=(Part.PICTURE, Part.HOST, Part.TITLE, Part.SUMMARY),
            actions=("reply", "boost", "star", "bookmark", "more"),
        ),
        Look(
            name="telegram",
            label="Telegram",
            time_at=TimeAt.FOOT,
            time_icon="eye",
            card=(Part.HOST, Part.TITLE, Part.SUMMARY, Part.PICTURE),
        ),
        Look(
            name="facebook",
            label="Facebook",
            hashtag_url="https://www.facebook.com/hashtag/{}",
            time_at=TimeAt.UNDER,
            time_icon="globe",
            card=(Part.PICTURE, Part.HOST, Part.TITLE, Part.SUMMARY),
            actions=("thumb", "comment", "forward"),
            words={"thumb": "Like", "comment": "Comment", "forward": "Share"},
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
    time = _time(post, style, url)
    name = f' id="{_escape(anchor)}"' if anchor else ""
    language = f' lang="{_escape(post.languages[0])}"' if post.languages else ""
    return (
        f'<article class="post {style.name}"{name}>\n'
        f'<span class="avatar tint{_tint(account)}" aria-hidden="true">{_escape(_initials(account))}</span>\n'
        f"{_head(account, time, style)}"
        f'<p class="text" dir="auto"{language}>{"".join(_text(post, style))}</p>\n'
        f"{_card(post, style, language, picture_src)}"
        f"{_foot(post, time, style)}"
        "</article>\n"
    )


def _head(account: str, time: str, look: Look) -> str:
    """Who posted, on which network, and when, unless the time stands in the foot."""
    shown = "" if look.time_at is TimeAt.FOOT else time
    label = f'<span class="network">{_escape(look.label)}</span>' if look.label else ""
    return (
        f'<header><div class="by {look.time_at}"><h2 dir="auto">{_escape(account)}</h2>{shown}</div>{label}</header>\n'
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
        shown = re.sub(r"^https?://(www\.)?", "", shown)
        shown = shown if len(shown) <= look.link_length else f"{shown[: look.link_length]}…"
    return _anchor(span.value, _escape(shown), "link")


def _card(post: Post, look: Look, language: str, picture_src: str | None) -> str:
    """The preview of the link, or the picture alone where there is no link; empty without both."""
    picture = _picture(post.picture, picture_src)
    if not (post.link and is_web(post.link)):
        return f'<figure class="photo">{picture}</figure>\n' if picture else ""
    parts = {
        Part.TITLE: f'<h3 dir="auto">{_escape(post.title)}</h3>',
        Part.SUMMARY: f'<p dir="auto">{_escape(post.summary)}</p>' if post.summary else "",
        Part.HOST: f'<span class="host">{_icon(look.host_icon)}{_escape(_host(post.link))}</span>',
    }
    body = f'<span class="body"{language}>{"".join(parts.get(part, "") for part in look.card)}</span>'
    shown = picture or _BLANK
    inside = f"{shown}{body}" if look.card[0] is Part.PICTURE else f"{body}{shown}"
    return _anchor(post.link, inside, _card_class(post.picture if picture else None)) + "\n"


def _card_class(picture: Picture | None) -> str:
    """What the style must know of the picture."""
    if picture is None:
        return "card"
    return "card pictured tall" if picture.height >= picture.width else "card pictured"


def _picture(picture: Picture | None, src: str | None) -> str:
    if picture is None or not src:
        return ""
    return (
        f'<img src="{_escape(src)}" alt="{_escape(picture.alt)}" width="{picture.width}" height="{picture.height}"'
        ' loading="lazy" decoding="async">'
    )


def _time(post: Post, look: Look, url: str | None) -> str:
    """The post's time for machines and people, leading to the post itself."""
    stamp = post.created_at
    shown = f"{stamp.day} {_MONTHS[stamp.month - 1]} {stamp.year}, {stamp:%H:%M} UTC"
    time = f'<time datetime="{stamp:%Y-%m-%dT%H:%M:%SZ}">{shown}</time>'
    return _anchor(url, f"{_icon(look.time_icon)}{time}", "when")


def _foot(post: Post, time: str, look: Look) -> str:
    """The network's icons, which do nothing here, how much of its room the text takes, and the time if it ends so."""
    actions = "".join(_action(name, look.words.get(name)) for name in look.actions)
    notes = [f"{post.length} of {post.room}"] if post.room else []
    if post.shortened:
        notes.append(f"{_escape(', '.join(post.shortened))} shortened")
    shown = time if look.time_at is TimeAt.FOOT else ""
    if not actions and not notes and not shown:
        return ""
    name = "count over" if post.length > post.room > 0 else "count"
    return f'<footer>{actions}<span class="{name}">{" · ".join(notes)}</span>{shown}</footer>\n'


def _action(name: str, word: str | None) -> str:
    """An icon, with its word if it has one."""
    return f'<span class="action" aria-hidden="true">{_icon(name)}{_escape(word)}</span>' if word else _icon(name)


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
    "boost": "M4 11V9.5a2 2 0 0 1 2-2h13m-3.5-3.5L19 7.5 15.5 11M20 13v1.5a2 2 0 0 1-2 2H5m3.5 3.5L5 16.5 8.5 13",
    "star": "m12 3.8 2.5 5.2 5.7.8-4.1 4 1 5.7L12 16.8l-5.1 2.7 1-5.7-4.1-4 5.7-.8L12 3.8Z",
    "bookmark": "M7 4h10v16l-5-4-5 4V4Z",
    "eye": "M2.5 12S6 5.5 12 5.5s9.5 6.5 9.5 6.5-3.5 6.5-9.5 6.5S2.5 12 2.5 12ZM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6Z",
    "thumb": "M7 10.5V20H4v-9.5h3Zm0 0L11 4a2 2 0 0 1 2 2.5l-.6 3.5h5.4a2 2 0 0 1 2 2.4l-1.2 6a2 2 0 0 1-2 1.6H7",
    "comment": "M12 5c4.7 0 8.5 3 8.5 7s-3.8 7-8.5 7l-3-.5L4.5 20l1-3.6a6.5 6.5 0 0 1-2-4.4c0-4 3.8-7 8.5-7Z",
    "forward": "M13 5v4c-5.5.6-8.5 4-9.5 10 2.5-3.5 5.5-5 9.5-5v4l7.5-6.5L13 5Z",
    "globe": "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17Zm-8.2 8.5h16.4M12 3.5c-5 5-5 12 0 17 5-5 5-12 0-17Z",
    "sheet": "M6 4h9l3 3v13H6V4Zm3 7h6m-6 3.5h6M9 7.5h3",
}


def _icon(name: str | None) -> str:
    """A drawing of the sprite; nothing without a name."""
    return "" if name is None else f'<svg class="icon {name}" aria-hidden="true"><use href="#i-{name}"></use></svg>'


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
  --side: 20px; display: grid; grid-template-columns: 44px minmax(0, 1fr); column-gap: 12px;
  padding: 18px var(--side) 14px;
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
.by.under { flex-direction: column }
.when { color: var(--muted); font-size: .86rem; text-decoration: none; white-space: nowrap; display: inline-flex;
  align-items: center; gap: 5px }
.when:hover { text-decoration: underline }
.when .icon { width: 14px; height: 14px }
.network { color: var(--muted); font-size: .72rem; font-weight: 600; letter-spacing: .02em;
  border: 1px solid var(--edge); border-radius: 99px; padding: 1px 9px }
.text { white-space: pre-wrap; unicode-bidi: plaintext; overflow-wrap: anywhere; margin-top: 3px; font-size: 1rem;
  line-height: 1.46 }
.text .link { word-break: break-all }
.text:empty, h3:empty { display: none }
.text a { color: var(--link); text-decoration: none }
.text a:hover { text-decoration: underline }
.text .tag:not(a) { color: var(--link) }
.post footer { display: flex; align-items: center; justify-content: space-between; gap: 8px; margin-top: 12px;
  color: var(--muted) }
.count { font-size: .74rem; font-variant-numeric: tabular-nums; margin-left: auto; text-align: right }
footer .icon + .count { margin-left: 0 }
.action { display: inline-flex; align-items: center; justify-content: center; gap: 7px; font-size: .9rem;
  font-weight: 600 }
.over { color: var(--alarm); font-weight: 650 }

.card, .photo { display: grid; margin-top: 12px; border: 1px solid var(--edge); border-radius: 14px; overflow: hidden;
  color: inherit; text-decoration: none }
.card img, .photo img { display: block; width: 100%; height: auto; aspect-ratio: 1.91; object-fit: cover;
  background: var(--wash) }
.photo img { aspect-ratio: auto; max-height: min(680px, 130vw) }
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
.x h3 { font-weight: 500 }

.mastodon { --text: #1d1b2a; --muted: #615f78; --edge: #dcdae8; --link: #563acc; --wash: #f4f3fa; border-radius: 8px }
.mastodon > * { grid-column: 1 / -1 }
.mastodon > .avatar { grid-row: 1; border-radius: 8px }
.mastodon > header { grid-column: 2; min-height: 44px }
.mastodon .when { margin-left: auto }
.mastodon .text { margin-top: 10px }
.mastodon .card, .mastodon .photo { border-radius: 8px }
.mastodon .host { font-size: .82rem }
.mastodon h3 { font-weight: 700; -webkit-line-clamp: 2 }
.mastodon .body p { -webkit-line-clamp: 1 }

:is(.x, .mastodon) .card:not(.pictured), .mastodon .tall { grid-template-columns: var(--thumb) minmax(0, 1fr);
  --thumb: 112px }
:is(.x, .mastodon) .blank { display: grid; place-items: center; background: var(--wash); color: var(--muted);
  border-right: 1px solid var(--edge) }
:is(.x, .mastodon) .blank .icon { width: 30px; height: 30px }
:is(.x, .mastodon) .card:not(.pictured) .body, .mastodon .tall .body { align-content: center; min-height: 112px }
.x .card:not(.pictured) .host { order: -1 }
.mastodon .tall { position: relative }
.mastodon .tall img { position: absolute; inset: 0; grid-area: 1 / 1 / 2 / 2; aspect-ratio: auto; height: 100% }
.mastodon .tall .body { grid-column: 2; border-left: 1px solid var(--edge) }

.telegram { --paper: #fff; --text: #0b0f14; --muted: #5f6e78; --edge: transparent; --link: #0a6cab; --wash: #eaf4fb;
  --hall: linear-gradient(150deg, #dfe6b8, #9fcf9f 55%, #8cc0a4); background: var(--hall); position: relative;
  padding-bottom: 18px }
.telegram::before { content: ""; position: absolute; inset: 12px 14px 12px 68px; border-radius: 4px 14px 14px 14px;
  background: var(--paper); box-shadow: 0 1px 1px rgb(20 50 20 / .2) }
.telegram > * { position: relative; margin-inline: 4px 6px }
.telegram > .avatar { margin: -6px 0 0 }
.telegram h2 { color: var(--link) }
.telegram .network { border: 0; padding: 0 }
.telegram .card { border: 0; border-left: 3px solid var(--link); border-radius: 6px; background: var(--wash) }
.telegram .body { padding: 8px 12px }
.telegram .host { color: var(--link); font-weight: 650; font-size: .86rem }
.telegram .body p { color: var(--text); font-size: .9rem; -webkit-line-clamp: 4 }
.telegram .card img { margin: 2px 12px 10px; width: calc(100% - 24px); border-radius: 6px }
.telegram a.card:hover h3 { text-decoration: underline }
.telegram .photo { border: 0; border-radius: 8px }
.telegram footer { margin-top: 8px; flex-wrap: wrap; row-gap: 2px }
.telegram .count { margin: 0 auto 0 0; text-align: left }
.telegram .when { margin-left: auto; font-size: .78rem }

.facebook { --text: #080809; --muted: #606366; --edge: #d3d6da; --link: #0064d1; --wash: #f0f2f5; border-radius: 8px;
  padding-bottom: 6px }
.facebook > * { grid-column: 1 / -1 }
.facebook > .avatar { grid-column: 1; grid-row: 1 }
.facebook > header { grid-column: 2; min-height: 44px }
.facebook .when { order: 1; font-size: .8rem }
.facebook .when .icon { order: 1; width: 13px; height: 13px }
.facebook .text { margin-top: 10px }
.facebook .card, .facebook .photo { margin-inline: calc(-1 * var(--side)); border-width: 1px 0; border-radius: 0;
  background: var(--wash) }
.facebook .card:focus-visible { outline-offset: -3px }
.facebook .body { padding: 10px var(--side) 12px }
.facebook .host { text-transform: uppercase; letter-spacing: .01em }
.facebook h3 { font-size: 1.04rem; font-weight: 650; -webkit-line-clamp: 2 }
.facebook .body p { -webkit-line-clamp: 1 }
.facebook a.card:hover h3 { text-decoration: underline }
.facebook footer { flex-wrap: wrap; gap: 0; margin-top: 10px }
.facebook .count { order: -1; flex-basis: 100%; padding-bottom: 9px; border-bottom: 1px solid var(--edge) }
.facebook .action { flex: 1 1 auto; padding: 9px 4px }

@media (max-width: 860px) {
  .layout { grid-template-columns: minmax(0, 600px); justify-content: center; padding: 0 14px }
  .masthead { position: static; padding: 36px 6px 4px }
  .lead { max-width: none } .masthead nav { margin-top: 18px }
  main { padding: 20px 0 64px; gap: 14px }
}
@media (max-width: 480px) {
  .post { grid-template-columns: 36px minmax(0, 1fr); column-gap: 10px; --side: 14px; padding: 14px var(--side) 12px }
  .post > .avatar { width: 36px; height: 36px; font-size: .82rem }
  :is(.x, .mastodon) .card:not(.pictured), .mastodon .tall { --thumb: 76px }
  .telegram { grid-template-columns: minmax(0, 1fr) }
  .telegram::before { inset: 8px; border-radius: 12px }
  .telegram > * { grid-column: 1; margin-inline: 6px }
  .telegram > .avatar { display: none }
}
@media (prefers-color-scheme: dark) {
  :root { --ground: #111317; --ink: #efece4; --soft: #a19c90; --line: #30333a; --accent: #4fc0b3;
    --alarm: #ff8a7d }
  .post { --paper: #1a1d22; --text: #efece4; --muted: #a19c90; --edge: #30333a; --link: #4fc0b3; --wash: #22262c;
    box-shadow: none }
  .bluesky { --paper: #151e2a; --text: #f0f4f8; --muted: #93a5bd; --edge: #2b3b4f; --link: #5aacff; --wash: #1b2736 }
  .mastodon { --paper: #181820; --text: #eeeef5; --muted: #a2a1ba; --edge: #33323f; --link: #a3a3ff; --wash: #22212e }
  .telegram { --paper: #182533; --text: #f5f5f5; --muted: #8fa3b5; --edge: transparent; --link: #6ab8f7;
    --wash: #1f3145; --hall: linear-gradient(150deg, #0e1621, #10202c) }
  .facebook { --paper: #252728; --text: #e2e5e9; --muted: #b0b3b8; --edge: #3f4142; --link: #75b6ff; --wash: #333334 }
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
