"""Edits: unified diffs of the changes that a tool call proposes or has made. Pure and bounded."""

from collections.abc import Iterator, Mapping
from difflib import unified_diff
from typing import Any

from aura_contracts.entries import FileChange, FileChanged
from aura_contracts.quoting import quoted
from aura_executors.adapter.bounded_text import clipped, left_out
from aura_executors.agents.claude.wire import Edited

DIFF_LIMIT = 32_768
"""Maximum characters of a diff in an entry."""

COMPARED_LIMIT = 1_000
"""Maximum lines of old and new text to compare; longer texts are shown as removed and added."""

EDITS_LIMIT = 100
"""Maximum number of edits of one call to show."""

_SIDE_LIMIT = 4 * DIFF_LIMIT
"""Maximum characters of a text to consider."""


def diff_of(arguments: Mapping[str, object]) -> str | None:
    """Return the diff of a call with these arguments, or None if it does not edit a file.

    Line numbers are relative to the texts, because the arguments do not contain their place in the file. A file that is
    written as a whole is shown as new, because it is not known whether it exists.
    """
    path = arguments.get("file_path")
    if not isinstance(path, str):
        return None
    if isinstance(content := arguments.get("content"), str):
        compared = _marked("+", content)
    else:
        compared = "\n".join(_compared(old, new) for old, new in _replacements(arguments))
    edits = arguments.get("edits")
    more = len(edits) - EDITS_LIMIT if isinstance(edits, list) else 0
    shown = quoted(path)
    diff = clipped(f"--- {shown}\n+++ {shown}\n{compared}", DIFF_LIMIT) if compared else None
    return f"{diff}\n{left_out(more)}" if diff and more > 0 else diff


def changed(edited: Edited, path: str, call_id: str) -> FileChanged:
    """Return the diff of a change that a tool reports; `path` comes from the call."""
    diff = None
    if edited.structured_patch:
        lines = [line for hunk in edited.structured_patch for line in (_position(hunk), *hunk.lines)]
        diff = clipped("\n".join((f"--- {quoted(path)}", f"+++ {quoted(path)}", *lines)), DIFF_LIMIT)
    change = FileChange.ADDED if edited.type == "create" else FileChange.MODIFIED
    return FileChanged(path=clipped(edited.file_path or path, 4_096), change=change, call_id=call_id, diff=diff)


def _position(hunk: Any) -> str:
    return f"@@ -{hunk.old_start},{hunk.old_lines} +{hunk.new_start},{hunk.new_lines} @@"


def _replacements(arguments: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    edits = arguments.get("edits")
    for edit in edits[:EDITS_LIMIT] if isinstance(edits, list) else [arguments]:
        if isinstance(edit, Mapping):
            old, new = edit.get("old_string"), edit.get("new_string")
            if isinstance(old, str) and isinstance(new, str):
                yield old, new


def _compared(old: str, new: str) -> str:
    if not old:
        return _marked("+", new)
    before, after = old[:_SIDE_LIMIT].splitlines(), new[:_SIDE_LIMIT].splitlines()
    if len(before) + len(after) <= COMPARED_LIMIT:
        return "\n".join(list(unified_diff(before, after, lineterm=""))[2:])
    return "\n".join((_marked("-", old), _marked("+", new)))


def _marked(mark: str, text: str) -> str:
    """Return a hunk in which each line of `text` is removed or added."""
    if not text:
        return "@@ -0,0 +0,0 @@"
    shown = text[:_SIDE_LIMIT].removesuffix("\n").replace("\n", f"\n{mark}")
    count = shown.count("\n") + 1
    position = f"-1,{count} +0,0" if mark == "-" else f"-0,0 +1,{count}"
    return f"@@ {position} @@\n{mark}{shown}"
