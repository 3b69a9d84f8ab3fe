"""Lock places: how a task of the queue of the pool stands in line for its locks, and when it gets an agent. Pure.

A task of the queue whose locks are free gets both in one append. One whose locks collide is passed by at first: it
waits outside the line, and blocks no one. Once it has waited for `AGEING` seconds, or if it is to ask a human, it takes
a **place** in line as soon as an agent has room for it: a claim like any other (`aura_contracts.lock_table`), which
later ones wait for. The agent is left to others. When nothing goes before the claim any more, the task has its locks
and goes first for the next agent that suits it.

So the order is: first the locks, then the agent. Invariants:

- The pool gives an agent only to a task that has its locks: no agent is idle with a task of the queue that waits.
- A task of the queue has locks without an agent only as long as one is **in reach**: it suits, is enabled, and takes
  more tasks than it has that wait for locks or for other tasks, which a human may have given it. What else the agent
  has will end, and then it is given the task that has its locks. Otherwise the task gives its locks back, with its
  place, and takes another place once an agent has room.
- The engine that took a place keeps it, and the claim names it. While it lives, only that engine judges which agents
  are in reach, by the executors that it has: another one may not have these.
- So no circle of waits lasts. A claim waits for claims that hold, or go before it; one that holds belongs to a task
  that works, or is about to, or to one of the queue with an agent in reach, or is given back.
- No task starves. Its place is that of the time at which it was queued, so finitely many go before it; and one that
  has its locks goes before all others of the queue. It loses its place only if humans fill all of its agents with tasks
  that wait.
- With its place a task loses no answer of a human: one that rejects it cancels it, and one that allows its collision
  holds for the next place, alongside the same tasks (`LockTable.allowing`).
- If the engine that keeps a place is gone, one that works on the task as well keeps it, if an agent is in reach for it.
  Otherwise those that wait behind it have the place given back (`aura_engine.runtime.stranded_locks`).
"""

from datetime import datetime, timedelta
from enum import Enum, auto

from aura_contracts.agent import Agent, AgentStatus
from aura_contracts.execution import ExecutionStatus
from aura_contracts.lock_table import LockTable, RequestLocks, TaskLocks
from aura_contracts.task import CollisionPolicy, Task
from aura_engine.decisions import claims_before
from aura_engine.runtime.views import View
from aura_engine.scheduling import AGEING, Needs, PoolAgent


class Standing(Enum):
    """How a task of the queue stands towards its locks."""

    FREE = auto()
    """An agent may be chosen for it: it needs no locks, can have them, or is to take a place if it cannot."""
    HAS_LOCKS = auto()
    """An agent may be chosen for it, before others."""
    WAITS = auto()
    """It waits for its locks, in line or outside of it."""


def request_of(task: Task, locks: TaskLocks, engine_id: str = "") -> RequestLocks:
    """Return the command that claims locks for a task. The time that it waited in the queue of the pool counts.

    `engine_id` is the engine that keeps the place of a task that has no agent yet.
    """
    since = task.queued_at if task.pooled or task.executions <= 1 else None
    return RequestLocks(task_id=task.id, locks=locks, priority=task.priority, since=since, engine_id=engine_id)


def standing_of(table: LockTable, task: Task, locks: TaskLocks, now: datetime, *, takes_place: bool) -> Standing:
    """Return how a task of the queue that needs `locks` stands; `takes_place`: see `may_take_place`."""
    claim = table.claim_of(task.id)
    if claim is not None:
        return Standing.HAS_LOCKS if claim.held else Standing.WAITS
    if not locks or takes_place or not claims_before(table, request_of(task, locks), now):
        return Standing.FREE
    return Standing.WAITS


def takes_place_at(task: Task) -> datetime:
    """Return when a task of the queue takes a place in line for locks that it cannot have yet."""
    queued_at = task.queued_at or task.created_at
    return queued_at if task.on_collision is CollisionPolicy.ASK else queued_at + timedelta(seconds=AGEING)


def may_take_place(task: Task, now: datetime) -> bool:
    """Whether a task of the queue takes a place in line for locks that it cannot have yet."""
    return task.on_collision is CollisionPolicy.ASK or takes_place_at(task) <= now


def is_in_reach(agent: Agent, needs: Needs, waiting: int) -> bool:
    """Whether an agent will have room for a task; so many of its tasks wait, see `has_to_wait`."""
    suits = agent.status is not AgentStatus.DISABLED and PoolAgent.of(agent).suits(needs)
    return suits and waiting < agent.capacity


def has_to_wait(view: View) -> bool:
    """Whether a task that an agent has cannot begin: it waits for locks, or for other tasks."""
    if view.execution is None or view.execution.status is not ExecutionStatus.QUEUED:
        return False
    return bool(view.unmet) or (view.claim is not None and not view.claim.held)
