"""Executors: how AURA starts coding agents and parses their output. Everything an adapter needs is here.

An adapter is an `Executor`. It declares what it can do (`Capability`), reports whether its agent is installed
(`Availability`), builds the command (`launch` turns an `AgentRun` into a `Launch`) and parses the output (`converse`
returns a `Conversation`). It is pure: AURA handles processes, pipes and time. This module has helpers for each part:

**Options and command.** Options are a struct that inherits from `AgentOptions`, or from `ActingOptions` for an agent
that can act without asking. `agent_options` reads and validates them: names and types (`read_options`), secrets and
values that no system accepts (`require_clean`). `prompt_of` returns the whole prompt, `prompt_bytes` its encoding for
standard input, `program_of` the start of the command line; `with_params` adds the user's arguments.

**Conversation.** It turns bytes into `Item`s: entries for the log (`SessionStarted`, `Message`, `ToolCalled`, ...) and
bytes for the agent (`Send`). `JsonLines` is the base for agents that write one JSON value per line: it splits bytes
into lines in bounded memory (`Lines`), and yields `Unknown` for a line if `understand` returns None or raises one of
`NOT_UNDERSTOOD`. `PlainConversation` is for programs that only write an answer. `clipped` bounds texts in entries,
`clipped_value` bounds values, and `Tail` keeps the end of a stream. A `PermissionRequested` carries the call's
`fingerprint_of`, and is answered with an `Answer`.

**Judgement.** `JsonLines.failed` combines what the agent reported with how its process ended (`ProcessExit`).
`failure_of` interprets the exit alone. `failure_from` recognises rate limits and authentication failures by a service's
message, `reason_of_status` by its HTTP status. `lost_session` is the failure of an agent that cannot resume.

**Availability.** `Program` finds the agent, asks for its version and looks for a login.

`ExecutorRegistry` finds executors by the entry points ``aura.executors``; `CustomExecutor` runs any command and
`ScriptedExecutor` a list of steps; `SupervisedRunner` runs the processes. `aura_executors.testing` proves an adapter;
the page ``docs/how-to/write-an-executor.md`` builds a complete one. The modules that define these names are internal
and may change in any release.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from aura_contracts.entries import (
    TEXT_LIMIT,
    AnyEntry,
    Entry,
    ErrorReported,
    FileChange,
    FileChanged,
    Finished,
    Message,
    PermissionRequested,
    PermissionWithdrawn,
    PlanStep,
    PlanUpdated,
    SessionStarted,
    Thinking,
    ToolCalled,
    ToolFinished,
    Unknown,
    Usage,
    UsageReported,
)
from aura_contracts.errors import InvalidInput
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.permission import fingerprint_of
from aura_contracts.ports.executors import (
    AgentRun,
    AgentTools,
    Answer,
    Availability,
    Capability,
    Conversation,
    Executor,
    Launch,
    Send,
    ToolServer,
    failure_of,
)
from aura_contracts.ports.processes import ARGUMENT_LIMIT, ExitCause, InterruptPlan, ProcessExit

if TYPE_CHECKING:
    from aura_executors.adapter.bounded_text import MESSAGE_LIMIT, Tail, clipped, clipped_value
    from aura_executors.adapter.failure_classification import failure_from, reason_of_status
    from aura_executors.adapter.json_lines import (
        LINE_LIMIT,
        NOT_UNDERSTOOD,
        TOO_LONG,
        UNKNOWN_ENTRIES,
        UNKNOWN_LIMIT,
        Item,
        JsonLines,
        Lines,
        lost_session,
    )
    from aura_executors.adapter.option_reader import read_options
    from aura_executors.adapter.options import (
        ActingOptions,
        AgentOptions,
        agent_options,
        program_of,
        prompt_bytes,
        prompt_of,
        require_clean,
        with_params,
    )
    from aura_executors.adapter.program_lookup import Program
    from aura_executors.adapter.single_shot import PlainConversation, without_controls
    from aura_executors.custom import CustomExecutor
    from aura_executors.registry import ExecutorRegistry
    from aura_executors.runner.supervised_runner import SupervisedRunner
    from aura_executors.scripted import ScriptedExecutor

__all__ = [
    "ARGUMENT_LIMIT",
    "LINE_LIMIT",
    "MESSAGE_LIMIT",
    "NOT_UNDERSTOOD",
    "TEXT_LIMIT",
    "TOO_LONG",
    "UNKNOWN_ENTRIES",
    "UNKNOWN_LIMIT",
    "ActingOptions",
    "AgentOptions",
    "AgentRun",
    "AgentTools",
    "Answer",
    "AnyEntry",
    "Availability",
    "Capability",
    "Conversation",
    "CustomExecutor",
    "Entry",
    "ErrorReported",
    "Executor",
    "ExecutorRegistry",
    "ExitCause",
    "Failure",
    "FailureReason",
    "FileChange",
    "FileChanged",
    "Finished",
    "InterruptPlan",
    "InvalidInput",
    "Item",
    "JsonLines",
    "Launch",
    "Lines",
    "Message",
    "OutputSource",
    "PermissionRequested",
    "PermissionWithdrawn",
    "PlainConversation",
    "PlanStep",
    "PlanUpdated",
    "ProcessExit",
    "Program",
    "ScriptedExecutor",
    "Send",
    "SessionStarted",
    "SupervisedRunner",
    "Tail",
    "Thinking",
    "ToolCalled",
    "ToolFinished",
    "ToolServer",
    "Unknown",
    "Usage",
    "UsageReported",
    "agent_options",
    "clipped",
    "clipped_value",
    "failure_from",
    "failure_of",
    "fingerprint_of",
    "lost_session",
    "program_of",
    "prompt_bytes",
    "prompt_of",
    "read_options",
    "reason_of_status",
    "require_clean",
    "with_params",
    "without_controls",
]

_HOMES = {
    "adapter.bounded_text": ("MESSAGE_LIMIT", "Tail", "clipped", "clipped_value"),
    "adapter.failure_classification": ("failure_from", "reason_of_status"),
    "adapter.json_lines": (
        *("LINE_LIMIT", "NOT_UNDERSTOOD", "TOO_LONG", "UNKNOWN_ENTRIES", "UNKNOWN_LIMIT"),
        *("Item", "JsonLines", "Lines", "lost_session"),
    ),
    "adapter.option_reader": ("read_options",),
    "adapter.options": (
        *("ActingOptions", "AgentOptions", "agent_options", "program_of", "prompt_bytes", "prompt_of"),
        *("require_clean", "with_params"),
    ),
    "adapter.program_lookup": ("Program",),
    "adapter.single_shot": ("PlainConversation", "without_controls"),
    "custom": ("CustomExecutor",),
    "registry": ("ExecutorRegistry",),
    "runner.supervised_runner": ("SupervisedRunner",),
    "scripted": ("ScriptedExecutor",),
}
"""Names by module, imported on first use, so that the registry does not pay for the runner's event loop, nor the runner
for plugins."""


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
