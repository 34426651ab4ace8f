"""What is found at the address of a feed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from autopublish.checks._ask import Answer, wrong
from autopublish.checks._findings import Finding, Verdict, ahead, counted
from autopublish.errors import FeedError, FeedMalformed, FeedUnreachable
from autopublish.models import Document, Feed, FeedSettings, Validators
from autopublish.net import Client

#: What articles may be dated ahead before it is told; publication and our clock never agree exactly.
_DATES_AHEAD = timedelta(minutes=10)


def ask_feed(settings: FeedSettings, known: Feed | None, client: Client, now: datetime, zone: ZoneInfo) -> Answer:
    """What stands at the feed's address now; a site that told us to wait is not asked."""
    from autopublish.feeds.fetch import fetch
    from autopublish.feeds.parse import parse

    learnt = known.learnt_url if known is not None and known.settings.url == settings.url else None
    if known is not None and known.not_before is not None and known.not_before > now:
        words = f"not asked: the site told us to wait until {known.not_before.astimezone(zone):%Y-%m-%d %H:%M:%S}"
        return Answer(finding=Finding(subject="feed", name=settings.name, verdict=Verdict.NOTE, words=words))
    try:
        fetched = fetch(Feed(id="check", settings=settings, learnt_url=learnt), client, now)
        if fetched.body is None:
            raise FeedMalformed("the answer has no document")
        document = parse(fetched.body, url=fetched.url, content_type=fetched.content_type)
    except FeedError as error:
        return wrong("feed", settings.name, f"{settings.url}: {error}", _remedy(error))
    finding = _feed(settings, document, fetched.validators, now, zone)
    if not settings.url.startswith("file:"):
        finding = replace(finding, words=f"HTTP {fetched.status}: {finding.words}")
    if fetched.permanent_url and learnt is None and finding.verdict is Verdict.OK:
        words = f"{finding.words}; it has moved for good to {fetched.permanent_url}"
        finding = replace(finding, verdict=Verdict.NOTE, words=words, remedy="write the new address in the file")
    return Answer(finding=finding, articles=len(document.items))


def _feed(settings: FeedSettings, document: Document, validators: Validators, now: datetime, zone: ZoneInfo) -> Finding:
    """A feed that was read: how many articles, the newest, what a later poll is made cheap with."""
    good = Finding(subject="feed", name=settings.name, words="")
    if not document.items:
        words = f"{settings.url} is a feed without articles"
        return replace(good, verdict=Verdict.NOTE, words=words, remedy="see whether it is the right one")
    newest = max((item.published for item in document.items if item.published), default=None)
    dated = f"newest {newest.astimezone(zone):%Y-%m-%d %H:%M:%S}" if newest else "none with a date"
    sent = [name for name, value in (("ETag", validators.etag), ("Last-Modified", validators.last_modified)) if value]
    words = ", ".join((counted(len(document.items), "article"), dated, " and ".join(sent) or "no validators"))
    if newest is not None and newest - now > _DATES_AHEAD:
        words += f"; its dates lie {ahead(newest - now)} (local time written as UTC?)"
        return replace(good, verdict=Verdict.NOTE, words=words, remedy="nothing; first seen counts instead")
    return replace(good, words=words)


def _remedy(error: FeedError) -> str:
    match error:
        case FeedUnreachable(status=404 | 410):
            return "correct the address: `autopublish preview SITE` finds the feed of a site"
        case FeedUnreachable(status=401 | 403):
            return "ask the admin of the site to let autopublish in; `contact:` tells them who asks"
        case FeedUnreachable(status=int()):
            return "check again later; runs go on asking"
        case FeedUnreachable():
            return "check the address, and this machine's network"
        case _:
            return "give the address of the feed itself: `autopublish preview SITE` finds it"
