"""Tables: the read models as SQL, one definition for SQLite and PostgreSQL (second seed, "Database Schema").

    tasks, agents, approvals, workflows    one row per aggregate, made of its state
    execution_logs                         one row per thing that happened to an execution, never changed
    usage                                  one row per report of tokens, never changed; AURA's own, summed when asked
    projection_positions                   how far each projection has come, and under which schema

All columns, checks and indexes of the seed are here under its names. What differs, and why:

- **No foreign keys.** Rows follow events, and no order of events promises that a task is there before what names it;
  the log refers to aggregates that other projections fold, perhaps later.
- **Checks** admit AURA's further statuses; `created_by` may be ``system`` as well, since a workflow makes tasks too.
- **`approvals.task_id`** may be NULL: a workflow asks humans without a task. `approvals.reviewed_by` names who decided,
  and until then who is asked.
- **Ids are text**, in PostgreSQL with the collation ``C``, so that they sort alike everywhere.
- **Lists** (`capabilities`, `reviewers`) are JSON, for one definition and one way to search both databases.
- Each table has the columns that screens and programs need beyond the seed's, among them `version` (of the aggregate,
  what to expect when appending to it), `position` (of the last event in the log) and `updated_at`.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Double,
    Index,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects.postgresql import JSONB

from aura_contracts.agent import AgentStatus
from aura_contracts.approval import ApprovalDecision, ApprovalStatus
from aura_contracts.task import Priority, TaskStatus
from aura_contracts.workflow import WorkflowStatus

METADATA: Final = MetaData()


class Moment(TypeDecorator[datetime]):
    """A timestamp, stored in UTC, always aware in Python. SQLite keeps it as text that sorts by time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_ID = Text().with_variant(Text(collation="C"), "postgresql")
_JSON = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def _id(name: str, *, nullable: bool = True) -> Column[str]:
    return Column(name, _ID, nullable=nullable)


def _text(name: str, *, nullable: bool = True) -> Column[str]:
    return Column(name, Text, nullable=nullable)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def _json(name: str, *, nullable: bool = True) -> Column[Any]:
    return Column(name, _JSON, nullable=nullable)


def _moment(name: str, *, nullable: bool = True) -> Column[datetime]:
    return Column(name, Moment, nullable=nullable)


def _one_of(column: str, values: Iterable[StrEnum | str]) -> CheckConstraint:
    """Allow `values` (and NULL, where the column does)."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(str(value)) for value in values)})")


def _place() -> tuple[Column[Any], ...]:
    """What every row says about the last event that made it."""
    return _number("version"), _number("position"), _moment("updated_at", nullable=False)


TASKS: Final = Table(
    "tasks",
    METADATA,
    Column("id", _ID, primary_key=True),
    _text("title", nullable=False),
    _text("description"),
    _text("status", nullable=False),
    _id("assigned_agent"),
    _text("created_by", nullable=False),
    _id("parent_task_id"),
    _text("priority", nullable=False),
    _json("metadata", nullable=False),
    _moment("created_at", nullable=False),
    _moment("started_at"),
    _moment("submitted_at"),
    _moment("approved_at"),
    _moment("completed_at"),
    _text("creator", nullable=False),
    _text("project"),
    _text("agent_type"),
    _text("approval_mode", nullable=False),
    _json("reviewers", nullable=False),
    _flag("queued"),
    _id("approval_id"),
    Column("confidence", Double),
    _text("feedback"),
    _number("rejections"),
    _number("attempts"),
    _moment("retry_at"),
    _json("failure"),
    _text("blocked_by"),
    _json("subtask_ids", nullable=False),
    _id("execution_id"),
    _number("executions"),
    _json("result"),
    *_place(),
    _one_of("status", TaskStatus),
    _one_of("created_by", ("human", "agent", "system")),
    _one_of("priority", Priority),
)
"""`created_by` is the kind of who asked for it, `creator` the actor; `attempts` counts those that failed."""

Index("idx_tasks_status", TASKS.c.status)
Index("idx_tasks_assigned_agent", TASKS.c.assigned_agent)
Index("idx_tasks_parent", TASKS.c.parent_task_id)
Index("idx_tasks_created_at", TASKS.c.created_at.desc())

AGENTS: Final = Table(
    "agents",
    METADATA,
    Column("id", _ID, primary_key=True),
    _text("name", nullable=False),
    _text("type", nullable=False),
    _text("status", nullable=False),
    _json("capabilities", nullable=False),
    _id("current_task_id"),
    _moment("created_at", nullable=False),
    _text("executor", nullable=False),
    _text("variant", nullable=False),
    _json("options", nullable=False),
    _text("registered_by", nullable=False),
    _id("approval_id"),
    _moment("busy_since"),
    _text("last_outcome"),
    _text("disabled_reason", nullable=False),
    *_place(),
    _one_of("status", AgentStatus),
)

Index("idx_agents_status", AGENTS.c.status)
Index("idx_agents_type", AGENTS.c.type)

APPROVALS: Final = Table(
    "approvals",
    METADATA,
    Column("id", _ID, primary_key=True),
    _id("task_id"),
    _text("proposed_solution", nullable=False),
    _moment("requested_at", nullable=False),
    _moment("responded_at"),
    _text("decision"),
    _text("feedback"),
    _text("reviewed_by", nullable=False),
    _moment("created_at", nullable=False),
    _text("status", nullable=False),
    _text("kind", nullable=False),
    _text("requested_by", nullable=False),
    _id("execution_id"),
    _id("workflow_id"),
    _text("step_id"),
    Column("confidence", Double),
    _json("tool_call"),
    _json("reviewers", nullable=False),
    _json("awaited", nullable=False),
    _number("quorum"),
    _json("votes", nullable=False),
    _flag("automatic"),
    _moment("deadline"),
    _text("on_expiry", nullable=False),
    _moment("remind_at"),
    _number("reminders"),
    _moment("escalate_at"),
    _json("escalated_to", nullable=False),
    _moment("closed_at"),
    *_place(),
    _one_of("decision", ApprovalDecision),
    _one_of("status", ApprovalStatus),
)
"""`reviewers` are all who were or are asked, by name, delegates among them; `awaited` those whose answer still counts;
`automatic` tells that a policy decided."""

Index("idx_approvals_task", APPROVALS.c.task_id)
Index("idx_approvals_decision", APPROVALS.c.decision)
Index("idx_approvals_status", APPROVALS.c.status)

WORKFLOWS: Final = Table(
    "workflows",
    METADATA,
    Column("id", _ID, primary_key=True),
    _text("name", nullable=False),
    _text("description"),
    _text("status", nullable=False),
    _json("steps", nullable=False),
    _number("current_step_index"),
    _json("context", nullable=False),
    _moment("created_at", nullable=False),
    _text("creator", nullable=False),
    _text("project"),
    _number("steps_total"),
    _number("steps_over"),
    _text("paused_because"),
    _json("failure"),
    _moment("ended_at"),
    *_place(),
    _one_of("status", WorkflowStatus),
)
"""`steps_over` of `steps_total` steps are completed or skipped."""

Index("idx_workflows_status", WORKFLOWS.c.status)

EXECUTION_LOGS: Final = Table(
    "execution_logs",
    METADATA,
    Column("id", _ID, primary_key=True),
    _id("task_id", nullable=False),
    _text("agent_type", nullable=False),
    _text("action", nullable=False),
    _json("result"),
    _flag("success"),
    _text("error"),
    _moment("executed_at", nullable=False),
    _id("execution_id"),
    _text("stage"),
    _text("actor", nullable=False),
    _number("position"),
)
"""`action` is what an agent called it, or the topic of the event; `stage` the one that the event led to."""

Index("idx_execution_logs_task", EXECUTION_LOGS.c.task_id)
Index("idx_execution_logs_executed_at", EXECUTION_LOGS.c.executed_at.desc())
Index("idx_execution_logs_execution", EXECUTION_LOGS.c.execution_id)
Index("idx_execution_logs_position", EXECUTION_LOGS.c.position.desc())

USAGE: Final = Table(
    "usage",
    METADATA,
    Column("id", _ID, primary_key=True),
    _id("execution_id", nullable=False),
    _id("task_id", nullable=False),
    _id("agent_id"),
    _text("executor", nullable=False),
    _text("session_id"),
    _text("model", nullable=False),
    _text("day", nullable=False),
    _moment("used_at", nullable=False),
    _number("input_tokens"),
    _number("output_tokens"),
    _number("cache_read_tokens"),
    _number("cache_write_tokens"),
    _number("reported_nanodollars"),
    _number("position"),
)
"""`session_id` is the agent's own, as it was by then; `day` that of `used_at` in UTC. No cost but what the agent
reported: prices change, and what is in here follows from the log alone."""

Index("idx_usage_task", USAGE.c.task_id)
Index("idx_usage_execution", USAGE.c.execution_id)
Index("idx_usage_position", USAGE.c.position)

POSITIONS: Final = Table(
    "projection_positions",
    MetaData(),
    Column("name", _ID, primary_key=True),
    _number("position"),
    _text("schema_version", nullable=False),
)
"""The rows are the fold of exactly the events up to `position`. `schema_version` is empty before the first build."""
