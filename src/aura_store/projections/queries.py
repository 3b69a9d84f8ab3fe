"""Queries: typed questions to the read models. What is asked is checked here; the SQL is SQLAlchemy's, values bound.

    page = await models.tasks(status="in_progress", sort="priority", descending=True)
    page = await models.tasks(status="in_progress", sort="priority", descending=True, cursor=page.next_cursor)

Wherever a filter takes one word it takes several, of which one must fit. A time range is from `..._after`, inclusive,
to `..._before`, exclusive. Raises `InvalidInput` (with field, reason and remedy) for a filter, sort column, limit or
cursor that means nothing, and what `Database.read` raises.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Column, ColumnElement, Connection, Table, func, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import Boolean

from aura_contracts.agent import AgentStatus
from aura_contracts.approval import ApprovalDecision, ApprovalKind, ApprovalStatus
from aura_contracts.errors import InvalidInput
from aura_contracts.ids import parse_id
from aura_contracts.task import Priority, TaskStatus, parse_agent_type
from aura_contracts.workflow import WorkflowStatus
from aura_store.history import Moment
from aura_store.projections._database import Database
from aura_store.projections._models import AgentRow, ApprovalRow, ExecutionLogRow, TaskRow, UsageRow, WorkflowRow
from aura_store.projections._paging import Page, order_by, require_limit, require_text, utc
from aura_store.projections._rows import plain_row
from aura_store.projections.tables import AGENTS, APPROVALS, EXECUTION_LOGS, METADATA, TASKS, USAGE, WORKFLOWS
from aura_store.usage import UsageSum, require_since

R = TypeVar("R", bound=msgspec.Struct)

Words = str | Iterable[str]
"""One word or several, also as members of the enum they come from."""

Where = list[ColumnElement[bool]]

DEFAULT_LIMIT: Final = 50


class Queries:
    """What can be asked of read models, present or past."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- Lists --------------------------------------------------------------------------------------------------------

    async def tasks(
        self,
        *,
        status: Words | None = None,
        agent: Words | None = None,
        priority: Words | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        parent: str | None = None,
        project: Words | None = None,
        queued: bool | None = None,
        search: str | None = None,
        sort: str = "created_at",
        descending: bool = True,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Page[TaskRow]:
        """Return tasks; deleted ones only where `status` asks for them.

        `agent` is the id of the assigned agent, `parent` that of the task above. `search` is a text anywhere in title
        or description; the case of letters does not matter (on SQLite: of the letters of ASCII).
        """
        table = TASKS.c
        where = [
            *_words("status", table.status, status, TaskStatus),
            *_words("agent", table.assigned_agent, agent),
            *_words("priority", table.priority, priority, Priority),
            *_between("created", table.created_at, created_after, created_before),
            *_is_id("parent", table.parent_task_id, parent),
            *_words("project", table.project, project),
            *([] if queued is None else [table.queued.is_(queued)]),
            *_contains("search", search, table.title, table.description),
        ]
        if status is None:
            where.append(table.status != TaskStatus.DELETED.value)
        return await self._page(TASKS, TaskRow, where, sort, descending, limit, cursor)

    async def agents(
        self,
        *,
        status: Words | None = None,
        type: Words | None = None,  # noqa: A002 - the seed's word for the column
        capability: str | None = None,
        sort: str = "created_at",
        descending: bool = True,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Page[AgentRow]:
        """Return agents of the pool."""
        where = [
            *_words("status", AGENTS.c.status, status, AgentStatus),
            *_words("type", AGENTS.c.type, type, parse=parse_agent_type),
            *_lists("capability", AGENTS.c.capabilities, capability),
        ]
        return await self._page(AGENTS, AgentRow, where, sort, descending, limit, cursor)

    async def approvals(
        self,
        *,
        pending: bool | None = None,
        status: Words | None = None,
        decision: Words | None = None,
        kind: Words | None = None,
        task: str | None = None,
        reviewer: str | None = None,
        awaiting: str | None = None,
        sort: str = "requested_at",
        descending: bool = True,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Page[ApprovalRow]:
        """Return approvals. `reviewer` is somebody who was asked; `awaiting` somebody whose answer still counts."""
        table = APPROVALS.c
        where = [
            *_words("status", table.status, status, ApprovalStatus),
            *_words("decision", table.decision, decision, ApprovalDecision),
            *_words("kind", table.kind, kind, ApprovalKind),
            *_is_id("task", table.task_id, task),
            *_lists("reviewer", table.reviewers, reviewer),
            *_lists("awaiting", table.awaited, awaiting),
        ]
        if pending is not None:
            waiting = table.status == ApprovalStatus.PENDING.value
            where.append(waiting if pending else ~waiting)
        return await self._page(APPROVALS, ApprovalRow, where, sort, descending, limit, cursor)

    async def workflows(
        self,
        *,
        status: Words | None = None,
        project: Words | None = None,
        sort: str = "created_at",
        descending: bool = True,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Page[WorkflowRow]:
        """Return workflows."""
        where = [
            *_words("status", WORKFLOWS.c.status, status, WorkflowStatus),
            *_words("project", WORKFLOWS.c.project, project),
        ]
        return await self._page(WORKFLOWS, WorkflowRow, where, sort, descending, limit, cursor)

    async def execution_logs(
        self,
        *,
        task: str | None = None,
        execution: str | None = None,
        success: bool | None = None,
        action: Words | None = None,
        executed_after: datetime | None = None,
        executed_before: datetime | None = None,
        sort: str = "position",
        descending: bool = True,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Page[ExecutionLogRow]:
        """Return entries of the execution logs, by default in the order of the log, newest first."""
        table = EXECUTION_LOGS.c
        where = [
            *_is_id("task", table.task_id, task),
            *_is_id("execution", table.execution_id, execution),
            *([] if success is None else [table.success.is_(success)]),
            *_words("action", table.action, action),
            *_between("executed", table.executed_at, executed_after, executed_before),
        ]
        return await self._page(EXECUTION_LOGS, ExecutionLogRow, where, sort, descending, limit, cursor)

    async def usage_reports(
        self,
        *,
        task: str | None = None,
        execution: str | None = None,
        model: Words | None = None,
        used_after: datetime | None = None,
        used_before: datetime | None = None,
        sort: str = "position",
        descending: bool = True,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Page[UsageRow]:
        """Return what agents reported that they consumed, by default in the order of the log, newest first."""
        where = [
            *_is_id("task", USAGE.c.task_id, task),
            *_is_id("execution", USAGE.c.execution_id, execution),
            *_words("model", USAGE.c.model, model),
            *_between("used", USAGE.c.used_at, used_after, used_before),
        ]
        return await self._page(USAGE, UsageRow, where, sort, descending, limit, cursor)

    async def _page(
        self,
        table: Table,
        row_type: type[R],
        where: Sequence[ColumnElement[bool]],
        sort: str,
        descending: bool,  # noqa: FBT001 - passed on as it came
        limit: int,
        cursor: str | None,
    ) -> Page[R]:
        order = order_by(table, sort, descending=descending)
        query = order.page(where, require_limit(limit), cursor)
        found = await self._database.read(lambda c: c.execute(query).mappings().all())
        rows = tuple(msgspec.convert(plain_row(row), row_type) for row in found[:limit])
        last = found[limit - 1] if len(found) > limit else None
        return Page(rows, None if last is None else order.cursor_at(last["_key"], last["id"]))

    # --- One ----------------------------------------------------------------------------------------------------------

    async def task(self, task_id: str) -> TaskRow | None:
        """Return one task, deleted or not; None if there is none of this id."""
        return await self._one(TASKS, TaskRow, task_id)

    async def agent(self, agent_id: str) -> AgentRow | None:
        """Return one agent, or None."""
        return await self._one(AGENTS, AgentRow, agent_id)

    async def approval(self, approval_id: str) -> ApprovalRow | None:
        """Return one approval, or None."""
        return await self._one(APPROVALS, ApprovalRow, approval_id)

    async def workflow(self, workflow_id: str) -> WorkflowRow | None:
        """Return one workflow, or None."""
        return await self._one(WORKFLOWS, WorkflowRow, workflow_id)

    async def _one(self, table: Table, row_type: type[R], row_id: str) -> R | None:
        query = select(table).where(table.c.id == parse_id(row_id))
        row = await self._database.read(lambda c: c.execute(query).mappings().one_or_none())
        return None if row is None else msgspec.convert(plain_row(row), row_type)

    # --- Over all -----------------------------------------------------------------------------------------------------

    async def ids(self, table: str, prefix: str, *, limit: int = 10) -> tuple[str, ...]:
        """Return up to `limit` ids in `table` that begin with `prefix`: more than one means that it is ambiguous."""
        column = _table(table).c.id
        start = require_text(prefix.lower(), "prefix")
        query = select(column).where(column >= start, column < start + "g").order_by(column).limit(require_limit(limit))
        return tuple(await self._database.read(lambda c: c.execute(query).scalars().all()))

    async def counts(self, table: str) -> dict[str, int]:
        """Return how many rows of `table` have each status."""
        if "status" not in (found := _table(table)).c:
            raise InvalidInput(field="table", reason=f"{table} has no status", remedy="ask for tasks or approvals")
        column = found.c.status
        query = select(column, func.count()).group_by(column).order_by(column)

        def count(connection: Connection) -> dict[str, int]:
            return {str(status): int(number) for status, number in connection.execute(query)}

        return await self._database.read(count)

    async def usage(self, *, task: str | None = None, since: Moment | None = None) -> tuple[UsageSum, ...]:
        """Return what was consumed, summed by execution, session, model and day; `aura_store.usage.cost_of` prices it.

        `since` is a position, after which, or a time, from which on. The same as `aura_store.usage.usage_of` of the log
        up to where the tables stand.
        """
        where = [*_is_id("task", USAGE.c.task_id, task), *_since(since)]
        query = select(*_DIMENSIONS, *map(func.sum, _AMOUNTS), func.count()).where(*where).group_by(*_DIMENSIONS)
        found = await self._database.read(lambda c: c.execute(query).all())
        names = [column.name for column in (*_DIMENSIONS, *_AMOUNTS)]
        sums = [UsageSum(**_sum_values(dict(zip([*names, "reports"], row, strict=True)))) for row in found]
        return tuple(sorted(sums, key=lambda each: each.order))


_DIMENSIONS: Final = tuple(
    USAGE.c[name] for name in ("day", "execution_id", "task_id", "agent_id", "executor", "session_id", "model")
)

_AMOUNTS: Final = tuple(
    USAGE.c[name]
    for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reported_nanodollars")
)


def _sum_values(found: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a sum: PostgreSQL adds integers up to decimals."""
    numbers = {name: int(found[name]) for name in [*(column.name for column in _AMOUNTS), "reports"]}
    return found | numbers | {"day": date.fromisoformat(found["day"])}


def _since(since: Moment | None) -> Where:
    if since is None:
        return []
    require_since(since)
    return [USAGE.c.used_at >= utc(since, "since") if isinstance(since, datetime) else USAGE.c.position > since]


def _table(name: str) -> Table:
    if name not in METADATA.tables:
        remedy = f"ask for one of {', '.join(METADATA.tables)}"
        raise InvalidInput(field="table", reason=f"there is no table {name!r}", remedy=remedy)
    return METADATA.tables[name]


# --- Filters ----------------------------------------------------------------------------------------------------------


class json_list_has(GenericFunction[bool]):  # noqa: N801 - the name of an SQL function
    """``json_list_has(list, text)``: whether a JSON list holds a text."""

    type = Boolean()
    inherit_cache = True


@compiles(json_list_has, "sqlite")
def _in_sqlite(element: Any, compiler: SQLCompiler, **how: Any) -> str:
    values, text = (compiler.process(clause, **how) for clause in element.clauses)
    return f"EXISTS (SELECT 1 FROM json_each({values}) AS item WHERE item.value = {text})"  # noqa: S608 - compiled


@compiles(json_list_has, "postgresql")
def _in_postgresql(element: Any, compiler: SQLCompiler, **how: Any) -> str:
    values, text = (compiler.process(clause, **how) for clause in element.clauses)
    return f"jsonb_exists({values}, {text})"


def _words(
    field: str,
    column: Column[str],
    given: Words | None,
    known: type[StrEnum] | None = None,
    parse: Callable[[str, str], str] = require_text,
) -> Where:
    if given is None:
        return []
    words = [given] if isinstance(given, str) else list(given)
    for word in words:
        if not isinstance(word, str) or (known is not None and word not in set(known)):
            remedy = f"use {', '.join(known)}" if known else "give a text"
            raise InvalidInput(field=field, reason=f"{word!r} is not possible", remedy=remedy)
    return [column.in_([str(parse(word, field)) for word in words])]


def _between(field: str, column: Column[datetime], after: datetime | None, before: datetime | None) -> Where:
    where: Where = []
    if after is not None:
        where.append(column >= utc(after, f"{field}_after"))
    if before is not None:
        where.append(column < utc(before, f"{field}_before"))
    return where


def _is_id(field: str, column: Column[str], given: str | None) -> Where:
    return [] if given is None else [column == parse_id(given, field)]


def _lists(field: str, column: Column[Any], given: str | None) -> Where:
    return [] if given is None else [json_list_has(column, require_text(given, field))]


def _contains(field: str, given: str | None, *columns: Column[str]) -> Where:
    if given is None:
        return []
    text = require_text(given, field)
    return [or_(*(column.icontains(text, autoescape=True) for column in columns))]
