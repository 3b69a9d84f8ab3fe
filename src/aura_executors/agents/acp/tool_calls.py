"""Tool calls of an agent: what is told of them in pieces, until it is known what was called and what became of it.

A call is told when its arguments are known: agents begin with an empty object, and complete it later. It is told at the
latest when the agent asks whether it may, when the call is done, and when the turn ends.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import msgspec

from aura_contracts.ports.executors import Entry, FileChange, FileChanged, ToolCalled, ToolFinished
from aura_executors.adapter.bounded_text import clipped, clipped_value
from aura_executors.agents.acp.diffs import diff_of
from aura_executors.agents.acp.wire import (
    NOTHING,
    CallContent,
    CallFields,
    DiffContent,
    Location,
    Output,
    ToolCall,
    WordsContent,
)

CALLS_LIMIT = 1_000
"""Calls that are kept in mind, open ones and closed ones; the oldest is forgotten for the one above."""

CHANGES_LIMIT = 100
"""Files of one call whose changes are told."""

NAME_LIMIT = 500
PATH_LIMIT = 4_096

_CONTENT = msgspec.json.Decoder(list[CallContent])
_OUTPUT = msgspec.json.Decoder(Output | str | int | float | bool | list[Any] | None)
_ANY = msgspec.json.Decoder()
_NULL = msgspec.Raw(b"null")

_KEPT = 16_384
"""Bytes of what an agent told of a call that are kept, to know it again."""

_CHANGING = {"edit": FileChange.MODIFIED, "delete": FileChange.DELETED}
"""What the kinds of calls do to the files at their places."""

_FORBIDDEN = re.compile(
    r"permissions? to use .{0,200} denied|requested permissions? to|user (?:refused|rejected|denied|declined)"
    r"|rejected (?:permission|this tool)|requires (?:approval|user confirmation)|not permitted to",
    re.IGNORECASE,
)
_BEGINNING = 2_000
"""Characters of a failed call's output that are looked at for it."""


@attrs.define
class Call:
    """What is known of a call by now."""

    call_id: str
    tool: str = ""
    title: str = ""
    kind: str = ""
    input: Any = None
    """Its arguments as the agent has them, bounded; None if it told none."""
    input_told: msgspec.Raw = NOTHING
    """Those of which nothing was left out, in the agent's words."""
    paths: tuple[str, ...] = ()
    changes: tuple[FileChanged, ...] = ()
    words: str = ""
    shown: msgspec.Raw = NOTHING
    """From what `changes` and `words` were taken last, and when the call was of which kind."""
    shown_kind: str = ""
    told: bool = False
    denied: bool = False
    """Whether it was asked for, and not permitted."""

    @property
    def name(self) -> str:
        """What the tool is called: by name where the agent tells it, else by its kind, else by the call's title."""
        return self.tool or (self.kind if self.kind != "other" else "") or self.title or "tool"

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments; where an agent does not tell them, what it tells instead."""
        told = self.input
        if isinstance(told, dict):
            if told:
                return told
        elif told is not None:
            return {"input": told}
        said: dict[str, Any] = {}
        if self.title:
            said["title"] = self.title
        if self.paths:
            said["paths"] = [*self.paths]
        return said


class Calls:
    """The calls of one run."""

    def __init__(self) -> None:
        self.any = False
        """Whether there was any."""
        self.blocked = ""
        """Which call failed for lack of permission, as the agent says."""
        self._open: dict[str, Call] = {}
        self._closed: dict[str, None] = {}

    def take(self, update: CallFields) -> list[Entry]:
        """Take in what is new of a call."""
        call_id = clipped(update.tool_call_id, NAME_LIMIT)
        if call_id in self._closed and not isinstance(update, ToolCall):
            return []  # told already, and what comes late tells nothing new
        call = self._known(call_id, update)
        status = update.status
        if status == "completed" or status == "failed":  # noqa: PLR1714 - a set takes longer
            return self._done(call, update)
        if call.input or (status == "in_progress" and call.input is None):
            return self.told(call)
        return []

    def known(self, update: CallFields) -> Call:
        """Return the call that this is about, with what is new of it."""
        return self._known(clipped(update.tool_call_id, NAME_LIMIT), update)

    def told(self, call: Call, arguments: dict[str, Any] | None = None) -> list[Entry]:
        """Tell of a call, once; `arguments` are those that it has, for who has asked for them already."""
        if call.told:
            return []
        call.told = True
        return [ToolCalled(call_id=call.call_id, tool=call.name, arguments=arguments or call.arguments)]

    def rest(self) -> Iterator[Entry]:
        """Tell of the calls that were begun and of which nothing else came; the ones that were denied are done."""
        for call in self._open.values():
            yield from self.told(call)
            if call.denied:
                yield ToolFinished(call_id=call.call_id, success=False, output="it was not permitted")

    def _known(self, call_id: str, update: CallFields) -> Call:
        self.any = True
        call = self._open.get(call_id)
        if call is None:
            self._closed.pop(call_id, None)
            call = Call(call_id)
            _put(self._open, call_id, call)
        _merge(call, update)
        return call

    def _done(self, call: Call, update: CallFields) -> list[Entry]:
        said, success = self.told(call), update.status == "completed"
        if success:
            said += _changed(call)
        output, exit_code = _output(update.raw_output)
        if exit_code is None and update.meta is not None and update.meta.terminal_exit is not None:
            exit_code = update.meta.terminal_exit.exit_code
        output = output or call.words
        if not success and not self.blocked and _FORBIDDEN.search(output[:_BEGINNING]):
            self.blocked = f"{call.name}: {clipped(output, 500)}"
        said.append(ToolFinished(call_id=call.call_id, success=success, output=output, exit_code=exit_code))
        del self._open[call.call_id]
        _put(self._closed, call.call_id, None)
        return said


def given(raw: msgspec.Raw) -> Any:
    """Return a value that an agent may leave out; None if it did."""
    return None if raw == NOTHING or raw == _NULL else _ANY.decode(raw)  # noqa: PLR1714, SIM109 - a tuple takes longer


def content_of(update: CallFields) -> Sequence[CallContent]:
    """Return what is to be shown of a call; nothing if it is of a kind that is not known."""
    if update.content == NOTHING or update.content == _NULL:  # noqa: PLR1714 - a tuple takes longer
        return ()
    try:
        return _CONTENT.decode(update.content)
    except msgspec.MsgspecError:
        return ()


def _put(known: dict[str, Any], name: str, value: Any) -> None:
    if len(known) >= CALLS_LIMIT:
        del known[next(iter(known))]
    known[name] = value


def _merge(call: Call, update: CallFields) -> None:
    if not call.tool:
        meta = update.meta
        name = update.name or (meta and (meta.tool_name or (meta.claude_code and meta.claude_code.tool_name)))
        if name:
            call.tool = clipped(name, NAME_LIMIT)
    if not call.kind and update.kind:
        call.kind = clipped(update.kind, NAME_LIMIT)
    if not call.told:
        if update.title:
            call.title = clipped(update.title, NAME_LIMIT)
        if (raw := update.raw_input) != NOTHING and raw != _NULL:
            _take_input(call, raw)
    if update.locations:
        call.paths = _paths(update.locations)
    if update.content != NOTHING and (update.content != call.shown or call.kind != call.shown_kind):
        _show(call, update)


def _take_input(call: Call, raw: msgspec.Raw) -> None:
    value = _ANY.decode(raw)
    call.input = clipped_value(value)
    call.input_told = _kept(raw) if call.input is value else NOTHING


def _show(call: Call, update: CallFields) -> None:
    """Take in what is to be shown of a call. Agents show the same when they ask and when they are done."""
    if not (content := content_of(update)):
        return
    if changes := [_change(call, item) for item in content[:CHANGES_LIMIT] if type(item) is DiffContent]:
        call.changes = tuple(changes)
    if words := [item.content.text for item in content if type(item) is WordsContent and item.content.text]:
        call.words = clipped("\n".join(words))
    call.shown, call.shown_kind = _kept(update.content), call.kind


def _kept(raw: msgspec.Raw) -> msgspec.Raw:
    """Return a copy to know it again, without the line that it is in; nothing if it is large."""
    return raw.copy() if memoryview(raw).nbytes <= _KEPT else NOTHING


def _paths(locations: Sequence[Location]) -> tuple[str, ...]:
    return tuple([clipped(location.path, PATH_LIMIT) for location in locations[:CHANGES_LIMIT]])


def _change(call: Call, item: DiffContent) -> FileChanged:
    kind = item.meta.kind if item.meta else None
    if call.kind == "delete" or kind == "delete":
        change = FileChange.DELETED
    else:
        change = FileChange.MODIFIED if item.old_text else FileChange.ADDED
    diff = diff_of(item.path, item.old_text, item.new_text)
    return FileChanged(path=clipped(item.path, PATH_LIMIT), change=change, call_id=call.call_id, diff=diff or None)


def _changed(call: Call) -> Sequence[FileChanged]:
    """Return which files a call changed: those of its diffs; if it shows none, those at its places."""
    if call.changes:
        return call.changes
    if (change := _CHANGING.get(call.kind)) is None:
        return ()
    return [FileChanged(path=path, change=change, call_id=call.call_id) for path in call.paths]


def _output(raw: msgspec.Raw) -> tuple[str, int | None]:
    """Return what there is to read of a call's output, and its exit code where it has one."""
    if raw == NOTHING:
        return "", None
    value = _OUTPUT.decode(raw)
    if isinstance(value, str):
        return clipped(value), None
    if not isinstance(value, Output):
        return ("" if value is None else clipped(bytes(raw).decode("utf-8", "replace"))), None
    words = value.words
    return clipped(bytes(raw).decode("utf-8", "replace") if words is None else words), value.code
