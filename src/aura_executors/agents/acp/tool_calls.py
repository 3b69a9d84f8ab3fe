"""Tool calls of an agent, assembled from the pieces that it reports.

A call is reported once its arguments are known, because agents begin with an empty object and complete it later; at the
latest when the agent asks for permission, when the call is done, or when the turn ends.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import compress, count
from operator import ne
from typing import Any

import msgspec
from msgspec.structs import replace

from aura_contracts.entries import Entry, FileChange, FileChanged, ToolCalled, ToolFinished
from aura_contracts.first_use import json_decoder
from aura_contracts.quoting import quoted
from aura_executors.adapter.bounded_text import clipped, clipped_value, left_out, put
from aura_executors.adapter.json_lines import repaired
from aura_executors.agents.acp.wire import (
    NO_OUTPUT,
    CallContent,
    CallFields,
    CallMeta,
    CallOutput,
    DiffContent,
    ToolCallStart,
    WordsContent,
)

CALLS_LIMIT = 1_000
"""Maximum number of calls to remember, open and closed; beyond it, the oldest is dropped."""

CHANGES_LIMIT = 100
"""Maximum number of changed files to report per call."""

NAME_LIMIT = 500
PATH_LIMIT = 4_096

_OUTPUT = json_decoder(CallOutput | str | None)

_ENDED = frozenset(("completed", "failed"))

_KEPT = 16_384
"""Maximum characters to keep of a call's shown content, to recognise it."""

_CHANGING = {"edit": FileChange.MODIFIED, "delete": FileChange.DELETED}
"""Kinds of calls by their effect on the files at their locations."""

_FORBIDDEN = re.compile(
    r"permissions? to use .{0,200} denied|requested permissions? to|user (?:refused|rejected|denied|declined)"
    r"|rejected (?:permission|this tool)|requires (?:approval|user confirmation)|not permitted to",
    re.IGNORECASE,
)
_BEGINNING = 2_000
"""Characters of a failed call's output to search."""


class OpenCall(msgspec.Struct, gc=False):
    """A call as known so far."""

    call_id: str
    tool: str = ""
    title: str = ""
    kind: str = ""
    input: Any = None
    """The agent's arguments, bounded; None if it sent none."""
    paths: tuple[str, ...] = ()
    changes: tuple[FileChanged, ...] = ()
    words: str = ""
    shown: list[CallContent] | None = None
    """The source of `changes` and `words`, and the call's kind at that time."""
    shown_kind: str = ""
    reported: bool = False
    denied: bool = False
    """Whether permission was requested and denied."""

    @property
    def name(self) -> str:
        """The tool's name, or the call's kind or title if the agent sends no name."""
        return self.tool or (self.kind if self.kind != "other" else "") or self.title or "tool"

    @property
    def arguments(self) -> dict[str, object]:
        """The arguments, or the agent's substitute for them."""
        reported = self.input
        if isinstance(reported, dict):
            if reported:
                return reported
        elif reported is not None:
            return {"input": reported}
        entries: dict[str, object] = {}
        if self.title:
            entries["title"] = self.title
        if self.paths:
            entries["paths"] = [*self.paths]
        return entries


class Calls:
    """The calls of one run."""

    def __init__(self) -> None:
        self.any = False
        """Whether there was any call."""
        self.blocked = ""
        """The call that failed for lack of permission, according to the agent."""
        self._open: dict[str, OpenCall] = {}
        self._closed: dict[str, None] = {}

    def take(self, update: CallFields) -> list[Entry]:
        """Process an update of a call."""
        call = self._open.get(update.tool_call_id)
        if call is None:
            call_id = clipped(update.tool_call_id, NAME_LIMIT)
            if call_id in self._closed and type(update) is not ToolCallStart:
                return []  # already reported; late updates add nothing
            call = self._opened(call_id)
        _merge(call, update)
        status = update.status
        if status in _ENDED:
            return self._done(call, update)
        if call.input or (call.input is None and status == "in_progress"):
            return self.report(call)
        return []

    def known(self, update: CallFields) -> OpenCall:
        """Return the call of this update, with the update applied."""
        call = self._open.get(update.tool_call_id) or self._opened(clipped(update.tool_call_id, NAME_LIMIT))
        _merge(call, update)
        return call

    def _opened(self, call_id: str) -> OpenCall:
        call = self._open.get(call_id)
        if call is None:
            self.any = True
            self._closed.pop(call_id, None)
            call = OpenCall(call_id)
            put(self._open, call_id, call, CALLS_LIMIT)
        return call

    def report(self, call: OpenCall, arguments: dict[str, object] | None = None) -> list[Entry]:
        """Report a call, once; pass its `arguments` if they are already known."""
        if call.reported:
            return []
        call.reported = True
        return [ToolCalled(call_id=call.call_id, tool=call.name, arguments=arguments or call.arguments)]

    def rest(self) -> Iterator[Entry]:
        """Report the calls that never ended; denied ones count as done."""
        for call in self._open.values():
            yield from self.report(call)
            if call.denied:
                yield ToolFinished(call_id=call.call_id, success=False, output="it was not permitted")

    def _done(self, call: OpenCall, update: CallFields) -> list[Entry]:
        entries, success = self.report(call), update.status == "completed"
        if success:
            entries += _changed(call)
        output, exit_code = _output(update.raw_output)
        if exit_code is None and update.meta is not None and update.meta.terminal_exit is not None:
            exit_code = update.meta.terminal_exit.exit_code
        output = output or call.words
        if not success and not self.blocked and _FORBIDDEN.search(output[:_BEGINNING]):
            self.blocked = f"{call.name}: {clipped(output, 500)}"
        entries.append(ToolFinished(call_id=call.call_id, success=success, output=output, exit_code=exit_code))
        del self._open[call.call_id]
        put(self._closed, call.call_id, None, CALLS_LIMIT)
        return entries


def _merge(call: OpenCall, update: CallFields) -> None:
    if not call.tool and (name := update.name or (update.meta and _tool_in(update.meta))):
        call.tool = clipped(name, NAME_LIMIT)
    if not call.kind and update.kind:
        call.kind = clipped(update.kind, NAME_LIMIT)
    if not call.reported:
        if update.title and update.title != call.title:
            call.title = clipped(update.title, NAME_LIMIT)
        if update.raw_input is not None:
            call.input = clipped_value(update.raw_input)
    if places := update.locations:
        more = len(places) - CHANGES_LIMIT
        paths = [clipped(place.path, PATH_LIMIT) for place in places[:CHANGES_LIMIT]]
        call.paths = (*paths, left_out(more)) if more > 0 else tuple(paths)
    content = update.content
    if content and (content != call.shown or call.kind != call.shown_kind):
        _show(call, content)


def _tool_in(meta: CallMeta) -> str | None:
    return meta.tool_name or (meta.claude_code.tool_name if meta.claude_code else None)


def _show(call: OpenCall, content: list[CallContent]) -> None:
    """Record the content to show for a call. Agents show the same when they ask and when they are done."""
    changes, texts, size = [], [], 0
    for item in content[:CHANGES_LIMIT]:
        if type(item) is DiffContent:
            changes.append(_change(call, item))
            size += len(item.new_text) + len(item.old_text or "")
        elif type(item) is WordsContent and item.content.text:
            texts.append(item.content.text)
            size += len(item.content.text)
    if changes and len(content) > CHANGES_LIMIT:
        rest = f"{changes[-1].diff or ''}{left_out(len(content) - CHANGES_LIMIT)}\n"
        changes[-1] = replace(changes[-1], diff=rest)
    if changes:
        call.changes = tuple(changes)
    if texts:
        call.words = clipped("\n".join(texts))
    call.shown, call.shown_kind = (content if size <= _KEPT else None), call.kind


def _change(call: OpenCall, item: DiffContent) -> FileChanged:
    kind = item.meta.kind if item.meta else None
    if call.kind == "delete" or kind == "delete":
        change = FileChange.DELETED
    else:
        change = FileChange.MODIFIED if item.old_text else FileChange.ADDED
    diff = diff_of(item.path, item.old_text, item.new_text)
    return FileChanged(path=clipped(item.path, PATH_LIMIT), change=change, call_id=call.call_id, diff=diff or None)


def _changed(call: OpenCall) -> Sequence[FileChanged]:
    """Return the files that a call changed: those of its diffs, or else those at its locations."""
    if call.changes:
        return call.changes
    if (change := _CHANGING.get(call.kind)) is None:
        return ()
    return [FileChanged(path=path, change=change, call_id=call.call_id) for path in call.paths]


def _output(raw: msgspec.Raw) -> tuple[str, int | None]:
    """Return the readable part of a call's output and its exit code, if any. The protocol does not define its form."""
    if raw is NO_OUTPUT:
        return "", None
    whole = repaired(bytes(raw))
    try:
        value = _OUTPUT.decode(whole)
    except (msgspec.ValidationError, RecursionError):
        return clipped(whole.decode("utf-8", "replace")), None
    if isinstance(value, CallOutput):
        texts = (value.output, value.content, value.stdout, value.aggregated_output, value.formatted_output)
        for text in (*texts, value.message, value.error, value.text):
            if isinstance(text, str):
                return clipped(text), _exit_code(value)
        return clipped(whole.decode("utf-8", "replace")), _exit_code(value)
    return clipped(value or ""), None


def _exit_code(output: CallOutput) -> int | None:
    """Return the exit code if it is valid."""
    inner = output.metadata.get("exit") if isinstance(output.metadata, dict) else None
    for code in (output.exit_code, output.exit_code_of_opencode, inner):
        if isinstance(code, int) and not isinstance(code, bool):
            return code if -(2**31) <= code < 2**32 else None
    return None


# --- Diffs ------------------------------------------------------------------------------------------------------------

_CONTEXT = 3
"""Context lines, as in git."""


def diff_of(path: str, before: str | None, after: str) -> str:
    r"""Return one hunk from the first line that differs to the last, at most about `TEXT_LIMIT` characters.

    Everything between the two is shown as replaced: finding the smallest diff takes quadratic time, and the size of the
    texts is not under our control. Agents may show only a part of a file, so line numbers are relative to that part.

    >>> print(diff_of("a.txt", "one\ntwo\nthree\n", "one\n2\nthree\n"), end="")
    --- a/a.txt
    +++ b/a.txt
    @@ -1,3 +1,3 @@
     one
    -two
    +2
     three
    """
    if before == after:
        return ""
    old, new = before.splitlines() if before else [], after.splitlines()
    if not old:
        return _added(path, new)
    shorter = min(len(old), len(new))
    same = next(compress(count(), map(ne, old, new)), shorter)
    tail = min(shorter - same, next(compress(count(), map(ne, reversed(old), reversed(new))), shorter))
    start = max(0, same - _CONTEXT)
    removed, added = old[same : len(old) - tail], new[same : len(new) - tail]
    return _hunk(
        path, "a/" + path.lstrip("/"), start, (old[start:same], removed, added, old[len(old) - tail :][:_CONTEXT])
    )


def _added(path: str, lines: list[str]) -> str:
    if not lines:
        return ""
    body = "\n+".join(lines)
    return clipped(f"--- /dev/null\n+++ {_shown('b/' + path.lstrip('/'))}\n@@ -0,0 +1,{len(lines)} @@\n+{body}\n")


def _shown(path: str) -> str:
    return quoted(path if len(path) <= PATH_LIMIT else clipped(path, PATH_LIMIT))


def _hunk(path: str, origin: str, start: int, lines: tuple[list[str], list[str], list[str], list[str]]) -> str:
    before, removed, added, after = lines
    if not removed and not added:
        return ""
    around = len(before) + len(after)
    head = (
        f"--- {_shown(origin)}\n+++ {_shown('b/' + path.lstrip('/'))}\n"
        f"@@ -{_range(start, around + len(removed))} +{_range(start, around + len(added))} @@\n"
    )
    marked = ((" ", before), ("-", removed), ("+", added), (" ", after))
    body = "".join([mark + f"\n{mark}".join(part) + "\n" for mark, part in marked if part])
    return clipped(head + body)


def _range(start: int, size: int) -> str:
    return f"{start + 1 if size else start},{size}"
