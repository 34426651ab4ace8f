"""Bytes as they came -> a bounded UTF-8 document that a parser can be given.

One expat pass checks the limits, finds each item with its names, and where a document that was cut short was last
whole. It knows of feeds only what an item, a guid and a link are called; `xmlfeed` makes items of what it finds.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from html import escape
from html.entities import html5
from xml.parsers import expat

from autopublish.errors import FeedMalformed
from autopublish.feeds.cut import MOST_SEEN

#: Beyond these only bombs were seen; feedparser's time is quadratic in attributes and in elements of one item.
MOST_ATTRIBUTES = 100
MOST_DEEP = 200
MOST_ELEMENTS_IN_ITEM = 1000

#: The same outside of items, where an RSS 1.0 document names each of them once.
MOST_ELEMENTS_AROUND = 5000
#: In bytes of the tags around an item, which are read again with each.
MOST_AROUND_BYTES = 20_000

#: What expat cannot vouch for is parsed only up to this size, since nothing bounds the time that it takes.
MOST_MALFORMED_BYTES = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """The tags that stand open around an item."""

    opening: bytes
    closing: bytes
    #: What their xml:base say, the outermost first.
    bases: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One item of a document: where it stands, and its names as they are written, unresolved."""

    start: int
    end: int
    around: Around
    #: Around and on the item.
    bases: tuple[str, ...]
    guid: str | None
    #: The guid may be the address of the page too.
    guid_is_link: bool
    #: The address that the item states as its page.
    link: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A document that is safe to parse: UTF-8, from its root element on, without declaration and DOCTYPE."""

    data: bytes
    #: The items, of many the first `cut.MOST_SEEN`; None if expat could not read the document.
    spans: tuple[Span, ...] | None = None
    #: How many items there are.
    count: int = 0
    #: From here to here are the items beyond `spans`.
    rest: tuple[int, int] = (0, 0)
    #: Why some items may be missing.
    partial: str | None = None


def check(text: bytes) -> Checked:
    """The document in `text`, which `to_utf8` has made, without an item that is not whole.

    Raises:
        FeedMalformed: it is no feed, is over a limit, or is broken and large.
    """
    data = _from_root(text)
    scan, error = _scanned(data)
    if error is not None and error.code not in _CUT_SHORT:
        data = _mended(data)
        scan, error = _scanned(data)
    return _checked(data, scan) if error is None else _repaired(data, scan, error)


def item_bytes(checked: Checked, span: Span) -> bytes:
    """The item as it is written, from its start tag to its end tag."""
    return checked.data[span.start : span.end]


def alone(checked: Checked, span: Span) -> bytes:
    """A document with nothing but the item and the tags around it."""
    return span.around.opening + item_bytes(checked, span) + span.around.closing


def frame(checked: Checked) -> bytes:
    """The document without any item."""
    holes = [(span.start, span.end) for span in checked.spans or ()]
    if checked.rest[1]:
        holes.append(checked.rest)
    ends = [0, *(end for _, end in holes)]
    starts = [*(start for start, _ in holes), len(checked.data)]
    return b"".join(checked.data[end:start] for end, start in zip(ends, starts, strict=True))


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
    if _is_allowed_utf8(body):
        return body
    return allowed(_decoded(body, content_type)).encode("utf-8")


_CONTROLS = bytes(code for code in range(0x20) if code not in b"\t\n\r")
_NONCHARACTERS = ("\ufffe".encode(), "\uffff".encode())


def _is_allowed_utf8(body: bytes) -> bool:
    """Whether the body can stay as it is, which most can."""
    if body.startswith(codecs.BOM_UTF8) or len(body.translate(None, _CONTROLS)) < len(body):
        return False
    if any(one in body for one in _NONCHARACTERS):
        return False
    try:
        return body.isascii() or bool(body.decode())
    except UnicodeDecodeError:
        return False


def allowed(text: str) -> str:
    """The text without the characters that no document may hold."""
    return _FORBIDDEN.sub("", text)


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
_TAG = re.compile(rb"""<[^"'>]*+(?:(?:"[^"]*+"|'[^']*+')[^"'>]*+)*+>""")


@dataclass(frozen=True, slots=True)
class _Open:
    """An element outside of items that is not closed yet."""

    name: str
    start: int
    bases: tuple[str, ...]


class _Scan:
    """What one expat pass saw, up to where it could read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start_around
        self._parser.EndElementHandler = self._end_around
        #: What is open outside of items, and how many elements were.
        self._stack: list[_Open] = []
        self._elements_around = 0
        #: What is open around items, by the start of the innermost element.
        self._arounds: dict[int, Around] = {}
        #: Of the item that is open: its start, how many of its elements are open and were, and its names.
        self._start = 0
        self._level = 0
        self._elements = 0
        self._bases: tuple[str, ...] = ()
        self._guid: str | None = None
        self._guid_name = ""
        self._guid_is_link = False
        self._link: str | None = None
        self._text: list[str] = []
        self.spans: list[Span] = []
        #: Items that ended.
        self.count = 0
        #: Start of the first item that is too far down, and the end of the last one that ended with what closes it.
        self.rest_start = 0
        self.last_end = 0
        self.closing = b""

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
        return self._data[: self.last_end] + self.closing

    # --- outside of items --------------------------------------------------------------------------------------------

    def _start_around(self, name: str, attributes: dict[str, str]) -> None:
        _check_element(attributes, len(self._stack) + 1)
        if self._stack and name.rpartition(":")[2].lower() in _ITEMS:
            self._start_item(attributes)
            return
        self._elements_around += 1
        if self._elements_around > MOST_ELEMENTS_AROUND:
            raise FeedMalformed(f"refused: more than {MOST_ELEMENTS_AROUND} elements outside of items")
        bases = _with_base(self._stack[-1].bases if self._stack else (), attributes)
        self._stack.append(_Open(name, self._parser.CurrentByteIndex, bases))

    def _end_around(self, name: str) -> None:
        self._stack.pop()

    def _around(self) -> Around:
        start = self._stack[-1].start
        if start not in self._arounds:
            tags = [_TAG.match(self._data, element.start) for element in self._stack]
            opening = b"".join(tag[0] for tag in tags if tag)
            if len(opening) > MOST_AROUND_BYTES:
                raise FeedMalformed(f"refused: tags of more than {MOST_AROUND_BYTES} bytes around an item")
            closing = "".join(f"</{element.name}>" for element in reversed(self._stack)).encode()
            # One at a time: items that stand together share it, and a document may have one parent for each.
            self._arounds = {start: Around(opening=opening, closing=closing, bases=self._stack[-1].bases)}
        return self._arounds[start]

    # --- inside an item ----------------------------------------------------------------------------------------------

    def _start_item(self, attributes: dict[str, str]) -> None:
        self._start = self._parser.CurrentByteIndex
        self._level, self._elements = 1, 0
        self._bases = _with_base(self._stack[-1].bases, attributes)
        # RSS 1.0: https://web.resource.org/rss/1.0/spec#s5.5
        self._guid, self._guid_name, self._guid_is_link = attributes.get("rdf:about", "").strip() or None, "", False
        self._link = None
        self._parser.StartElementHandler = self._start_inside
        self._parser.EndElementHandler = self._end_inside

    def _start_inside(self, name: str, attributes: dict[str, str]) -> None:
        self._level += 1
        self._elements += 1
        if len(attributes) > MOST_ATTRIBUTES or len(self._stack) + self._level > MOST_DEEP:
            _check_element(attributes, len(self._stack) + self._level)
        if self._elements > MOST_ELEMENTS_IN_ITEM:
            raise FeedMalformed(f"refused: an item with more than {MOST_ELEMENTS_IN_ITEM} elements")
        if self._level == 2:
            self._start_field(name.lower(), attributes)

    def _start_field(self, known: str, attributes: dict[str, str]) -> None:
        if known in _GUIDS and (not self._guid_name or known == "guid"):
            self._guid_name = known
            self._guid_is_link = attributes.get("isPermaLink", "true") == "true"
            self._read_text()
        elif known in _LINKS:
            self._start_link(attributes)

    def _start_link(self, attributes: dict[str, str]) -> None:
        """The last link to the page counts, as for feedparser; one with `href` has no text."""
        if "href" not in attributes:
            self._read_text()
        elif attributes.get("rel", "alternate") == "alternate" and "html" in attributes.get("type", "text/html"):
            self._link = attributes["href"].strip() or None

    def _read_text(self) -> None:
        self._text = []
        self._parser.CharacterDataHandler = self._text.append

    def _end_inside(self, name: str) -> None:
        self._level -= 1
        if self._level == 0:
            self._end_item()
        elif self._level == 1 and self._parser.CharacterDataHandler is not None:
            self._parser.CharacterDataHandler = None
            text = "".join(self._text).strip() or None
            if name.lower() in _LINKS:
                self._link = text
            else:
                self._guid = text

    def _end_item(self) -> None:
        self._parser.StartElementHandler = self._start_around
        self._parser.EndElementHandler = self._end_around
        around, end = self._around(), self._item_end()
        self.count += 1
        self.last_end, self.closing = end, around.closing
        if self.count > MOST_SEEN:
            self.rest_start = self.rest_start or self._start
            return
        self.spans.append(
            Span(
                start=self._start,
                end=end,
                around=around,
                bases=self._bases,
                guid=self._guid,
                guid_is_link=self._guid_is_link,
                link=self._link,
            )
        )

    def _item_end(self) -> int:
        """Offset after the item: expat stands at the end tag, or behind an element that is one empty tag."""
        position = self._parser.CurrentByteIndex
        if not self._elements:
            tag = _TAG.match(self._data, self._start)
            if tag and tag.end() == position and tag[0].endswith(b"/>"):
                return position
        return self._data.index(b">", position) + 1


def _check_element(attributes: dict[str, str], depth: int) -> None:
    if len(attributes) > MOST_ATTRIBUTES:
        raise FeedMalformed(f"refused: an element with more than {MOST_ATTRIBUTES} attributes")
    if depth > MOST_DEEP:
        raise FeedMalformed(f"refused: elements nested more than {MOST_DEEP} deep")


def _with_base(bases: tuple[str, ...], attributes: dict[str, str]) -> tuple[str, ...]:
    base = attributes.get("xml:base") or attributes.get("base")
    return (*bases, base) if base else bases


def _scanned(data: bytes) -> tuple[_Scan, expat.ExpatError | None]:
    scan = _Scan(data)
    try:
        scan.run()
    except expat.ExpatError as error:
        return scan, error
    return scan, None


def _checked(data: bytes, scan: _Scan, partial: str | None = None) -> Checked:
    rest = (scan.rest_start, scan.last_end) if scan.rest_start else (0, 0)
    return Checked(data=data, spans=tuple(scan.spans), count=scan.count, rest=rest, partial=partial)


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
        return _checked(data[: scan.position], scan)
    if error.code in _CUT_SHORT:
        if not scan.count:
            raise FeedMalformed("the document ends early, before its first item is whole") from error
        return _checked(scan.closed(), scan, "the document ends early; the last item may be missing")
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
