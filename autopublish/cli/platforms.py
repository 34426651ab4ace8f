"""`autopublish platforms`: which networks there are, what each can do, and each one's page."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from autopublish import platforms as known
from autopublish.cli._common import in_words, json_option, print_json, refuse, say, table
from autopublish.models import FOREVER, MediaLimits, ReadBack

if TYPE_CHECKING:
    from autopublish.platforms._base import Platform
    from autopublish.text import TextLimits

#: Ways to count, as people know them; a platform's own way has no name.
_COUNTS = {
    "graphemes": "characters as seen",
    "characters": "characters",
    "utf16_units": "UTF-16 units",
    "weighted": "weighted characters",
}


@click.command()
@click.argument("name", required=False)
@json_option
@in_words
def platforms(name: str | None, *, as_json: bool) -> None:
    """List the platforms and what each can do, or show the page of one.

    The page tells where credentials come from, what is posted, and what happens on an unknown outcome.
    """
    if name is None:
        _list(as_json=as_json)
        return
    try:
        page = _page(name)
    except (ImportError, LookupError) as error:
        refuse(_in_words(error))
    if as_json:
        print_json({"platform": name, "page": page})
    else:
        click.echo(page)


def _list(*, as_json: bool) -> None:
    rows = [(each, about(each), traits(each)) for each in known.available()]
    if as_json:
        print_json([{"platform": each, "about": words, **_document(found)} for each, words, found in rows])
        return
    heads = ["platform", "text", "picture", "alt text", "card", "delete", "unknown outcome", "cost"]
    table([[each, *(_cells(found) if found else [words, *[""] * 6])] for each, words, found in rows], heads)
    say("`autopublish platforms NAME` shows the page of one: credentials, what is posted, what happens then")


def about(name: str) -> str:
    """The first line of its page; one of an outside package that does not load hides no other."""
    try:
        return _page(name).partition("\n")[0]
    except (ImportError, LookupError) as error:
        return f"does not load: {_in_words(error)}"


def _in_words(error: ImportError | LookupError) -> str:
    # The text of a KeyError is that of its argument in quotes.
    return str(error.args[0] if error.args else error)


def _page(name: str) -> str:
    """The docstring of the platform's module.

    Raises:
        ImportError: it does not load.
        LookupError: there is no such platform.
    """
    platform = known.load(name)
    return inspect.getdoc(sys.modules[platform.__module__]) or f"{name} has no page"


# --- what it can do --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a platform can do, in words; read from its class."""

    text: str
    picture: str
    alt_text: str
    card: str
    edit: str
    delete: str
    unknown_outcome: str
    cost: str


def traits(name: str) -> Traits | None:
    """What a platform can do; None if it does not load."""
    try:
        platform = known.load(name)
    except (ImportError, LookupError):
        return None
    media = platform.media
    return Traits(
        text=_text(getattr(platform, "limits", None)),
        picture=_picture(media),
        alt_text=f"{media.alt_length:,}" if media and media.alt_length else "no",
        card=platform.card.value,
        edit=_can(platform, "edit"),
        delete=_can(platform, "delete"),
        unknown_outcome=_outcome(platform),
        cost=platform.cost,
    )


def _document(found: Traits | None) -> dict[str, str | None]:
    names = Traits.__dataclass_fields__
    return {name: getattr(found, name) if found else None for name in names}


def _cells(found: Traits) -> list[str]:
    return [
        found.text,
        found.picture,
        found.alt_text,
        found.card,
        found.delete,
        found.unknown_outcome,
        found.cost,
    ]


def _text(limits: TextLimits | None) -> str:
    """How long a post may be, and what is counted."""
    if limits is None:
        return "by its settings"
    counted = _COUNTS.get(getattr(limits.count, "__name__", ""), "as it counts itself")
    link = f", a link {limits.url_length}" if limits.url_length is not None else ""
    return f"{limits.length:,} {counted}{link}"


def _picture(media: MediaLimits | None) -> str:
    if media is None:
        return "no"
    kinds = ", ".join(kind.rpartition("/")[2] for kind in media.types)
    return f"{media.size_bytes / 1e6:.3g} MB {kinds}"


def _can(platform: type[Platform], verb: str) -> str:
    """Whether the class has the verb of its own."""
    from autopublish.platforms._base import Platform

    own, general = getattr(platform, verb, None), getattr(Platform, verb, None)
    return "no" if own is general else "yes"


def _outcome(platform: type[Platform]) -> str:
    """How an unknown outcome is resolved; `key_window`, `read_back` and `settle` say it."""
    window = platform.key_window
    match platform.read_back:
        case ReadBack.BY_KEY:
            return "sent again under its key"
        case ReadBack.BY_ANSWER:
            return "sent again, the answer tells"
        case ReadBack.LAGGING:
            return f"looked up after {_minutes(platform.settle)}; if not found, a person decides"
        case ReadBack.STRONG:
            key = "" if window is None or window == FOREVER else f", key for {_minutes(window)}"
            return f"looked up after {_minutes(platform.settle)}{key}"
        case _:
            return "a person decides, or `on_unknown`"


def _minutes(time: timedelta) -> str:
    return f"{time.total_seconds() / 60:g} min"
