"""Identity: which items of a document are new, known, edited, moved or doubled, and what the first poll means.

Pure functions of a parsed document, what the store knows and `now`. This module knows no store, network or clock, and
decides nothing about accounts.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

from autopublish.models import Alias, AliasKind, Article, Document, Feed, FirstRun, Item, Novelty

#: A date up to this far ahead counts as now: a feed shows what is public, and plugins write local time as UTC.
FUTURE_AFTER = timedelta(days=7)

#: Dated before the feed's last good poll by more than this: somebody put an old article in.
BACKDATED_AFTER = timedelta(hours=24)

#: So many unknown items that are no news, and more than half of all that are none, are no chance: the site has moved.
LEAST_MOVED = 3

#: Gives the articles that bear a trace.
Traced = Callable[[str], Sequence[Article]]

#: Parameters that name the way a reader came, never the page.
_TRACKING = frozenset(
    {
        *("fbclid", "gclid", "dclid", "gbraid", "wbraid", "gclsrc", "msclkid", "yclid", "ysclid", "twclid", "ttclid"),
        *("igshid", "igsh", "li_fat_id", "mc_cid", "mc_eid", "_ga", "_gl", "_hsenc", "_hsmi", "mkt_tok", "oly_anon_id"),
        *("oly_enc_id", "vero_id", "rb_clickid", "wickedid", "at_medium", "at_campaign", "cmpid", "ncid", "xtor"),
        "__twitter_impression",
    }
)

#: What a path or query may hold unquoted (RFC 3986 section 3.3 and 3.4); `%` because what is quoted stays so.
_UNQUOTED = "/?:@!$&'()*+,;=~-._%"

_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One item and the names by which its article may be known; without aliases it cannot be told from others."""

    item: Item
    #: To look up, the strongest first.
    aliases: tuple[Alias, ...]
    #: Beside each alias what `Article.origin` is if the article is new and known by it first.
    origins: tuple[str, ...] = ()
    #: Other articles of the document have the same guid, so that it proves nothing by itself.
    shared_guid: bool = False
    #: Among those that share a guid the earliest, which may be bound to it.
    owns_guid: bool = True
    #: No other article of the document has its guid or its link.
    alone: bool = True
    #: Traces: where its page stands on its site, and its title with its date. Several articles may have them in common,
    #: so that none is known by them, but one that has moved is found.
    path: str | None = None
    dated_title: str | None = None
    #: Other pages of the document stand there on their sites, so that this one is not looked for by its path.
    shared_path: bool = False

    @property
    def traces(self) -> tuple[str, ...]:
        """What the article leaves for the day when its site moves."""
        return tuple(trace for trace in (self.path, self.dated_title) if trace is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An article that nothing knew, to be inserted with its aliases."""

    article: Article
    aliases: tuple[Alias, ...]
    novelty: Novelty
    #: What it is looked for by if its names are gone.
    traces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A known article that this document shows."""

    #: As it is now.
    article: Article
    #: Aliases that were not bound to anything.
    added: tuple[Alias, ...] = ()
    #: Its words, link or pictures changed in the feed that showed it first.
    edited: bool = False
    #: This feed had not shown it before.
    further: bool = False
    #: Set when an article of first polls becomes news through this feed.
    novelty: Novelty | None = None
    #: As shown now; worth keeping where anything above is set.
    traces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """What a document came to."""

    #: Oldest first.
    found: tuple[Found, ...] = ()
    seen: tuple[Seen, ...] = ()
    #: Items with nothing to know them by.
    skipped: int = 0
    #: Articles between the last document and this one may have gone unseen.
    gap: bool = False
    first_poll: bool = False
    #: The article of each item that was read, in the document's order; None for one that was skipped.
    shown: tuple[Article | None, ...] = ()
    #: How many items were cut out of the document.
    cut: int = 0
    #: What was cut out may bear on this: it must be read and identified whole.
    unsure: bool = False


# --- names -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)  # each step of a poll asks for the links of its few new items
def normalise_link(url: str) -> str | None:
    """The part of `url` that names a page, equal for all ways to write it; None where it names no single page.

    http equals https; host in lower case; without default port, fragment, trailing slash and tracking parameters.
    """
    parts = _split(url)
    if parts is None:
        return None
    path = _quoted(parts.path).rstrip("/")
    query = _quoted("&".join(pair for pair in parts.query.split("&") if pair and not _is_tracking(pair)))
    if not path and not query:
        return None
    return f"{_site(parts)}{path or '/'}{'?' + query if query else ''}"


def leads_to(link: str, wanted: str) -> bool:
    """Whether `link`, as a post has it, leads to the article at `wanted`; never where that names no single page.

    Articles may share a page: where `wanted` names a place on it (a comment, an entry of a live blog), so must `link`.
    """
    page = normalise_link(wanted)
    return page is not None and normalise_link(link) == page and _place(wanted) in ("", _place(link))


def _place(link: str) -> str:
    """The place on its page that a link names; `#xtor=RSS-1` counts readers."""
    fragment = link.partition("#")[2]
    return "" if "=" in fragment else fragment


def _split(url: str) -> SplitResult | None:
    """The parts of a web address; None for another scheme, no host, credentials or a broken port."""
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if usable and parts.username is None else None


def _site(parts: SplitResult) -> str:
    host = (parts.hostname or "").rstrip(".")
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            host = host.casefold()
    host, port = f"[{host}]" if ":" in host else host, parts.port
    return host if port in (None, 80, 443) else f"{host}:{port}"


def _host(url: str | None) -> str | None:
    parts = _split(url) if url else None
    return None if parts is None else _site(parts)


def _quoted(text: str) -> str:
    return _ESCAPE.sub(lambda match: match.group().upper(), quote(text, safe=_UNQUOTED, errors="replace"))


def _is_tracking(pair: str) -> bool:
    name, value = next(iter(parse_qsl(pair, keep_blank_values=True)), ("", ""))
    # Medium adds source=rss-...; any other `source` may name the page.
    return name.lower().startswith("utm_") or name.lower() in _TRACKING or (name == "source" and value[:3] == "rss")


def _digest(*values: str) -> str:
    return hashlib.sha256("\n".join(values).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def alias_of_link(link: str) -> Alias:
    """The alias of a link that `normalise_link` has made equal."""
    return _name(AliasKind.LINK, "", link)[0]


# --- candidates ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sharing:
    """Guids and links that more than one article of a document has."""

    guids: frozenset[str]
    links: frozenset[str]
    #: Paths that several links have, on other sites or for other articles.
    paths: frozenset[str]
    #: guid -> index of the earliest item that has it.
    owners: Mapping[str, int]


def candidates(document: Document, feed: Feed) -> tuple[Candidate, ...]:
    """Each item of the document in its order, with the aliases that it can be known by."""
    items = document.items
    links = [normalise_link(item.link) if item.link else None for item in items]
    sharing = _sharing(items, links)
    home = _host(document.link) or _host(feed.settings.url) or ""
    return tuple(
        _candidate(index, item, link, sharing, feed.id, home)
        for index, (item, link) in enumerate(zip(items, links, strict=True))
    )


def _sharing(items: Sequence[Item], links: Sequence[str | None]) -> _Sharing:
    by_guid: dict[str, list[int]] = defaultdict(list)
    by_link: dict[str, list[int]] = defaultdict(list)
    for index, (item, link) in enumerate(zip(items, links, strict=True)):
        if item.guid:
            by_guid[item.guid].append(index)
        if link:
            by_link[link].append(index)
    guids = frozenset(
        guid for guid, rows in by_guid.items() if _differ(items, rows, [links[row] or items[row].link for row in rows])
    )
    shared = frozenset(
        link for link, rows in by_link.items() if _differ(items, rows, [items[row].guid for row in rows])
    )
    paths = Counter(_path(link) for link in by_link)
    return _Sharing(
        guids=guids,
        links=shared,
        paths=frozenset({path for path, count in paths.items() if count > 1} | {_path(link) for link in shared}),
        owners={guid: _earliest(items, by_guid[guid]) for guid in guids},
    )


def _path(link: str) -> str:
    """Path and query of a normalised link."""
    return "/" + link.partition("/")[2]


def _differ(items: Sequence[Item], rows: Sequence[int], others: Sequence[str | None]) -> bool:
    """Whether rows that agree in one name are several articles: the other name and the title both differ."""
    # What lacks the other name cannot agree in it; its row stands for it, a number, which is no name.
    distinct = {other or row for row, other in zip(rows, others, strict=True)}
    return len(distinct) > 1 and len({items[row].title for row in rows}) > 1


def _earliest(items: Sequence[Item], rows: Sequence[int]) -> int:
    """The row published first; without dates the lowest in the document, since feeds put the newest on top."""
    dated = [(published, -row) for row in rows if (published := items[row].published) is not None]
    return -min(dated)[1] if dated else rows[-1]


def _candidate(index: int, item: Item, link: str | None, sharing: _Sharing, feed: str, home: str) -> Candidate:
    host = _host(item.link) or ""
    shared = item.guid in sharing.guids
    named: list[tuple[Alias, str]] = []
    if item.guid:
        named += _guid_names(item, item.guid, link, feed, host, home)
    if link and link not in sharing.links:
        named.append(_name(AliasKind.LINK, "", link))
    if not item.guid and item.title:
        # With its link where it has one, so that it never joins two pages, yet still knows the item when another item
        # of a later document no longer shares the link, or newly does.
        value = "\n".join((item.title, str(item.published or ""), link or item.link or ""))
        named.append(_name(AliasKind.TITLE_DATE, feed, value, host or home))
    path = _path(link) if link else None
    return Candidate(
        item=item,
        aliases=tuple(alias for alias, _ in named),
        origins=tuple(origin for _, origin in named),
        shared_guid=shared,
        owns_guid=not shared or sharing.owners[item.guid or ""] == index,
        alone=not shared and link not in sharing.links,
        path=_digest("path", feed, path) if path else None,
        shared_path=path in sharing.paths,
        # A title alone comes again each morning: without its date it finds nothing.
        dated_title=_digest("title", feed, item.title, str(item.published)) if item.title and item.published else None,
    )


def _guid_names(item: Item, guid: str, link: str | None, feed: str, host: str, home: str) -> list[tuple[Alias, str]]:
    # A guid that is a URL is the same everywhere; "123" is not, so that its origin needs the site.
    names_page = normalise_link(guid) is not None
    site = "" if names_page else host or home
    # guid and link together come first: where one guid was seen on several articles only both tell them apart.
    named = [
        _name(AliasKind.GUID_LINK, feed, f"{guid}\n{link or item.link or item.title}", site),
        _name(AliasKind.GUID, feed, guid, site),
    ]
    if host and names_page:
        named.append(_name(AliasKind.GUID_URL, host, guid, site))
    return named


def _name(kind: AliasKind, scope: str, value: str, site: str = "") -> tuple[Alias, str]:
    """An alias and the origin made of it: without the feed, hence the same after a restore and in a second copy."""
    return Alias(kind=kind, scope=scope, digest=_digest(value)), f"{kind}:{_digest(value, site)}"


# --- identity --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Entry:
    """One article while a document is gone through."""

    article: Article
    candidate: Candidate
    added: list[Alias] = field(default_factory=list)
    is_new: bool = False
    #: Position in the document.
    index: int = 0


def _untraced(_trace: str) -> Sequence[Article]:
    return ()


def identify(
    candidates: Sequence[Candidate],
    known: Mapping[Alias, Article],
    feed: Feed,
    now: datetime,
    *,
    cut: int = 0,
    traced: Traced = _untraced,
) -> Identified:
    """Which articles the candidates are, given the articles that `known` has for their aliases.

    Each article occurs once, whatever the number of its items. An alias that is bound stays so: where the guid says one
    article and the link another, the guid wins. `cut` items of the document are no candidates, since their bytes were
    in the last one, too: each is an article that this feed has shown, dated no later than `feed.newest`.
    """
    shown = _resolve(candidates, known, feed, now)
    entries = list({entry.article.id: entry for entry in shown if entry is not None}.values())
    first_poll = feed.baseline_at is None and bool(entries)
    if not first_poll:
        _find_moved(entries, feed, traced, cut)
    chosen = _chosen(entries, feed) if first_poll else frozenset()
    moved = frozenset() if first_poll else _left_over(candidates, shown, feed, cut)
    new = sorted((one for one in entries if one.is_new), key=lambda one: (one.article.published, -one.index))
    found = tuple(_found(entry, _novelty(entry, chosen, moved, feed, now, first_poll=first_poll)) for entry in new)
    seen = tuple(_seen(entry, feed, now, first_poll=first_poll) for entry in entries if not entry.is_new)
    return Identified(
        found=found,
        seen=seen,
        skipped=sum(not candidate.aliases for candidate in candidates),
        # What was cut out is known, and dated no later than what was known.
        gap=not first_poll and not cut and _may_have_gap(entries, feed),
        first_poll=first_poll,
        shown=tuple(None if entry is None else entry.article for entry in shown),
        cut=cut,
        unsure=bool(cut) and _is_unsure(seen),
    )


def _resolve(
    candidates: Sequence[Candidate], known: Mapping[Alias, Article], feed: Feed, now: datetime
) -> list[_Entry | None]:
    """The entry of each candidate, one for each article; the topmost of its items speaks for it."""
    bound: dict[Alias, str] = {alias: article.id for alias, article in known.items()}
    entries: dict[str, _Entry] = {}
    articles = {article.id: article for article in known.values()}
    shown: list[_Entry | None] = []
    for index, candidate in enumerate(candidates):
        if not candidate.aliases:
            shown.append(None)
            continue
        article = _match(candidate, bound, articles)
        if article is None:
            article = _article(candidate, bound, feed, now)
            articles[article.id] = article
            entries[article.id] = _Entry(article=article, candidate=candidate, is_new=True, index=index)
        entry = entries.setdefault(article.id, _Entry(article=article, candidate=candidate, index=index))
        for alias in _lasting(candidate):
            if bound.setdefault(alias, article.id) == article.id and alias not in known and alias not in entry.added:
                entry.added.append(alias)
        shown.append(entry)
    return shown


def _match(candidate: Candidate, bound: Mapping[Alias, str], articles: Mapping[str, Article]) -> Article | None:
    for alias in candidate.aliases:
        article = articles.get(bound.get(alias, ""))
        if article is not None and not _is_doubtful(alias, candidate, article):
            return article
    return None


def _is_doubtful(alias: Alias, candidate: Candidate, article: Article) -> bool:
    """A guid that several items share names an article only with the same link or title."""
    if not candidate.shared_guid or alias.kind not in (AliasKind.GUID, AliasKind.GUID_URL):
        return False
    item = candidate.item
    same_link = bool(item.link and article.link) and _same_page(item.link or "", article.link or "")
    return not same_link and item.title != article.title


def _same_page(one: str, other: str) -> bool:
    return one == other or (normalise_link(one) or one) == (normalise_link(other) or other)


def _lasting(candidate: Candidate) -> list[Alias]:
    """The aliases that are bound for good; the others are only looked up."""
    dropped: set[AliasKind] = set()
    if not candidate.shared_guid:
        dropped.add(AliasKind.GUID_LINK)
    elif not candidate.owns_guid:
        dropped |= {AliasKind.GUID, AliasKind.GUID_URL}
    return [alias for alias in candidate.aliases if alias.kind not in dropped]


def _article(candidate: Candidate, bound: Mapping[Alias, str], feed: Feed, now: datetime) -> Article:
    item = candidate.item
    first, origin = _first_name(candidate, bound)
    return Article(
        id=_digest(feed.id, first.kind, first.scope, first.digest),
        feed=feed.id,
        origin=origin,
        link=item.link,
        title=item.title,
        summary=item.summary,
        text=item.text,
        author=item.author,
        categories=item.categories,
        language=feed.settings.language or item.language,
        published=_counts_as(item, now),
        stated=item.published,
        first_seen=now,
        pictures=item.pictures,
        feeds=(feed.settings.name,),
    )


def _first_name(candidate: Candidate, bound: Mapping[Alias, str]) -> tuple[Alias, str]:
    """The strongest alias that is free, with its origin; guid and link together only where the guid is taken."""
    lasting = _lasting(candidate)
    free = [
        (alias, origin)
        for alias, origin in zip(candidate.aliases, candidate.origins, strict=True)
        if alias in lasting and alias not in bound
    ]
    return next((one for one in free if one[0].kind is AliasKind.GUID), free[0])


def _counts_as(item: Item, now: datetime) -> datetime:
    if item.published is None or now < item.published <= now + FUTURE_AFTER:
        return now
    return item.published


# --- moved sites -----------------------------------------------------------------------------------------------------


def _is_news(item: Item, feed: Feed) -> bool:
    """Dated later than the newest article known at the last good poll; what has no date proves nothing."""
    return item.published is not None and (feed.newest is None or item.published > feed.newest)


def _find_moved(entries: Sequence[_Entry], feed: Feed, traced: Traced, cut: int) -> None:
    """Unknown entries become the known articles whose traces they bear; their new names are aliases of those.

    Only what is no news is looked for, unless the document shows nothing at all that is known: then the site has moved,
    and may have dated everything anew. Each article is taken once, and none that the document shows under a name of its
    own, so that of several articles with one trace as many stay known as there were, and the rest is new.
    """
    taken = {entry.article.id for entry in entries if not entry.is_new}
    everything = not taken and not cut
    unknown = [entry for entry in entries if entry.is_new and (everything or not _is_news(entry.candidate.item, feed))]
    for find in (_by_path, _by_dated_title):
        for entry in unknown:
            article = find(entry.candidate, feed, traced, taken) if entry.is_new else None
            if article is not None:
                entry.article, entry.is_new = article, False
                taken.add(article.id)


def _by_path(candidate: Candidate, _feed: Feed, traced: Traced, taken: Collection[str]) -> Article | None:
    """The article whose page had this path: its title or date must agree, since sites of one feed may share paths."""
    if candidate.path is None or candidate.shared_path:
        return None
    item = candidate.item

    def agreement(article: Article) -> int:
        same_date = item.published is not None and item.published == article.stated
        return 2 * (item.title == article.title != "") + same_date

    fitting = [one for one in traced(candidate.path) if one.id not in taken and agreement(one)]
    return max(fitting, key=agreement, default=None)


def _by_dated_title(candidate: Candidate, feed: Feed, traced: Traced, taken: Collection[str]) -> Article | None:
    if candidate.dated_title is None or _is_news(candidate.item, feed):
        return None
    return next((one for one in traced(candidate.dated_title) if one.id not in taken), None)


def _left_over(candidates: Sequence[Candidate], shown: Sequence[_Entry | None], feed: Feed, cut: int) -> frozenset[str]:
    """The ids of unknown articles that are no news if they are so many that the site must have moved, else none."""
    old = [
        entry
        for candidate, entry in zip(candidates, shown, strict=True)
        if entry is not None and not _is_news(candidate.item, feed)
    ]
    unknown = [entry.article.id for entry in old if entry.is_new]
    is_mass = len(unknown) >= LEAST_MOVED and 2 * len(unknown) > len(old) + cut
    return frozenset(unknown) if is_mass else frozenset()


# --- novelty ---------------------------------------------------------------------------------------------------------


def _chosen(entries: Sequence[_Entry], feed: Feed) -> frozenset[str]:
    """The ids of the articles that `first_run` lets through."""
    rule = feed.settings.first_run
    if rule.kind is FirstRun.ALL:
        return frozenset(entry.article.id for entry in entries)
    if rule.kind is FirstRun.NEWEST:
        # An undated article counts as just published; equal ones keep the document's order.
        newest = sorted(entries, key=lambda entry: entry.article.published, reverse=True)
        return frozenset(entry.article.id for entry in newest[: rule.count])
    if rule.kind is FirstRun.SINCE and rule.since is not None:
        since = rule.since
        return frozenset(one.article.id for one in entries if one.article.stated and one.article.published >= since)
    return frozenset()


def _novelty(
    entry: _Entry, chosen: frozenset[str], moved: frozenset[str], feed: Feed, now: datetime, *, first_poll: bool
) -> Novelty:
    if entry.article.id in moved:
        return Novelty.MOVED
    if not first_poll:
        return _since_last_poll(entry.article, feed, now)
    is_future = entry.article.published > now
    if entry.article.id in chosen:
        return Novelty.FUTURE if is_future else Novelty.CHOSEN
    # Earlier tries that failed or were empty: what came out since then would have been news.
    stated = entry.article.stated
    if feed.first_try is not None and stated is not None and feed.first_try < now and not is_future:
        return Novelty.NEWS if entry.article.published >= feed.first_try else Novelty.BASELINE
    return Novelty.BASELINE


def _since_last_poll(article: Article, feed: Feed, now: datetime) -> Novelty:
    if article.published > now:
        return Novelty.FUTURE
    # A last poll that lies ahead was dated by a clock that went wrong.
    if feed.last_good is not None and article.published < min(feed.last_good, now) - BACKDATED_AFTER:
        return Novelty.BACKDATED
    return Novelty.NEWS


def _found(entry: _Entry, novelty: Novelty) -> Found:
    article = replace(entry.article, baseline=novelty is Novelty.BASELINE)
    return Found(article=article, aliases=tuple(entry.added), novelty=novelty, traces=entry.candidate.traces)


def _seen(entry: _Entry, feed: Feed, now: datetime, *, first_poll: bool) -> Seen:
    article = entry.article
    further = not _has_shown(feed, article)
    current = article
    if article.feed == feed.id:
        # Only the feed that showed it first speaks for an article: two feeds with other excerpts would edit it in turn.
        current = _current(article, entry.candidate.item, feed)
    edited = current != article
    novelty = None
    if further:
        current = replace(current, feeds=(*current.feeds, feed.settings.name))
        if article.baseline and not first_poll:
            novelty = _since_last_poll(article, feed, now)
            current = replace(current, baseline=False)
    return Seen(
        article=current,
        added=tuple(entry.added),
        edited=edited,
        further=further,
        novelty=novelty,
        traces=entry.candidate.traces,
    )


def _has_shown(feed: Feed, article: Article) -> bool:
    # By id too: a feed that was given a new name has shown what it showed.
    return article.feed == feed.id or feed.settings.name in article.feeds


def _current(article: Article, item: Item, feed: Feed) -> Article:
    """The article with the item's words; what it was first published as stays."""
    return replace(
        article,
        link=item.link or article.link,
        title=item.title,
        summary=item.summary,
        text=item.text,
        author=item.author,
        categories=item.categories,
        language=feed.settings.language or item.language,
        pictures=item.pictures,
    )


# --- what was cut out ------------------------------------------------------------------------------------------------


def _is_unsure(seen: Sequence[Seen]) -> bool:
    """Whether an item that was cut out may be one of the articles that were read, under other names.

    An item that shares guid or link with one that was read is not cut out. That leaves known articles that have other
    words now, of which the topmost item would speak, or other names, as those have that were found by their traces.
    """
    return any(not one.further and (one.edited or one.added) for one in seen)


def may_be_cut(candidates: Sequence[Candidate], identified: Identified, feed: Feed) -> tuple[bool, ...]:
    """For each item whether later documents can do without it while its bytes stay the same.

    It must stand for one article alone, and be dated no later than `feed.newest`, `feed` being as it is after the poll.
    """
    items = Counter(article.id for article in identified.shown if article is not None)
    return tuple(
        article is not None
        and candidate.alone
        and items[article.id] == 1
        and _is_past(candidate.item.published, feed)
        and (article.stated is None or _is_past(article.stated, feed))
        for candidate, article in zip(candidates, identified.shown, strict=True)
    )


def _is_past(stated: datetime | None, feed: Feed) -> bool:
    return stated is not None and feed.newest is not None and stated <= feed.newest


# --- the feed's memory -----------------------------------------------------------------------------------------------


def _may_have_gap(entries: Sequence[_Entry], feed: Feed) -> bool:
    """Whether the oldest item by date is unknown to this feed and newer than all that it had shown.

    In a document without any date all articles must be unknown, which means that its window moved on altogether.
    """
    fresh = [entry.is_new or not _has_shown(feed, entry.article) for entry in entries]
    dated = [(stated, is_fresh) for entry, is_fresh in zip(entries, fresh, strict=True) if (stated := _stated(entry))]
    if not dated:
        return bool(fresh) and all(fresh)
    oldest = min(stated for stated, _ in dated)
    is_news = feed.newest is None or oldest > feed.newest
    return is_news and all(is_fresh for stated, is_fresh in dated if stated == oldest)


def _stated(entry: _Entry) -> datetime | None:
    return entry.candidate.item.published


def next_feed_state(feed: Feed, identified: Identified, now: datetime) -> Feed:
    """The feed after this good poll; one without articles changes nothing, since it showed nothing.

    Were an empty document a look, what came out during an outage would be taken for backdated after it.
    """
    articles = [one.article for one in identified.found] + [one.article for one in identified.seen]
    if not articles and not identified.cut:
        return feed
    times = [min(article.stated, now) for article in articles if article.stated is not None]
    if feed.newest is not None:
        times.append(feed.newest)
    return replace(feed, baseline_at=feed.baseline_at or now, last_good=now, newest=max(times, default=None))
