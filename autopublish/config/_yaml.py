"""YAML to a tree of text, where every value knows its line and column.

Plain scalars stay text (`no`, `010` and `12:30` mean what they say); the schema decides what they are. This module
knows nothing of feeds or accounts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NoReturn

import yaml

from autopublish.errors import ConfigError, Problem

#: Nesting of the schema is 5; far more is a mistake or an attack.
_DEPTH = 20
#: Values after aliases are followed: twenty times what 1,000 feeds take.
_NODES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A line and a column, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One value of the file: a text, nothing (None), a list, or a mapping."""

    value: str | tuple[Node, ...] | Mapping[str, Node] | None
    place: Place
    #: Where its key stands, for the values of a mapping.
    key: Place | None = None
    #: Values in it, itself included.
    size: int = 1

    @property
    def entries(self) -> Mapping[str, Node]:
        """Its keys and their values; empty if it is no mapping."""
        return self.value if isinstance(self.value, Mapping) else {}

    @property
    def children(self) -> tuple[Node, ...]:
        """Its values in order; empty if it is no list."""
        return self.value if isinstance(self.value, tuple) else ()

    def find(self, path: tuple[str | int, ...]) -> Node:
        """The value at `path`, or the last one on the way to it."""
        node = self
        for step in self.steps(path):
            node = node.entries[step] if isinstance(step, str) else node.children[step]
        return node

    def steps(self, path: tuple[str | int, ...]) -> tuple[str | int, ...]:
        """The part of `path` that leads somewhere."""
        node = self
        for count, step in enumerate(path):
            if isinstance(step, str) and step in node.entries:
                node = node.entries[step]
            elif isinstance(step, int) and isinstance(node.value, tuple) and step < len(node.value):
                node = node.value[step]
            else:
                return path[:count]
        return path

    def with_value(self, value: str | tuple[Node, ...] | Mapping[str, Node] | None) -> Node:
        """Another value in the same place."""
        return replace(self, value=value)

    def plain(self) -> object:
        """The value as str, None, list and dict."""
        if isinstance(self.value, Mapping):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, tuple):
            return [node.plain() for node in self.value]
        return self.value


def read(text: str, *, file: str) -> Node | None:
    """The document in `text`, None if it is empty.

    Raises:
        ConfigError: it cannot be read as YAML, or uses a part of YAML that a configuration does not need.
    """
    builder = _Builder(file)
    try:
        node = builder.document(_parse(text, fast=True))
    except yaml.YAMLError:
        # libyaml is 17 times as fast, but only the parser in Python has the words that we translate.
        builder = _Builder(file)
        try:
            node = builder.document(_parse(text, fast=False))
        except yaml.YAMLError as error:
            raise ConfigError(*builder.problems, _explain(error, text, file)) from error
    if builder.problems:
        raise ConfigError(*builder.problems)
    return node


def _parse(text: str, *, fast: bool) -> Iterator[yaml.Event]:
    """The events of `text`, made as they are asked for."""
    return iter(yaml.parse(text, Loader=yaml.CSafeLoader if fast and yaml.__with_libyaml__ else yaml.SafeLoader))


class _Builder:
    """Builds the tree of one document; what it must refuse is collected in `problems`."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._anchors: dict[str, Node] = {}

    def document(self, events: Iterator[yaml.Event]) -> Node | None:
        """The only document of the stream."""
        node: Node | None = None
        while not isinstance(event := next(events), yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                if node is not None:
                    self._stop(event, 'a second document begins here; keep one, and remove the line "---"')
                node = self._node(events, next(events), depth=0)
        return None if node is None or node.value is None else node

    def _node(self, events: Iterator[yaml.Event], event: yaml.Event, *, depth: int) -> Node:
        """The value that begins with `event`; all of its events are taken."""
        if depth > _DEPTH:
            self._stop(event, f"nested more than {_DEPTH} levels deep")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        self._refuse_tag(event)
        place = _place(event)
        if isinstance(event, yaml.MappingStartEvent):
            node = self._mapping(events, place, depth=depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(events, place, depth=depth)
        else:
            # Quotes make an empty text; nothing at all is no value.
            assert isinstance(event, yaml.ScalarEvent)
            node = Node(value=event.value if event.value or event.style else None, place=place)
        anchor = getattr(event, "anchor", None)
        if anchor:
            self._anchors[anchor] = node
        return node

    def _alias(self, event: yaml.AliasEvent) -> Node:
        """What the anchor of that name stands for."""
        name = event.anchor
        if name is None or name not in self._anchors:
            self._stop(event, f'"*{name}" stands for nothing before it; put text that begins with * in quotes')
        return replace(self._anchors[name], place=_place(event))

    def _refuse_tag(self, event: yaml.Event) -> None:
        """A problem is added if the value carries a tag."""
        tag = getattr(event, "tag", None)
        # A lone "!" is what YAML itself puts on a quoted text.
        if tag and not (tag == "!" and isinstance(event, yaml.ScalarEvent) and event.style):
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            self._add(_place(event), f'tags such as "{shown}" are not allowed; remove it, or put the text in quotes')

    def _sequence(self, events: Iterator[yaml.Event], place: Place, *, depth: int) -> Node:
        """The list whose start was just read."""
        items: list[Node] = []
        size = 1
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            item = self._node(events, event, depth=depth + 1)
            items.append(item)
            size = self._grow(size, item, event)
        return Node(value=tuple(items), place=place, size=size)

    def _mapping(self, events: Iterator[yaml.Event], place: Place, *, depth: int) -> Node:
        """The mapping whose start was just read; of a doubled key the first value counts."""
        entries: dict[str, Node] = {}
        size = 1
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._key(event)
            value_event = next(events)
            value = replace(self._node(events, value_event, depth=depth + 1), key=_place(event))
            size = self._grow(size, value, value_event)
            if key in entries:
                first = entries[key].key
                assert first is not None
                self._add(_place(event), f'the key "{key}" stands twice, first in line {first.line}; keep one of them')
            else:
                entries[key] = value
        return Node(value=entries, place=place, size=size)

    def _key(self, event: yaml.Event) -> str:
        """The text of a key."""
        self._refuse_tag(event)
        if isinstance(event, yaml.MappingStartEvent):
            self._stop(event, 'a value that begins with "{{" must stand in quotes, or below "key: |"')
        if not isinstance(event, yaml.ScalarEvent) or not event.value:
            self._stop(event, "expected a name before the colon")
        if event.value == "<<":
            self._add(_place(event), 'the merge key "<<" is not known; write what accounts share under "defaults"')
        text: str = event.value
        return text

    def _grow(self, size: int, node: Node, event: yaml.Event) -> int:
        """The size with `node` added, within bounds: aliases of aliases grow without end."""
        size += node.size
        if size > _NODES:
            self._stop(event, f"aliases (*name) make more than {_NODES:,} values of this file; write them out")
        return size

    def _add(self, place: Place, message: str) -> None:
        self.problems.append(Problem(file=self.file, line=place.line, column=place.column, message=message))

    def _stop(self, event: yaml.Event, message: str) -> NoReturn:
        """Gives up: what follows could not be judged."""
        self._add(_place(event), message)
        raise ConfigError(*self.problems)


def _place(event: yaml.Event) -> Place:
    """Where a value begins."""
    assert event.start_mark is not None
    return Place(line=event.start_mark.line + 1, column=event.start_mark.column + 1)


#: The parser's words (a pattern, searched) and ours.
_WORDS = (
    (r"found character '\\t'", "a tab stands here; indent with spaces"),
    (r"found character '(.)' that cannot", r"text that begins with \1 must stand in quotes"),
    (r"while scanning an? (?:alias|anchor)", "text that begins with * or & must stand in quotes"),
    (r"while (?:scanning|parsing) a (?:tag|node.*tag)", "text that begins with ! must stand in quotes"),
    (
        r"mapping values are not allowed",
        'unexpected colon: the line before has none, this line is indented too far, or text with ": " lacks its quotes',
    ),
    (r"sequence entries are not allowed", 'a list with "-" begins on a line of its own'),
    (r"quoted scalar.*unexpected end", "a quote opens here and is never closed"),
    (
        r"unknown escape character|expected escape sequence",
        "in \"double quotes\" a backslash is special; use 'single quotes'",
    ),
    (r"could not find expected ':'", 'expected a colon and a space after the key, as in "key: value"'),
    (r"while scanning a block scalar", 'nothing may follow "|" in its line; the text begins in the next one'),
    (
        r"flow (?:sequence|mapping|node).*(?:stream end|expected)",
        "a bracket opens here and is not closed, or a comma is missing; text with # or brackets must stand in quotes",
    ),
    (
        r"expected <block end>, but found '<scalar>'",
        "text follows a closing quote, or this line is not indented like its neighbours; 'it''s' holds one quote",
    ),
    (r"block (?:mapping|collection).*expected <block end>", "this line is not indented like its neighbours"),
    (r"expected the node content, but found '(.)'", r"text that begins with \1 must stand in quotes"),
    (r"while scanning a directive", "a line that begins with % must stand in quotes"),
    (r"expected '<document start>'", 'the file goes on after its end ("...", or a bracket that closes)'),
)
#: Where the mark of what was open helps more than the mark of where it failed.
_OPENED = re.compile(r"quoted scalar.*unexpected end|flow (?:sequence|mapping)")


def _explain(error: yaml.YAMLError, text: str, file: str) -> Problem:
    """The parser's error in words that help, with its place."""
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        character = f"U+{ord(text[error.position]):04X}"
        return Problem(
            file=file, line=line, column=column, message=f"the character {character} is not allowed; remove it"
        )
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Problem(file=file, message=f"this is not YAML: {error}")
    said = f"{error.context or ''} {error.problem or ''}".strip()
    mark = error.context_mark if _OPENED.search(said) and error.context_mark else error.problem_mark
    return Problem(file=file, line=mark.line + 1, column=mark.column + 1, message=_translate(said))


def _translate(said: str) -> str:
    """Our words for the parser's, or its own where we have none."""
    for pattern, words in _WORDS:
        if match := re.search(pattern, said):
            return match.expand(words)
    return said
