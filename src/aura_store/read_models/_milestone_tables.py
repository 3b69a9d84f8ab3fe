"""Milestone tables: what agents' records and metrics are counted from, a row per event, never changed.

milestones     work that began, ended, was judged by humans, or came back afterwards
agent_spells   from when on an agent had which status
"""

from typing import Final

from aura_contracts.agent import AgentStatus
from aura_contracts.ports.milestones import Milestone
from aura_store.read_models._table import Table, TableColumn, indexes

MILESTONES: Final = Table(
    "milestones",
    (
        TableColumn("id", "id"),
        TableColumn("milestone", "text", words=tuple(Milestone)),
        TableColumn("reached_at", "time"),
        TableColumn("day", "text"),
        TableColumn("task_id", "id", null=True),
        TableColumn("execution_id", "id", null=True),
        TableColumn("approval_id", "id", null=True),
        TableColumn("agent_id", "id", null=True),
        TableColumn("executor", "text", null=True),
        TableColumn("model", "text", null=True),
        TableColumn("agent_type", "text", null=True),
        TableColumn("kind", "text", null=True),
        TableColumn("confidence", "real", null=True),
        TableColumn("rounds", "integer", null=True),
        TableColumn("seconds", "real", null=True),
        TableColumn("position", "integer"),
    ),
    indexes("milestones", "reached_at", "position", "agent_id", "milestone", task="task_id"),
)
"""`day` is that of `reached_at` in UTC. Of a verdict, `kind` is that of the question, `confidence` what the agent
stated, `rounds` how often the work had been sent back before, and `seconds` the time from question to answer; of a
repair or a revert, `task_id` is the task that it is about."""

AGENT_SPELLS: Final = Table(
    "agent_spells",
    (
        TableColumn("id", "id"),
        TableColumn("agent_id", "id"),
        TableColumn("status", "text", words=tuple(AgentStatus)),
        TableColumn("ad_hoc", "boolean"),
        TableColumn("began_at", "time"),
        TableColumn("position", "integer"),
    ),
    indexes("agent_spells", "began_at", agent="agent_id, position"),
)
"""A spell ends where the next one of the agent begins."""
