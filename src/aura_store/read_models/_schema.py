"""Schema: the read models as SQL, one definition for SQLite and PostgreSQL (specification, "Database Schema").

    tasks, agents, approvals, workflows,
    workflow_definitions, workflow_schedules, boards, templates, projects,
    executions, workspaces, leases         one row per aggregate: the columns for filters and sorting
    aggregates                             one row per aggregate of any kind: its complete state, as JSON
    execution_logs                         one row per action or change of an execution, never changed
    usage                                  one row per report of tokens, never changed; AURA's own, summed on demand
    milestones, agent_spells               what agents' records and metrics are counted from, one row per event
    execution_sessions                     the agent sessions that a run used
    sessions                               a view: resumable sessions, each with its newest run
    damaged_streams                        one row per aggregate that cannot be folded to its end
    read_models                            one row: how far the log has been folded, and by which schema

All columns, checks and indexes of the specification are here under its names, for any program that speaks SQL: on
PostgreSQL in the schema of the log, on SQLite in a file next to the log's, ``aura.db.models`` for ``aura.db``. The
differences from the specification, and their reasons:

- **No foreign keys.** Rows follow events, whose order does not guarantee that a task exists before a row refers to it.
- **Checks** allow AURA's additional statuses. `created_by` may also be ``system``, because workflows create tasks.
  The type of an agent is an open vocabulary.
- **`approvals.task_id`** may be NULL: a workflow asks humans without a task. `approvals.reviewed_by` names the person
  who decided, and until then the people who are asked.
- **Ids are text**, on PostgreSQL with the collation ``C``, so that they sort the same everywhere.
- **Lists** (`capabilities`, `reviewers`) are JSON, so that both databases share one definition and one way to search.
- **Times** are UTC: ``timestamptz`` on PostgreSQL, and text that sorts by time on SQLite.
- `version` is that of the aggregate, `position` that of its last event in the log, `updated_at` the time of that event.

Longer than other modules, because it is a list: every column in one place, for those who write SQL.
"""

from collections.abc import Iterable
from enum import StrEnum
from functools import partial
from typing import Final

from aura_contracts.agent import AgentStatus
from aura_contracts.approval import ApprovalDecision, ApprovalKind, ApprovalStatus
from aura_contracts.board import BoardStatus
from aura_contracts.execution import ExecutionStatus
from aura_contracts.lease import LeaseStatus
from aura_contracts.project import ProjectStatus
from aura_contracts.task import Priority, TaskStatus
from aura_contracts.template import TemplateScope, TemplateStatus
from aura_contracts.timers import TimerPurpose
from aura_contracts.workflow import WorkflowStatus
from aura_contracts.workflow_definition import DefinitionStatus
from aura_contracts.workflow_schedule import ScheduleStatus
from aura_contracts.workspace import WorkspaceStatus
from aura_store.read_models._milestone_tables import AGENT_SPELLS, MILESTONES
from aura_store.read_models._table import DialectName, Table, TableColumn, indexes

# --- Columns ----------------------------------------------------------------------------------------------------------

_id = partial(TableColumn, kind="id")
_text = partial(TableColumn, kind="text")
_integer = partial(TableColumn, kind="integer")
_real = partial(TableColumn, kind="real")
_flag = partial(TableColumn, kind="boolean")
_json = partial(TableColumn, kind="json")
_time = partial(TableColumn, kind="time")


def _status(statuses: type[StrEnum]) -> TableColumn:
    return TableColumn("status", "text", words=tuple(statuses))


_PLACE: Final = (_integer("version"), _integer("position"), _time("updated_at"))


# --- Aggregates -------------------------------------------------------------------------------------------------------

AGGREGATES: Final = Table(
    "aggregates", (_id("id"), _text("kind"), _integer("version"), _integer("position"), TableColumn("state", "state"))
)

TASKS: Final = Table(
    "tasks",
    (
        _id("id"),
        _text("title"),
        _text("description", null=True),
        _status(TaskStatus),
        _id("assigned_agent", null=True),
        _text("created_by", words=("human", "agent", "system")),
        _id("parent_task_id", null=True),
        _text("priority", words=tuple(Priority), ranked=True),
        _json("metadata"),
        _time("created_at"),
        _time("started_at", null=True),
        _time("submitted_at", null=True),
        _time("approved_at", null=True),
        _time("completed_at", null=True),
        _text("creator"),
        _text("project", null=True),
        _text("project_reason"),
        _text("agent_type", null=True),
        _text("approval_mode"),
        _json("reviewers"),
        _flag("queued"),
        _time("queued_at", null=True),
        _flag("pooled"),
        _id("approval_id", null=True),
        _real("confidence", null=True),
        _text("feedback", null=True),
        _integer("rejections"),
        _integer("attempts"),
        _time("retry_at", null=True),
        _json("failure", null=True),
        _text("blocked_by", null=True),
        _json("subtask_ids"),
        _json("labels"),
        _time("due_at", null=True),
        _json("after"),
        _text("on_dependency_failure"),
        _text("on_part_failure"),
        _id("fixes", null=True),
        _id("reverts", null=True),
        _text("request_digest", null=True),
        _id("execution_id", null=True),
        _integer("executions"),
        _json("result", null=True),
        *_PLACE,
    ),
    indexes(
        "tasks",
        "created_at",
        "updated_at",
        "status",
        "assigned_agent",
        "project",
        "pooled",
        "request_digest",
        parent="parent_task_id",
        execution="execution_id",
    ),
)
"""`created_by` is the kind of the creator, `creator` the actor; `attempts` counts the failed ones; `pooled` tasks wait
for an agent of the pool."""

AGENTS: Final = Table(
    "agents",
    (
        _id("id"),
        _text("name"),
        _text("type"),
        _status(AgentStatus),
        _json("capabilities"),
        _id("current_task_id", null=True),
        _json("task_ids"),
        _integer("capacity"),
        _flag("ad_hoc"),
        _time("created_at"),
        _text("executor"),
        _text("variant"),
        _text("model"),
        _json("options"),
        _text("registered_by"),
        _id("approval_id", null=True),
        _time("busy_since", null=True),
        _text("last_outcome", null=True),
        _text("disabled_reason"),
        *_PLACE,
    ),
    indexes("agents", "status", "type", "executor"),
)

APPROVALS: Final = Table(
    "approvals",
    (
        _id("id"),
        _id("task_id", null=True),
        _text("proposed_solution"),
        _time("requested_at"),
        _time("responded_at", null=True),
        _text("decision", null=True, words=tuple(ApprovalDecision)),
        _text("feedback", null=True),
        _text("reviewed_by"),
        _time("created_at"),
        _status(ApprovalStatus),
        _text("kind", words=tuple(ApprovalKind)),
        _text("requested_by"),
        _id("execution_id", null=True),
        _id("workflow_id", null=True),
        _text("step_id", null=True),
        _real("confidence", null=True),
        _json("tool_call", null=True),
        _json("reviewers"),
        _json("awaited"),
        _integer("quorum"),
        _json("votes"),
        _flag("automatic"),
        _time("deadline", null=True),
        _text("on_expiry"),
        _time("remind_at", null=True),
        _integer("reminders"),
        _time("escalate_at", null=True),
        _json("escalated_to"),
        _time("open_since"),
        _time("closed_at", null=True),
        *_PLACE,
    ),
    indexes("approvals", "requested_at", "open_since", "decision", "status", task="task_id"),
)
"""`reviewers` are the names of everyone who was or is asked, including delegates; `awaited` those whose answer still
counts; `automatic` means that a policy decided. `open_since` is the moment from which its wait counts: `requested_at`,
unless the clock was set back."""

WORKFLOWS: Final = Table(
    "workflows",
    (
        _id("id"),
        _text("name"),
        _text("description", null=True),
        _status(WorkflowStatus),
        _json("steps"),
        _integer("current_step_index"),
        _json("context"),
        _time("created_at"),
        _text("creator"),
        _text("project", null=True),
        _text("definition", null=True),
        _integer("steps_total"),
        _integer("steps_over"),
        _json("awaiting"),
        _id("parent_workflow_id", null=True),
        _text("parent_step_id", null=True),
        _text("paused_because", null=True),
        _json("failure", null=True),
        _time("ended_at", null=True),
        *_PLACE,
    ),
    indexes("workflows", "created_at", "status", parent="parent_workflow_id"),
)
"""`steps_over` of `steps_total` steps are over; `steps` are those whose block has begun. `definition` is the stored one
that it was started from, as ``build@3``; `awaiting` are the steps that wait for a human, a moment or a signal."""

WORKFLOW_DEFINITIONS: Final = Table(
    "workflow_definitions",
    (
        _id("id"),
        _text("name"),
        _text("description"),
        _status(DefinitionStatus),
        _text("project", null=True),
        _integer("revision"),
        _integer("steps_total"),
        _json("uses"),
        _text("creator"),
        _time("created_at"),
        _text("revised_by"),
        _time("revised_at"),
        *_PLACE,
    ),
    indexes("workflow_definitions", "name"),
)
"""Each with its newest `revision`, whose workflow has `steps_total` steps; `uses` are the names of the definitions that
it refers to."""

WORKFLOW_SCHEDULES: Final = Table(
    "workflow_schedules",
    (
        _id("id"),
        _text("name"),
        _status(ScheduleStatus),
        _text("cron"),
        _text("zone"),
        _text("workflow"),
        _text("definition"),
        _text("missed"),
        _text("overlap"),
        _time("next_at", null=True),
        _time("last_at", null=True),
        _id("last_workflow_id", null=True),
        _text("problem"),
        _text("creator"),
        _time("created_at"),
        _text("revised_by"),
        _time("revised_at"),
        *_PLACE,
    ),
    indexes("workflow_schedules", "name"),
)
"""Each starts `workflow`, the newest revision of `definition` or a certain one, at the moments of `cron` in `zone`:
next at `next_at`. `problem` says why the latest moment could not start it."""

BOARDS: Final = Table(
    "boards",
    (
        _id("id"),
        _text("name"),
        _status(BoardStatus),
        _text("project", null=True),
        _text("creator"),
        _time("created_at"),
        *_PLACE,
    ),
)

TEMPLATES: Final = Table(
    "templates",
    (
        _id("id"),
        _text("name"),
        _status(TemplateStatus),
        _text("scope", words=tuple(TemplateScope)),
        _text("scope_key", null=True),
        _integer("revision"),
        _text("creator"),
        _time("created_at"),
        _text("revised_by"),
        _time("revised_at"),
        *_PLACE,
    ),
    indexes("templates", "name"),
)

PROJECTS: Final = Table(
    "projects",
    (
        _id("id"),
        _text("name"),
        _text("description"),
        _status(ProjectStatus),
        _json("repositories"),
        _json("documents"),
        _text("agent_type"),
        _text("creator"),
        _time("created_at"),
        *_PLACE,
    ),
)

EXECUTIONS: Final = Table(
    "executions",
    (
        _id("id"),
        _id("task_id"),
        _status(ExecutionStatus),
        _text("executor"),
        _text("variant", null=True),
        _id("agent_id", null=True),
        _text("agent_type", null=True),
        _id("workspace_id", null=True),
        _id("worker_id", null=True),
        _id("session_id", null=True),
        _text("prompt"),
        _text("queued_by"),
        _time("queued_at"),
        _time("started_at", null=True),
        _time("stage_started_at", null=True),
        _time("retry_at", null=True),
        _time("ended_at", null=True),
        _integer("follow_ups"),
        _json("failure", null=True),
        *_PLACE,
    ),
    indexes("executions", "queued_at", "status", task="task_id", session="executor, session_id, id"),
)

WORKSPACES: Final = Table(
    "workspaces",
    (
        _id("id"),
        _id("task_id"),
        _status(WorkspaceStatus),
        _text("title"),
        _text("branch"),
        _flag("in_place"),
        _id("worker_id", null=True),
        _id("holder", null=True),
        _text("root"),
        _text("directory", null=True),
        _json("folders"),
        _time("requested_at"),
        *_PLACE,
    ),
    indexes("workspaces", "requested_at", "status", task="task_id"),
)
"""`directory` is where agents are started; `folders` are the repositories, or the folder of the work."""

LEASES: Final = Table(
    "leases",
    (
        _id("id"),
        _id("execution_id"),
        _status(LeaseStatus),
        _integer("epoch"),
        _id("worker_id", null=True),
        _time("granted_at"),
        _time("last_seen", null=True),
        _time("offline_since", null=True),
        *_PLACE,
    ),
    indexes("leases", "status", execution="execution_id"),
)

TIMERS: Final = Table(
    "timers",
    (
        _id("id"),
        _id("stream_id"),
        _text("kind"),
        _text("purpose", words=tuple(TimerPurpose)),
        _time("due_at"),
        _time("counts_from", null=True),
        _id("task_id", null=True),
    ),
    (*indexes("timers", "counts_from", stream="stream_id"), ("idx_timers_due", "due_at, id")),
)
"""What is due and when, see `aura_contracts.timers`: a row comes, moves and goes with the state of its aggregate.

`counts_from` is the moment from which the wait for it counts: a future one shows a clock that was ahead."""

# --- Events -----------------------------------------------------------------------------------------------------------

EXECUTION_LOGS: Final = Table(
    "execution_logs",
    (
        _id("id"),
        _id("task_id"),
        _text("agent_type"),
        _text("action"),
        _json("result", null=True),
        _flag("success"),
        _text("error", null=True),
        _time("executed_at"),
        _id("execution_id", null=True),
        _text("stage", null=True),
        _text("actor"),
        _integer("position"),
    ),
    indexes("execution_logs", "executed_at", task="task_id", execution="execution_id", position="position DESC"),
)
"""`action` is the agent's name for it, or the topic of the event; `stage` is the stage after the event."""

USAGE: Final = Table(
    "usage",
    (
        _id("id"),
        _id("execution_id"),
        _id("task_id"),
        _id("agent_id", null=True),
        _text("executor"),
        _text("session_id", null=True),
        _text("model"),
        _text("day"),
        _time("used_at"),
        _integer("input_tokens"),
        _integer("output_tokens"),
        _integer("cache_read_tokens"),
        _integer("cache_write_tokens"),
        _integer("reported_nanodollars"),
        _integer("incomplete"),
        _integer("position"),
    ),
    indexes("usage", "position", task="task_id", execution="execution_id"),
)
"""`session_id` is the agent's own id at that time; `day` is the day of `used_at` in UTC. The only cost is the one that
the agent reported: prices change, and everything here follows from the log alone. `incomplete` is 1 for a report that
leaves something out, otherwise 0."""

EXECUTION_SESSIONS: Final = Table(
    "execution_sessions",
    (_id("id"), _id("execution_id"), _id("session_id"), _integer("position")),
    indexes("execution_sessions", session="session_id"),
)

SESSIONS: Final = Table(
    "sessions",
    (
        _id("id"),
        _text("executor"),
        TableColumn("status", "text", words=tuple(ExecutionStatus)),
        _id("task_id"),
        _id("execution_id"),
        _id("agent_id", null=True),
        _id("workspace_id", null=True),
        _text("directory", null=True),
        _text("prompt"),
        _time("queued_at"),
        _time("used_at"),
        _time("ended_at", null=True),
    ),
    key="execution_id",
    view=(
        "SELECT e.session_id AS id, e.executor, e.status, e.task_id, e.id AS execution_id, e.agent_id, e.workspace_id,"
        " w.directory, e.prompt, e.queued_at, e.updated_at AS used_at, e.ended_at"
        " FROM executions AS e LEFT JOIN workspaces AS w ON w.id = e.workspace_id"
        " WHERE e.session_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM executions AS newer"
        " LEFT JOIN workspaces AS place ON place.id = newer.workspace_id"
        " WHERE newer.executor = e.executor AND newer.session_id = e.session_id AND newer.id > e.id"
        " AND (place.folders = w.folders OR (place.id IS NULL AND w.id IS NULL)))"
    ),
)

DAMAGED_STREAMS: Final = Table(
    "damaged_streams",
    (_id("id"), _text("kind"), _integer("position"), _text("reason")),
    indexes("damaged_streams", "position"),
)
"""The aggregates with an event that does not decode or is not possible: their rows say what was before `position`."""

FOLDED: Final = (
    *(AGGREGATES, TASKS, AGENTS, APPROVALS, WORKFLOWS, WORKFLOW_DEFINITIONS),
    *(WORKFLOW_SCHEDULES, BOARDS, TEMPLATES, PROJECTS, EXECUTIONS),
    *(WORKSPACES, LEASES, TIMERS, EXECUTION_LOGS, USAGE, EXECUTION_SESSIONS, MILESTONES, AGENT_SPELLS),
    DAMAGED_STREAMS,
)
"""The tables that are written to."""

TABLES: Final = {table.name: table for table in (*FOLDED, SESSIONS)}

MARK: Final = Table(
    "read_models", (_text("name"), _integer("position"), _text("digest"), _text("schema_version")), key="name"
)
"""The tables are the fold of exactly the events up to `position`, whose seal is `digest` (hexadecimal)."""


def creation(dialect: DialectName) -> Iterable[str]:
    """Return the statements that create everything."""
    return [statement for table in (MARK, *TABLES.values()) for statement in table.create(dialect)]
