"""YAML document: what a person wrote, as plain data, with the line and column of every key and value.

Read from the events of PyYAML's parser, not with its loader: values are those of YAML 1.2 (``no`` and ``09:30`` are
texts), a key that occurs twice is a fault, and so is whatever could do more than state data: tags, anchors, aliases
(a few lines of which can stand for gigabytes) and further documents. Size and depth are limited.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import attrs
import yaml

from aura_contracts.errors import Fault

SIZE_LIMIT = 1_048_576
"""Maximum bytes of a file."""

DEPTH_LIMIT = 32
"""Maximum nesting, unless a reader needs another."""

_FAULT_LIMIT = 100
"""The most faults reported of one file."""

Path = tuple[str | int, ...]
"""The keys and indices that lead to a value."""

_UNPRINTABLE = yaml.reader.Reader.NON_PRINTABLE
_PARSER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
"""libyaml where PyYAML has it: the same events, a hundred times as fast."""

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONSTANTS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class TextPlace(NamedTuple):
    """A line and a column, from 1."""

    line: int
    column: int


@attrs.frozen
class YamlDocument:
    """A document: its data, where its values and keys stand, and its faults; with faults, the data is incomplete."""

    file: str
    data: Any = None
    values: Mapping[Path, TextPlace] = attrs.field(factory=dict)
    keys: Mapping[Path, TextPlace] = attrs.field(factory=dict)
    faults: Sequence[Fault] = ()

    def fault(self, path: Path, code: str, message: str, *, at_key: bool = False) -> Fault:
        """Return a fault at a value, or `at_key` at the key it belongs to; where nothing is, at what should hold it."""
        return _fault(self.file, self.place(path, at_key=at_key), code, message)

    def warning(self, path: Path, code: str, message: str) -> Fault:
        """Return a warning at a key."""
        line, column = self.place(path, at_key=True)
        return Fault(file=self.file, line=line, column=column, code=code, message=message, severity="warning")

    def place(self, path: Path, *, at_key: bool = False) -> TextPlace:
        """Return where a value stands, or `at_key` its key; of a value that is not there, where its holder stands."""
        if at_key and path in self.keys:
            return self.keys[path]
        while path not in self.values and path:
            path = path[:-1]
        return self.values.get(path, TextPlace(1, 1))


def read_yaml(content: bytes, file: str, *, depth: int = DEPTH_LIMIT) -> YamlDocument:
    """Return the document in `content`; `file` is its name in faults. Raises nothing: faults are in the document.

    Values may be nested `depth` deep.
    """
    if len(content) > SIZE_LIMIT:
        fault = _fault(file, TextPlace(1, 1), "too_large", f"the file is larger than {SIZE_LIMIT} bytes")
        return YamlDocument(file, faults=[fault])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _place_in(content[: error.start].decode("utf-8-sig", "replace"))
        return YamlDocument(file, faults=[_fault(file, place, "encoding", "this byte is not UTF-8")])
    builder = _Builder(file, depth)
    if (wrong := _UNPRINTABLE.search(text)) is not None:
        message = f"the character U+{ord(wrong[0]):04X} is not allowed"
        return YamlDocument(file, faults=[_fault(file, _place_in(text[: wrong.start()]), "syntax", message)])
    try:
        builder.read(iter(yaml.parse(text, Loader=_PARSER)))
    except _TooDeep:
        pass
    except yaml.MarkedYAMLError as error:
        builder.refuse(_of_mark(error.problem_mark or error.context_mark), "syntax", _said(error))
    faults = sorted(builder.faults, key=lambda fault: (fault.line, fault.column))
    return YamlDocument(file, builder.data, builder.values, builder.keys, faults)


class _TooDeep(Exception):
    """The rest is not read."""


class _Builder:
    """Builds the data from the parser's events. Recursion is as deep as `depth`."""

    def __init__(self, file: str, depth: int) -> None:
        self.data: Any = None
        self.values: dict[Path, TextPlace] = {}
        self.keys: dict[Path, TextPlace] = {}
        self.faults: list[Fault] = []
        self._file = file
        self._depth = depth

    def read(self, events: Iterator[yaml.Event]) -> None:
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.refuse(_of_mark(event.start_mark), "documents", "a file holds one document")
                    return
            elif isinstance(event, yaml.NodeEvent):
                self.data = self._value(event, events, ())

    def refuse(self, place: TextPlace, code: str, message: str) -> None:
        if len(self.faults) < _FAULT_LIMIT:
            self.faults.append(_fault(self._file, place, code, message))

    def _value(self, event: yaml.Event, events: Iterator[yaml.Event], path: Path) -> Any:
        place = _of_mark(event.start_mark)
        self.values[path] = place
        if len(path) > self._depth:
            self.refuse(place, "too_deep", f"values are nested more than {self._depth} deep")
            raise _TooDeep
        if isinstance(event, yaml.AliasEvent):
            self.refuse(place, "alias", "aliases (*name) are not supported; write the value again")
            return None
        self._require_plain(event, place)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, path)
        return self._mapping(events, path)

    def _require_plain(self, event: yaml.Event, place: TextPlace) -> None:
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self.refuse(place, "anchor", "anchors (&name) are not supported")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self.refuse(place, "tag", f"tags ({tag}) are not supported")

    def _sequence(self, events: Iterator[yaml.Event], path: Path) -> list[Any]:
        found: list[Any] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            found.append(self._value(event, events, (*path, len(found))))
        return found

    def _mapping(self, events: Iterator[yaml.Event], path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            place = _of_mark(event.start_mark)
            key = event.value if isinstance(event, yaml.ScalarEvent) else None
            if not isinstance(event, yaml.ScalarEvent):
                self.refuse(place, "key", "a key is a word")
                self._value(event, events, (*path, "?"))
            else:
                self._require_plain(event, place)
            twice = key is not None and key in found
            if twice:
                first = self.keys[*path, str(key)]
                self.refuse(place, "duplicate_key", f"the key {key!r} is there already, in line {first.line}")
            inner = (*path, "?" if key is None or twice else key)
            value = self._value(next(events), events, inner)
            if key is not None and not twice:
                found[key] = value
                self.keys[inner] = place
        return found


def _scalar(event: yaml.ScalarEvent) -> str | int | float | bool | None:
    text: str = event.value
    if not event.implicit[0]:  # in quotes, or a block
        return text
    return plain_value(text)


def plain_value(text: str) -> str | int | float | bool | None:
    """Return what a text without quotes means.

    >>> plain_value("12"), plain_value("no")
    (12, 'no')
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


class _Mark(Protocol):
    """A place as either parser says it, from 0."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


def _of_mark(mark: _Mark | None) -> TextPlace:
    return TextPlace(1, 1) if mark is None else TextPlace(mark.line + 1, mark.column + 1)


def _place_in(before: str) -> TextPlace:
    return TextPlace(before.count("\n") + 1, len(before) - before.rfind("\n"))


def _said(error: yaml.MarkedYAMLError) -> str:
    parts = [part for part in (error.context, error.problem) if part]
    return f"this is not YAML: {', '.join(parts)}"


def _fault(file: str, place: TextPlace, code: str, message: str) -> Fault:
    return Fault(file=file, line=place.line, column=place.column, code=code, message=message)
