"""Secrets by their values: what is logged, printed or kept as evidence is searched for them, and holds none.

A value is known here exactly as long as something that was given it lives, so that a credential that was replaced or
whose account was removed goes with it. Knows no platform and no reference, and shows nothing of what it holds.
"""

from __future__ import annotations

import itertools
import json
import re
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import NoReturn
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

#: Stands where a secret stood.
MARK = "…"
#: Shorter ones are not looked for: they would be found in ordinary words.
LEAST = 6
#: From this length on a part of a secret counts as one: a line of a key, the path of a webhook.
LEAST_OF_PART = 12


class Redactor:
    """The secrets that are in use; safe between threads, and without any lock that a finalizer could wait for."""

    __slots__ = ("_known", "_numbers", "_values", "_version")

    def __init__(self) -> None:
        self._values: dict[int, tuple[str, ...]] = {}
        self._numbers = itertools.count(1)
        self._version = 0
        #: The version that was built, the forms by value, and all forms, the longest first.
        self._known: tuple[int, Mapping[str, frozenset[str]], tuple[str, ...]] = (0, {}, ())

    def __call__(self, text: str) -> str:
        """The text with a mark in place of each secret in use, in each of the forms that it may take."""
        for form in self._forms():
            if form in text:
                text = text.replace(form, MARK)
        return text

    def __repr__(self) -> str:
        return "<Redactor>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("what knows secrets is not copied")

    def know(self, owner: object, secrets: Iterable[str]) -> None:
        """The secrets are looked for as long as the owner lives."""
        values = tuple(value for value in secrets if len(value.strip()) >= LEAST)
        if not values:
            return
        number = next(self._numbers)
        self._values[number] = values
        self._version = next(self._numbers)
        # The finalizer holds the number alone.
        weakref.finalize(owner, self._forget, number).atexit = False

    def _forget(self, number: int) -> None:
        self._values.pop(number, None)
        self._version = next(self._numbers)

    def _forms(self) -> tuple[str, ...]:
        """All forms, the longest first, so that none is spoilt by a shorter one inside it."""
        version, known, forms = self._known
        if version == self._version:
            return forms
        # Read before the values: what is added meanwhile has another version, and is built by the next call.
        version = self._version
        values = {value for some in list(self._values.values()) for value in some}
        if values != known.keys():
            known = {value: known.get(value) or frozenset(forms_of(value)) for value in values}
            forms = tuple(sorted(frozenset[str]().union(*known.values()), key=len, reverse=True))
        self._known = (version, known, forms)
        return forms


def forms_of(secret: str) -> Iterator[str]:
    """Every form in which the secret or a part of it may be quoted: as it is, and as URLs, JSON and others spell it."""
    for part in _parts(secret):
        yield from (form for form in _spellings(part) if len(form) >= LEAST)
        yield from _in_base64(part.encode(errors="surrogateescape"))


def _parts(secret: str) -> Iterator[str]:
    """The secret, and what gives it away alone: the password of a pair, the path of an address, a line of a key."""
    stripped = secret.strip()
    yield from {secret, stripped}
    if "\n" in stripped:
        yield from (line for line in stripped.splitlines() if len(line) >= LEAST_OF_PART and "-----" not in line)
    elif re.match(r"[a-z]+://", stripped):
        yield from _parts_of_address(stripped)
    else:
        password = stripped.partition(":")[2]
        if len(password) >= LEAST:
            yield password


def _parts_of_address(url: str) -> Iterator[str]:
    """Network libraries quote a part of an address alone."""
    try:
        parts = urlsplit(url)
        password = parts.password or ""
    except ValueError:
        return
    if len(password) >= LEAST:
        yield password
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    yield from (one for one in (path, *(value for _, value in parse_qsl(parts.query))) if len(one) >= LEAST_OF_PART)


def _spellings(text: str) -> Iterator[str]:
    """The text, and how URLs, JSON, HTML and Python write it."""
    import html  # its table of names costs a run without any secret

    yield text
    # What is not valid in UTF-8 came from the environment; it can still be written with its bytes.
    safe = text.encode(errors="surrogateescape")
    for encoded in (quote(safe, safe=""), quote(safe), quote_plus(safe)):
        yield encoded
        yield re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), encoded)
    for ascii_only in (True, False):
        written = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        # JSON within JSON, and the slash as PHP escapes it.
        yield from (written, written.replace("/", r"\/"), json.dumps(written, ensure_ascii=ascii_only)[1:-1])
    for escaped in (html.escape(text), html.escape(text, quote=False)):
        yield from (escaped, escaped.replace("&#x27;", "&#39;"), escaped.replace("&#x27;", "&#039;"))
    yield from (repr(text)[1:-1], repr(safe)[2:-1], ascii(text)[1:-1])


def _in_base64(secret: bytes) -> Iterator[str]:
    """What stays the same of the secret in the base64 of anything that holds it, as `Basic` pairs do.

    A byte may begin at three places of a group; the characters that its neighbours share are left out.
    """
    import base64  # as above

    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + secret).decode()
        whole = encoded[-(-offset * 8 // 6) : (offset + len(secret)) * 8 // 6]
        yield from (whole, whole.replace("+", "-").replace("/", "_"))


#: The one of this process: secrets are known to it when they are resolved.
redact = Redactor()


def redact_all(document: object) -> object:
    """The document without secrets in its texts; each is searched alone, so that it stays what JSON can hold."""
    if isinstance(document, str):
        return redact(document)
    if isinstance(document, Mapping):
        return {key: redact_all(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [redact_all(value) for value in document]
    return document
