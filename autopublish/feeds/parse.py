"""A feed's bytes -> a Document: plain text, absolute URLs, times in UTC; the second step of a poll.

Tells the formats apart and decides the encoding; `xmlfeed` and `jsonfeed` read them.
"""

from __future__ import annotations

import re

from autopublish.feeds.wellformed import to_utf8
from autopublish.models import Document

_JSON = re.compile(rb"\s*+\{")


def parse(body: bytes, *, url: str, content_type: str | None, known: bytes = b"") -> Document:
    """The document that stands at `url`, without those of its items that `known` names.

    `known` is `Document.item_digests` of the last document that was saved. A feed that is empty has no items and
    nothing cut.

    Raises:
        FeedMalformed: it is no feed, or none that can be read within bounds.
    """
    text = to_utf8(body, content_type)
    if _JSON.match(text):
        from autopublish.feeds.jsonfeed import read as read_json

        return read_json(text, url=url, known=known)
    # Imported here: feedparser costs more than all that JSON Feed needs.
    from autopublish.feeds.xmlfeed import read as read_xml

    return read_xml(text, url=url, known=known)
