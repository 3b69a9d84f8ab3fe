"""Filters: queries as SQL. Every value from outside is checked here and bound, never part of the SQL text.

A filter is named after its column: ``status`` filters by ``status``, ``task`` by ``task_id``, ``created_after`` by
``created_at``. All others are in `_OWN`. Raises `InvalidInput` (with field, reason and remedy) for an invalid filter.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from aura_contracts.approval import ApprovalStatus
from aura_contracts.errors import InvalidInput, require_text
from aura_contracts.execution import ExecutionStatus
from aura_contracts.ids import parse_id
from aura_contracts.lease import LeaseStatus
from aura_contracts.ports import read_models as ask
from aura_contracts.ports.read_models import Query
from aura_contracts.project import ProjectStatus
from aura_contracts.task import DependencyPolicy, TaskStatus, parse_agent_type
from aura_contracts.workflow import WorkflowStatus
from aura_contracts.workflow_schedule import ScheduleStatus
from aura_contracts.workspace import WorkspaceStatus
from aura_store.read_models._paging import Condition, utc
from aura_store.read_models._schema import TABLES
from aura_store.read_models._table import DialectName, Table

Filter = Callable[[str, Any, DialectName], Condition]
"""``(field, value, dialect)`` -> condition; `field` is its name in errors."""

_NO: Final[Condition] = ("1 = 0", ())


def conditions(query: Query[Any], dialect: DialectName) -> list[Condition]:
    """Return the conditions for rows that match `query`, ignoring its page."""
    found = [
        make(field, value, dialect)
        for field, make in _filters_of(type(query)).items()
        if (value := getattr(query, field)) is not None
    ]
    if isinstance(query, ask.TaskQuery) and query.status is None and query.unfinished is None and query.id is None:
        found.append((f"status <> '{TaskStatus.DELETED}'", ()))
    if isinstance(query, ask.ProjectQuery) and query.status is None:
        found.append((f"status <> '{ProjectStatus.REMOVED}'", ()))
    if isinstance(query, ask.ScheduleQuery) and query.status is None:
        found.append((f"status <> '{ScheduleStatus.REMOVED}'", ()))
    return found


def where(found: Iterable[Condition]) -> Condition:
    """Join conditions into a WHERE clause; empty without conditions."""
    texts, values = [], list[Any]()
    for text, bound in found:
        texts.append(text)
        values += bound
    return (f" WHERE {' AND '.join(texts)}" if texts else "", tuple(values))


@cache
def _filters_of(query: type[Query[Any]]) -> Mapping[str, Filter]:
    """Return the filters of a query by field."""
    own, table = _OWN.get(query, {}), TABLES[query.table]
    fields = [field for field in query.__struct_fields__ if field not in Query.__struct_fields__]
    return {field: own.get(field) or _by_column(table, field) for field in fields}


def _by_column(table: Table, field: str) -> Filter:
    name, _, end = field.rpartition("_")
    if end in ("after", "before"):
        return _time(f"{name}_at", ">=" if end == "after" else "<")
    column = table.column(field) or table.column(f"{field}_id")
    assert column is not None, f"{table.name} have no column for the filter {field}"
    if column.kind == "boolean":
        return _flag(column.name, f"NOT {column.name}")
    return _ids(column.name) if column.kind == "id" else _words(column.name, column.words)


# --- Kinds of filters -------------------------------------------------------------------------------------------------


def _several(field: str, given: Any, known: Collection[str] = ()) -> Iterator[str]:
    """Yield the words of a filter as plain strings; `known` are the valid ones, empty for any."""
    if not isinstance(given, str | Iterable):
        raise InvalidInput(field=field, reason=f"{given!r} is not a string", remedy="use one string or several")
    for word in [given] if isinstance(given, str) else given:
        if not isinstance(word, str) or (known and word not in known):
            remedy = f"use {', '.join(known)}" if known else "use a string"
            raise InvalidInput(field=field, reason=f"{word!r} is not a valid value", remedy=remedy)
        yield str(require_text(word, field))


def _in(column: str, values: Iterable[str]) -> Condition:
    bound = tuple(values)
    return (f"{column} IN ({', '.join('?' * len(bound))})", bound) if bound else _NO


def _words(column: str, known: Collection[str] = ()) -> Filter:
    return lambda field, value, _: _in(column, _several(field, value, known))


def _agent_types(column: str) -> Filter:
    return lambda field, value, _: _in(column, (parse_agent_type(word, field) for word in _several(field, value)))


def _ids(column: str) -> Filter:
    return lambda field, value, _: _in(column, (parse_id(word, field) for word in _several(field, value)))


def _time(column: str, sign: str) -> Filter:
    return lambda field, value, _: (f"{column} {sign} ?", (utc(value, field),))


def _flag(yes: str, no: str) -> Filter:
    """Choose between two conditions without values."""

    def chosen(field: str, value: Any, dialect: DialectName) -> Condition:
        if not isinstance(value, bool):
            raise InvalidInput(field=field, reason=f"{value!r} is not True or False", remedy="use True, False or None")
        return (yes if value else no, ())

    return chosen


def _holds(column: str) -> Filter:
    """Match JSON lists that contain a string."""

    def holds(field: str, value: str, dialect: DialectName) -> Condition:
        item = f"EXISTS (SELECT 1 FROM json_each({column}) AS item WHERE item.value = ?)"
        sql = item if dialect == "sqlite" else f"jsonb_exists({column}, ?)"
        return sql, (require_text(value, field),)

    return holds


def _any_held(column: str) -> Filter:
    """Match JSON lists that contain one of several ids."""

    def held(field: str, value: Any, dialect: DialectName) -> Condition:
        text, bound = _in("item.value", (parse_id(word, field) for word in _several(field, value)))
        return f"EXISTS (SELECT 1 FROM {_items(column, dialect)} WHERE {text})", bound

    return held


def _any_text_held(column: str) -> Filter:
    """Match JSON lists that contain one of several texts."""

    def held(field: str, value: Any, dialect: DialectName) -> Condition:
        text, bound = _in("item.value", _several(field, value))
        return f"EXISTS (SELECT 1 FROM {_items(column, dialect)} WHERE {text})", bound

    return held


def _items(column: str, dialect: DialectName) -> str:
    """Return the table ``item(value)`` of the texts in a JSON list."""
    if dialect == "sqlite":
        return f"json_each({column}) AS item"
    return f"jsonb_array_elements_text({column}) AS item(value)"


def _blocked(field: str, value: Any, dialect: DialectName) -> Condition:
    """Match tasks that a conflict blocks, or that wait for one that has not completed, or never will."""
    open_or_waited = f"(other.status IN ({_LIVE_TASK}) OR tasks.on_dependency_failure = '{DependencyPolicy.WAIT}')"
    after = _items('tasks."after"', dialect)
    waits = (
        f"EXISTS (SELECT 1 FROM {after} JOIN tasks AS other ON other.id = item.value"
        f" WHERE other.status <> '{TaskStatus.COMPLETED}' AND {open_or_waited})"
    )
    queued = f"execution_id IN (SELECT id FROM executions WHERE status = '{ExecutionStatus.QUEUED}')"
    begun = f"(status = '{TaskStatus.PENDING}' OR (status = '{TaskStatus.IN_PROGRESS}' AND {queued}))"
    yes = f"(status = '{TaskStatus.BLOCKED}' OR ({begun} AND {waits}))"
    return _flag(yes, f"coalesce(NOT {yes}, TRUE)")(field, value, dialect)


def _contains(*columns: str) -> Filter:
    """Match rows with a text anywhere in one of `columns`, case-insensitively."""

    def contains(field: str, value: str, dialect: DialectName) -> Condition:
        text = require_text(value, field)
        for special in ("\\", "%", "_"):
            text = text.replace(special, f"\\{special}")
        like = "LIKE" if dialect == "sqlite" else "ILIKE"
        parts = [f"{column} {like} ? ESCAPE '\\'" for column in columns]
        return f"({' OR '.join(parts)})", (f"%{text}%",) * len(columns)

    return contains


def _inside(column: str, field: str, folder: str) -> Condition:
    """Match paths that are `folder` or below it."""
    if not folder.startswith("/"):
        raise InvalidInput(field=field, reason=f"{folder!r} is not an absolute path", remedy="start it with /")
    path = require_text(folder, field).rstrip("/")
    below = f"{path}/"
    return f"({column} = ? OR substr({column}, 1, ?) = ?)", (path or "/", len(below), below)


def _one_inside(column: str) -> Filter:
    """Match JSON lists with a path in a folder."""

    def inside(field: str, value: str, dialect: DialectName) -> Condition:
        text, bound = _inside("item.value", field, value)
        return f"EXISTS (SELECT 1 FROM {_items(column, dialect)} WHERE {text})", bound

    return inside


def _nested(outer: str, inner: Filter) -> Filter:
    """Insert the condition of `inner` at the ``{}`` of `outer`."""

    def nested(field: str, value: Any, dialect: DialectName) -> Condition:
        text, bound = inner(field, value, dialect)
        return outer.format(text), bound

    return nested


def _either(one: Filter, other: Filter) -> Filter:
    """Match rows for which at least one of two conditions holds."""

    def either(field: str, value: Any, dialect: DialectName) -> Condition:
        (first, bound), (second, more) = one(field, value, dialect), other(field, value, dialect)
        return f"({first} OR {second})", (*bound, *more)

    return either


def _listed(statuses: Iterable[StrEnum]) -> str:
    return ", ".join(f"'{status}'" for status in statuses)


def _but(statuses: type[StrEnum], *without: StrEnum) -> str:
    """Return all `statuses` except some, because an index can find these but not an inequality."""
    return _listed(status for status in statuses if status not in without)


_ENDED: Final = (ExecutionStatus.DONE, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED)
_ENDED_WORKFLOW: Final = _listed((WorkflowStatus.COMPLETED, WorkflowStatus.FAILED, WorkflowStatus.CANCELLED))
_ENDED_RUN: Final = _listed(_ENDED)
_LIVE_TASK: Final = _but(TaskStatus, TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.DELETED)
_LEASED: Final = f"SELECT execution_id FROM leases WHERE status IN ({_but(LeaseStatus, LeaseStatus.CLOSED)})"
_WORKTREES_KEPT: Final = f"status IN ({_but(WorkspaceStatus, WorkspaceStatus.REMOVED)})"
_WITH_WORKTREES: Final = f"SELECT task_id FROM workspaces WHERE NOT in_place AND {_WORKTREES_KEPT}"
_AT_WORK: Final = f"SELECT id FROM executions WHERE status IN ({_but(ExecutionStatus, *_ENDED)})"
_UNFINISHED: Final = (
    f"(execution_id IS NOT NULL AND (status IN ({_LIVE_TASK}) OR execution_id IN ({_LEASED} UNION {_AT_WORK})"
    f" OR (status = '{TaskStatus.COMPLETED}' AND id IN ({_WITH_WORKTREES}))))"
)

_OF_TASK: Final = _nested("task_id IN (SELECT id FROM tasks WHERE {})", _words("project"))
"""The project of what belongs to a task."""

_OWN: Final[Mapping[type[Query[Any]], Mapping[str, Filter]]] = MappingProxyType(
    {
        ask.TaskQuery: {
            "agent": _ids("assigned_agent"),
            "agent_type": _agent_types("agent_type"),
            "parent": _ids("parent_task_id"),
            "label": _holds("labels"),
            "blocked": _blocked,
            "after": _any_held('"after"'),
            "unfinished": _flag(_UNFINISHED, f"coalesce(NOT {_UNFINISHED}, TRUE)"),
            "folder": _nested("id IN (SELECT task_id FROM workspaces WHERE {})", _one_inside("folders")),
            "pooled": _flag("pooled = TRUE", "pooled = FALSE"),
            "search": _contains("title", "description"),
        },
        ask.AgentQuery: {
            "type": _agent_types("type"),
            "task": _any_held("task_ids"),
            "capability": _holds("capabilities"),
        },
        ask.ApprovalQuery: {
            "project": _OF_TASK,
            "pending": _flag(f"status = '{ApprovalStatus.PENDING}'", f"status <> '{ApprovalStatus.PENDING}'"),
            "reviewer": _holds("reviewers"),
            "awaiting": _holds("awaited"),
            "search": _contains("proposed_solution"),
            "waits_after": _time("open_since", ">="),
            "waits_before": _time("open_since", "<"),
            "due_before": _nested("id IN (SELECT stream_id FROM timers WHERE {})", _time("due_at", "<")),
        },
        ask.TimerQuery: {"counts_after": _time("counts_from", ">=")},
        ask.DefinitionQuery: {"uses": _any_text_held("uses"), "search": _contains("name", "description")},
        ask.ScheduleQuery: {"troubled": _flag("problem <> ''", "problem = ''")},
        ask.WorkflowQuery: {
            "parent": _ids("parent_workflow_id"),
            "nested": _flag("parent_workflow_id IS NOT NULL", "parent_workflow_id IS NULL"),
            "ended": _flag(f"status IN ({_ENDED_WORKFLOW})", f"status NOT IN ({_ENDED_WORKFLOW})"),
            "waits": _flag("awaiting <> '[]'", "awaiting = '[]'"),
            "search": _contains("name", "description"),
        },
        ask.ProjectQuery: {"repository": _any_text_held("repositories")},
        ask.ExecutionQuery: {
            "project": _OF_TASK,
            "ended": _flag(f"status IN ({_ENDED_RUN})", f"status NOT IN ({_ENDED_RUN})"),
            "session": _nested("id IN (SELECT execution_id FROM execution_sessions WHERE {})", _words("session_id")),
        },
        ask.WorkspaceQuery: {
            "removed": _flag(f"status = '{WorkspaceStatus.REMOVED}'", f"status <> '{WorkspaceStatus.REMOVED}'"),
            "folder": _one_inside("folders"),
        },
        ask.SessionQuery: {
            "id": _words("id"),
            "place": _nested("workspace_id IN (SELECT id FROM workspaces WHERE {})", _holds("folders")),
            "folder": _either(
                lambda field, value, _: _inside("directory", field, value),
                _nested("workspace_id IN (SELECT id FROM workspaces WHERE {})", _one_inside("folders")),
            ),
        },
    }
)
"""The filters that are not simply about the column after which they are named."""
