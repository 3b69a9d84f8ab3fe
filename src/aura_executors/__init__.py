"""Executors: how AURA starts coding agents and parses their output. Everything an adapter needs is here.

An adapter is an `Executor`. It declares what it can do (`Capability`), reports whether its agent is installed
(`Availability`), builds the command (`launch` turns an `AgentRun` into a `Launch`) and parses the output (`converse`
returns a `Conversation`). It is pure: AURA handles processes, pipes and time. This module has helpers for each part:

**Options and command.** Options are a struct that inherits from `AgentOptions`, or from `ActingOptions` for an agent
that can act without asking. `agent_options` reads and validates them: names and types (`read_options`), secrets and
values that no system accepts (`require_clean`). `prompt_of` returns the whole prompt, `prompt_bytes` its encoding for
standard input, `program_of` the start of the command line, and `flags` arguments from values. `AgentExecutor` combines
all of these: a subclass names its `Program` and its arguments.

**Conversation.** It turns bytes into `Item`s: entries for the log (`SessionStarted`, `Message`, `ToolCalled`, ...) and
bytes for the agent (`Send`). `JsonLines` is the base for agents that write one JSON value per line: it splits bytes
into lines in bounded memory (`Lines`), and yields `Unknown` for a line if `understand` returns None or raises one of
`NOT_UNDERSTOOD`. `PlainConversation` is for programs that only write an answer. `clipped` bounds texts in entries,
`clipped_value` bounds values, and `Tail` keeps the end of a stream. A `PermissionRequested` carries the call's
`fingerprint_of`, and is answered with an `Answer`; `OpenQuestions` matches them. `ReportedTurn` is the base for agents
that report how their turn ended, `SingleTurn` for those of them that name their session first.

**Judgement.** `JsonLines.failed` combines what the agent reported with how its process ended (`ProcessExit`).
`failure_of` interprets the exit alone. `failure_from` recognises rate limits and authentication failures by a service's
message, `reason_of_status` by its HTTP status. `lost_session` is the failure of an agent that cannot resume.

**Availability.** `Program` finds the agent, asks for its version and looks for a login.

`ExecutorRegistry` finds executors by the entry points ``aura.executors``; `CustomExecutor` runs any command and
`ScriptedExecutor` a list of steps; `SupervisedRunner` runs the processes. `aura_executors.testing` proves an adapter;
the page ``docs/how-to/write-an-executor.md`` builds a complete one. The modules that define these names are internal
and may change in any release.
"""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_contracts.entries import TEXT_LIMIT as TEXT_LIMIT
    from aura_contracts.entries import AnyEntry as AnyEntry
    from aura_contracts.entries import Entry as Entry
    from aura_contracts.entries import ErrorReported as ErrorReported
    from aura_contracts.entries import FileChange as FileChange
    from aura_contracts.entries import FileChanged as FileChanged
    from aura_contracts.entries import Finished as Finished
    from aura_contracts.entries import Message as Message
    from aura_contracts.entries import PermissionRequested as PermissionRequested
    from aura_contracts.entries import PermissionWithdrawn as PermissionWithdrawn
    from aura_contracts.entries import PlanStep as PlanStep
    from aura_contracts.entries import PlanUpdated as PlanUpdated
    from aura_contracts.entries import SessionStarted as SessionStarted
    from aura_contracts.entries import Thinking as Thinking
    from aura_contracts.entries import ToolCalled as ToolCalled
    from aura_contracts.entries import ToolFinished as ToolFinished
    from aura_contracts.entries import Unknown as Unknown
    from aura_contracts.entries import Usage as Usage
    from aura_contracts.entries import UsageReported as UsageReported
    from aura_contracts.errors import InvalidInput as InvalidInput
    from aura_contracts.failures import Failure as Failure
    from aura_contracts.failures import FailureReason as FailureReason
    from aura_contracts.output import OutputSource as OutputSource
    from aura_contracts.permission import fingerprint_of as fingerprint_of
    from aura_contracts.ports.executors import AgentRun as AgentRun
    from aura_contracts.ports.executors import AgentTools as AgentTools
    from aura_contracts.ports.executors import Answer as Answer
    from aura_contracts.ports.executors import Availability as Availability
    from aura_contracts.ports.executors import Capability as Capability
    from aura_contracts.ports.executors import Conversation as Conversation
    from aura_contracts.ports.executors import Executor as Executor
    from aura_contracts.ports.executors import ExecutorInfo as ExecutorInfo
    from aura_contracts.ports.executors import Launch as Launch
    from aura_contracts.ports.executors import Send as Send
    from aura_contracts.ports.executors import ToolServer as ToolServer
    from aura_contracts.ports.executors import failure_of as failure_of
    from aura_contracts.ports.processes import ARGUMENT_LIMIT as ARGUMENT_LIMIT
    from aura_contracts.ports.processes import ExitCause as ExitCause
    from aura_contracts.ports.processes import InterruptPlan as InterruptPlan
    from aura_contracts.ports.processes import ProcessExit as ProcessExit
    from aura_executors.adapter.agent_executor import AgentExecutor as AgentExecutor
    from aura_executors.adapter.agent_executor import flags as flags
    from aura_executors.adapter.bounded_text import MESSAGE_LIMIT as MESSAGE_LIMIT
    from aura_executors.adapter.bounded_text import Tail as Tail
    from aura_executors.adapter.bounded_text import clipped as clipped
    from aura_executors.adapter.bounded_text import clipped_value as clipped_value
    from aura_executors.adapter.failure_classification import failure_from as failure_from
    from aura_executors.adapter.failure_classification import reason_of_status as reason_of_status
    from aura_executors.adapter.json_lines import LINE_LIMIT as LINE_LIMIT
    from aura_executors.adapter.json_lines import NOT_UNDERSTOOD as NOT_UNDERSTOOD
    from aura_executors.adapter.json_lines import TOO_LONG as TOO_LONG
    from aura_executors.adapter.json_lines import UNKNOWN_ENTRIES as UNKNOWN_ENTRIES
    from aura_executors.adapter.json_lines import UNKNOWN_LIMIT as UNKNOWN_LIMIT
    from aura_executors.adapter.json_lines import Item as Item
    from aura_executors.adapter.json_lines import JsonLines as JsonLines
    from aura_executors.adapter.json_lines import Lines as Lines
    from aura_executors.adapter.json_lines import ReportedTurn as ReportedTurn
    from aura_executors.adapter.json_lines import SingleTurn as SingleTurn
    from aura_executors.adapter.json_lines import lost_session as lost_session
    from aura_executors.adapter.option_reader import read_options as read_options
    from aura_executors.adapter.options import ActingOptions as ActingOptions
    from aura_executors.adapter.options import AgentOptions as AgentOptions
    from aura_executors.adapter.options import agent_options as agent_options
    from aura_executors.adapter.options import program_of as program_of
    from aura_executors.adapter.options import prompt_bytes as prompt_bytes
    from aura_executors.adapter.options import prompt_of as prompt_of
    from aura_executors.adapter.options import require_clean as require_clean
    from aura_executors.adapter.program_lookup import Program as Program
    from aura_executors.adapter.questions import OpenQuestions as OpenQuestions
    from aura_executors.adapter.single_shot import PlainConversation as PlainConversation
    from aura_executors.adapter.single_shot import without_controls as without_controls
    from aura_executors.custom import CustomExecutor as CustomExecutor
    from aura_executors.registry import ExecutorRegistry as ExecutorRegistry
    from aura_executors.runner.supervised_runner import SupervisedRunner as SupervisedRunner
    from aura_executors.scripted import ScriptedExecutor as ScriptedExecutor

export_lazily(__name__)
