"""Entries: turns parsed agent output into events of its execution and questions to humans."""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from aura_contracts.entries import (
    AnyEntry,
    ErrorReported,
    PermissionRequested,
    PermissionWithdrawn,
    SessionStarted,
    ToolCalled,
    UsageReported,
)
from aura_contracts.errors import DomainRule, InvalidInput, RuleViolated
from aura_contracts.execution import ENTRY_EVENTS, EXECUTION, Execution, RecordAction, RecordSession, RecordUsage
from aura_contracts.first_use import convert
from aura_contracts.ids import ExecutionId
from aura_contracts.secrets import redact
from aura_engine.permissions.questions import Reviewers, ask, withdraw
from aura_engine.unit_of_work import UnitOfWork

T = TypeVar("T", bound=msgspec.Struct)

_CONTENT_RULES = frozenset({DomainRule.USAGE, DomainRule.SESSION, DomainRule.TOOL_CALL})
"""Rules about the content of an entry, not about its time."""

ENTRY_LIMIT = 1_048_576
"""Maximum bytes of an entry as JSON: well above the texts of adapters, well below the limit of the log."""

_DEPTH = 64
"""Maximum nesting of an entry."""


async def record_entries(
    unit: UnitOfWork,
    execution_id: ExecutionId,
    epoch: int,
    token: str,
    entries: Sequence[AnyEntry],
    reviewers: Reviewers,
) -> None:
    """Add to `unit` the events of entries of the process `token`, reported under `epoch`, in order.

    An invalid entry is replaced by an error, and does not affect the others; an invalid question is answered with no.
    Once the execution has ended, only usage is recorded: its output still has the text.
    """
    for entry in entries:
        execution = await unit.require(EXECUTION, execution_id)
        if execution.final and not isinstance(entry, UsageReported):
            continue
        execution = replace(execution, epoch=epoch)
        try:
            await _record(unit, execution, token, _storable(entry), reviewers)
        except (InvalidInput, RuleViolated) as error:
            if isinstance(error, RuleViolated) and error.rule not in _CONTENT_RULES:
                raise
            reason = f"{type(entry).__name__} is left out: {error.reason}"
            if isinstance(entry, PermissionRequested):
                question = replace(entry, tool=_cleaned(entry.tool)[:1_000], arguments={}, diff=None)
                await ask(unit, execution, token, question, reviewers, refused=reason)
            await _record(unit, execution, token, ErrorReported(message=reason), reviewers)


def _storable(entry: AnyEntry) -> AnyEntry:
    """Return an entry as the log can store it. Raises `InvalidInput` for one that cannot be stored."""
    try:
        encoded = msgspec.json.encode(entry)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise InvalidInput(field="entry", reason=f"it cannot be stored: {error}") from error
    if len(encoded) > ENTRY_LIMIT:
        raise InvalidInput(field="entry", reason=f"it has {len(encoded)} bytes, more than {ENTRY_LIMIT}")
    if b"\\u0000" in encoded or isinstance(entry, ToolCalled | PermissionRequested):
        cleaned: AnyEntry = convert(_cleaned(msgspec.to_builtins(entry)), AnyEntry)
        return cleaned
    return entry


def _cleaned(value: Any, depth: int = _DEPTH) -> Any:
    """Return a JSON value without NUL, which no database can store, and without parts that are nested too deeply."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd") if "\0" in value else value
    if isinstance(value, dict | list) and not depth:
        return "[left out: it is nested too deeply]"
    if isinstance(value, dict):
        return {_cleaned(name): _cleaned(one, depth - 1) for name, one in value.items()}
    return [_cleaned(one, depth - 1) for one in value] if isinstance(value, list) else value


async def _record(unit: UnitOfWork, execution: Execution, token: str, entry: AnyEntry, reviewers: Reviewers) -> None:
    match entry:
        case SessionStarted():
            await unit.handle(execution.id, RecordSession(epoch=execution.epoch, session_id=entry.session_id))
        case UsageReported():
            await unit.handle(execution.id, _usage(execution, entry))
        case PermissionRequested():
            await ask(unit, execution, token, entry, reviewers)
        case PermissionWithdrawn():
            await withdraw(unit, execution, token, entry.request_id, "the agent does not ask for it any more")
        case _:
            event = ENTRY_EVENTS[type(entry)](entry=_redacted(entry))
            await unit.handle(execution.id, RecordAction(epoch=execution.epoch, action=event))


def _usage(execution: Execution, entry: UsageReported) -> RecordUsage:
    return RecordUsage(
        epoch=execution.epoch, usage=entry.usage, model=entry.model, total=entry.total, complete=entry.complete
    )


def _redacted(entry: T) -> T:
    """Return an entry without any secrets in it."""
    return convert(redact(msgspec.to_builtins(entry)), type(entry))
