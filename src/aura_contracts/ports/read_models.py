"""Read models: every list, count and look-up by part of an id, without a scan of the log.

    page = await models.list(TaskQuery(status="awaiting_approval", project="shop"))
    while page.next_cursor is not None:
        page = await models.list(TaskQuery(status="awaiting_approval", project="shop", cursor=page.next_cursor))

    idle = await models.list(AgentQuery(status="idle", executor="claude", sort="created_at", descending=False))
    (match,) = await models.find("approval", "3f2a91")
    counted = await models.counts(TaskQuery(project="shop"))

A query is a value. Aggregates are listed as their states (`Task`, `Approval`, ...), the same that folding their events
gives; sessions, log entries and reports of usage, which are no aggregates, as the rows defined here.

**Current**: an answer includes every event up to the position `at_least`, and with None every event that was in the log
when the question was asked. The models catch up when they are asked; nothing is written while nothing is asked.

Wherever a filter takes one word it takes several, any of which may fit; None does not filter, an empty collection fits
nothing. Words may be members of the enum they come from. A range of time is from `..._after`, inclusive, to
`..._before`, exclusive. Wherever ids are taken they are whole; `find` completes them.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from aura_contracts.agent import Agent
from aura_contracts.aggregate import Aggregate, State
from aura_contracts.approval import Approval
from aura_contracts.board import Board
from aura_contracts.execution import Execution, ExecutionStatus, Usage
from aura_contracts.lease import WorkerLease
from aura_contracts.task import Task
from aura_contracts.template import PromptTemplate
from aura_contracts.workflow import Workflow
from aura_contracts.workspace import Workspace

R = TypeVar("R")
S = TypeVar("S", bound=State)

Words = str | Collection[str] | None
"""One word, several of which one must fit, or None for no filter."""

Moment = int | datetime
"""A position of the log, or an instant."""

DEFAULT_LIMIT = 50
LIMIT = 1000
"""Rows on one page, at most."""

NANO = 1_000_000_000
"""Parts of a dollar that costs are counted in, so that sums of them are exact."""


# --- Rows -------------------------------------------------------------------------------------------------------------


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A session of an agent that can be resumed, with the newest run in it."""

    id: str
    """The agent's own name for the session; unique within one executor."""
    executor: str
    status: ExecutionStatus
    """Of the newest run."""
    task_id: str
    execution_id: str
    agent_id: str | None
    workspace_id: str | None
    directory: str | None
    """The folder that the agent was started in, by which many agents key their sessions; None where it is unknown."""
    prompt: str
    queued_at: datetime
    used_at: datetime
    """When the newest run changed last."""
    ended_at: datetime | None


class ExecutionLogRow(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the execution log."""

    id: str
    task_id: str
    agent_type: str
    """The type of the agent; its executor's name where it has none; ``human`` for what humans did not do in time."""
    action: str
    """What the agent called it, or the topic of the event."""
    result: dict[str, Any] | None
    success: bool
    error: str | None
    executed_at: datetime
    execution_id: str | None
    stage: str | None
    """The stage of the execution after it."""
    actor: str
    position: int


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One report of what an agent consumed; `ReadModels.usage` sums them."""

    id: str
    execution_id: str
    task_id: str
    agent_id: str | None
    executor: str
    session_id: str | None
    """The agent's own, as it was by then."""
    model: str
    """Empty where the agent does not say."""
    day: str
    """That of `used_at` in UTC: ``2026-01-04``."""
    used_at: datetime
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reported_nanodollars: int
    """What the agent said that it cost, in billionths of a US dollar."""
    position: int


class UsageSum(msgspec.Struct, frozen=True, kw_only=True):
    """What one execution consumed in one session, of one model, on one day (UTC)."""

    day: date
    execution_id: str
    task_id: str
    agent_id: str | None
    executor: str
    session_id: str | None
    """The agent's own; None where it had named none by then."""
    model: str
    """Empty where the agent does not say."""
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reported_nanodollars: int
    """What the agent said that it cost, each report rounded to a billionth of a dollar."""
    reports: int

    @property
    def reported(self) -> Decimal:
        """US dollars that the agent said it cost."""
        return Decimal(self.reported_nanodollars) / NANO

    @property
    def tokens(self) -> Usage:
        """The tokens, without the cost."""
        return Usage(self.input_tokens, self.output_tokens, self.cache_read_tokens, self.cache_write_tokens)

    @property
    def order(self) -> tuple[date, str, str, str]:
        """What sums are sorted by."""
        return self.day, self.execution_id, self.session_id or "", self.model


class Page(msgspec.Struct, Generic[R], frozen=True):
    """Some rows, and the cursor of the page after them; None when there is none.

    `position` is how far the log was folded when the page was read, or further.
    """

    rows: tuple[R, ...]
    next_cursor: str | None
    position: int

    def __iter__(self) -> Iterator[R]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


class Match(msgspec.Struct, frozen=True):
    """An id that a part of it was completed to, and what kind of thing has it (``task``, ``approval``, ...)."""

    kind: str
    id: str


# --- Queries ----------------------------------------------------------------------------------------------------------


class Query(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """Base of all lists: filters, one column to sort by, a page.

    `sort` is a column of the query's table that is not JSON, `limit` is from 1 to `LIMIT`; `cursor` is `next_cursor`
    of the page before, of the same list in the same order. Rows without a value sort last, in either direction. A row
    that stays where it is is seen exactly once, whatever is inserted while pages are turned.
    """

    table: ClassVar[str]
    """What is listed, in the plural: ``tasks``. In SQL adapters the table of this name."""
    has_status: ClassVar[bool] = True
    """Whether what is listed has a status that it can be counted by."""

    sort: str = "created_at"
    descending: bool = True
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None


class TaskQuery(Query[Task], frozen=True, kw_only=True):
    """Tasks; deleted ones only where `status` asks for them."""

    table = "tasks"
    id: Words = None
    status: Words = None
    agent: Words = None
    """Ids of assigned agents."""
    agent_type: Words = None
    priority: Words = None
    project: Words = None
    parent: Words = None
    """Ids of the tasks right above."""
    creator: Words = None
    """Actors: ``human:alice``."""
    queued: bool | None = None
    """Ready to be picked up, rather than in the backlog; of pending tasks."""
    unfinished: bool | None = None
    """Something is left to do: they had a run, and they or its lease have not ended, or their worktrees remain."""
    folder: str | None = None
    """Absolute; tasks that work on a repository or in a folder there or below."""
    search: str | None = None
    """A text anywhere in title or description, case-insensitive (on SQLite: for the letters of ASCII)."""
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
    """Ids of the tasks that they work on."""
    capability: str | None = None


class ApprovalQuery(Query[Approval], frozen=True, kw_only=True):
    """Approvals: the inbox, and what was decided."""

    table = "approvals"
    sort: str = "requested_at"
    id: Words = None
    pending: bool | None = None
    status: Words = None
    decision: Words = None
    kind: Words = None
    task: Words = None
    execution: Words = None
    workflow: Words = None
    reviewer: str | None = None
    """Name of a human who was or is asked."""
    awaiting: str | None = None
    """Name of a human whose answer still counts."""
    search: str | None = None
    """A text anywhere in the proposal, case-insensitive."""
    requested_after: datetime | None = None
    requested_before: datetime | None = None
    due_before: datetime | None = None
    """Pending ones whose deadline, reminder or escalation is due before then."""


class WorkflowQuery(Query[Workflow], frozen=True, kw_only=True):
    """Workflows."""

    table = "workflows"
    id: Words = None
    status: Words = None
    project: Words = None
    search: str | None = None
    """A text anywhere in name or description, case-insensitive."""


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


class ExecutionQuery(Query[Execution], frozen=True, kw_only=True):
    """Runs of agents."""

    table = "executions"
    sort: str = "queued_at"
    id: Words = None
    status: Words = None
    ended: bool | None = None
    task: Words = None
    agent: Words = None
    executor: Words = None
    workspace: Words = None
    worker: Words = None
    session: Words = None
    """The agent's own sessions, any that the run began with or went on in."""
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
    """Absolute; those of a repository or folder there or below."""


class LeaseQuery(Query[WorkerLease], frozen=True, kw_only=True):
    """Leases: which worker runs which execution."""

    table = "leases"
    sort: str = "granted_at"
    id: Words = None
    status: Words = None
    execution: Words = None
    worker: Words = None


class SessionQuery(Query[SessionRow], frozen=True, kw_only=True):
    """Sessions of agents that can be resumed, each with its newest run."""

    table = "sessions"
    sort: str = "queued_at"
    id: Words = None
    executor: Words = None
    task: Words = None
    agent: Words = None
    folder: str | None = None
    """Absolute; sessions of agents that were started there or below, or worked on a repository there."""
    used_after: datetime | None = None
    used_before: datetime | None = None


class ExecutionLogQuery(Query[ExecutionLogRow], frozen=True, kw_only=True):
    """Entries of the execution logs, by default in the order of the log, newest first."""

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
    """Reports of what agents consumed, by default in the order of the log, newest first."""

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


QUERIES: tuple[type[Query[Any]], ...] = (
    TaskQuery,
    AgentQuery,
    ApprovalQuery,
    WorkflowQuery,
    BoardQuery,
    TemplateQuery,
    ExecutionQuery,
    WorkspaceQuery,
    LeaseQuery,
    SessionQuery,
    ExecutionLogQuery,
    UsageQuery,
)
"""Everything that can be listed."""


# --- Port -------------------------------------------------------------------------------------------------------------


class ReadModels(ABC):
    """What can be asked of a log. See the module for how current answers are.

    All methods raise what catching up raises: `LogDamaged` errors for an event that does not decode or cannot have
    happened (what was before it has been folded), `StoreUnavailable` and `StoreFull` from the database. Safe to use
    from several tasks at a time. Cancelled, a question leaves nothing half done.
    """

    @abstractmethod
    async def list(self, query: Query[R], *, at_least: int | None = None) -> Page[R]:
        """Return one page of what fits `query`.

        Raises `InvalidInput`, with field and reason, for a filter, sort column, limit or cursor that means nothing.
        """

    @abstractmethod
    async def get(self, aggregate: Aggregate[S], aggregate_id: str, *, at_least: int | None = None) -> S | None:
        """Return the state of one aggregate, or None. Raises `InvalidId`."""

    @abstractmethod
    async def find(self, kind: str, text: str, *, limit: int = 10, at_least: int | None = None) -> tuple[Match, ...]:
        """Return what `text` is the id of, or begins, or ends; more than one match means that it is ambiguous.

        `kind` is the name of an aggregate or ``session``, and with an empty one all aggregates are looked through.
        Case-insensitive, hyphens may be left out. For ``approval``, where no approval fits, `text` may be (part of) a
        task's id: it stands for the approvals of the task that are pending, or else the last one. Returns up to `limit`
        matches. Raises `InvalidId` for what cannot be part of an id.
        """

    @abstractmethod
    async def counts(self, query: Query[Any], *, at_least: int | None = None) -> Mapping[str, int]:
        """Return how many of what fits `query` have each status, whatever its page; statuses without any are left out.

        Raises as `list`, and `InvalidInput` for what has no status.
        """

    @abstractmethod
    async def usage(
        self, *, task: str | None = None, since: Moment | None = None, at_least: int | None = None
    ) -> tuple[UsageSum, ...]:
        """Return what was consumed, summed by execution, session, model and day.

        `since` is a position, after which, or an aware time, from which on.
        """

    async def rows(self, query: Query[R], *, at_least: int | None = None) -> AsyncGenerator[R, None]:
        """Yield everything that fits `query`, from its cursor on, page by page."""
        while True:
            page = await self.list(query, at_least=at_least)
            for row in page.rows:
                yield row
            if page.next_cursor is None:
                return
            query, at_least = msgspec.structs.replace(query, cursor=page.next_cursor), page.position
