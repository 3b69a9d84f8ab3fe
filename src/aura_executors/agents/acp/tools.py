"""Tool calls of an agent: what is told of them in pieces, until it is known what was called and what became of it.

A call is told when its arguments are known: agents begin with an empty object, and complete it later. It is told at the
latest when the agent asks whether it may, when the call is done, and when the turn ends.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import msgspec

from aura_contracts.ports.executors import Entry, FileChange, FileChanged, ToolCalled, ToolFinished
from aura_executors.agents._texts import clipped, clipped_value
from aura_executors.agents.acp.diffs import diff_of
from aura_executors.agents.acp.wire import (
    NOTHING,
    CallContent,
    CallFields,
    DiffContent,
    Location,
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
_ANY = msgspec.json.Decoder()
_SILENT = (NOTHING, msgspec.Raw(b"null"))

_FORBIDDEN = re.compile(
    r"permissions? to use .{0,200} denied|requested permissions? to|user (?:refused|rejected|denied|declined)"
    r"|rejected (?:permission|this tool)|requires (?:approval|user confirmation)|not permitted to",
    re.IGNORECASE,
)
_BEGINNING = 2_000
"""Characters of a failed call's output that are looked at for it."""

_WORDS = ("output", "content", "stdout", "aggregated_output", "formatted_output", "message", "error", "text")
"""Where agents put what there is to read of a call's output, if that is an object."""


@attrs.define
class Call:
    """What is known of a call by now."""

    call_id: str
    tool: str = ""
    title: str = ""
    kind: str = ""
    input: Any = None
    """Its arguments as the agent has them, bounded; None if it told none."""
    paths: tuple[str, ...] = ()
    changes: tuple[FileChanged, ...] = ()
    words: str = ""
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
        if isinstance(self.input, dict) and self.input:
            return self.input
        if self.input is not None and not isinstance(self.input, dict):
            return {"input": self.input}
        said = {"title": self.title, "paths": [*self.paths]}
        return {name: value for name, value in said.items() if value}


class Calls:
    """The calls of one run."""

    def __init__(self) -> None:
        self.any = False
        """Whether there was any."""
        self.blocked = ""
        """Which call failed for lack of permission, as the agent says."""
        self._open: dict[str, Call] = {}
        self._closed: dict[str, str] = {}

    def take(self, update: CallFields) -> Iterator[Entry]:
        """Take in what is new of a call."""
        call_id = clipped(update.toolCallId, NAME_LIMIT)
        if call_id in self._closed and not isinstance(update, ToolCall):
            return  # told already, and what comes late tells nothing new
        call = self.known(update)
        if call.input or (update.status == "in_progress" and call.input is None):
            yield from self.told(call)
        if update.status not in ("completed", "failed"):
            return
        yield from self.told(call)
        if update.status == "completed":
            yield from _changed(call)
        output, exit_code = _output(update.rawOutput)
        if exit_code is None and update.meta is not None and update.meta.terminal_exit is not None:
            exit_code = update.meta.terminal_exit.exit_code
        output, success = output or call.words, update.status == "completed"
        if not success and not self.blocked and _FORBIDDEN.search(output[:_BEGINNING]):
            self.blocked = f"{call.name}: {clipped(output, 500)}"
        yield ToolFinished(call_id=call_id, success=success, output=output, exit_code=exit_code)
        del self._open[call_id]
        _put(self._closed, call_id, call.name)

    def known(self, update: CallFields) -> Call:
        """Return the call that this is about, with what is new of it."""
        self.any = True
        call_id = clipped(update.toolCallId, NAME_LIMIT)
        call = self._open.get(call_id)
        if call is None:
            self._closed.pop(call_id, None)
            call = Call(call_id)
            _put(self._open, call_id, call)
        _merge(call, update)
        return call

    def told(self, call: Call) -> Iterator[Entry]:
        """Tell of a call, once."""
        if not call.told:
            call.told = True
            yield ToolCalled(call_id=call.call_id, tool=call.name, arguments=call.arguments)

    def rest(self) -> Iterator[Entry]:
        """Tell of the calls that were begun and of which nothing else came; the ones that were denied are done."""
        for call in self._open.values():
            yield from self.told(call)
            if call.denied:
                yield ToolFinished(call_id=call.call_id, success=False, output="it was not permitted")


def given(raw: msgspec.Raw) -> Any:
    """Return a value that an agent may leave out; None if it did."""
    return None if raw in _SILENT else _ANY.decode(raw)


def content_of(update: CallFields) -> Sequence[CallContent]:
    """Return what is to be shown of a call; nothing if it is of a kind that is not known."""
    if update.content in _SILENT:
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
    meta = update.meta
    if not call.tool:
        name = update.name or (meta and (meta.toolName or (meta.claudeCode and meta.claudeCode.toolName)))
        call.tool = clipped(name, NAME_LIMIT) if name else ""
    if update.kind and not call.kind:
        call.kind = clipped(update.kind, NAME_LIMIT)
    if update.title and not call.told:
        call.title = clipped(update.title, NAME_LIMIT)
    if update.locations:
        call.paths = _paths(update.locations)
    if not call.told and update.rawInput not in _SILENT:
        call.input = clipped_value(_ANY.decode(update.rawInput))
    if not (content := content_of(update)):
        return
    if changes := tuple(_change(call, item) for item in content[:CHANGES_LIMIT] if isinstance(item, DiffContent)):
        call.changes = changes
    if words := [item.content.text for item in content if isinstance(item, WordsContent) and item.content.text]:
        call.words = clipped("\n".join(words))


def _paths(locations: Sequence[Location]) -> tuple[str, ...]:
    return tuple(clipped(location.path, PATH_LIMIT) for location in locations[:CHANGES_LIMIT])


def _change(call: Call, item: DiffContent) -> FileChanged:
    kind = item.meta.kind if item.meta else None
    if call.kind == "delete" or kind == "delete":
        change = FileChange.DELETED
    else:
        change = FileChange.MODIFIED if item.oldText else FileChange.ADDED
    diff = diff_of(item.path, item.oldText, item.newText)
    return FileChanged(path=clipped(item.path, PATH_LIMIT), change=change, call_id=call.call_id, diff=diff or None)


def _changed(call: Call) -> Iterator[FileChanged]:
    """Tell which files a call changed: those of its diffs; of a call that changes files and shows none, its places."""
    if call.changes:
        yield from call.changes
    elif change := {"edit": FileChange.MODIFIED, "delete": FileChange.DELETED}.get(call.kind):
        for path in call.paths:
            yield FileChanged(path=path, change=change, call_id=call.call_id)


def _output(raw: msgspec.Raw) -> tuple[str, int | None]:
    """Return what there is to read of a call's output, and its exit code where it has one."""
    value = given(raw)
    if isinstance(value, str):
        return clipped(value), None
    if not isinstance(value, Mapping):
        return ("" if value is None else clipped(bytes(raw).decode("utf-8", "replace"))), None
    details = value.get("metadata")
    codes = [value.get("exit_code"), value.get("exitCode"), details.get("exit") if isinstance(details, dict) else None]
    exit_code = next((code for code in codes if isinstance(code, int) and not isinstance(code, bool)), None)
    if exit_code is not None and not -(2**31) <= exit_code < 2**32:
        exit_code = None
    words = next((value[name] for name in _WORDS if isinstance(value.get(name), str)), None)
    return clipped(bytes(raw).decode("utf-8", "replace") if words is None else words), exit_code
