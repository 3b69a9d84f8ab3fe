"""Items of a thread of ``codex app-server``, and the entries they become. Pure.

The structs follow ``codex app-server generate-ts`` (v2/ThreadItem), without unused fields.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from aura_contracts.entries import Entry, FileChange, FileChanged, Message, Thinking, ToolCalled, ToolFinished
from aura_contracts.quoting import listed, quoted
from aura_executors.adapter.bounded_text import clipped, clipped_value, left_out, put
from aura_executors.agents.codex.failures import forbidden

OPEN_LIMIT = 1_000
"""Maximum number of open calls; beyond it, the oldest is dropped."""

CHANGES_LIMIT = 1_000
"""Maximum number of files to report per patch."""

PATH_LIMIT = 4_096
"""Maximum characters of a path."""

ID_LIMIT = 200
"""Maximum characters of a call's id."""


class _Item(msgspec.Struct, frozen=True, tag_field="type", gc=False):
    id: str


class UserMessage(_Item, frozen=True, tag="userMessage", gc=False):
    pass


class HookPrompt(_Item, frozen=True, tag="hookPrompt", gc=False):
    pass


class AgentMessage(_Item, frozen=True, tag="agentMessage", gc=False):
    text: str = ""


class FunctionCallOutput(_Item, frozen=True, tag="functionCallOutput", gc=False):
    pass


class Plan(_Item, frozen=True, tag="plan", gc=False):
    text: str = ""


class Reasoning(_Item, frozen=True, tag="reasoning", gc=False):
    summary: list[str] = []
    content: list[str] = []


class CommandExecution(_Item, frozen=True, tag="commandExecution", gc=False, rename="camel"):
    command: str = ""
    cwd: str | None = None
    status: str = ""
    aggregated_output: str | None = None
    exit_code: int | None = None


class Kind(msgspec.Struct, frozen=True, gc=False):
    type: str = "update"
    move_path: str | None = None


class FileUpdateChange(msgspec.Struct, frozen=True, gc=False):
    """A change of one file. `diff` is the content of an added or deleted file, else the hunks; None if unknown."""

    path: str
    kind: Kind = Kind()
    diff: str | None = ""


class FileChangeItem(_Item, frozen=True, tag="fileChange", gc=False):
    changes: list[FileUpdateChange] = []
    status: str = ""


class CallError(msgspec.Struct, frozen=True, gc=False):
    message: str = ""


class McpToolCall(_Item, frozen=True, tag="mcpToolCall", gc=False):
    server: str = ""
    tool: str = ""
    status: str = ""
    arguments: Any = None
    result: Any = None
    error: CallError | None = None


class DynamicToolCall(_Item, frozen=True, tag="dynamicToolCall", gc=False):
    tool: str = ""
    namespace: str | None = None
    status: str = ""
    arguments: Any = None


class CollabAgentToolCall(_Item, frozen=True, tag="collabAgentToolCall", gc=False):
    tool: str = ""
    prompt: str | None = None
    status: str = ""


class SubAgentActivity(_Item, frozen=True, tag="subAgentActivity", gc=False):
    pass


class WebSearch(_Item, frozen=True, tag="webSearch", gc=False):
    query: str | None = None


class ImageView(_Item, frozen=True, tag="imageView", gc=False):
    path: str = ""


class Sleep(_Item, frozen=True, tag="sleep", gc=False):
    pass


class ImageGeneration(_Item, frozen=True, tag="imageGeneration", gc=False):
    pass


class EnteredReviewMode(_Item, frozen=True, tag="enteredReviewMode", gc=False):
    pass


class ExitedReviewMode(_Item, frozen=True, tag="exitedReviewMode", gc=False):
    review: str = ""


class ContextCompaction(_Item, frozen=True, tag="contextCompaction", gc=False):
    pass


AnyItem = (
    UserMessage
    | HookPrompt
    | AgentMessage
    | FunctionCallOutput
    | Plan
    | Reasoning
    | CommandExecution
    | FileChangeItem
    | McpToolCall
    | DynamicToolCall
    | CollabAgentToolCall
    | SubAgentActivity
    | WebSearch
    | ImageView
    | Sleep
    | ImageGeneration
    | EnteredReviewMode
    | ExitedReviewMode
    | ContextCompaction
)

WORDS = frozenset((UserMessage, HookPrompt, AgentMessage, Plan, Reasoning))
"""Types of items that are not calls."""

_KINDS = {"add": FileChange.ADDED, "update": FileChange.MODIFIED, "delete": FileChange.DELETED}


class Items:
    """Turns started and completed items into entries, and remembers the open ones."""

    def __init__(self, *, sandboxed: bool) -> None:
        self.blocked = ""
        """What was not permitted."""
        self._sandboxed = sandboxed
        self._open: dict[str, AnyItem] = {}

    def changes_of(self, id: str) -> Sequence[FileUpdateChange] | None:
        """Return the changes of the file change with this id, or None if unknown."""
        item = self._open.get(id)
        return item.changes if isinstance(item, FileChangeItem) else None

    def call_of(self, server: str, tool: object) -> str:
        """Return the id of the latest open call to a tool server, or None."""
        calls = [item for item in self._open.values() if isinstance(item, McpToolCall)]
        return next((call.id for call in reversed(calls) if (call.server, call.tool) == (server, tool)), "")

    def changed(self, id: str, changes: list[FileUpdateChange]) -> None:
        """Replace the changes of a file change."""
        if isinstance(item := self._open.get(id), FileChangeItem):
            self._open[id] = msgspec.structs.replace(item, changes=changes)

    def started(self, item: AnyItem) -> Iterable[Entry]:
        """Return the call of `item`, if it is an unreported call."""
        if type(item) in WORDS or item.id in self._open or (called := called_by(item)) is None:
            return ()
        require_name(item.id)
        put(self._open, item.id, item, OPEN_LIMIT)
        return (called,)

    def completed(self, item: AnyItem, *, own: bool) -> Iterable[Entry]:
        """Return the entries of a completed item. Messages between agents (not `own`) are not for the human."""
        match item:
            case CommandExecution():  # the most frequent first
                pass
            case AgentMessage(text=text) | Plan(text=text) | ExitedReviewMode(review=text):
                return (Message(text=clipped(text)),) if text and own else ()
            case Reasoning(summary=summary, content=content):
                text = "\n\n".join(summary or content)
                return (Thinking(text=clipped(text)),) if text and own else ()
        if self._open.pop(item.id, None) is not None:
            return self._ended(item)
        called = self.started(item)
        ended = self._open.pop(item.id, None) is not None
        return (*called, *self._ended(item)) if ended else ()

    def _ended(self, item: AnyItem) -> Iterable[Entry]:
        match item:
            case CommandExecution(aggregated_output=output, exit_code=code, status=status):
                success = status == "completed" and not code
                refused = status == "declined" or (not success and self._sandboxed and forbidden(output or ""))
                if refused:
                    self.blocked = self.blocked or f"it was not permitted to run: {clipped(item.command, 500)}"
                return (ToolFinished(call_id=item.id, success=success, output=clipped(output or ""), exit_code=code),)
            case FileChangeItem(changes=changes, status=status):
                if status == "declined":
                    self.blocked = self.blocked or f"it was not permitted to change {_names(changes)}"
                success = status == "completed"
                changed = map(_changed, changes[:CHANGES_LIMIT], [item.id] * len(changes)) if success else ()
                return (*changed, ToolFinished(call_id=item.id, success=success))
            case McpToolCall(result=result, error=error, status=status):
                output = error.message if error else text_of(result)
                success = status == "completed" and error is None
                return (ToolFinished(call_id=item.id, success=success, output=clipped(output)),)
            case DynamicToolCall(status=status) | CollabAgentToolCall(status=status):
                return (ToolFinished(call_id=item.id, success=status != "failed"),)
            case _:
                return (ToolFinished(call_id=item.id),)


def require_name(id: str) -> None:
    """Raise `ValueError` for an invalid call id, because ids are kept and appear unchanged in entries."""
    if len(id) > ID_LIMIT or "\0" in id:
        raise ValueError("a call's id is too long or contains NUL")


def called_by(item: AnyItem) -> ToolCalled | None:
    """Return the call of an item, or None."""
    arguments: dict[str, Any]
    match item:
        case CommandExecution(command=command, cwd=cwd):
            tool, arguments = "shell", {"command": clipped(command)}
            if cwd:
                arguments["cwd"] = clipped(cwd, PATH_LIMIT)
        case FileChangeItem(changes=changes):
            tool, arguments = "apply_patch", {"changes": changes_as_arguments(changes)}
        case McpToolCall(server=server, tool=name, arguments=given):
            tool, arguments = f"{server}.{name}", arguments_of(given)
        case DynamicToolCall(tool=name, namespace=namespace, arguments=given):
            tool, arguments = f"{namespace}.{name}" if namespace else name, arguments_of(given)
        case CollabAgentToolCall(tool=name, prompt=prompt):
            tool, arguments = f"agents.{name}", {"prompt": clipped(prompt)} if prompt else {}
        case WebSearch(query=query):
            tool, arguments = "web_search", {"query": clipped(query)} if query else {}
        case ImageView(path=path):
            tool, arguments = "view_image", {"path": clipped(path, PATH_LIMIT)}
        case ImageGeneration():
            tool, arguments = "image_generation", {}
        case _:
            return None
    return ToolCalled(call_id=item.id, tool=clipped(tool, 500), arguments=arguments)


def changes_as_arguments(changes: Sequence[FileUpdateChange]) -> list[dict[str, Any]]:
    """Return changes as arguments of a call: the files and the kinds of change."""
    shown: list[dict[str, Any]] = [
        {"path": clipped(one.path, PATH_LIMIT), "kind": clipped(one.kind.type, 100)}
        | ({"to": clipped(one.kind.move_path, PATH_LIMIT)} if one.kind.move_path else {})
        for one in changes[:CHANGES_LIMIT]
    ]
    more = len(changes) - CHANGES_LIMIT
    return [*shown, {"path": left_out(more)}] if more > 0 else shown


def diff_of(changes: Sequence[FileUpdateChange]) -> str:
    """Return changes as a unified diff, cut if it is too long to read."""
    more = len(changes) - CHANGES_LIMIT
    return clipped("".join(map(_diff, changes[:CHANGES_LIMIT]))) + (f"{left_out(more)}\n" if more > 0 else "")


def arguments_of(given: object) -> dict[str, Any]:
    """Return the arguments of a tool; anything except a table is wrapped in one."""
    if given is None:
        return {}
    clean = clipped_value(given)
    return clean if isinstance(clean, dict) else {"arguments": clean}


def text_of(result: object) -> str:
    """Return the texts in the result of an MCP tool."""
    content = result.get("content") if isinstance(result, dict) else None
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def _changed(change: FileUpdateChange, call_id: str) -> FileChanged:
    kind = FileChange.RENAMED if change.kind.move_path else _KINDS.get(change.kind.type, FileChange.MODIFIED)
    path = change.kind.move_path or change.path
    diff = None if change.diff is None else clipped(_diff(change))
    return FileChanged(path=clipped(path, PATH_LIMIT), change=kind, call_id=call_id, diff=diff)


def _diff(change: FileUpdateChange) -> str:
    old, new, diff = quoted(change.path), quoted(change.kind.move_path or change.path), change.diff or ""
    match change.kind.type:
        case "add":
            return f"--- /dev/null\n+++ {new}\n{_marked(diff, '+')}"
        case "delete":
            return f"--- {old}\n+++ /dev/null\n{_marked(diff, '-')}"
        case _:
            end = "" if diff.endswith("\n") else "\n"
            return f"--- {old}\n+++ {new}\n{diff}{end}"


def _marked(content: str, mark: str) -> str:
    """Return a whole file as a hunk."""
    lines = content.splitlines()
    old, new = ("0,0", f"1,{len(lines)}") if mark == "+" else (f"1,{len(lines)}", "0,0")
    return "".join([f"@@ -{old} +{new} @@\n", *(f"{mark}{line}\n" for line in lines)]) if lines else ""


def _names(changes: Sequence[FileUpdateChange]) -> str:
    return listed([clipped(one.path, 200) for one in changes], 3) or "files"
