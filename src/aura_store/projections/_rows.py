"""Rows: what the tables hold, made of states and events. Pure.

A row of an aggregate is its state, field by field, so nothing here restates a rule: see `aura_contracts` for what an
event means.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

import attrs
import msgspec

from aura_contracts import execution as ex
from aura_contracts.actors import actor_kind, actor_name
from aura_contracts.agent import Agent
from aura_contracts.aggregate import State
from aura_contracts.approval import Approval, ApprovalExpired
from aura_contracts.events import Event, EventRecord, event_fields
from aura_contracts.failures import Failure
from aura_contracts.task import Task
from aura_contracts.workflow import OVER, Workflow
from aura_store.projections.tables import AGENTS, APPROVALS, TASKS, WORKFLOWS
from aura_store.usage import amounts_of, day_of

Row = dict[str, Any]


@attrs.frozen
class Step:
    """An event and the state of its aggregate after it."""

    record: EventRecord
    state: Any


def plain_row(found: Mapping[Any, Any]) -> Row:
    """Return a row as SQLAlchemy found it, by plain names: its own are a subclass of text."""
    return {str(name): value for name, value in found.items()}


def task_row(step: Step) -> Row:
    """Return the row of a task; `metadata` has the words of the second seed, "Data Models"."""
    task: Task = step.state
    metadata = {
        "context": task.context,
        "proposedSolution": task.proposed_solution,
        "approvalNotes": task.approval_notes,
    }
    return _state_row(step, TASKS.c.keys()) | {
        "created_by": actor_kind(task.created_by),
        "creator": task.created_by,
        "parent_task_id": task.parent_id,
        "attempts": task.attempts_failed,
        "metadata": metadata,
    }


def agent_row(step: Step) -> Row:
    """Return the row of an agent."""
    agent: Agent = step.state
    return _state_row(step, AGENTS.c.keys()) | {"registered_by": agent.registered_by}


def approval_row(step: Step) -> Row:
    """Return the row of an approval."""
    approval: Approval = step.state
    asked = dict.fromkeys(name for seat in approval.seats for name in approval.holders(seat))
    names = tuple(asked | dict.fromkeys(vote.reviewer for vote in approval.votes))
    decider = approval.reviewed_by
    return _state_row(step, APPROVALS.c.keys()) | {
        "created_at": approval.requested_at,
        "reviewed_by": ", ".join(names) if decider is None else actor_name(decider),
        "automatic": approval.automatic,
        "reviewers": names,
        "awaited": approval.awaited if approval.closed_at is None else (),
    }


def workflow_row(step: Step) -> Row:
    """Return the row of a workflow."""
    workflow: Workflow = step.state
    return _state_row(step, WORKFLOWS.c.keys()) | {
        "creator": workflow.created_by,
        "steps_total": len(workflow.steps),
        "steps_over": sum(each.status in OVER for each in workflow.steps),
    }


def _state_row(step: Step, columns: Iterable[str]) -> Row:
    """Return the fields of the state that have a column of their name, and where the last event stands."""
    state: State = step.state
    fields: Row = msgspec.to_builtins(state, builtin_types=(datetime,))
    record = step.record
    place = {"id": record.stream_id, "version": record.version, "position": record.position, "updated_at": record.time}
    return {name: fields[name] for name in columns if name in fields} | place


# --- Execution logs ---------------------------------------------------------------------------------------------------


@attrs.frozen
class _Entry:
    """What an event says in the execution log, beside when and where."""

    action: str
    success: bool = True
    error: str | None = None
    result: Mapping[str, Any] | None = None


QUIET: Final = (ex.UsageRecorded,)
"""Events of executions that are no entry: they come often and only count."""


def execution_log_rows(step: Step) -> list[Row]:
    """Return the entry that an event makes in the execution log, if it makes one."""
    record, state = step.record, step.state
    if isinstance(state, Approval):
        return _expiry_rows(record, state)
    if isinstance(record.event, QUIET):
        return []
    entry = _entry(record.event)
    agent_type = state.agent_type or state.executor
    return [_log_row(record, entry, state.task_id, str(agent_type), state.id, str(state.status))]


def _expiry_rows(record: EventRecord, approval: Approval) -> list[Row]:
    """Log a timeout of an approval (second seed, "Approval Timeouts", step 4)."""
    if not isinstance(record.event, ApprovalExpired) or approval.task_id is None:
        return []
    result = {"approval_id": approval.id, **event_fields(record.event)}
    error = f"nobody decided before {approval.deadline}"
    entry = _Entry(record.event.topic, record.event.continued, None if record.event.continued else error, result)
    return [_log_row(record, entry, approval.task_id, "human", approval.execution_id, None)]


def _entry(event: Event) -> _Entry:
    fields = event_fields(event)
    if isinstance(event, ex.Action):
        return _Entry(event.topic, event.error is None, event.error, fields.get("entry", fields))
    if isinstance(event, ex.StageRetryScheduled | ex.ExecutionFailed):
        return _Entry(event.topic, success=False, error=_explain(event.failure), result=fields)
    if isinstance(event, ex.ExecutionCancelled):
        return _Entry(event.topic, success=False, error=event.reason or "cancelled", result=fields)
    if isinstance(event, ex.ProcessExited):
        error = _exit_error(event.exit)
        return _Entry(event.topic, error is None, error, fields)
    if isinstance(event, ex.ExecutionQueued):
        del fields["spec"]["prompt"]  # is in the event, may be long, and says nothing about what happened
    return _Entry(event.topic, result=fields)


def _explain(failure: Failure) -> str:
    return f"{failure.reason}: {failure.message}" if failure.message else str(failure.reason)


def _exit_error(ended: ex.Exit) -> str | None:
    if ended.signal is not None:
        return f"ended by signal {ended.signal}"
    if ended.exit_code is None:
        return "vanished"
    return f"exit code {ended.exit_code}" if ended.exit_code else None


def _log_row(
    record: EventRecord, entry: _Entry, task_id: str, agent_type: str, execution_id: str | None, stage: str | None
) -> Row:
    return {
        "id": _row_id(record),
        "task_id": task_id,
        "agent_type": agent_type,
        "action": entry.action,
        "result": entry.result,
        "success": entry.success,
        "error": entry.error,
        "executed_at": record.time,
        "execution_id": execution_id,
        "stage": stage,
        "actor": record.actor,
        "position": record.position,
    }


def _row_id(record: EventRecord) -> str:
    """Return the id of what an event makes, derived from its stream and version (UUIDv5): the same after a rebuild."""
    return str(uuid5(UUID(record.stream_id), str(record.version)))


# --- Usage ------------------------------------------------------------------------------------------------------------


def usage_rows(step: Step) -> list[Row]:
    """Return the row of a report of tokens, if the event is one."""
    record, execution = step.record, step.state
    if not isinstance(record.event, ex.UsageRecorded):
        return []
    row = {
        "id": _row_id(record),
        "execution_id": execution.id,
        "task_id": execution.task_id,
        "agent_id": execution.agent_id,
        "executor": execution.executor,
        "session_id": execution.session_id,
        "model": record.event.model,
        "day": day_of(record.time).isoformat(),
        "used_at": record.time,
        "position": record.position,
    }
    return [row | attrs.asdict(amounts_of(record.event.usage))]
