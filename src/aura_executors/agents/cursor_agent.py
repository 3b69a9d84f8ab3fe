"""Executor `cursor-agent`: Cursor's command line agent.

    cursor-agent --print --output-format=stream-json ...

Not run here: it needs an account. From its documentation (cursor.com/docs/cli, "Parameters" and "Output format") and
from streams that others published of the versions of 2026; read tolerantly. The prompt goes by standard input.

======================  ================================================================================================
success                 a ``result`` without is_error
failure                 no ``result``, exit code 1, and words on standard error that say why
no final word           the stream ends without ``result``: a failure, whatever the exit code is
rate limit              the words on standard error: "usage limit"
authentication          the words on standard error: "Authentication required"
refused                 not distinguished from other answers
session lost            no ``system`` line, and words on standard error that there is no such chat
interrupted             not visible: the stream just ends
lack of permission      a tool's result is ``rejected`` or ``permissionDenied``; it continues and reports success.
                        Without `yolo`, commands (and in some versions, edits) are rejected, because in a run it cannot
                        ask
======================  ================================================================================================

Quirks, as others saw them:

- Thoughts come as deltas, messages whole.
- Ids of calls may hold newlines.
- It writes nothing during a long command.
- A folder that it does not know has to be trusted first: option `trust`.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec

from aura_contracts.entries import (
    TEXT_LIMIT,
    Entry,
    ErrorReported,
    FileChange,
    FileChanged,
    Message,
    PlanUpdated,
    Thinking,
    ToolCalled,
    ToolFinished,
    Usage,
)
from aura_contracts.first_use import json_decoder
from aura_contracts.ports.executors import AgentRun, Capability
from aura_contracts.ports.processes import ProcessExit
from aura_executors.adapter.agent_executor import AgentExecutor, flags
from aura_executors.adapter.bounded_text import clipped, clipped_value
from aura_executors.adapter.failure_classification import failure_from
from aura_executors.adapter.json_lines import Item, SingleTurn
from aura_executors.adapter.options import ActingOptions
from aura_executors.adapter.plan import plan_of
from aura_executors.adapter.program_lookup import Program

__all__ = ["CursorAgentExecutor", "CursorAgentOptions"]

PROGRAM = Program(
    name="cursor-agent",
    tested=(),
    install="see cursor.com/docs/cli/installation",
    variables=("CURSOR_API_KEY",),
    files=("~/.config/cursor/auth.json",),
    log_in="run `cursor-agent login`, or set CURSOR_API_KEY",
)

_NO_CHAT = re.compile(r"(?:chat|session|conversation)\b.{0,200}(?:not found|not exist|invalid)|no such", re.IGNORECASE)
_CHANGES = {"write": FileChange.MODIFIED, "edit": FileChange.MODIFIED, "delete": FileChange.DELETED}

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


# --- The command ------------------------------------------------------------------------------------------------------


class CursorAgentOptions(ActingOptions, frozen=True, kw_only=True):
    """Options of `cursor-agent`."""

    yolo: bool = False
    """Everything that is not denied in its settings, without asking."""
    force: bool = False
    """The same as `yolo`, by Cursor's own name."""
    trust: bool = True
    """Trust the folder; current versions refuse to work in an untrusted one, early ones do not know the option."""
    mode: Literal["plan", "ask"] | None = None
    """Write a plan, or answer, and change nothing."""
    sandbox: Literal["enabled", "disabled"] | None = None
    """Whether commands run in Cursor's own sandbox."""
    approve_mcps: bool = False
    """Use the configured tool servers without asking."""


class CursorAgentExecutor(AgentExecutor[CursorAgentOptions]):
    """Runs cursor-agent."""

    name = "cursor-agent"
    summary = "Cursor's command line agent (-p --output-format stream-json)"
    capability = Capability(resume=True, plan=True, protocol=True)

    program = PROGRAM
    reads = ("AGENTS.md", "CLAUDE.md")
    options = CursorAgentOptions

    def arguments(self, run: AgentRun, options: CursorAgentOptions) -> Iterator[str]:
        free = options.free or options.force
        return flags(
            {
                "--print": True,
                "--output-format": "stream-json",
                "--force": free,
                "--trust": options.trust and not free,
                "--model": options.model,
                "--mode": options.mode,
                "--sandbox": options.sandbox,
                "--approve-mcps": options.approve_mcps,
                "--resume": run.session_id,
            }
        )

    def converse(self, run: AgentRun) -> "CursorConversation":
        return CursorConversation(run.session_id or "")


# --- Its lines, as far as they are of interest ------------------------------------------------------------------------


class _System(msgspec.Struct, tag_field="type", tag="system", gc=False):
    session_id: str = ""
    model: str | None = None


class _User(msgspec.Struct, tag_field="type", tag="user", gc=False):
    pass


class _Block(msgspec.Struct, gc=False):
    type: str = ""
    text: str = ""


class _Content(msgspec.Struct, gc=False):
    content: list[_Block] | str = ""


class _Assistant(msgspec.Struct, tag_field="type", tag="assistant", gc=False):
    message: _Content


class _Thought(msgspec.Struct, tag_field="type", tag="thinking", gc=False):
    subtype: str = ""
    text: str = ""


class _Call(msgspec.Struct, tag_field="type", tag="tool_call", gc=False):
    subtype: str
    tool_call: dict[str, msgspec.Raw]
    call_id: str = ""


class _Query(msgspec.Struct, tag_field="type", tag="interaction_query", gc=False):
    subtype: str = ""
    query: dict[str, Any] = {}


class _Connection(msgspec.Struct, tag_field="type", tag="connection", gc=False):
    subtype: str = ""


class _Retry(msgspec.Struct, tag_field="type", tag="retry", gc=False):
    subtype: str = ""


class _Tokens(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    input_tokens: _Count = 0
    output_tokens: _Count = 0
    cache_read_tokens: _Count = 0
    cache_write_tokens: _Count = 0


class _Result(msgspec.Struct, tag_field="type", tag="result", gc=False):
    subtype: str = ""
    is_error: bool = False
    result: str | None = None
    usage: _Tokens | None = None


class _Tool(msgspec.Struct, gc=False):
    """What is under the name of the tool. `result` has one field, which says how it ended."""

    args: dict[str, Any] = {}
    result: dict[str, Any] = {}


class _Function(msgspec.Struct, gc=False):
    """What is under ``function``: a tool that the command line has no name for. `arguments` is JSON."""

    name: str = "function"
    arguments: str = "{}"
    result: dict[str, Any] = {}


_LINE = json_decoder(_System | _User | _Assistant | _Thought | _Call | _Query | _Connection | _Retry | _Result)
_TOOL = json_decoder(_Tool)
_FUNCTION = json_decoder(_Function)
_ARGUMENTS = json_decoder(dict[str, Any])


class CursorConversation(SingleTurn):
    """Understands one run of cursor-agent. `session_id` is the chat to resume."""

    unknown_session = _NO_CHAT

    def __init__(self, session_id: str = "") -> None:
        super().__init__(session_id)
        self._thoughts: list[str] = []
        self._thought = 0

    def understand(self, line: bytes) -> list[Item]:
        event = _LINE.decode(line)
        if isinstance(event, _Thought):
            return self._think(event)
        entries = [*(self._called(event) if isinstance(event, _Call) else self._understood_line(event))]
        return [*self._flush_thoughts(), *entries]

    def end(self, exit: ProcessExit) -> list[Entry]:
        return [*super().end(exit), *(item for item in self._flush_thoughts() if isinstance(item, Entry))]

    def _understood_line(
        self, line: _System | _User | _Assistant | _Query | _Connection | _Retry | _Result
    ) -> Iterator[Item]:
        match line:
            case _System():
                yield from self.take_session(line.session_id, line.model)
            case _Assistant():
                content = line.message.content
                text = content if isinstance(content, str) else "".join(one.text for one in content)
                if text:
                    yield Message(text=clipped(text))
            case _Query() if line.subtype == "request" and (plan := _plan(line.query)):
                yield Message(text=clipped(plan))
            case _Connection() if line.subtype == "reconnecting":
                yield ErrorReported(message="the connection was lost", retrying=True)
            case _Retry() if line.subtype == "starting":
                yield ErrorReported(message="a request failed", retrying=True)
            case _Result():
                yield from self._result(line)
            case _:
                pass

    def _think(self, thought: _Thought) -> list[Item]:
        if thought.text and self._thought <= TEXT_LIMIT:  # what is beyond would be cut anyway
            self._thoughts.append(thought.text)
            self._thought += len(thought.text)
        return self._flush_thoughts() if thought.subtype == "completed" else []

    def _flush_thoughts(self) -> list[Item]:
        if not self._thoughts:
            return []
        thinking = Thinking(text=clipped("".join(self._thoughts)))
        self._thoughts.clear()
        self._thought = 0
        return [thinking]

    def _called(self, call: _Call) -> Iterator[Entry]:
        name, tool = _tool(call.tool_call)
        call_id = clipped(call.call_id, 1_000)
        if call.subtype == "started":
            yield ToolCalled(call_id=call_id, tool=name, arguments=clipped_value(tool.args))
            if name == "updateTodos" and (steps := plan_of(tool.args.get("todos"))):
                yield PlanUpdated(steps=steps)
            return
        how, what = next(iter(tool.result.items()), ("success", {}))
        details: dict[str, object] = what if isinstance(what, dict) else {}
        code = details.get("exitCode")
        exit_code = code if isinstance(code, int) and abs(code) < 2**31 else None
        success = how == "success" and exit_code in (0, None)
        if how in {"rejected", "permissionDenied"}:
            self.blocked = clipped(f"{name} was {'rejected' if how == 'rejected' else 'denied'}: {_words(what)}", 500)
        yield ToolFinished(call_id=call_id, success=success, output=clipped(_words(what)), exit_code=exit_code)
        path = details.get("path") or tool.args.get("path")
        if success and name in _CHANGES and isinstance(path, str):
            diff = details.get("diffString")
            change = FileChange.ADDED if details.get("fileCreated") is True else _CHANGES[name]
            shown = clipped(diff) if isinstance(diff, str) else None
            yield FileChanged(path=clipped(path, 4_096), change=change, call_id=call_id, diff=shown)

    def _result(self, result: _Result) -> Iterator[Item]:
        tokens = result.usage or _Tokens()
        usage = Usage(
            input_tokens=tokens.input_tokens,
            output_tokens=tokens.output_tokens,
            cache_read_tokens=tokens.cache_read_tokens,
            cache_write_tokens=tokens.cache_write_tokens,
        )
        failed = result.is_error or result.subtype not in {"", "success"}
        return self.take_result(usage, failure_from(result.result or result.subtype or "it failed") if failed else None)


def _tool(call: dict[str, msgspec.Raw]) -> tuple[str, _Tool]:
    """Return the tool's name and its fields: under ``NAMEToolCall`` or ``function``, among others."""
    for field, raw in call.items():
        if field.endswith("ToolCall"):
            tool = _TOOL.decode(raw)
            inner = tool.args.get("toolName") if field == "mcpToolCall" else None
            return clipped(inner if isinstance(inner, str) else field.removesuffix("ToolCall"), 1_000), tool
    function = _FUNCTION.decode(call["function"])
    return clipped(function.name, 1_000), _Tool(_ARGUMENTS.decode(function.arguments or "{}"), function.result)


def _words(what: object) -> str:
    """Return what a tool's result says: what a command wrote, what is wrong, or all of it as JSON."""
    if isinstance(what, str):
        return what
    if isinstance(what, dict):
        if isinstance(what.get("stdout"), str):
            return "\n".join(part for part in (what["stdout"], what.get("stderr")) if part and isinstance(part, str))
        for field in ("message", "errorMessage", "error", "reason", "content"):
            if isinstance(what.get(field), str) and what[field]:
                return str(what[field])
    return msgspec.json.encode(what).decode()


def _plan(query: dict[str, object]) -> str:
    """Return the plan that it would ask a human to agree with."""
    asked = query.get("createPlanRequestQuery")
    args = asked.get("args") if isinstance(asked, dict) else None
    plan = args.get("plan") if isinstance(args, dict) else None
    return plan if isinstance(plan, str) else ""
