"""Bytes as they came -> a bounded UTF-8 document that a parser can be given.

One expat pass checks the limits, counts the items and finds where a document that was cut short was last whole. It
knows of feeds only what an item is called; `parse` makes articles of what is left.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from html import escape
from html.entities import html5
from xml.parsers import expat

from autopublish.errors import FeedMalformed

#: Beyond these only bombs were seen; feedparser's time is quadratic in attributes and in elements of one item.
MOST_ATTRIBUTES = 100
MOST_DEEP = 200
MOST_ELEMENTS_IN_ITEM = 1000

#: Items on top of the document that are read.
MOST_ITEMS = 500

#: What expat cannot vouch for is parsed only up to this size, since nothing bounds the time that it takes.
MOST_MALFORMED_BYTES = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A document that is safe to parse: UTF-8, from its root element on, without declaration and DOCTYPE."""

    data: bytes
    #: The guid of each item as it is written, unresolved; None if expat could not read the document.
    guids: tuple[str | None, ...] | None = None
    #: The address that each item states as its page, as it is written; None as with `guids`.
    links: tuple[str | None, ...] | None = None
    #: Why some items may be missing.
    partial: str | None = None


def check(body: bytes, content_type: str | None) -> Checked:
    """The document in `body`, without items that are not whole.

    Raises:
        FeedMalformed: it is no feed, is over a limit, or is broken and large.
    """
    data = _from_root(to_utf8(body, content_type))
    scan, error = _scanned(data)
    if error is not None and error.code not in _CUT_SHORT:
        data = _mended(data)
        scan, error = _scanned(data)
    return _bounded(data, scan) if error is None else _repaired(data, scan, error)


# --- encoding --------------------------------------------------------------------------------------------------------

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"<\0?\0", "utf-16-le"),
    (b"\0<\0?", "utf-16-be"),
)

#: Names that may be declared, as https://encoding.spec.whatwg.org/#names-and-labels understands them. All others
#: (utf-7, idna, unicode_escape, ...) would let markup in by the back door and are taken as not declared.
_ENCODINGS = {
    "utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "cp1252", "ascii": "cp1252",
    "iso-8859-1": "cp1252", "iso8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252",
    "iso-8859-9": "cp1254", "iso-8859-11": "cp874", "tis-620": "cp874", "windows-874": "cp874",
    "koi8-r": "koi8-r", "koi8-u": "koi8-u", "macintosh": "mac-roman",
    "gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "big5": "big5hkscs", "big5-hkscs": "big5hkscs",
    "shift_jis": "cp932", "shift-jis": "cp932", "sjis": "cp932", "windows-31j": "cp932", "euc-jp": "euc-jp",
    "iso-2022-jp": "iso-2022-jp", "euc-kr": "cp949", "ks_c_5601-1987": "cp949", "windows-949": "cp949",
    **{f"iso-8859-{part}": f"iso-8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
    **{f"windows-125{part}": f"cp125{part}" for part in range(9)},
    **{f"cp125{part}": f"cp125{part}" for part in range(9)},
}  # fmt: skip

_DECLARATION = re.compile(rb"\s*<\?xml[^>]{0,200}?\bencoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9._-]{1,40})", re.IGNORECASE)

#: Characters that no XML 1.0 document may hold; sites let them through, and the rest of the document is good.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def to_utf8(body: bytes, content_type: str | None) -> bytes:
    """The text of `body` in UTF-8, without characters that XML forbids.

    A byte order mark decides; then UTF-8 where the bytes are such, whatever is declared, since no other text happens to
    be; then what the header says, what the document says, and windows-1252, which cannot fail.
    """
    text = _decoded(body, content_type)
    return _FORBIDDEN.sub("", text).encode("utf-8")


def _decoded(body: bytes, content_type: str | None) -> str:
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            return body.decode(encoding, "replace").lstrip("\ufeff")
    named = [*_CHARSET.findall(content_type or "")[:1], *(name.decode() for name in _DECLARATION.findall(body[:1000]))]
    declared = [_ENCODINGS[name.lower()] for name in named if name.lower() in _ENCODINGS]
    if "iso-2022-jp" not in declared:
        declared.insert(0, "utf-8")
    for encoding in declared:
        text = _strictly(body, encoding)
        if text is not None:
            return text
    # A few bad bytes in what says that it is UTF-8 must not garble all the rest.
    return body.decode("utf-8" if declared.count("utf-8") > 1 else "cp1252", "replace")


def _strictly(body: bytes, encoding: str) -> str | None:
    """The text if all bytes are of that encoding; a last character may be cut off."""
    try:
        return codecs.getincrementaldecoder(encoding)("strict").decode(body)
    except UnicodeDecodeError:
        return None


# --- prolog ----------------------------------------------------------------------------------------------------------

_ANY = re.IGNORECASE | re.DOTALL
_WEB_PAGE = re.compile(rb"(?:\s|<\?xml[^>]*>|<!--.{0,4000}?-->)*+<(?:!doctype\s+html|html|head|body)\b", _ANY)
_TITLE = re.compile(rb"<title[^>]{0,200}>([^<]{1,200})", re.IGNORECASE)
_ROOT = re.compile(rb"<(?:[A-Za-z][\w.-]{0,50}:)?(?:rss|feed|rdf|channel)(?=[\s>/])", re.IGNORECASE)


def _from_root(data: bytes) -> bytes:
    """The document from its root element on.

    What stands before it is the declaration, which no longer holds, notices of a broken plugin, or a DOCTYPE: whatever
    that declares is neither expanded nor fetched.

    Raises:
        FeedMalformed: there is no feed.
    """
    if _WEB_PAGE.match(data):
        title = _TITLE.search(data[:100_000])
        named = f" ({' '.join(title[1].decode('utf-8', 'replace').split())})" if title else ""
        raise FeedMalformed(f"a web page{named}, not a feed")
    root = _ROOT.search(data)
    if root is None:
        raise FeedMalformed("not a feed: empty" if not data.strip() else "not a feed: no rss, feed or rdf element")
    return data[root.start() :]


# --- the pass --------------------------------------------------------------------------------------------------------

_ITEMS = frozenset(("item", "entry"))
#: In the order of their strength.
_GUIDS = ("id", "atom:id", "guid")
_LINKS = ("link", "atom:link")


class _Scan:
    """What one expat pass saw, up to where it could read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._stack: list[str] = []
        #: Depth of the item that is open.
        self._item_depth: int | None = None
        self._elements = 0
        self._guid_name = ""
        #: What the text that is being read comes to, and its pieces.
        self._named: list[str | None] = []
        self._text: list[str] = []
        self._cut_from: int | None = None
        self.guids: list[str | None] = []
        self.links: list[str | None] = []
        #: Items that ended.
        self.whole = 0
        #: Offset after the last of them, and what was open around it.
        self.last_end = 0
        self.around: tuple[str, ...] = ()

    def run(self) -> None:
        """The document is well-formed and within the limits.

        Raises:
            FeedMalformed: it is over a limit.
            expat.ExpatError: it is not well-formed.
        """
        self._parser.Parse(self._data, True)  # noqa: FBT003 (takes no keywords)

    @property
    def position(self) -> int:
        """Offset of the error that ended the pass."""
        return self._parser.ErrorByteIndex

    def closed(self) -> bytes:
        """The document up to its last whole item, with what is open around it closed."""
        return self._data[: self.last_end] + "".join(f"</{name}>" for name in reversed(self.around)).encode()

    def without_surplus(self, data: bytes) -> bytes:
        """The document without the items that are too many."""
        return data if self._cut_from is None else data[: self._cut_from] + data[self.last_end :]

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._stack.append(name)
        depth = len(self._stack)
        if len(attributes) > MOST_ATTRIBUTES:
            raise FeedMalformed(f"refused: an element with more than {MOST_ATTRIBUTES} attributes")
        if depth > MOST_DEEP:
            raise FeedMalformed(f"refused: elements nested more than {MOST_DEEP} deep")
        if self._item_depth is not None:
            self._start_inside(name, attributes, depth - self._item_depth)
        elif depth > 1 and name.rpartition(":")[2].lower() in _ITEMS:
            self._start_item(depth)

    def _start_item(self, depth: int) -> None:
        self._item_depth, self._elements, self._guid_name = depth, 0, ""
        if len(self.guids) == MOST_ITEMS:
            self._cut_from = self._parser.CurrentByteIndex
        self.guids.append(None)
        self.links.append(None)

    def _start_inside(self, name: str, attributes: dict[str, str], level: int) -> None:
        self._elements += 1
        if self._elements > MOST_ELEMENTS_IN_ITEM:
            raise FeedMalformed(f"refused: an item with more than {MOST_ELEMENTS_IN_ITEM} elements")
        known = name.lower()
        if level == 1 and known in _GUIDS and (not self._guid_name or known == "guid"):
            self._guid_name = known
            self._read_into(self.guids)
        elif level == 1 and known in _LINKS:
            self._start_link(attributes)

    def _start_link(self, attributes: dict[str, str]) -> None:
        """The last link to the page counts, as for feedparser; one with `href` has no text."""
        if "href" not in attributes:
            self._read_into(self.links)
        elif attributes.get("rel", "alternate") == "alternate" and "html" in attributes.get("type", "text/html"):
            self.links[-1] = attributes["href"].strip() or None

    def _read_into(self, named: list[str | None]) -> None:
        self._named, self._text = named, []
        self._parser.CharacterDataHandler = self._text.append

    def _end(self, name: str) -> None:
        depth = len(self._stack)
        self._stack.pop()
        if self._item_depth is None:
            return
        if depth == self._item_depth + 1 and self._parser.CharacterDataHandler is not None:
            self._parser.CharacterDataHandler = None
            self._named[-1] = "".join(self._text).strip() or None
        elif depth == self._item_depth:
            self._item_depth = None
            self.whole += 1
            self.last_end = self._data.index(b">", self._parser.CurrentByteIndex) + 1
            self.around = tuple(self._stack)


def _scanned(data: bytes) -> tuple[_Scan, expat.ExpatError | None]:
    scan = _Scan(data)
    try:
        scan.run()
    except expat.ExpatError as error:
        return scan, error
    return scan, None


def _bounded(data: bytes, scan: _Scan, partial: str | None = None) -> Checked:
    count = scan.whole
    if count > MOST_ITEMS:
        partial = f"{count} items, of which the first {MOST_ITEMS} were read"
    read = min(count, MOST_ITEMS)
    return Checked(
        data=scan.without_surplus(data),
        guids=tuple(scan.guids[:read]),
        links=tuple(scan.links[:read]),
        partial=partial,
    )


# --- repair ----------------------------------------------------------------------------------------------------------

_ERRORS = expat.errors.codes
#: The data ended where more was due.
_CUT_SHORT = frozenset(
    _ERRORS[message]
    for message in (
        expat.errors.XML_ERROR_NO_ELEMENTS,
        expat.errors.XML_ERROR_UNCLOSED_TOKEN,
        expat.errors.XML_ERROR_PARTIAL_CHAR,
        expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
    )
)
_JUNK_AFTER = _ERRORS[expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT]
_ROOT_END = re.compile(rb"</(?:[\w.-]{1,50}:)?(?:rss|feed|rdf|channel)\s*>", re.IGNORECASE)
_ITEM_END = re.compile(rb"</(?:[\w.-]{1,50}:)?(?:item|entry)\s*>", re.IGNORECASE)


def _repaired(data: bytes, scan: _Scan, error: expat.ExpatError) -> Checked:
    """What is good of a document that is not well-formed.

    Raises:
        FeedMalformed: nothing is, or it is too large to be tried.
    """
    if error.code == _JUNK_AFTER:
        return _bounded(data[: scan.position], scan)
    if error.code in _CUT_SHORT:
        if not scan.whole:
            raise FeedMalformed("the document ends early, before its first item is whole") from error
        return _bounded(scan.closed(), scan, "the document ends early; the last item may be missing")
    if len(data) > MOST_MALFORMED_BYTES:
        where = f"{expat.errors.messages[error.code]} in line {error.lineno}"
        raise FeedMalformed(f"refused: not well-formed ({where}) and larger than {MOST_MALFORMED_BYTES} bytes")
    return _as_it_is(data)


def _as_it_is(data: bytes) -> Checked:
    """A broken document for a lenient parser, without an item that the end of the data cuts off.

    Raises:
        FeedMalformed: no item is whole.
    """
    ends = [match.end() for match in _ITEM_END.finditer(data)]
    if _ROOT_END.search(data, ends[-1] if ends else 0):
        return Checked(data=data)
    if not ends:
        raise FeedMalformed("not well-formed, and ends early, before its first item is whole")
    return Checked(data=data[: ends[-1]], partial="the document is broken and ends early; items may be missing")


# What references mean nothing in (CDATA, comments), and then each ampersand with what may follow it.
_AMPERSAND = re.compile(
    rb"<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)"
    rb"|&(?:(?P<name>[A-Za-z][A-Za-z0-9]{1,31});|#(?:[xX]0*(?P<hex>[0-9A-Fa-f]+)|0*(?P<number>[0-9]+));)?",
    re.DOTALL,
)
_OF_XML = frozenset((b"amp", b"lt", b"gt", b"quot", b"apos"))


def _mended(data: bytes) -> bytes:
    """The document with each reference one that XML knows: the flaw that most broken feeds have."""
    return _AMPERSAND.sub(_mended_reference, data)


def _mended_reference(match: re.Match[bytes]) -> bytes:
    whole = match[0]
    if whole.startswith(b"<") or match["name"] in _OF_XML:
        return whole
    if match["name"]:
        character = html5.get(match["name"].decode() + ";")
        return b"&amp;" + whole[1:] if character is None else escape(character).encode()
    if match["hex"] or match["number"]:
        return whole if _exists(match["hex"], match["number"]) else "\ufffd".encode()
    return b"&amp;"


def _exists(hexadecimal: bytes | None, number: bytes | None) -> bool:
    """Whether XML 1.0 has the character (https://www.w3.org/TR/xml/#charsets); feedparser stops at others."""
    digits, base = (hexadecimal, 16) if hexadecimal else (number or b"", 10)
    point = int(digits, base) if len(digits) <= 7 else 0
    return point <= 0x10FFFF and not _FORBIDDEN.match(chr(point))
