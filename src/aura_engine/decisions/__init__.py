"""Decisions: one decider per aggregate, and all of them by the aggregate's name.

The ledger has no decider: `aura_store`, which writes the log, decides its events."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from aura_engine.decisions._decider import Context, Decide, Decider, Decision
from aura_engine.decisions.agent import AGENT_DECIDER
from aura_engine.decisions.approval import APPROVAL_DECIDER
from aura_engine.decisions.board import BOARD_DECIDER
from aura_engine.decisions.execution import EXECUTION_DECIDER
from aura_engine.decisions.lease import WORKER_LEASE_DECIDER
from aura_engine.decisions.output import OUTPUT_DECIDER
from aura_engine.decisions.task import TASK_DECIDER
from aura_engine.decisions.template import PROMPT_TEMPLATE_DECIDER
from aura_engine.decisions.workflow import WORKFLOW_DECIDER
from aura_engine.decisions.workspace import WORKSPACE_DECIDER

__all__ = [
    "AGENT_DECIDER",
    "APPROVAL_DECIDER",
    "BOARD_DECIDER",
    "DECIDERS",
    "EXECUTION_DECIDER",
    "OUTPUT_DECIDER",
    "PROMPT_TEMPLATE_DECIDER",
    "TASK_DECIDER",
    "WORKER_LEASE_DECIDER",
    "WORKFLOW_DECIDER",
    "WORKSPACE_DECIDER",
    "Context",
    "Decide",
    "Decider",
    "Decision",
]

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
            BOARD_DECIDER,
            PROMPT_TEMPLATE_DECIDER,
        )
    }
)
"""The deciders by the names of their aggregates, in the order of `aura_contracts.aggregates.AGGREGATES`."""
