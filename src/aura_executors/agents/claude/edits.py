"""Edits: what a tool call would change, and what it changed, as a unified diff. Pure and bounded."""

from collections.abc import Iterator, Mapping
from difflib import unified_diff
from typing import Any

from aura_contracts.ports.executors import FileChange, FileChanged
from aura_executors.agents._texts import clipped
from aura_executors.agents.claude.wire import Edited

DIFF_LIMIT = 32_768
"""Characters of a diff in an entry."""

COMPARED_LIMIT = 1_000
"""Lines of old and new text that are compared; more of them are shown as taken away and added."""

_TEXT_LIMIT = 4 * DIFF_LIMIT
"""Characters of a text that are looked at."""


def diff_of(arguments: Mapping[str, Any]) -> str | None:
    """Return what a call with these arguments would change, as far as they tell; None if it edits no file.

    Line numbers are those within the texts: where in the file they are, the arguments do not say. A file that is
    written as a whole is shown as new; whether there is one already is not known either.
    """
    path = arguments.get("file_path")
    if not isinstance(path, str):
        return None
    changes = [(old, new) for old, new in _changes(arguments) if isinstance(old, str) and isinstance(new, str)]
    if not changes:
        return None
    compared = "\n".join(_compared(old, new) for old, new in changes)
    return clipped(f"--- {path}\n+++ {path}\n{compared}", DIFF_LIMIT)


def changed(edited: Edited, path: str, call_id: str) -> FileChanged:
    """Return what a tool says that it did to a file; `path` is what it was called with."""
    diff = None
    if edited.structured_patch:
        lines = [line for hunk in edited.structured_patch for line in (_position(hunk), *hunk.lines)]
        diff = clipped("\n".join((f"--- {path}", f"+++ {path}", *lines)), DIFF_LIMIT)
    change = FileChange.ADDED if edited.type == "create" else FileChange.MODIFIED
    return FileChanged(path=clipped(edited.file_path or path, 4_096), change=change, call_id=call_id, diff=diff)


def _position(hunk: Any) -> str:
    return f"@@ -{hunk.old_start},{hunk.old_lines} +{hunk.new_start},{hunk.new_lines} @@"


def _changes(arguments: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    if "content" in arguments:
        yield "", arguments["content"]
    elif "new_string" in arguments:
        yield arguments.get("old_string"), arguments["new_string"]
    elif isinstance(edits := arguments.get("edits"), list):
        for edit in edits[:100]:
            if isinstance(edit, Mapping):
                yield edit.get("old_string"), edit.get("new_string")


def _compared(old: str, new: str) -> str:
    if not old:
        return _marked("+", new)
    before, after = old[:_TEXT_LIMIT].splitlines(), new[:_TEXT_LIMIT].splitlines()
    if len(before) + len(after) <= COMPARED_LIMIT:
        return "\n".join(list(unified_diff(before, after, lineterm=""))[2:])
    return "\n".join((_marked("-", old), _marked("+", new)))


def _marked(mark: str, text: str) -> str:
    """Return a hunk with each line of `text` taken away or added."""
    if not text:
        return "@@ -0,0 +0,0 @@"
    shown = text[:_TEXT_LIMIT].removesuffix("\n").replace("\n", f"\n{mark}")
    count = shown.count("\n") + 1
    position = f"-1,{count} +0,0" if mark == "-" else f"-0,0 +1,{count}"
    return f"@@ {position} @@\n{mark}{shown}"
