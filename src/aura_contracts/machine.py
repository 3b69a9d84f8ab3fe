"""Aggregates as data: a state type, a transition table, a way to evolve.

The life of an aggregate is a table ``status -> {event type -> next status}``, in one place, readable alone. The status
before the first event is None. A miss in the table raises. `Aggregate.evolve` looks the next status up and hands it to
the event's own function, which says what else changes; nothing here reads a clock or does I/O, so a state is the same
whoever folds it, whenever.

    task = TASK.fold(await log.stream(task_id))

Deciding *whether* an event may happen is not done here but in `aura_engine.decisions`, so that an auditor replays a
log with contracts and store alone.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import attrs
import msgspec

from aura_contracts.actors import Actor
from aura_contracts.errors import ImpossibleTransition
from aura_contracts.events import Event


class HappenedFact(Protocol):
    """What `evolve` may look at: satisfied by `Fact` and by `EventRecord`."""

    @property
    def event(self) -> Event: ...
    @property
    def time(self) -> datetime: ...
    @property
    def actor(self) -> Actor: ...


class State(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of all aggregate states. A subclass adds fields and narrows the type of `status` to its own enum."""

    id: str
    status: StrEnum


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all commands: what somebody wants to happen, in the imperative.

    `emits` names every event the command may lead to. The event catalogue is made of it, and a decision that answers
    with any other event is a program error.
    """

    emits: ClassVar[tuple[type[Event], ...]]


S = TypeVar("S", bound=State)

Evolve = Callable[[Any, Any, HappenedFact, Any], S]
"""``(state, event, fact, next_status) -> state``. `event` is the fact's own, of the type the function is listed under;
`state` is None for the creating event."""

Table = Mapping[StrEnum | None, Mapping[type[Event], StrEnum]]


@attrs.frozen(kw_only=True)
class Aggregate(Generic[S]):
    """Everything that says what the events of one kind of thing mean."""

    name: str
    """The word for it everywhere: in topics, tables, the command line (``"task"``)."""

    state: type[S]
    statuses: type[StrEnum]
    table: Table = attrs.field(repr=False)
    evolvers: Mapping[type[Event], Evolve[S]] = attrs.field(repr=False)
    commands: tuple[type[Command], ...] = attrs.field(repr=False)
    snapshot_version: int = 1
    """Raised when `evolvers` change meaning, so that snapshots of before are not used."""

    _rows: dict[StrEnum | None, dict[type[Event], Any]] = attrs.field(init=False, repr=False, factory=dict)
    """Table and evolvers joined, ``event -> (evolver, next status, next row)``: one look-up per event of a fold."""

    def __attrs_post_init__(self) -> None:
        in_table = {event for row in self.table.values() for event in row}
        if in_table != set(self.evolvers):
            raise TypeError(f"{self.name}: table and evolvers disagree on {in_table ^ set(self.evolvers)}")
        self._rows.update({status: {} for status in (None, *self.statuses)})
        for status, row in self.table.items():
            for event, after in row.items():
                self._rows[status][event] = (self.evolvers[event], after, self._rows[after])

    @property
    def events(self) -> tuple[type[Event], ...]:
        """Every event type of this aggregate, in the order of the table's first mention."""
        return tuple(dict.fromkeys(event for row in self.table.values() for event in row))

    @property
    def terminal(self) -> frozenset[StrEnum]:
        """The statuses that nothing leads out of."""
        return frozenset(status for status in self.statuses if not self.table.get(status))

    def evolve(self, state: S | None, fact: HappenedFact) -> S:
        """Return the state after `fact`. Raises `ImpossibleTransition` where the table has no row for it."""
        kind = type(fact.event)
        try:
            status = self.table[None if state is None else state.status][kind]
        except KeyError:
            raise ImpossibleTransition(
                aggregate=self.name, status="" if state is None else state.status, event=kind.topic
            ) from None
        return self.evolvers[kind](state, fact.event, fact, status)

    def fold(self, facts: Iterable[HappenedFact], state: S | None = None) -> S | None:
        """Return the state after all of `facts`, in order, starting from `state`; None if there were none."""
        row = self._rows[None if state is None else state.status]
        for fact in facts:
            event = fact.event
            step = row.get(type(event))
            if step is None:
                return self.evolve(state, fact)  # raises, with the facts
            evolver, status, row = step
            state = evolver(state, event, fact, status)
        return state

    def statuses_accepting(self, *events: type[Event]) -> tuple[StrEnum, ...]:
        """Return the statuses in which any of `events` may happen, in the order of the table."""
        return tuple(s for s, row in self.table.items() if s is not None and any(event in row for event in events))


def status_only(state: S, event: Event, fact: HappenedFact, status: StrEnum) -> S:
    """Evolve by the status alone: the evolver of events that say nothing more."""
    return msgspec.structs.replace(state, status=status)
