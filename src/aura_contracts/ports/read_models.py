"""Read models: lists, counts and lookups by partial id, without scanning the log.

    page = await models.list(TaskQuery(status="awaiting_approval", project="shop"))
    while page.next_cursor is not None:
        page = await models.list(TaskQuery(status="awaiting_approval", project="shop", cursor=page.next_cursor))

    idle = await models.list(AgentQuery(status="idle", executor="claude", sort="created_at", descending=False))
    (match,) = await models.find("approval", "3f2a91")
    counted = await models.counts(TaskQuery(project="shop"))

A query is a value. Aggregates are listed as their states (`Task`, `Approval`, ...), exactly as folding their events
gives them; sessions, log entries and usage reports, which are not aggregates, are listed as the rows defined here.

**Current**: an answer includes every event up to the position `at_least` or, if that is None, every event in the log at
the time of the query. The models catch up when they are queried, and write nothing in between.

A filter that takes one word also takes several, any of which may match. None does not filter; an empty collection
matches nothing. Words may be members of their enum. A time range goes from `..._after`, inclusive, to `..._before`,
exclusive. Ids must be complete; `find` completes them.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Collection, Mapping
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from aura_contracts.agent import Agent
from aura_contracts.aggregate import Aggregate, State
from aura_contracts.approval import Approval
from aura_contracts.board import Board
from aura_contracts.execution import Execution
from aura_contracts.lease import WorkerLease
from aura_contracts.ports.milestones import AgentSpell, Milestone, MilestoneCount, MilestoneRow, VerdictCount
from aura_contracts.ports.rows import ExecutionLogRow, Match, Page, SessionRow, TimerRow, UsageRow, UsageSum
from aura_contracts.ports.time_arguments import Moment
from aura_contracts.project import Project
from aura_contracts.task import Task
from aura_contracts.template import PromptTemplate
from aura_contracts.workflow import Workflow
from aura_contracts.workflow_definition import StoredDefinition
from aura_contracts.workflow_schedule import WorkflowSchedule
from aura_contracts.workspace import Workspace

R = TypeVar("R")
S = TypeVar("S", bound=State)

Words = str | Collection[str] | None
"""One word, several alternatives, or None for no filter."""

DEFAULT_LIMIT = 50
LIMIT = 1000
"""The most rows on a page."""


# --- Queries ----------------------------------------------------------------------------------------------------------


class Query(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """Base of all lists: filters, one column to sort by, and a page.

    `sort` is a column of the query's table that is not JSON. `limit` is from 1 to `LIMIT`. `cursor` is the
    `next_cursor` of the previous page, for the same list in the same order. Rows without a value sort last in both
    directions. A row that does not move appears exactly once, no matter what is inserted between pages.
    """

    table: ClassVar[str]
    """The name of the listed things, in the plural: ``tasks``. SQL adapters use it as the table name."""
    has_status: ClassVar[bool] = True
    """Whether the listed things have a status by which they can be counted."""

    sort: str = "created_at"
    descending: bool = True
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None


class TaskQuery(Query[Task], frozen=True, kw_only=True):
    """Tasks; deleted ones only if `status` asks for them."""

    table = "tasks"
    id: Words = None
    status: Words = None
    agent: Words = None
    """Ids of assigned agents."""
    agent_type: Words = None
    priority: Words = None
    project: Words = None
    parent: Words = None
    """Ids of the parent tasks."""
    creator: Words = None
    """Actors: ``human:alice``."""
    label: str | None = None
    queued: bool | None = None
    """Ready to be picked up rather than in the backlog; of pending tasks."""
    blocked: bool | None = None
    """Held up by a conflict, or not started because of tasks that must complete first."""
    after: Words = None
    """Ids of tasks that must complete first."""
    fixes: Words = None
    """Ids of the tasks that they repair."""
    reverts: Words = None
    """Ids of the tasks that they undo."""
    request_digest: Words = None
    """Digests of the requests that they were made from: equal requests have one digest."""
    due_after: datetime | None = None
    due_before: datetime | None = None
    pooled: bool | None = None
    """Waiting for an agent of the pool."""
    unfinished: bool | None = None
    """Not finished: they had a run, and they, it or its lease have not ended, or their worktrees remain."""
    folder: str | None = None
    """Absolute; matches tasks on a repository or folder there or below."""
    search: str | None = None
    """Text anywhere in title or description, case-insensitive (ASCII letters only on SQLite)."""
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None


class AgentQuery(Query[Agent], frozen=True, kw_only=True):
    """Agents of the pool."""

    table = "agents"
    id: Words = None
    status: Words = None
    type: Words = None
    name: Words = None
    executor: Words = None
    variant: Words = None
    task: Words = None
    """Ids of tasks that they have."""
    capability: str | None = None
    ad_hoc: bool | None = None
    """Made for a run that named an executor."""


class ApprovalQuery(Query[Approval], frozen=True, kw_only=True):
    """Approvals: pending and past."""

    table = "approvals"
    sort: str = "requested_at"
    id: Words = None
    pending: bool | None = None
    status: Words = None
    decision: Words = None
    kind: Words = None
    task: Words = None
    project: Words = None
    execution: Words = None
    workflow: Words = None
    reviewer: str | None = None
    """The name of a human who was or is asked."""
    awaiting: str | None = None
    """The name of a human whose answer still counts."""
    search: str | None = None
    """Text anywhere in the proposal, case-insensitive."""
    requested_after: datetime | None = None
    requested_before: datetime | None = None
    waits_after: datetime | None = None
    """Those whose wait counts from this time or a later one."""
    waits_before: datetime | None = None
    """Those whose wait counts from before this time: `Approval.open_since`."""
    due_before: datetime | None = None
    """Pending approvals with a deadline, reminder or escalation due before this time."""


class WorkflowQuery(Query[Workflow], frozen=True, kw_only=True):
    """Workflows."""

    table = "workflows"
    id: Words = None
    status: Words = None
    name: Words = None
    project: Words = None
    definition: Words = None
    """The revisions of stored definitions that they were started from: ``build@3``."""
    parent: Words = None
    """Ids of the workflows that they are sub-workflows of."""
    nested: bool | None = None
    """Sub-workflows, or those that someone started."""
    ended: bool | None = None
    """Completed, failed or cancelled; a failed one may be continued."""
    waits: bool | None = None
    """A step waits for a human, a moment or a signal."""
    search: str | None = None
    """Text anywhere in name or description, case-insensitive."""
    created_after: datetime | None = None
    created_before: datetime | None = None


class DefinitionQuery(Query[StoredDefinition], frozen=True, kw_only=True):
    """Stored definitions of workflows, each with its newest revision."""

    table = "workflow_definitions"
    id: Words = None
    status: Words = None
    name: Words = None
    project: Words = None
    uses: Words = None
    """Names of definitions that they refer to, in any revision."""
    search: str | None = None
    """Text anywhere in name or description, case-insensitive."""


class ScheduleQuery(Query[WorkflowSchedule], frozen=True, kw_only=True):
    """Schedules of workflows; removed ones only if `status` asks for them."""

    table = "workflow_schedules"
    id: Words = None
    status: Words = None
    name: Words = None
    definition: Words = None
    """Names of the stored definitions that they start, in any revision."""
    troubled: bool | None = None
    """The latest moment could start a workflow, or could not."""


class BoardQuery(Query[Board], frozen=True, kw_only=True):
    """Boards."""

    table = "boards"
    id: Words = None
    status: Words = None
    name: Words = None
    project: Words = None


class TemplateQuery(Query[PromptTemplate], frozen=True, kw_only=True):
    """Prompt templates."""

    table = "templates"
    id: Words = None
    status: Words = None
    name: Words = None
    scope: Words = None
    scope_key: Words = None


class ProjectQuery(Query[Project], frozen=True, kw_only=True):
    """Projects; removed ones only if `status` asks for them."""

    table = "projects"
    id: Words = None
    status: Words = None
    name: Words = None
    repository: Words = None
    """Absolute paths of repositories that they hold."""


class ExecutionQuery(Query[Execution], frozen=True, kw_only=True):
    """Runs of agents."""

    table = "executions"
    sort: str = "queued_at"
    id: Words = None
    status: Words = None
    ended: bool | None = None
    task: Words = None
    project: Words = None
    agent: Words = None
    executor: Words = None
    workspace: Words = None
    worker: Words = None
    session: Words = None
    """The agent's own session ids; matches any session that the run used."""
    queued_after: datetime | None = None
    queued_before: datetime | None = None


class WorkspaceQuery(Query[Workspace], frozen=True, kw_only=True):
    """Workspaces."""

    table = "workspaces"
    sort: str = "requested_at"
    id: Words = None
    status: Words = None
    removed: bool | None = None
    task: Words = None
    worker: Words = None
    folder: str | None = None
    """Absolute; matches runs on a repository or folder there or below."""


class LeaseQuery(Query[WorkerLease], frozen=True, kw_only=True):
    """Leases: which worker runs which execution."""

    table = "leases"
    sort: str = "granted_at"
    id: Words = None
    status: Words = None
    execution: Words = None
    worker: Words = None


class SessionQuery(Query[SessionRow], frozen=True, kw_only=True):
    """Resumable agent sessions, each with its newest run."""

    table = "sessions"
    sort: str = "queued_at"
    id: Words = None
    executor: Words = None
    task: Words = None
    agent: Words = None
    folder: str | None = None
    """Absolute; matches sessions of agents that were started there or below, or worked on a repository there."""
    place: str | None = None
    """Absolute; matches sessions of agents that worked exactly there: on this repository, or this subfolder of one."""
    used_after: datetime | None = None
    used_before: datetime | None = None


class ExecutionLogQuery(Query[ExecutionLogRow], frozen=True, kw_only=True):
    """Entries of the execution logs; newest first by default, in log order."""

    table = "execution_logs"
    has_status = False
    sort: str = "position"
    task: Words = None
    execution: Words = None
    agent_type: Words = None
    action: Words = None
    success: bool | None = None
    executed_after: datetime | None = None
    executed_before: datetime | None = None


class UsageQuery(Query[UsageRow], frozen=True, kw_only=True):
    """Usage reports of agents; newest first by default, in log order."""

    table = "usage"
    has_status = False
    sort: str = "position"
    task: Words = None
    execution: Words = None
    agent: Words = None
    executor: Words = None
    session: Words = None
    model: Words = None
    used_after: datetime | None = None
    used_before: datetime | None = None


class TimerQuery(Query[TimerRow], frozen=True, kw_only=True):
    """What is due, and when; the earliest first by default."""

    table = "timers"
    has_status = False
    sort: str = "due_at"
    descending: bool = False
    id: Words = None
    stream: Words = None
    """Ids of approvals, tasks, executions, leases, workflows or schedules."""
    kind: Words = None
    """Aggregates: ``approval``, ``task``, ``execution``, ``lease``, ``workflow``,
    ``workflow_schedule``."""
    purpose: Words = None
    task: Words = None
    due_after: datetime | None = None
    due_before: datetime | None = None
    counts_after: datetime | None = None
    """Those whose wait counts from this time or a later one: a clock was ahead, if it is to come."""


class MilestoneQuery(Query[MilestoneRow], frozen=True, kw_only=True):
    """Milestones; newest first by default, in log order."""

    table = "milestones"
    has_status = False
    sort: str = "position"
    milestone: Words = None
    task: Words = None
    execution: Words = None
    approval: Words = None
    agent: Words = None
    agent_type: Words = None
    kind: Words = None
    reached_after: datetime | None = None
    reached_before: datetime | None = None


QUERIES: tuple[type[Query[Any]], ...] = (
    TaskQuery,
    AgentQuery,
    ApprovalQuery,
    WorkflowQuery,
    DefinitionQuery,
    ScheduleQuery,
    BoardQuery,
    TemplateQuery,
    ProjectQuery,
    ExecutionQuery,
    WorkspaceQuery,
    LeaseQuery,
    SessionQuery,
    ExecutionLogQuery,
    UsageQuery,
    TimerQuery,
    MilestoneQuery,
)
"""Everything that can be listed."""


# --- Port -------------------------------------------------------------------------------------------------------------


class ReadModels(ABC):
    """Queries over a log. The module's documentation says what makes an answer current.

    All methods may raise the errors of catching up: a `LogDamaged` error for an event of a newer program or one that is
    missing (the events before it have been folded), `StoreUnavailable` and `StoreFull` from the database. An aggregate
    with an event that does not decode, or is not possible, is shown as it was before that event; `find` finds it even
    if that was its first. Safe to use from several tasks at once. Cancelling a query leaves nothing half done.
    """

    @abstractmethod
    async def list(self, query: Query[R], *, at_least: int | None = None) -> Page[R]:
        """Return one page of the matches for `query`.

        Raises `InvalidInput`, with field and reason, for an invalid filter, sort column, limit or cursor.
        """

    @abstractmethod
    async def get(self, aggregate: Aggregate[S], aggregate_id: str) -> S | None:
        """Return the state of one aggregate, or None. Raises `InvalidId`."""

    @abstractmethod
    async def find(self, kind: str, text: str, *, limit: int = 10) -> tuple[Match, ...]:
        """Return the ids that equal `text`, or start or end with it; more than one means that it is ambiguous.

        `kind` is the name of an aggregate, or ``session``; an empty one searches all aggregates. Case-insensitive, and
        hyphens are optional. With kind ``approval``, if no approval matches, `text` may be (part of) a task's id, and
        stands for the task's pending approvals, or else its last one. Returns at most `limit` matches. Raises
        `InvalidId` for text that cannot be part of an id.
        """

    @abstractmethod
    async def counts(self, query: Query[Any]) -> Mapping[str, int]:
        """Return the number of matches by status, ignoring the page; statuses without matches are left out.

        Raises the errors of `list`, and `InvalidInput` for lists without a status.
        """

    @abstractmethod
    async def usage(self, *, task: str | None = None, since: Moment | None = None) -> tuple[UsageSum, ...]:
        """Return the sums of usage by execution, session, model and day.

        `since` is a position, exclusive, or an aware time, inclusive.
        """

    @abstractmethod
    async def verdicts(self, *, since: int = 0) -> tuple[tuple[VerdictCount, ...], int]:
        """Return the verdicts of humans after position `since`, counted, and the position up to which they are."""

    @abstractmethod
    async def milestones_of(self, agent: str) -> Mapping[Milestone, int]:
        """Return how often tasks of an agent ended, and what came back afterwards.

        A repair or a revert counts for the agent that the task was completed by before. What never happened is left
        out.
        """

    @abstractmethod
    async def milestone_counts(self, since: datetime, until: datetime) -> tuple[MilestoneCount, ...]:
        """Return the milestones reached from `since`, inclusive, to `until`, exclusive, by day, type and kind."""

    @abstractmethod
    async def agent_spells(self, since: datetime, until: datetime) -> tuple[AgentSpell, ...]:
        """Return the spells of agents that began in this time, and the last of each agent before it, in log order."""

    async def rows(self, query: Query[R]) -> AsyncGenerator[R, None]:
        """Yield all matches for `query`, from its cursor on, page by page."""
        at_least = None
        while True:
            page = await self.list(query, at_least=at_least)
            for row in page.rows:
                yield row
            if page.next_cursor is None:
                return
            query, at_least = msgspec.structs.replace(query, cursor=page.next_cursor), page.position
