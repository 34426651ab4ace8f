"""The cut: of a document's items only those are read that the last saved document did not hold byte for byte.

An item is known by a digest of its own bytes. What stands around it (the site's language, title and base, declarations
of namespaces) is not part of them: after a change there, an article is brought up to date when its own item changes
next. The digests belong to one address; whoever keeps them drops them when a feed's address changes.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from autopublish.articles import normalise_link
from autopublish.feeds.entries import absolute, without_controls
from autopublish.models import DIGEST_BYTES, NEVER_KNOWN, Item

#: Items that are read of one document, and items in which they are looked for; the others are only counted.
MOST_ITEMS = 500
MOST_SEEN = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One item that is not read yet, and the names that it states as they are written."""

    digest: bytes
    guid: str | None
    #: The address of its page, and what it is relative to, the outermost first.
    link: str | None
    bases: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read of a document's items, in their order."""

    items: tuple[Item, ...]
    #: 8 bytes for each item, those that were cut out included and those that were too many left out.
    digests: bytes
    cut: int
    #: Items that should have been read, and were too many.
    left: int


@dataclass(frozen=True, slots=True)
class _Names:
    """What tells the articles of one document apart (`articles.candidates`); the link is normalised."""

    guid: str | None
    link: str | None


def digest(data: bytes) -> bytes:
    """What an item is known by."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def too_many(count: int, left: int) -> str:
    """Why a document was not read whole."""
    return f"{count} items, of which {left} were not read: no more than {MOST_ITEMS} new ones are read at once"


def read_new(parts: Sequence[Part], known: bytes, *, read: Callable[[int], Sequence[Item]]) -> Reading:
    """The items that are not `known`, and those that share a guid or a link with one of them, directly or by others.

    The latter because `articles` judges a name by all items that have it: it must see the same ones as in the whole
    document. `read` gives the items that a part comes to, usually one.
    """
    seen = {known[at : at + DIGEST_BYTES] for at in range(0, len(known), DIGEST_BYTES)}
    fresh = [index for index, part in enumerate(parts) if part.digest not in seen]
    found = {index: tuple(read(index)) for index in fresh[:MOST_ITEMS]}
    left = frozenset(fresh[MOST_ITEMS:])
    if len(fresh) < len(parts):
        others = _Others(parts, (index for index, part in enumerate(parts) if part.digest in seen))
        for index in others.sharing(_names_of(item) for items in list(found.values()) for item in items):
            found[index] = tuple(read(index))
    told = [
        _told(part, found[index]) if index in found else part.digest
        for index, part in enumerate(parts)
        if index not in left
    ]
    return Reading(
        items=tuple(item for index in sorted(found) for item in found[index]),
        digests=b"".join(told),
        cut=len(parts) - len(left) - len(found),
        left=len(left),
    )


def _names_of(item: Item) -> _Names:
    return _Names(item.guid, normalise_link(item.link) if item.link else None)


def _expected(part: Part) -> _Names:
    """What the item will be called, without reading it; `_told` finds out where it is called otherwise."""
    link = None
    if part.link:
        base = ""
        for stated in part.bases:
            base = absolute(without_controls(stated), base) or base
        link = absolute(without_controls(part.link), base)
    return _Names(part.guid, normalise_link(link) if link else None)


def _told(part: Part, items: Sequence[Item]) -> bytes:
    """The digests that stand for what was read: one that may be known the next time only where nothing can go wrong.

    An item that is called otherwise than expected could share a name unseen, one without names is known by its title,
    and what is no item, or several, cannot be counted.
    """
    expected = _expected(part)
    if len(items) == 1 and (expected.guid or expected.link) and _names_of(items[0]) == expected:
        return part.digest
    return NEVER_KNOWN * len(items)


class _Others:
    """The parts that are known, found by their names."""

    def __init__(self, parts: Sequence[Part], indices: Iterable[int]) -> None:
        self._parts = parts
        self._by_guid = defaultdict[str, list[int]](list)
        self._by_link = defaultdict[str, list[int]](list)
        #: Those with a plain link, in lower case: most need not be normalised.
        self._plain: list[tuple[int, str]] = []
        for index in indices:
            self._add(index, parts[index])

    def _add(self, index: int, part: Part) -> None:
        if part.guid:
            self._by_guid[part.guid].append(index)
        if part.link and _PLAIN.fullmatch(part.link):
            self._plain.append((index, part.link.lower()))
        elif link := _expected(part).link:
            self._by_link[link].append(index)

    def sharing(self, names: Iterable[_Names]) -> Iterator[int]:
        """Each part that shares a guid or a link with one of the names, or with a part that does, once."""
        queue = list(names)
        given: set[int] = set()
        while queue:
            one = queue.pop()
            for index in (*self._with_guid(one.guid), *self._with_link(one.link)):
                if index not in given:
                    given.add(index)
                    queue.append(_expected(self._parts[index]))
                    yield index

    def _with_guid(self, guid: str | None) -> Sequence[int]:
        return self._by_guid.pop(guid, ()) if guid else ()

    def _with_link(self, link: str | None) -> Sequence[int]:
        if not link:
            return ()
        mark = _mark(link)
        plain = [index for index, written in self._plain if mark in written]
        return *self._by_link.pop(link, ()), *(index for index in plain if _expected(self._parts[index]).link == link)


#: Addresses of which `normalise_link` leaves out parts and changes the case, nothing else.
_PLAIN = re.compile(r"https?://[A-Za-z0-9/?:@!$&'()*+,;=~._%#-]*")


def _mark(link: str) -> str:
    """What stands in every plain way to write the normalised link, in lower case: its path, else part of its query."""
    path, _, query = link.partition("/")[2].partition("?")
    return (path or max(query.split("&"), key=len)).lower()
