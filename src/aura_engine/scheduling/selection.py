"""Selection: the choice among the agents that suit a task and have room, and the reason for it. Pure."""

from collections.abc import Collection
from heapq import nsmallest

from aura_contracts.task import Candidate, Selection
from aura_engine.scheduling.values import PoolAgent

RECORDED = 10
"""Candidates that a selection records at most."""


def choose_agent(suitable: Collection[PoolAgent]) -> tuple[PoolAgent, Selection]:
    """Return the agent with the lowest `rank`, and the record of the choice. There is at least one."""
    first = nsmallest(RECORDED, suitable, key=lambda agent: agent.rank)
    chosen = first[0]
    candidates = tuple(Candidate(each.id, each.tasks, each.capacity, each.registered_at) for each in first)
    return chosen, Selection(reason=_reason(first), candidates=candidates, suitable=len(suitable))


def _reason(first: list[PoolAgent]) -> str:
    if len(first) == 1:
        return "it is the only suitable agent with room"
    if first[0].rank[0] < first[1].rank[0]:
        return "it has the least to do of the suitable agents with room"
    return "none of the suitable agents has less to do, and it was registered first"
