"""Entries: what becomes of what an agent was understood to say: events of its execution, and questions to humans."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from aura_contracts.environment import redact
from aura_contracts.errors import InvalidInput, RuleViolated
from aura_contracts.execution import EXECUTION, Execution, LogAction, RecordSession, RecordUsage
from aura_contracts.ids import ExecutionId
from aura_contracts.ports.executors import (
    AnyEntry,
    ErrorReported,
    FileChanged,
    Finished,
    Message,
    PermissionRequested,
    PermissionWithdrawn,
    PlanUpdated,
    SessionStarted,
    Thinking,
    ToolCalled,
    ToolFinished,
    Unknown,
    UsageReported,
)
from aura_contracts.task import Task
from aura_engine.commands import Unit
from aura_engine.runtime.questions import ask, withdraw

_NONSENSE = frozenset({"usage", "session", "action", "tool_call"})
"""Rules that an entry breaks by what it says, not by when it is said."""

Reviewers = Callable[[Task], tuple[str, ...]]
"""Returns who may answer an agent's question about a task."""


async def record_entries(
    unit: Unit, execution_id: ExecutionId, token: str, entries: Sequence[AnyEntry], reviewers: Reviewers
) -> None:
    """Add to `unit` what follows from entries of the process `token`, in order.

    One that makes no sense is left out, and said to be; the others are not to suffer for it. Of an execution that has
    ended meanwhile nothing is recorded: the output has it.
    """
    for entry in entries:
        execution: Execution = await unit.look(EXECUTION, execution_id)
        if execution.status in EXECUTION.terminal:
            return
        try:
            await _record(unit, execution, token, entry, reviewers)
        except (InvalidInput, RuleViolated) as error:
            if isinstance(error, RuleViolated) and error.rule not in _NONSENSE:
                raise
            said = ErrorReported(message=f"{type(entry).__name__} is left out: {error.reason}")
            await _record(unit, execution, token, said, reviewers)


async def _record(unit: Unit, execution: Execution, token: str, entry: AnyEntry, reviewers: Reviewers) -> None:
    match entry:
        case SessionStarted():
            await unit.handle(execution.id, RecordSession(epoch=execution.epoch, session_id=entry.session_id))
        case UsageReported():
            command = RecordUsage(epoch=execution.epoch, usage=entry.usage, model=entry.model)
            await unit.handle(execution.id, command)
        case PermissionRequested():
            await ask(unit, execution, token, entry, reviewers)
        case PermissionWithdrawn():
            await withdraw(unit, execution, token, entry.request_id, "the agent does not ask for it any more")
        case _:
            await _log(unit, execution, entry)


async def _log(unit: Unit, execution: Execution, entry: AnyEntry) -> None:
    """Keep an entry in the execution log: its fields under the name of its type."""
    error = entry.message if isinstance(entry, ErrorReported) else None
    if isinstance(entry, Finished) and entry.failure is not None:
        error = entry.failure.message or str(entry.failure.reason)
    if isinstance(entry, ToolFinished) and not entry.success:
        error = entry.output or "it failed"
    about: dict[str, Any] = redact(msgspec.to_builtins(entry))
    action = about.pop("type")
    about.pop("message", None)
    command = LogAction(epoch=execution.epoch, action=action, success=error is None, result=about, error=error)
    await unit.handle(execution.id, command)


LOGGED = (ErrorReported, FileChanged, Finished, Message, PlanUpdated, Thinking, ToolCalled, ToolFinished, Unknown)
"""The entries that are kept as they are, as ``execution.action_logged``."""
