"""Rows: the contents of the tables, derived from states and events. Pure.

The row of an aggregate is its state, field by field, so no rule is restated here: see `aura_contracts` for the meaning
of events.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from aura_contracts import execution as ex
from aura_contracts.actors import actor_kind, actor_name
from aura_contracts.agent import AGENT, Agent
from aura_contracts.aggregate import Aggregate, State
from aura_contracts.approval import APPROVAL, Approval, ApprovalExpired
from aura_contracts.board import BOARD, Board
from aura_contracts.events import Event, EventRecord, event_fields
from aura_contracts.execution import EXECUTION
from aura_contracts.failures import Failure
from aura_contracts.lease import WORKER_LEASE
from aura_contracts.project import PROJECT, Project
from aura_contracts.task import TASK, Task
from aura_contracts.template import PROMPT_TEMPLATE, PromptTemplate
from aura_contracts.timers import timer_id, timers_of
from aura_contracts.workflow import WORKFLOW, SubWorkflowStep, Workflow, awaiting_of, progress_of, type_of
from aura_contracts.workflow_definition import WORKFLOW_DEFINITION, StoredDefinition
from aura_contracts.workflow_schedule import WORKFLOW_SCHEDULE, WorkflowSchedule
from aura_contracts.workspace import WORKSPACE, Workspace
from aura_store.pricing._amounts import amounts_of, day_of
from aura_store.read_models import _schema as schema
from aura_store.read_models._milestone_rows import milestone_rows
from aura_store.read_models._table import Table

Row = dict[str, Any]
"""Column -> value."""


# --- Aggregates -------------------------------------------------------------------------------------------------------


def _of_task(task: Task) -> Row:
    metadata = {
        "context": task.context,
        "proposedSolution": task.proposed_solution,
        "approvalNotes": task.approval_notes,
    }
    return {
        "created_by": actor_kind(task.created_by),
        "creator": task.created_by,
        "parent_task_id": task.parent_id,
        "attempts": task.attempts_failed,
        "pooled": task.pooled,
        "metadata": metadata,
    }


def _of_agent(agent: Agent) -> Row:
    return {"task_ids": [task.task_id for task in agent.tasks]}


def _of_approval(approval: Approval) -> Row:
    asked = dict.fromkeys(name for seat in approval.seats for name in approval.holders(seat))
    names = tuple(asked | dict.fromkeys(vote.reviewer for vote in approval.votes))
    decider = approval.reviewed_by
    return {
        "created_at": approval.requested_at,
        "reviewed_by": ", ".join(names) if decider is None else actor_name(decider),
        "automatic": approval.automatic,
        "reviewers": names,
        "awaited": approval.awaited if approval.closed_at is None else (),
    }


def _of_workflow(workflow: Workflow) -> Row:
    definition, progress, parent = workflow.definition, progress_of(workflow), workflow.parent
    steps: list[Row] = msgspec.to_builtins([*workflow.steps.values()])
    return {
        "creator": workflow.created_by,
        "name": definition.name,
        "description": definition.description,
        "project": definition.project,
        "definition": workflow.revision,
        "steps": [{"type": type_of(workflow, step["id"]), **step} for step in steps],
        "steps_total": progress.total,
        "steps_over": progress.over,
        "awaiting": awaiting_of(workflow),
        "parent_workflow_id": None if parent is None else parent.workflow_id,
        "parent_step_id": None if parent is None else parent.step_id,
    }


def _of_definition(stored: StoredDefinition) -> Row:
    definition = stored.definition
    return {
        **_creator(stored),
        "description": definition.description,
        "project": definition.project,
        "steps_total": sum(1 for _ in definition.walk()),
        "uses": sorted(
            {
                step.config.workflow.partition("@")[0]
                for step in definition.walk()
                if isinstance(step.config, SubWorkflowStep)
            }
        ),
    }


def _of_schedule(schedule: WorkflowSchedule) -> Row:
    plan = schedule.plan
    return {
        **_creator(schedule),
        "cron": plan.cron,
        "zone": plan.zone,
        "workflow": plan.workflow,
        "definition": plan.workflow.partition("@")[0],
        "missed": str(plan.missed),
        "overlap": str(plan.overlap),
    }


def _of_workspace(workspace: Workspace) -> Row:
    return {"directory": workspace.directory or None, "folders": list(workspace.places)}


def _creator(state: Board | PromptTemplate | Project | StoredDefinition | WorkflowSchedule) -> Row:
    return {"creator": state.created_by}


def _nothing(_: State) -> Row:
    return {}


class StateTable(msgspec.Struct, frozen=True):
    """A table with a row for each aggregate, and the columns that are not simply fields of the state."""

    table: Table
    aggregate: Aggregate[Any]
    more: Callable[[Any], Row] = _nothing

    def row(self, record: EventRecord, state: State) -> Row:
        """Return the row for `state`, the state after `record`."""
        fields: Row = msgspec.to_builtins(state, builtin_types=(datetime,))
        return {
            **{name: fields[name] for name in self.table.names if name in fields},
            **self.more(state),
            "version": record.version,
            "position": record.position,
            "updated_at": record.time,
        }


STATE_TABLES: Final[Mapping[str, StateTable]] = MappingProxyType(
    {
        each.aggregate.name: each
        for each in (
            StateTable(schema.TASKS, TASK, _of_task),
            StateTable(schema.AGENTS, AGENT, _of_agent),
            StateTable(schema.APPROVALS, APPROVAL, _of_approval),
            StateTable(schema.WORKFLOWS, WORKFLOW, _of_workflow),
            StateTable(schema.WORKFLOW_DEFINITIONS, WORKFLOW_DEFINITION, _of_definition),
            StateTable(schema.WORKFLOW_SCHEDULES, WORKFLOW_SCHEDULE, _of_schedule),
            StateTable(schema.BOARDS, BOARD, _creator),
            StateTable(schema.TEMPLATES, PROMPT_TEMPLATE, _creator),
            StateTable(schema.PROJECTS, PROJECT, _creator),
            StateTable(schema.EXECUTIONS, EXECUTION),
            StateTable(schema.WORKSPACES, WORKSPACE, _of_workspace),
            StateTable(schema.LEASES, WORKER_LEASE),
        )
    }
)
"""By the name of the aggregate."""

AGGREGATE_OF: Final[Mapping[type[Event], Aggregate[Any]]] = MappingProxyType(
    {event: each.aggregate for each in STATE_TABLES.values() for event in each.aggregate.events}
)
"""The aggregate of each event type, for aggregates that have read models."""

TOPICS: Final = tuple(f"{name}.*" for name in STATE_TABLES)
"""The topics of the read models: all events of their aggregates, even those that only a newer program knows.

Any of them may change the state, so one that cannot be read must stop the fold and not be skipped.
"""


# --- Timers -----------------------------------------------------------------------------------------------------------


def timer_rows(stream_id: str, kind: str, before: State | None, after: State) -> tuple[list[Row], list[str]]:
    """Return the timers of a stream that are new or have moved, and the ids of those that are gone."""
    had, has = timers_of(before), timers_of(after)
    if had == has:
        return [], []
    task_id = after.id if isinstance(after, Task) else getattr(after, "task_id", None)
    about = {"stream_id": stream_id, "kind": kind, "task_id": task_id}
    new = [
        {"id": timer_id(stream_id, purpose), "purpose": purpose, **timer._asdict(), **about}
        for purpose, timer in has.items()
        if had.get(purpose) != timer
    ]
    return new, [timer_id(stream_id, purpose) for purpose in had if purpose not in has]


# --- Events -----------------------------------------------------------------------------------------------------------


def event_rows(record: EventRecord, state: State) -> Iterator[tuple[Table, Row]]:
    """Yield the rows that an event itself produces; `state` is the state after it."""
    yield from milestone_rows(record, state)
    if isinstance(state, Approval):
        if isinstance(record.event, ApprovalExpired) and state.task_id is not None:
            yield schema.EXECUTION_LOGS, _expiry_row(record, record.event, state)
    elif isinstance(state, ex.Execution):
        yield from _execution_rows(record, state)


def _execution_rows(record: EventRecord, execution: ex.Execution) -> Iterator[tuple[Table, Row]]:
    event = record.event
    if isinstance(event, ex.UsageRecorded):  # frequent, and only a count: not an entry of the execution log
        yield schema.USAGE, _usage_row(record, event, execution)
        return
    if isinstance(event, ex.ExecutionQueued | ex.SessionRecorded) and execution.session_id is not None:
        row = {"execution_id": execution.id, "session_id": execution.session_id, "position": record.position}
        yield schema.EXECUTION_SESSIONS, {"id": _row_id(record), **row}
    entry = _entry(event)
    agent_type = execution.agent_type or execution.executor
    task_id, stage = execution.task_id, str(execution.status)
    yield schema.EXECUTION_LOGS, _log_row(record, entry, task_id, str(agent_type), execution.id, stage)


class _LogEntry(msgspec.Struct, frozen=True):
    """An event in the execution log, without its time and place."""

    action: str
    success: bool = True
    error: str | None = None
    result: Mapping[str, Any] | None = None


def _expiry_row(record: EventRecord, event: ApprovalExpired, approval: Approval) -> Row:
    """Log a timeout of an approval (specification, "Approval Timeouts", step 4)."""
    result = {"approval_id": approval.id, **event_fields(event)}
    error = None if event.continued else f"no decision before {approval.deadline}"
    entry = _LogEntry(event.topic, event.continued, error, result)
    return _log_row(record, entry, str(approval.task_id), "human", approval.execution_id, None)


def _entry(event: Event) -> _LogEntry:
    fields = event_fields(event)
    if isinstance(event, ex.Action):
        return _LogEntry(event.topic, event.error is None, event.error, fields.get("entry", fields))
    if isinstance(event, ex.StageRetryScheduled | ex.ExecutionFailed):
        return _LogEntry(event.topic, success=False, error=_explain(event.failure), result=fields)
    if isinstance(event, ex.ExecutionCancelled):
        return _LogEntry(event.topic, success=False, error=event.reason or "cancelled", result=fields)
    if isinstance(event, ex.ProcessExited):
        error = _exit_error(event.exit)
        return _LogEntry(event.topic, error is None, error, fields)
    if isinstance(event, ex.ExecutionQueued):
        del (
            fields["spec"]["prompt"],
            fields["spec"]["context"],
        )  # in the event; long, and no description of what happened
    if isinstance(event, ex.ContextRead):
        del fields["context"]["text"]
    return _LogEntry(event.topic, result=fields)


def _explain(failure: Failure) -> str:
    return f"{failure.reason}: {failure.message}" if failure.message else str(failure.reason)


def _exit_error(ended: ex.Exit) -> str | None:
    if ended.signal is not None:
        return f"ended by signal {ended.signal}"
    if ended.exit_code is None:
        return "vanished"
    return f"exit code {ended.exit_code}" if ended.exit_code else None


def _log_row(
    record: EventRecord, entry: _LogEntry, task_id: str, agent_type: str, execution_id: str | None, stage: str | None
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


def _usage_row(record: EventRecord, event: ex.UsageRecorded, execution: ex.Execution) -> Row:
    row = {
        "id": _row_id(record),
        "execution_id": execution.id,
        "task_id": execution.task_id,
        "agent_id": execution.agent_id,
        "executor": execution.executor,
        "session_id": execution.session_id,
        "model": event.model,
        "day": day_of(record.time).isoformat(),
        "used_at": record.time,
        "incomplete": int(not event.complete),
        "position": record.position,
    }
    return row | msgspec.structs.asdict(amounts_of(event.usage))


def _row_id(record: EventRecord) -> str:
    """Return an id for the row of an event, derived from stream and version (UUIDv5): the same after a rebuild."""
    return str(uuid5(UUID(record.stream_id), str(record.version)))
