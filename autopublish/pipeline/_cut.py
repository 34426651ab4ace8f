"""The items of the last document: which of them the next one is read without, and when that may not be trusted.

An item whose bytes were in the document that was saved last needs no parser, if its article would come out the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from autopublish import __version__
from autopublish.models import DIGEST_BYTES, NEVER_KNOWN, Document, Feed


def known_items(feed: Feed) -> bytes:
    """What the feed's next document may be read without; nothing before its first poll, and at a changed address."""
    return b"" if feed.baseline_at is None or feed.url_changed else feed.item_digests[DIGEST_BYTES:]


def is_read_alike(feed: Feed, document: Document, url: str) -> bool:
    """Whether the items that were cut out would come out as they did when the last document was read."""
    return feed.item_digests[:DIGEST_BYTES] == _reading(feed, document, url)


def remembered(feed: Feed, document: Document, url: str, may_be_cut: Sequence[bool]) -> bytes:
    """What is to be kept as `Feed.item_digests`; `may_be_cut`: for each item that was read."""
    if document.partial is not None:
        return b""
    before = set(_pieces(known_items(feed))) if document.cut else set()
    pieces = _pieces(document.item_digests)
    read = [piece for piece in pieces if piece not in before]
    if len(read) != len(may_be_cut):
        return b""
    left_out = {NEVER_KNOWN, *(piece for piece, may_be in zip(read, may_be_cut, strict=True) if not may_be)}
    kept = b"".join(piece for piece in pieces if piece not in left_out)
    return _reading(feed, document, url) + kept if kept else b""


def _reading(feed: Feed, document: Document, url: str) -> bytes:
    """Names all that makes an article beside the item's own bytes, this version of the program included."""
    parts = (__version__, url, feed.settings.language, document.language, document.title, document.link)
    return hashlib.sha256("\n".join(part or "" for part in parts).encode("utf-8", "surrogatepass")).digest()[
        :DIGEST_BYTES
    ]


def _pieces(digests: bytes) -> list[bytes]:
    return [digests[start : start + DIGEST_BYTES] for start in range(0, len(digests), DIGEST_BYTES)]
