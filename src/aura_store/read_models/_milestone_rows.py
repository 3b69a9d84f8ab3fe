"""Milestone rows: what an event means for agents' records and for metrics. Pure."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID, uuid5

from aura_contracts import agent as ag
from aura_contracts import approval as ap
from aura_contracts import execution as ex
from aura_contracts import task as ta
from aura_contracts.aggregate import State
from aura_contracts.events import Event, EventRecord
from aura_contracts.ports.milestones import Milestone
from aura_store.pricing._amounts import day_of
from aura_store.read_models._milestone_tables import AGENT_SPELLS, MILESTONES
from aura_store.read_models._table import Table

Row = dict[str, Any]

_REACHED: Final[Mapping[type[Event], Milestone]] = MappingProxyType(
    {
        ta.TaskCreated: Milestone.CREATED,
        ta.TaskCompleted: Milestone.COMPLETED,
        ta.TaskFailed: Milestone.FAILED,
        ta.TaskCancelled: Milestone.CANCELLED,
        ta.TaskReopened: Milestone.REOPENED,
        ap.ApprovalGranted: Milestone.APPROVED,
        ap.ApprovalRejected: Milestone.REJECTED,
        ap.ApprovalChangesRequested: Milestone.NEEDS_CHANGES,
        ex.ExecutionCompleted: Milestone.RUN_DONE,
        ex.ExecutionFailed: Milestone.RUN_FAILED,
        ex.ExecutionCancelled: Milestone.RUN_CANCELLED,
    }
)

_SPELLS: Final = (
    *(ag.AgentRegistered, ag.TaskTaken, ag.AgentPaused, ag.AgentResumed, ag.AgentReleased),
    *(ag.AgentDisabled, ag.AgentEnabled),
)
"""The events after which an agent may have another status."""


def milestone_rows(record: EventRecord, state: State) -> Iterator[tuple[Table, Row]]:
    """Yield the rows for an event; `state` is the state after it."""
    if isinstance(state, ag.Agent):
        if isinstance(record.event, _SPELLS):
            yield AGENT_SPELLS, _spell(record, state)
        return
    reached = _REACHED.get(type(record.event))
    if reached is None:
        return
    match state:
        case ta.Task():
            task = {"agent_id": state.assigned_agent, "agent_type": state.agent_type}
            yield MILESTONES, _row(record, reached, task_id=state.id, **task)
            if reached is Milestone.CREATED and state.fixes is not None:
                yield MILESTONES, _row(record, Milestone.REPAIRED, task_id=state.fixes)
            if reached is Milestone.COMPLETED and state.reverts is not None:
                yield MILESTONES, _row(record, Milestone.REVERTED, task_id=state.reverts)
        case ap.Approval() if not state.automatic:
            yield MILESTONES, _verdict(record, reached, state)
        case ex.Execution():
            run = {"execution_id": state.id, "agent_id": state.agent_id, "executor": state.executor}
            agent_type = state.agent_type or state.executor
            yield MILESTONES, _row(record, reached, task_id=state.task_id, agent_type=agent_type, **run)
        case _:
            pass


def _verdict(record: EventRecord, reached: Milestone, asked: ap.Approval) -> Row:
    known = asked.evidence
    return _row(
        record,
        reached,
        task_id=asked.task_id,
        execution_id=asked.execution_id,
        approval_id=asked.id,
        agent_id=known.agent_id,
        executor=known.executor,
        model=known.model,
        agent_type=known.task_type,
        kind=str(asked.kind),
        confidence=asked.confidence,
        rounds=known.rejections,
        seconds=max((record.time - asked.requested_at).total_seconds(), 0.0),
    )


def _row(record: EventRecord, reached: Milestone, **known: Any) -> Row:
    empty = dict.fromkeys(MILESTONES.names)
    place = {"reached_at": record.time, "day": day_of(record.time).isoformat(), "position": record.position}
    return {**empty, **known, **place, "id": _row_id(record, reached), "milestone": str(reached)}


def _spell(record: EventRecord, agent: ag.Agent) -> Row:
    return {
        "id": _row_id(record, agent.status),
        "agent_id": agent.id,
        "status": str(agent.status),
        "ad_hoc": agent.ad_hoc,
        "began_at": record.time,
        "position": record.position,
    }


def _row_id(record: EventRecord, what: str) -> str:
    """Return an id derived from stream, version and `what`, because an event may be two milestones."""
    return str(uuid5(UUID(record.stream_id), f"{record.version} {what}"))
