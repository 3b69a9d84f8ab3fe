"""Deciders: all of them by their aggregate's name, and by the commands that they decide."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from aura_contracts.actors import parse_actor
from aura_contracts.agent import AGENT, RecordAgentRefusal
from aura_contracts.aggregate import AnyCommand, Command, State
from aura_contracts.approval import APPROVAL, RecordApprovalRefusal
from aura_contracts.board import BOARD, RecordBoardRefusal
from aura_contracts.errors import ActorNotAllowed
from aura_contracts.events import CommandRefusal
from aura_contracts.execution import EXECUTION, RecordExecutionRefusal
from aura_contracts.task import TASK, RecordTaskRefusal
from aura_contracts.template import PROMPT_TEMPLATE, RecordTemplateRefusal
from aura_contracts.workflow import WORKFLOW, RecordWorkflowRefusal
from aura_contracts.workflow_definition import WORKFLOW_DEFINITION, RecordDefinitionRefusal
from aura_contracts.workflow_schedule import WORKFLOW_SCHEDULE, RecordScheduleRefusal
from aura_contracts.workspace import WORKSPACE, RecordWorkspaceRefusal
from aura_engine.decisions._decider import Decider
from aura_engine.decisions.agent import AGENT_DECIDER
from aura_engine.decisions.alerts import ALERTS_DECIDER
from aura_engine.decisions.approval import APPROVAL_DECIDER
from aura_engine.decisions.board import BOARD_DECIDER
from aura_engine.decisions.execution import EXECUTION_DECIDER
from aura_engine.decisions.lease import WORKER_LEASE_DECIDER
from aura_engine.decisions.lock_table import LOCK_TABLE_DECIDER
from aura_engine.decisions.outbox import OUTBOX_DECIDER
from aura_engine.decisions.output import OUTPUT_DECIDER
from aura_engine.decisions.project import PROJECT_DECIDER
from aura_engine.decisions.service import SERVICE_DECIDER
from aura_engine.decisions.task import TASK_DECIDER
from aura_engine.decisions.template import PROMPT_TEMPLATE_DECIDER
from aura_engine.decisions.workflow import WORKFLOW_DECIDER
from aura_engine.decisions.workflow_definition import WORKFLOW_DEFINITION_DECIDER
from aura_engine.decisions.workflow_schedule import WORKFLOW_SCHEDULE_DECIDER
from aura_engine.decisions.workspace import WORKSPACE_DECIDER

S = TypeVar("S", bound=State)

DECIDERS: Mapping[str, Decider[Any]] = MappingProxyType(
    {
        decider.aggregate.name: decider
        for decider in (
            TASK_DECIDER,
            APPROVAL_DECIDER,
            EXECUTION_DECIDER,
            OUTPUT_DECIDER,
            AGENT_DECIDER,
            WORKER_LEASE_DECIDER,
            WORKSPACE_DECIDER,
            WORKFLOW_DECIDER,
            WORKFLOW_DEFINITION_DECIDER,
            WORKFLOW_SCHEDULE_DECIDER,
            BOARD_DECIDER,
            PROMPT_TEMPLATE_DECIDER,
            PROJECT_DECIDER,
            LOCK_TABLE_DECIDER,
            SERVICE_DECIDER,
            OUTBOX_DECIDER,
            ALERTS_DECIDER,
        )
    }
)
"""The deciders by the names of their aggregates, in the order of `aura_contracts.catalogue.AGGREGATES`."""

_DECIDER_OF: dict[type[AnyCommand], Decider[Any]] = {
    command: decider for decider in DECIDERS.values() for command in decider.decisions
}


_RECORDS: Mapping[str, Callable[..., AnyCommand]] = MappingProxyType(
    {
        AGENT.name: RecordAgentRefusal,
        APPROVAL.name: RecordApprovalRefusal,
        BOARD.name: RecordBoardRefusal,
        EXECUTION.name: RecordExecutionRefusal,
        PROMPT_TEMPLATE.name: RecordTemplateRefusal,
        TASK.name: RecordTaskRefusal,
        WORKFLOW.name: RecordWorkflowRefusal,
        WORKFLOW_DEFINITION.name: RecordDefinitionRefusal,
        WORKFLOW_SCHEDULE.name: RecordScheduleRefusal,
        WORKSPACE.name: RecordWorkspaceRefusal,
    }
)
"""Aggregate -> the command that records a refusal on it. Leases and outputs are written by AURA alone."""


def record_of_refusal(error: ActorNotAllowed) -> AnyCommand | None:
    """Return the command that records a refusal on the aggregate that it was about; None where none is recorded."""
    refusal = CommandRefusal(command=error.command, by=parse_actor(error.actor), rule=error.rule, reason=error.reason)
    kind = _RECORDS.get(error.aggregate)
    return None if kind is None else kind(refusal=refusal)


def decider_of(command: Command[S]) -> Decider[S]:
    """Return the decider of a command."""
    return _DECIDER_OF[type(command)]
