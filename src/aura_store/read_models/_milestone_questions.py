"""Queries against the milestone tables, in one transaction. Blocking."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

from aura_contracts.agent import AgentStatus
from aura_contracts.ids import parse_id
from aura_contracts.ports.milestones import VERDICTS, AgentSpell, Milestone, MilestoneCount, VerdictCount
from aura_store.read_models._paging import utc

Execute = Callable[[str, Iterable[object]], list[tuple[Any, ...]]]
FromDatabase = Callable[[Any, Any], Any]
"""Takes the kind of a column and a value that the database returned for it."""


def _listed(milestones: Iterable[Milestone]) -> str:
    return ", ".join(f"'{each}'" for each in milestones)


_OWN: Final = (Milestone.COMPLETED, Milestone.FAILED, Milestone.CANCELLED, Milestone.REOPENED)
_AFTER: Final = (Milestone.REPAIRED, Milestone.REVERTED)

_COMPLETED_BY: Final = (
    f"SELECT done.agent_id FROM milestones AS done WHERE done.task_id = back.task_id"
    f" AND done.milestone = '{Milestone.COMPLETED}' AND done.position < back.position"
    " ORDER BY done.position DESC LIMIT 1"
)


def verdicts(execute: Execute, since: int) -> tuple[VerdictCount, ...]:
    """Return the verdicts after a position, counted."""
    dimensions = "agent_id, executor, model, agent_type, kind, milestone, confidence, rounds"
    found = execute(
        f"SELECT {dimensions}, count(*) FROM milestones WHERE position > ? AND milestone IN ({_listed(VERDICTS)})"
        f" GROUP BY {dimensions}",
        (since,),
    )
    return tuple(
        VerdictCount(
            agent_id=agent_id,
            executor=executor,
            model=model,
            agent_type=agent_type,
            kind=kind,
            verdict=Milestone(verdict),
            confidence=confidence,
            rounds=int(rounds),
            count=int(count),
        )
        for agent_id, executor, model, agent_type, kind, verdict, confidence, rounds, count in found
    )


def milestones_of(execute: Execute, agent: str) -> dict[Milestone, int]:
    """Return how often tasks of an agent ended, and what came back afterwards."""
    agent_id = parse_id(agent, "agent")
    found = execute(
        f"SELECT milestone, count(*) FROM milestones WHERE agent_id = ? AND milestone IN ({_listed(_OWN)})"
        " GROUP BY milestone UNION ALL"
        f" SELECT back.milestone, count(*) FROM milestones AS back WHERE back.milestone IN ({_listed(_AFTER)})"
        f" AND ({_COMPLETED_BY}) = ? GROUP BY back.milestone",
        (agent_id, agent_id),
    )
    return {Milestone(milestone): int(count) for milestone, count in found}


def milestone_counts(execute: Execute, since: datetime, until: datetime) -> tuple[MilestoneCount, ...]:
    """Return the milestones reached in a time, by day, type and kind."""
    dimensions = "day, milestone, agent_type, kind"
    found = execute(
        f"SELECT {dimensions}, count(*), coalesce(sum(seconds), 0) FROM milestones"
        f" WHERE reached_at >= ? AND reached_at < ? GROUP BY {dimensions} ORDER BY {dimensions}",
        (utc(since, "since"), utc(until, "until")),
    )
    return tuple(
        MilestoneCount(
            day=day,
            milestone=Milestone(milestone),
            agent_type=agent_type,
            kind=kind,
            count=int(count),
            seconds=float(seconds),
        )
        for day, milestone, agent_type, kind, count, seconds in found
    )


def agent_spells(
    execute: Execute, from_database: FromDatabase, since: datetime, until: datetime
) -> tuple[AgentSpell, ...]:
    """Return the spells that began in a time, and the last of each agent before it."""
    columns = "agent_id, status, ad_hoc, began_at, position"
    begin = utc(since, "since")
    found = execute(
        f"SELECT {columns} FROM agent_spells WHERE began_at >= ? AND began_at < ?"
        f" UNION ALL SELECT {columns} FROM agent_spells WHERE position IN ("
        "SELECT max(position) FROM agent_spells WHERE began_at < ? GROUP BY agent_id) ORDER BY position",
        (begin, utc(until, "until"), begin),
    )
    return tuple(
        AgentSpell(
            agent_id=agent_id,
            status=AgentStatus(status),
            ad_hoc=bool(ad_hoc),
            began_at=from_database("time", began_at),
            position=position,
        )
        for agent_id, status, ad_hoc, began_at, position in found
    )
