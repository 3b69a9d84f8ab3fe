"""Queries against the tables, in one transaction. Blocking."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec

from aura_contracts.approval import ApprovalStatus
from aura_contracts.errors import InvalidId, InvalidInput, require_text
from aura_contracts.first_use import convert
from aura_contracts.ids import parse_id
from aura_contracts.ports.milestones import AgentSpell, Milestone, MilestoneCount, MilestoneRow, VerdictCount
from aura_contracts.ports.read_models import Query
from aura_contracts.ports.rows import ExecutionLogRow, Match, Page, SessionRow, TimerRow, UsageRow, UsageSum
from aura_contracts.ports.time_arguments import Moment, moment_of
from aura_store.read_models import _milestone_questions as milestones
from aura_store.read_models import _schema as schema
from aura_store.read_models._database import Database, Transaction
from aura_store.read_models._filters import conditions, where
from aura_store.read_models._fold import decoder_of, read_mark, state_column
from aura_store.read_models._paging import Condition, Values, order_of, utc
from aura_store.read_models._rows import STATE_TABLES
from aura_store.read_models._schema import TABLES
from aura_store.read_models._table import Table

_ROW_TYPES: Final[Mapping[str, type[msgspec.Struct]]] = MappingProxyType(
    {
        "sessions": SessionRow,
        "execution_logs": ExecutionLogRow,
        "usage": UsageRow,
        "timers": TimerRow,
        "milestones": MilestoneRow,
    }
)
_KIND_OF: Final = MappingProxyType({each.table.name: kind for kind, each in STATE_TABLES.items()})


class Questions:
    """The queries of `ReadModels` against the current tables. Lives as long as a transaction."""

    def __init__(self, database: Database, transaction: Transaction) -> None:
        self._database = database
        self._transaction = transaction

    def position(self) -> int:
        """Return how far the tables are."""
        mark = read_mark(self._transaction)
        return 0 if mark is None else mark.position

    # --- Lists --------------------------------------------------------------------------------------------------------

    def page(self, query: Query[Any]) -> Page[Any]:
        """Return one page of the matches for `query`."""
        table = TABLES[query.table]
        order = order_of(table, query)
        wanted = conditions(query, self._transaction.dialect)
        if query.cursor is not None:
            wanted.append(order.after(query.cursor))
        clause, values = where(wanted)
        keys = self._execute(
            f'SELECT {order.expression}, "{table.key}" FROM {table.name}{clause} ORDER BY {order.clause} LIMIT ?',
            (*values, query.limit + 1),
        )
        shown = keys[: query.limit]
        cursor = None
        if len(keys) > query.limit:
            cursor = order.cursor_at(self._database.from_database(order.kind, shown[-1][0]), shown[-1][1])
        rows = tuple(self._whole(table, [key for _, key in shown])) if shown else ()
        return Page(rows, cursor, self.position())

    def _whole(self, table: Table, keys: list[str]) -> Iterator[Any]:
        """Yield the listed values for the rows with these keys, in their order."""
        kind = _KIND_OF.get(table.name)
        found = self._rows(table, keys) if kind is None else self._states(kind, keys)
        return (found[key] for key in keys)

    def _states(self, kind: str, ids: list[str]) -> dict[str, Any]:
        statement = f"SELECT id, {state_column(self._transaction)} FROM aggregates WHERE id IN ({_marks(ids)})"
        decode = decoder_of(kind).decode
        return {row_id: decode(state) for row_id, state in self._execute(statement, ids)}

    def _rows(self, table: Table, keys: list[str]) -> dict[str, Any]:
        names = ", ".join(f'"{name}"' for name in table.names)
        statement = f'SELECT {names} FROM {table.name} WHERE "{table.key}" IN ({_marks(keys)})'
        plain = [self._database.plain(table.columns, row) for row in self._execute(statement, keys)]
        return {row[table.key]: convert(row, _ROW_TYPES[table.name]) for row in plain}

    def get(self, kind: str, aggregate_id: str) -> Any:
        """Return the state of one aggregate, or None."""
        statement = f"SELECT {state_column(self._transaction)} FROM aggregates WHERE id = ? AND kind = ?"
        found = self._execute(statement, (parse_id(aggregate_id), kind))
        return decoder_of(kind).decode(found[0][0]) if found else None

    def counts(self, query: Query[Any]) -> dict[str, int]:
        """Return the number of matches for `query` by status."""
        table = TABLES[query.table]
        if table.column("status") is None:
            raise InvalidInput(field="query", reason=f"{table.name} have no status", remedy="count tasks, for example")
        clause, values = where(conditions(query, self._transaction.dialect))
        statement = f"SELECT status, count(*) FROM {table.name}{clause} GROUP BY status ORDER BY status"
        return {str(status): int(number) for status, number in self._execute(statement, values)}

    # --- Lookup by partial id -----------------------------------------------------------------------------------------

    def find(self, kind: str, text: str, limit: int) -> tuple[Match, ...]:
        """Return the ids that equal `text`, or start or end with it."""
        if kind == "session":
            part = require_text(text, "session")
            found = self._matching("sessions", "id", (), (part, _next(part)), part, limit, distinct=True)
            return tuple(Match("session", row_id) for _, row_id in found)
        matches = self._aggregates((kind,) if kind else (), text, limit)
        if not matches and kind == "approval":
            return self._approvals_of(self._aggregates(("task",), text, 2), limit)
        return matches

    def _aggregates(self, kinds: tuple[str, ...], text: str, limit: int) -> tuple[Match, ...]:
        for kind in kinds:
            if kind not in STATE_TABLES:
                remedy = f"use {', '.join(STATE_TABLES)}"
                raise InvalidInput(field="kind", reason=f"{kind!r} is not a kind of aggregate", remedy=remedy)
        beginning, ending = _parts(text, kinds[0] if kinds else "id")
        start = (beginning, _next(beginning))
        found = {
            row_id: Match(kind, row_id)
            for table in ("aggregates", schema.DAMAGED_STREAMS.name)  # one may be damaged from its first event on
            for kind, row_id in self._matching(table, "kind", kinds, start, ending, limit)
        }
        return tuple(found[row_id] for row_id in sorted(found))[:limit]

    def _matching(
        self,
        table: str,
        kind: str,
        kinds: Values,
        start: tuple[str, str],
        ending: str,
        limit: int,
        *,
        distinct: bool = False,
    ) -> list[tuple[Any, ...]]:
        """Return the kind and id of rows whose id is in the range from `start` or ends with `ending`, sorted by id."""
        select = "SELECT DISTINCT" if distinct else "SELECT"
        clause = f" AND kind IN ({_marks(kinds)})" if kinds else ""
        statement = (
            f"{select} {kind}, id FROM {table} WHERE ((id >= ? AND id < ?)"
            f" OR substr(id, length(id) - ?, ?) = ?){clause} ORDER BY id LIMIT ?"
        )
        return self._execute(statement, (*start, len(ending) - 1, len(ending), ending, *kinds, limit))

    def _approvals_of(self, tasks: Iterable[Match], limit: int) -> tuple[Match, ...]:
        """Return the pending approvals of `tasks`, or the last one of each task without any."""
        found = list[Match]()
        for task in tasks:
            rows = self._execute(
                "SELECT id, status FROM approvals WHERE task_id = ? ORDER BY requested_at DESC, id DESC", (task.id,)
            )
            pending = [row for row in rows if row[1] == ApprovalStatus.PENDING]
            found += [Match("approval", row[0]) for row in pending or rows[:1]]
        return tuple(found[:limit])

    # --- Usage --------------------------------------------------------------------------------------------------------

    def usage(self, task: str | None, since: Moment | None) -> tuple[UsageSum, ...]:
        """Return the sums of usage by execution, session, model and day."""
        wanted = list[Condition]()
        if task is not None:
            wanted.append(("task_id = ?", (parse_id(task, "task"),)))
        if since is not None:
            moment = moment_of(since, "since")
            if isinstance(moment, datetime):
                wanted.append(("used_at >= ?", (utc(moment, "since"),)))
            else:
                wanted.append(("position > ?", (moment,)))
        clause, values = where(wanted)
        dimensions = ", ".join(_DIMENSIONS)
        sums = ", ".join(f"sum({name})" for name in _AMOUNTS)
        statement = f"SELECT {dimensions}, {sums}, count(*) FROM usage{clause} GROUP BY {dimensions}"
        names = (*_DIMENSIONS, *_AMOUNTS, "reports")
        return tuple(
            sorted(
                (_sum(dict(zip(names, row, strict=True))) for row in self._execute(statement, values)),
                key=lambda each: each.order,
            )
        )

    # --- Milestones ---------------------------------------------------------------------------------------------------

    def verdicts(self, since: int) -> tuple[VerdictCount, ...]:
        """Return the verdicts of humans after a position, counted."""
        return milestones.verdicts(self._execute, since)

    def milestones_of(self, agent: str) -> Mapping[Milestone, int]:
        """Return how often tasks of an agent ended, and what came back afterwards."""
        return milestones.milestones_of(self._execute, agent)

    def milestone_counts(self, since: datetime, until: datetime) -> tuple[MilestoneCount, ...]:
        """Return the milestones reached in a time, by day, type and kind."""
        return milestones.milestone_counts(self._execute, since, until)

    def agent_spells(self, since: datetime, until: datetime) -> tuple[AgentSpell, ...]:
        """Return the spells of agents that began in a time, and the last of each agent before it."""
        return milestones.agent_spells(self._execute, self._database.from_database, since, until)

    def _execute(self, statement: str, values: Iterable[object]) -> list[tuple[Any, ...]]:
        convert = self._database.to_database
        bound = [convert("time", value) if isinstance(value, datetime) else value for value in values]
        return self._transaction.execute(statement, bound)


_DIMENSIONS: Final = ("day", "execution_id", "task_id", "agent_id", "executor", "session_id", "model")
_AMOUNTS: Final = tuple(
    column.name for column in schema.USAGE.columns if column.name.endswith(("_tokens", "_nanodollars", "incomplete"))
)


def _sum(found: dict[str, Any]) -> UsageSum:
    """Return a sum as integers, because PostgreSQL adds integers up to decimals."""
    numbers = {name: int(found[name]) for name in (*_AMOUNTS, "reports")}
    return UsageSum(**{**found, **numbers, "day": date.fromisoformat(found["day"])})


def _marks(values: Iterable[object]) -> str:
    return ", ".join("?" for _ in values) or "NULL"


def _next(beginning: str) -> str:
    """Return the first text after all ids that start with `beginning`."""
    return beginning + "\U0010ffff"


def _parts(text: str, field: str) -> tuple[str, str]:
    """Return part of an id in the forms for the start and the end of an id written with hyphens."""
    digits = text.lower().replace("-", "")
    if not digits or len(digits) > 32 or digits.strip("0123456789abcdef"):
        raise InvalidId(field=field, value=text, remedy="use an id, or its first or last digits")
    cuts = (8, 12, 16, 20)
    ahead = "".join(f"-{digit}" if at in cuts else digit for at, digit in enumerate(digits))
    gap = 32 - len(digits)
    behind = "".join(f"-{digit}" if at + gap in cuts and at else digit for at, digit in enumerate(digits))
    return ahead, behind
