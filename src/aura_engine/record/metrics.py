"""Metrics: the six of the specification, "Metrics to Track", over a window of time. Pure.

`docs/reference/metrics.md` states formula, window and zero case of each. A share of nothing is None, never 0 or 1.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

import msgspec

from aura_contracts.agent import AgentStatus
from aura_contracts.plain_data import Plain
from aura_contracts.ports.milestones import VERDICTS, AgentSpell, Milestone, MilestoneCount
from aura_engine.record.verdicts import PROPOSALS

_DAY: Final = timedelta(days=1)


class KindMetrics(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """The answers of humans to questions of one kind."""

    kind: str
    approved: int
    decided: int
    acceptance_rate: float | None
    time_to_approval: float | None
    """Mean seconds from question to approval; None if nothing was approved."""


class AgentUse(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """How much of its time an agent worked. Times are in seconds."""

    agent_id: str
    working: float
    """With at least one task that does not wait for a human."""
    available: float
    """Registered and not disabled; of an agent made for a run, only while it had a task."""
    utilization: float | None


class TypeMetrics(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """The runs of agents of one type that ended by themselves."""

    agent_type: str
    """The type of the agent; its executor's name if it has none."""
    runs: int
    failed: int
    error_rate: float | None


class DayMetrics(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """What happened on a day in UTC."""

    day: date
    created: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    approved: int = 0
    """Proposals."""
    decided: int = 0
    """Proposals."""
    runs: int = 0
    """That ended by themselves."""
    runs_failed: int = 0


class Metrics(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """How work went between two moments. A share or mean of nothing is None."""

    since: datetime
    until: datetime
    """Excluded."""
    created: int
    """Tasks."""
    created_per_day: float
    approved: int
    """Proposals."""
    decided: int
    """Proposals that humans approved, rejected or sent back."""
    acceptance_rate: float | None
    time_to_approval: float | None
    """Mean seconds from question to approval, of proposals that humans approved."""
    utilization: float | None
    """The time that agents worked by the time that they were available."""
    completed: int
    """Tasks; one that is reopened, or failed and is retried, ends again."""
    failed: int
    cancelled: int
    completion_rate: float | None
    """Completed tasks by those that ended."""
    runs: int
    """That ended by themselves."""
    runs_failed: int
    error_rate: float | None
    kinds: tuple[KindMetrics, ...] = ()
    agent_types: tuple[TypeMetrics, ...] = ()
    agents: tuple[AgentUse, ...] = ()
    days: tuple[DayMetrics, ...] = ()
    """Every day of the window, those on which nothing happened included."""


def metrics_of(
    since: datetime, until: datetime, counts: Sequence[MilestoneCount], spells: Sequence[AgentSpell]
) -> Metrics:
    """Return the metrics of a window that is not empty, from all milestones and spells in it."""
    reached = Counter[Milestone]()
    for one in counts:
        if one.milestone not in VERDICTS or one.kind in PROPOSALS:
            reached[one.milestone] += one.count
    decided = sum(reached[verdict] for verdict in VERDICTS)
    seconds = sum(one.seconds for one in counts if one.milestone is Milestone.APPROVED and one.kind in PROPOSALS)
    ended = sum(reached[end] for end in (Milestone.COMPLETED, Milestone.FAILED, Milestone.CANCELLED))
    runs = reached[Milestone.RUN_DONE] + reached[Milestone.RUN_FAILED]
    agents = tuple(_uses(since, until, spells))
    return Metrics(
        since=since,
        until=until,
        created=reached[Milestone.CREATED],
        created_per_day=reached[Milestone.CREATED] / ((until - since) / _DAY),
        approved=reached[Milestone.APPROVED],
        decided=decided,
        acceptance_rate=share(reached[Milestone.APPROVED], decided),
        time_to_approval=share(seconds, reached[Milestone.APPROVED]),
        utilization=share(sum(one.working for one in agents), sum(one.available for one in agents)),
        completed=reached[Milestone.COMPLETED],
        failed=reached[Milestone.FAILED],
        cancelled=reached[Milestone.CANCELLED],
        completion_rate=share(reached[Milestone.COMPLETED], ended),
        runs=runs,
        runs_failed=reached[Milestone.RUN_FAILED],
        error_rate=share(reached[Milestone.RUN_FAILED], runs),
        kinds=tuple(_kinds(counts)),
        agent_types=tuple(_types(counts)),
        agents=agents,
        days=tuple(_days(since, until, counts)),
    )


def share(part: float, whole: float) -> float | None:
    """Return a part of a whole, None of nothing."""
    return part / whole if whole else None


def _kinds(counts: Iterable[MilestoneCount]) -> Iterator[KindMetrics]:
    numbers, seconds = defaultdict[str, Counter[Milestone]](Counter), defaultdict[str, float](float)
    for one in counts:
        if one.milestone in VERDICTS and one.kind is not None:
            numbers[one.kind][one.milestone] += one.count
            if one.milestone is Milestone.APPROVED:
                seconds[one.kind] += one.seconds
    for kind, reached in sorted(numbers.items()):
        approved, decided = reached[Milestone.APPROVED], reached.total()
        yield KindMetrics(
            kind=kind,
            approved=approved,
            decided=decided,
            acceptance_rate=share(approved, decided),
            time_to_approval=share(seconds[kind], approved),
        )


def _types(counts: Iterable[MilestoneCount]) -> Iterator[TypeMetrics]:
    numbers = defaultdict[str, Counter[Milestone]](Counter)
    for one in counts:
        if one.milestone in (Milestone.RUN_DONE, Milestone.RUN_FAILED):
            numbers[one.agent_type or ""][one.milestone] += one.count
    for agent_type, reached in sorted(numbers.items()):
        failed, runs = reached[Milestone.RUN_FAILED], reached.total()
        yield TypeMetrics(agent_type=agent_type, runs=runs, failed=failed, error_rate=share(failed, runs))


def _uses(since: datetime, until: datetime, spells: Sequence[AgentSpell]) -> Iterator[AgentUse]:
    by_agent = defaultdict[str, list[AgentSpell]](list)
    for spell in sorted(spells, key=lambda one: one.position):
        by_agent[spell.agent_id].append(spell)
    for agent_id, own in sorted(by_agent.items()):
        ends = [*(after.began_at for after in own[1:]), until]
        working = available = 0.0
        for spell, end in zip(own, ends, strict=True):
            seconds = max((min(end, until) - max(spell.began_at, since)).total_seconds(), 0.0)
            working += seconds * (spell.status is AgentStatus.WORKING)
            available += seconds * _is_available(spell)
        if available:
            yield AgentUse(
                agent_id=agent_id, working=working, available=available, utilization=share(working, available)
            )


def _is_available(spell: AgentSpell) -> bool:
    absent = (AgentStatus.DISABLED, AgentStatus.IDLE) if spell.ad_hoc else (AgentStatus.DISABLED,)
    return spell.status not in absent


_OF_DAY: Final = {
    Milestone.CREATED: ("created",),
    Milestone.COMPLETED: ("completed",),
    Milestone.FAILED: ("failed",),
    Milestone.CANCELLED: ("cancelled",),
    Milestone.APPROVED: ("approved", "decided"),
    Milestone.REJECTED: ("decided",),
    Milestone.NEEDS_CHANGES: ("decided",),
    Milestone.RUN_DONE: ("runs",),
    Milestone.RUN_FAILED: ("runs", "runs_failed"),
}


def _days(since: datetime, until: datetime, counts: Iterable[MilestoneCount]) -> Iterator[DayMetrics]:
    numbers = defaultdict[str, Counter[str]](Counter)
    for one in counts:
        if one.milestone not in VERDICTS or one.kind in PROPOSALS:
            for name in _OF_DAY.get(one.milestone, ()):
                numbers[one.day][name] += one.count
    day, last = since.astimezone(UTC).date(), (until - timedelta.resolution).astimezone(UTC).date()
    while day <= last:
        yield DayMetrics(day=day, **numbers[day.isoformat()])
        day += _DAY
