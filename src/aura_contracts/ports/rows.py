"""Rows: what the read models list besides the states of aggregates, and pages of either."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

from aura_contracts.entries import Usage
from aura_contracts.execution import ExecutionStatus
from aura_contracts.plain_data import Plain
from aura_contracts.timers import TimerPurpose

R = TypeVar("R")

NANO = 1_000_000_000
"""Costs are counted in billionths of a dollar, so that sums are exact."""


class SessionRow(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A resumable agent session, with its newest run: known by its id, its executor and the place of its work."""

    id: str
    """The agent's own id for the session, unique within one executor and place."""
    executor: str
    status: ExecutionStatus
    """Of the newest run."""
    task_id: str
    execution_id: str
    agent_id: str | None
    workspace_id: str | None
    directory: str | None
    """The directory in which the agent was started, by which many agents key their sessions; None if unknown."""
    prompt: str
    queued_at: datetime
    used_at: datetime
    """When the newest run last changed."""
    ended_at: datetime | None


class ExecutionLogRow(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """An entry of the execution log."""

    id: str
    task_id: str
    agent_type: str
    """The type of the agent; its executor's name if it has none; ``human`` for deadlines that humans missed."""
    action: str
    """The agent's name for the action, or the topic of the event."""
    result: dict[str, Any] | None
    success: bool
    error: str | None
    executed_at: datetime
    execution_id: str | None
    stage: str | None
    """The stage of the execution after the action."""
    actor: str
    position: int


class UsageRow(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """One report of an agent's consumption; `ReadModels.usage` adds them up."""

    id: str
    execution_id: str
    task_id: str
    agent_id: str | None
    executor: str
    session_id: str | None
    """The agent's own id for its session at that time."""
    model: str
    """Empty if the agent does not report it."""
    day: str
    """The day of `used_at` in UTC: ``2026-01-04``."""
    used_at: datetime
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reported_nanodollars: int
    """The cost reported by the agent, in billionths of a US dollar."""
    incomplete: int
    """1 if the agent consumed more than this report says, otherwise 0."""
    position: int


class UsageSum(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """The consumption of one execution in one session, with one model, on one day (UTC)."""

    day: date
    execution_id: str
    task_id: str
    agent_id: str | None
    executor: str
    session_id: str | None
    """The agent's own id; None if it had not named one yet."""
    model: str
    """Empty if the agent does not report it."""
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reported_nanodollars: int
    """The cost reported by the agent; each report is rounded to a billionth of a dollar."""
    reports: int
    incomplete: int = 0
    """How many of the reports leave out some of what the agent consumed."""

    @property
    def reported(self) -> Decimal:
        """The cost reported by the agent, in US dollars."""
        return Decimal(self.reported_nanodollars) / NANO

    @property
    def tokens(self) -> Usage:
        """The tokens, without the cost."""
        return Usage(self.input_tokens, self.output_tokens, self.cache_read_tokens, self.cache_write_tokens)

    @property
    def order(self) -> tuple[date, str, str, str]:
        """The sort key of sums."""
        return self.day, self.execution_id, self.session_id or "", self.model


class TimerRow(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """Something that is due at a moment; see `aura_contracts.timers`."""

    id: str
    stream_id: str
    """What it is due for."""
    kind: str
    """The kind of aggregate: ``approval``, ``task``, ``execution``, ``lease``."""
    purpose: TimerPurpose
    due_at: datetime
    counts_from: datetime | None = None
    """The moment from which the wait counts; None if it counts from none."""
    task_id: str | None
    """The task it belongs to; None for leases, and for approvals that are about no task."""


class Page(msgspec.Struct, Plain, Generic[R], frozen=True):
    """One page of rows, and the cursor of the next page; None on the last page.

    `position` is the position up to which the log had been folded when the page was read, or a later one.
    """

    rows: tuple[R, ...]
    next_cursor: str | None
    position: int

    def as_dict(self) -> dict[str, Any]:
        """Return the rows as dictionaries, with cursor and position; ``TypeAdapter(Page[Task])`` reads them."""
        rows = [row.as_dict() if isinstance(row, Plain) else row for row in self.rows]
        return {"rows": rows, "next_cursor": self.next_cursor, "position": self.position}

    def __iter__(self) -> Iterator[R]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


class Match(msgspec.Struct, frozen=True):
    """A completed id, and the kind of its owner (``task``, ``approval``, ...)."""

    kind: str
    id: str
