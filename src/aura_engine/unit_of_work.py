"""Unit of work: load, decide, append; for several aggregates at once if a command concerns several.

    async with bus.unit(human("alice")) as unit:
        await unit.handle(task_id, AssignTask(agent_id=agent_id))
        await unit.handle(agent_id, TakeTask(task_id=task_id))

All events of a unit of work are appended together at the end of its context, or none. `CommandBus.handle` and
`CommandBus.transact` repeat the decision on the newer states after a version conflict; a plain unit of work raises it.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

import anyio
import attrs

from aura_contracts.actors import ENGINE, Actor, actor_kind
from aura_contracts.aggregate import Aggregate, Command, State
from aura_contracts.errors import (
    ActorNotAllowed,
    AggregateNotFound,
    AuraError,
    EventOutOfOrder,
    StoreError,
    StoreReadOnly,
    StoreUnavailable,
    VersionConflict,
)
from aura_contracts.events import Append, Event, Fact
from aura_contracts.ids import IdFactory, StreamId, TaskId
from aura_contracts.ports import Clock, EventLog
from aura_contracts.task import TASK, Task
from aura_engine import decisions, lock_releases, parts
from aura_engine.retries import retrying
from aura_engine.state_cache import Load, LoadedState, StateCache
from aura_engine.waiting_circles import waiting_circle

_LOG = logging.getLogger(__name__)

R = TypeVar("R")
S = TypeVar("S", bound=State)

CONFLICT_PAUSES = (*(0.0,) * 20, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Seconds before each repetition of a decision on newer states; each time, another writer made progress."""


_LISTED = {
    **{
        name: f"{name}s.list"
        for name in (
            "agent",
            "approval",
            "board",
            "execution",
            "project",
            "session",
            "task",
            "template",
            "workflow",
            "workspace",
        )
    },
    "checkpoint": "audit.list",
    "event": "events.list",
    "finding": "doctor.list",
    "link": "links.list",
    "notification": "notifications.list",
    "workflow_definition": "workflows.definitions",
    "workflow_schedule": "schedules.list",
}
"""By what can be missing, the call that lists all that exist."""


def not_found(aggregate: str, aggregate_id: str, command: str = "find") -> AggregateNotFound:
    """Return the error for something that does not exist, which says where to find what does."""
    error = AggregateNotFound(aggregate=aggregate, aggregate_id=aggregate_id, command=command)
    if (call := _LISTED.get(aggregate)) is not None:
        error.remedy = f"`{call}()` lists the {aggregate.replace('_', ' ')}s"
    return error


def existing(state: R | None, aggregate: Aggregate[Any], aggregate_id: StreamId) -> R:
    """Return a state that is not None. Raises `AggregateNotFound`."""
    if state is None:
        raise not_found(aggregate.name, aggregate_id, "read")
    return state


@attrs.define
class _Loaded(Generic[S]):
    aggregate: Aggregate[S]
    state: S | None
    version: int
    facts: list[Fact] = attrs.field(factory=list)


class UnitOfWork:
    """Decisions that are recorded together. Later commands see the results of earlier ones.

    The engine and its worker may decide on cached states: they look again when something has changed. Humans and agents
    decide on stored states, or a command could be refused for a reason that no longer holds; `CommandBus.transact`
    spares them reading these where it makes no difference.
    """

    def __init__(self, bus: "CommandBus", actor: Actor, command_id: str, load: Load | None = None) -> None:
        self.bus = bus
        self._actor = actor
        self._principal = actor
        """On whose behalf this unit acts, even where another actor carries out a part of it."""
        self._command_id = command_id
        self._load_state: Load = load or (bus.states.load if actor_kind(actor) == "system" else bus.states.stored)
        self._loaded: dict[StreamId, _Loaded[Any]] = {}
        self._extra_appends: list[Append] = []
        self.position = 0
        """The log position of this unit's last event once recorded; 0 before, and if it recorded nothing."""

    def acting_as(self, actor: Actor) -> "UnitOfWork":
        """Return this unit for another actor; the decisions of both are recorded together."""
        other = UnitOfWork(self.bus, actor, self._command_id, self._load_state)
        other._principal = self._principal
        other._loaded, other._extra_appends = self._loaded, self._extra_appends
        return other

    async def handle(self, aggregate_id: StreamId, command: Command[S]) -> S:
        """Decide `command` and return the resulting state. Raises `CommandRefused`, which leaves the unit unchanged."""
        decider = decisions.decider_of(command)
        decisions.refuse_observer(self._principal, decider.aggregate.name, aggregate_id, type(command).__name__)
        loaded = await self._load(decider.aggregate, aggregate_id)
        now = self.bus.clock()
        parent_id: TaskId | None = getattr(command, "parent_id", None)
        lineage = () if parent_id is None else await self._lineage(aggregate_id, parent_id)
        parent = await self.get(TASK, lineage[0]) if lineage else None
        before = loaded.state
        circle: tuple[TaskId, ...] = ()
        if before is None or isinstance(before, Task):
            circle = await waiting_circle(self._task, TaskId(aggregate_id), command, before)
        context = decisions.Context(actor=self._actor, now=now, lineage=lineage, parent=parent, waiting_circle=circle)
        decision = decider.decide(aggregate_id, before, command, context)
        loaded.state = decision.state
        loaded.facts += [self._fact(event, now) for event in decision.events]
        if decision.events and isinstance(decision.state, Task):
            changed = before if isinstance(before, Task) else None
            await lock_releases.follow(self, changed, decision.state)
            await parts.follow(self, changed, decision.state)
        return existing(loaded.state, decider.aggregate, aggregate_id)  # with what followed

    async def _task(self, task_id: TaskId) -> Task | None:
        return await self.get(TASK, task_id)

    @property
    def streams(self) -> Iterable[StreamId]:
        """The streams that this unit has read."""
        return tuple(self._loaded)

    async def get(self, aggregate: Aggregate[S], aggregate_id: StreamId) -> S | None:
        """Return the state of an aggregate as this unit sees it, None if it does not exist.

        Recording the unit fails with a conflict if the state has changed by then."""
        return (await self._load(aggregate, aggregate_id)).state

    async def require(self, aggregate: Aggregate[S], aggregate_id: StreamId) -> S:
        """Return the state of an aggregate as `get` does; raises `AggregateNotFound` if it does not exist."""
        return existing(await self.get(aggregate, aggregate_id), aggregate, aggregate_id)

    async def events(self, stream_id: StreamId) -> Sequence[Event]:
        """Return the recorded events of a stream, then those that this unit has decided for it so far.

        Use it for streams that the unit has loaded; for others, later events go unnoticed."""
        recorded = await self.bus.events(stream_id)
        loaded = self._loaded.get(stream_id)
        return [*recorded, *(fact.event for fact in loaded.facts)] if loaded else recorded

    async def require_current(self) -> None:
        """Raise `VersionConflict` if what this unit has read is no longer what is stored.

        States are read one after the other, and may never have been together: what is refused because of that was not
        refused for good.
        """
        for stream_id, loaded in self._loaded.items():
            stored = await self.bus.states.stored(loaded.aggregate, stream_id)
            if stored.version != loaded.version:
                self.bus.states.evict(self._loaded)
                raise VersionConflict(stream_id=stream_id, expected=loaded.version, actual=stored.version)

    def add(self, append: Append) -> None:
        """Record events decided elsewhere together with this unit."""
        self._extra_appends.append(append)

    async def record(self) -> None:
        """Append everything decided, at once; a unit that decided nothing appends nothing.

        Everything that the unit read must be unchanged, even streams it adds nothing to: two units that each depend on
        a state that the other changes (each moves a task below the other's) cannot both be recorded.
        """
        appends = [Append(sid, loaded.version, tuple(loaded.facts)) for sid, loaded in self._loaded.items()]
        appends += self._extra_appends
        if not any(append.facts for append in appends):
            return
        states = self.bus.states
        evictions = states.evictions
        try:
            self.position = await self.bus.log.append(*appends)
        except BaseException:  # a conflict, or an append with unknown outcome: only the store knows
            states.evict(self._loaded)
            raise
        for stream_id, loaded in self._loaded.items():
            if loaded.facts and loaded.state is not None:
                version = loaded.version + len(loaded.facts)
                about = {"version": version, "position": self.position, "evictions": evictions}
                states.committed(stream_id, loaded.aggregate, loaded.state, **about)

    def _fact(self, event: Event, now: Any) -> Fact:
        return Fact(event, now, self._actor, self._command_id, self._command_id)

    async def _load(self, aggregate: Aggregate[S], aggregate_id: StreamId) -> _Loaded[S]:
        if aggregate_id not in self._loaded:
            found = await self._load_state(aggregate, aggregate_id)
            self._loaded[aggregate_id] = _Loaded(aggregate, found.state, found.version)
        return self._loaded[aggregate_id]

    async def _lineage(self, aggregate_id: StreamId, parent_id: TaskId | None) -> tuple[TaskId, ...]:
        """Return the parent that a command names and its ancestors, nearest first.

        Raises `AggregateNotFound` for a missing parent, and `EventOutOfOrder` for a cycle in the log, which is damage.
        """
        lineage: list[TaskId] = []
        while parent_id is not None and parent_id != aggregate_id:
            if parent_id in lineage:
                reason = f"tasks are one another's ancestors: {' < '.join(lineage)}"
                raise EventOutOfOrder(store=self.bus.log.name, stream_id=parent_id, reason=reason)
            lineage.append(parent_id)
            parent_id = (await self.require(TASK, parent_id)).parent_id
        return (*lineage, parent_id) if parent_id is not None else tuple(lineage)


@attrs.define
class _Memory:
    """Loads states from memory where this process remembers them, which may be out of date."""

    _states: StateCache
    used: bool = attrs.field(init=False, default=False)
    """Whether a state came from memory."""

    async def load(self, aggregate: Aggregate[S], aggregate_id: StreamId) -> LoadedState[S]:
        recent = self._states.recent
        if (found := recent.get(aggregate, aggregate_id)) is not None:
            self.used = True
            return found
        loaded = await self._states.stored(aggregate, aggregate_id)
        recent.remember(aggregate, aggregate_id, loaded.state, loaded.version)
        return loaded


@attrs.frozen(kw_only=True)
class CommandBus:
    """Handles commands, the only way to change state."""

    log: EventLog
    states: StateCache
    clock: Clock
    ids: IdFactory
    read_only: bool = False
    """The engine was opened to read only; its log may be writable, as one in memory is."""

    def require_writable(self) -> None:
        """Raise `StoreReadOnly` if the engine only reads. Units of work call it; so does what changes anything else."""
        if self.read_only:
            reason, remedy = "the engine was opened read-only", "open it without read_only"
            raise StoreReadOnly(store=self.log.name, stream_id="", position=0, reason=reason, remedy=remedy)

    def new_id(self) -> str:
        """Return the id of an aggregate to create: no stream has it yet."""
        made = self.ids()
        self.states.recent.expect_none(made)
        return made

    async def get(self, aggregate: Aggregate[S], aggregate_id: StreamId) -> S | None:
        """Return the state of an aggregate, None if it does not exist; see `StateCache` for how current it is."""
        return (await self.states.load(aggregate, aggregate_id)).state

    async def fetch(self, aggregate: Aggregate[S], aggregate_id: StreamId) -> S | None:
        """Return the state of an aggregate read from the log, None if it does not exist."""
        return (await self.states.stored(aggregate, aggregate_id)).state

    async def require(self, aggregate: Aggregate[S], aggregate_id: StreamId) -> S:
        """Return the state of an aggregate; raises `AggregateNotFound` if it does not exist."""
        return existing(await self.get(aggregate, aggregate_id), aggregate, aggregate_id)

    async def events(self, stream_id: StreamId) -> Sequence[Event]:
        """Return the events of a stream, oldest first."""
        return [fact.event for fact in await self.log.facts(stream_id)]

    @asynccontextmanager
    async def unit(self, actor: Actor) -> AsyncIterator[UnitOfWork]:
        """Enter a unit of work; its events are appended when the body ends without an error.

        Raises `VersionConflict` if another writer was faster; nothing is recorded then. Raises `StoreReadOnly`, even if
        there would be nothing to record."""
        self.require_writable()
        unit = UnitOfWork(self, actor, self.ids())
        yield unit
        await unit.record()

    async def transact(
        self,
        actor: Actor,
        decide: Callable[[UnitOfWork], Awaitable[R]],
        *,
        pauses: Sequence[float] = CONFLICT_PAUSES,
        on: type[AuraError] | tuple[type[AuraError], ...] = VersionConflict,
    ) -> R:
        """Run `decide` in a unit of work; repeat it on the newer states after one of the errors `on`.

        It runs on the states that this process remembers first. What it records then is what it would have recorded on
        the stored ones, or there is a conflict. If it refuses, or records nothing, the stored ones have the last word.
        """

        async def attempt() -> R:
            async with self.unit(actor) as unit:
                try:
                    return await decide(unit)
                except StoreError:
                    raise
                except AuraError:
                    await unit.require_current()
                    raise

        try:
            if actor_kind(actor) != "system" and (done := await self._from_memory(actor, decide)) is not None:
                return done[0]
            return await retrying(attempt, pauses, lambda error: isinstance(error, on))
        except ActorNotAllowed as refused:
            await self.record_refusal(refused)
            raise

    async def _from_memory(self, actor: Actor, decide: Callable[[UnitOfWork], Awaitable[R]]) -> tuple[R] | None:
        """Return what `decide` returns on remembered states; None if only the stored ones tell."""
        self.require_writable()
        memory = _Memory(self.states)
        unit = UnitOfWork(self, actor, self.ids(), memory.load)
        try:
            result = await decide(unit)
        except Exception as error:  # whatever it is, states that never were together may be the reason
            if isinstance(error, StoreUnavailable):
                raise
            self.states.recent.forget(unit.streams)
            return None
        try:
            await unit.record()
        except VersionConflict:
            return None
        return (result,) if unit.position or not memory.used else None

    async def record_refusal(self, refused: ActorNotAllowed) -> None:
        """Record on the aggregate that an actor was not allowed to give a command, even if the caller is cancelled.

        A store that cannot record it now is logged: the caller gets the refusal in any case.
        """
        command = decisions.record_of_refusal(refused)
        if command is None:
            return
        with anyio.CancelScope(shield=True):
            try:
                await self.handle(ENGINE, refused.aggregate_id, command)
            except AggregateNotFound:  # it would have been created
                return
            except AuraError as error:
                _LOG.warning("not recorded, that %s: %s", refused, error)

    async def handle(self, actor: Actor, aggregate_id: StreamId, command: Command[S]) -> S:
        """Handle one command; return the resulting state. Raises `CommandRefused`, and the errors of the log."""

        async def decide(unit: UnitOfWork) -> S:
            return await unit.handle(aggregate_id, command)

        return await self.transact(actor, decide)
