"""Selection: the choice among the agents that suit a task and have room, and the reason for it. Pure.

By default the agent with the least to do gets the task; among equals the one whose work humans approve most surely, by
the lower bound; then the one registered first. With `draw`, agents are sampled (Thompson sampling): for each, a share
is drawn from what is known of its acceptance, and the highest gets the task, so one that little is known of is tried at
times. The draws are recorded with the choice: it can be explained, and is never made again.
"""

from collections.abc import Callable, Collection
from heapq import nsmallest

from aura_contracts.task import Candidate, Selection
from aura_engine.scheduling.values import PoolAgent

RECORDED = 10
"""Candidates that a selection records at most."""

Draw = Callable[[], float]
"""Returns a random number from 0 up to 1."""


def choose_agent(
    suitable: Collection[PoolAgent], draw: Draw | None = None, *, verdicts_until: int = 0
) -> tuple[PoolAgent, Selection]:
    """Return the agent with the lowest `rank`, or else the best draw, and the record of the choice.

    There is at least one agent. What is expected of them follows from the log up to `verdicts_until`.
    """
    if draw is None:
        first = nsmallest(RECORDED, suitable, key=lambda agent: agent.rank)
        reason, candidates = _reason(first), tuple(_candidate(agent, None) for agent in first)
    else:
        drawn = [(agent.expected.quantile(draw()), agent) for agent in sorted(suitable, key=lambda agent: agent.rank)]
        best = nsmallest(RECORDED, drawn, key=lambda each: (-each[0], each[1].rank))
        first = [agent for _, agent in best]
        candidates = tuple(_candidate(agent, share) for share, agent in best)
        reason = _ONLY if len(first) == 1 else "its draw from what is known of the agents' acceptance is the highest"
    record = Selection(reason=reason, candidates=candidates, suitable=len(suitable), verdicts_until=verdicts_until)
    return first[0], record


_ONLY = "it is the only suitable agent with room"


def _candidate(agent: PoolAgent, draw: float | None) -> Candidate:
    return Candidate(
        agent.id,
        agent.tasks,
        agent.capacity,
        agent.registered_at,
        lower_bound=agent.expected.lower,
        executor=agent.executor,
        model=agent.model,
        posterior=(agent.expected.a, agent.expected.b),
        draw=draw,
    )


def _reason(first: list[PoolAgent]) -> str:
    if len(first) == 1:
        return _ONLY
    one, other = first[:2]
    if one.load < other.load:
        return "it has the least to do of the suitable agents with room"
    if one.expected.lower > other.expected.lower:
        return "none of the suitable agents has less to do, and humans approve its work most surely"
    return "none of the suitable agents has less to do, and it was registered first"
