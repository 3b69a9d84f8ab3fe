"""Milestones: what agents' records and metrics are counted from, and their sums."""

from datetime import datetime
from enum import StrEnum

import msgspec

from aura_contracts.agent import AgentStatus
from aura_contracts.plain_data import Plain


class Milestone(StrEnum):
    """What was reached. Verdicts are those of humans: what a policy decided says nothing about the work."""

    CREATED = "created"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REOPENED = "reopened"
    """A human had a completed task continued."""
    REPAIRED = "repaired"
    """A task was created to repair the result of another one."""
    REVERTED = "reverted"
    """Merged work was undone."""
    APPROVED = "approved"
    REJECTED = "rejected"
    NEEDS_CHANGES = "needs_changes"
    RUN_DONE = "run_done"
    RUN_FAILED = "run_failed"
    RUN_CANCELLED = "run_cancelled"


VERDICTS = (Milestone.APPROVED, Milestone.REJECTED, Milestone.NEEDS_CHANGES)


class MilestoneRow(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A milestone. What is not known, or does not apply, is None."""

    id: str
    milestone: Milestone
    reached_at: datetime
    day: str
    """The day of `reached_at` in UTC: ``2026-01-04``."""
    task_id: str | None
    """Of a repair or a revert, the task that it is about."""
    execution_id: str | None
    approval_id: str | None
    agent_id: str | None
    executor: str | None
    model: str | None
    agent_type: str | None
    """The type of agent that the task is for."""
    kind: str | None
    """Of a verdict, the kind of the question."""
    confidence: float | None
    """Of a verdict, what the agent stated, from 0 to 1."""
    rounds: int | None
    """Of a verdict, how often proposals of the task had been sent back before."""
    seconds: float | None
    """Of a verdict, the time from question to answer."""
    position: int


class VerdictCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many equal verdicts there were about an agent's work."""

    agent_id: str | None
    executor: str | None
    model: str | None
    agent_type: str | None
    kind: str
    verdict: Milestone
    confidence: float | None
    rounds: int
    """How often proposals of the task had been sent back before."""
    count: int


class MilestoneCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many milestones of a kind were reached on a day in UTC; `seconds` is the sum of those of verdicts."""

    day: str
    milestone: Milestone
    agent_type: str | None
    kind: str | None
    count: int
    seconds: float


class AgentSpell(msgspec.Struct, frozen=True, kw_only=True):
    """From when on an agent had a status: until its next spell begins."""

    agent_id: str
    status: AgentStatus
    ad_hoc: bool
    """Whether it was made for a run that named an executor."""
    began_at: datetime
    position: int
