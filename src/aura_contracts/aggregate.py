"""Aggregates as data: a state type, a transition table and functions that evolve the state.

The life cycle of an aggregate is a single table, ``status -> {event type -> next status}``. The status before the first
event is None, and an event without a row raises. `Aggregate.evolve` looks up the next status and passes it to the
event's own function, which makes the other changes. Nothing here reads a clock or does I/O, so folding the same events
always gives the same state.

    task = TASK.fold(await log.stream(task_id))

Decisions about *whether* an event may happen live in `aura_engine.decisions`, so an auditor can replay a log with only
the contracts and the store.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Protocol, Self, TypeVar

import attrs
import msgspec
from msgspec.structs import replace

from aura_contracts.actors import Actor
from aura_contracts.errors import ImpossibleTransition
from aura_contracts.events import Event
from aura_contracts.plain_data import Plain


class HappenedFact(Protocol):
    """The circumstances that `evolve` may use; satisfied by `Fact` and by `EventRecord`."""

    @property
    def event(self) -> Event: ...
    @property
    def time(self) -> datetime: ...
    @property
    def actor(self) -> Actor: ...


class State(msgspec.Struct, Plain, frozen=True, kw_only=True, gc=False):
    """Base of all aggregate states. A subclass adds fields and narrows the types of `id` and `status`.

    States are plain data (`aura_contracts.plain_data`). A state may extend a value that its events carry (a `Task` is a
    `TaskSpec` with a life cycle), so this class has no fields of its own at run time: each subclass declares `id` and
    `status`.
    """

    if TYPE_CHECKING:
        id: str
        status: StrEnum

    ended_statuses: ClassVar[frozenset[StrEnum]] = frozenset()
    final_statuses: ClassVar[frozenset[StrEnum]] = frozenset()

    @property
    def final(self) -> bool:
        """Whether nothing more can happen to it: the transition table has no way out of its status."""
        return self.status in self.final_statuses

    @property
    def ended(self) -> bool:
        """Whether it has ended: it is final, or can only be restarted (a failed task)."""
        return self.status in self.ended_statuses

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values, id and status first; times are ISO 8601 strings."""
        return {"id": self.id, "status": str(self.status), **msgspec.to_builtins(self)}


S = TypeVar("S", bound=State)


class Command(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """Base of all commands: an imperative request to an aggregate whose state is `S`.

    `emits` names the events that the command may lead to: it is possible where one of them is. `followed_by` names
    those that may only follow them in the same decision. The event catalogue is generated from both, and a decision
    that returns any other event is a bug.
    """

    emits: ClassVar[tuple[type[Event], ...]]
    followed_by: ClassVar[tuple[type[Event], ...]] = ()


AnyCommand = Command[Any]

Evolve = Callable[[Any, Any, HappenedFact, Any], S]
"""``(state, event, fact, next_status) -> state``. `event` is that of the fact, of the type that the function is listed
under; `state` is None for the creating event. `next_status` is the `NextStatus` of the table."""

NextStatus = StrEnum | tuple[StrEnum, ...]
"""The status after an event, or those among which its evolver chooses, where the state decides: an agent whose task
ends is idle only if that was its last one."""

Table = Mapping[StrEnum | None, Mapping[type[Event], NextStatus]]


def next_statuses(after: NextStatus) -> tuple[StrEnum, ...]:
    """Return the possible statuses after an event."""
    return after if isinstance(after, tuple) else (after,)


@attrs.frozen(kw_only=True)
class Aggregate(Generic[S]):
    """The definition of an aggregate: its state, statuses, table and evolvers.

    Its commands are those that its decider in `aura_engine.decisions` decides.
    """

    name: str
    """The name used everywhere: in topics, tables and on the command line (``"task"``)."""

    state: type[S]
    statuses: type[StrEnum]
    table: Table = attrs.field(repr=False)
    evolvers: Mapping[type[Event], Evolve[S]] = attrs.field(repr=False)
    restartable: frozenset[StrEnum] = frozenset()
    """Statuses that count as ended but can be left by a restart."""
    after_the_end: frozenset[type[Event]] = frozenset()
    """Events that are still recorded in a final status, which they leave as it is."""
    snapshot_version: int = 1
    """Increase it when the meaning of `evolvers` changes, so that older snapshots are ignored."""

    _rows: dict[StrEnum | None, dict[type[Event], Any]] = attrs.field(init=False, repr=False, factory=dict)
    """Table and evolvers joined, ``event -> (evolver, next status, next row)``: one lookup per event."""

    def __attrs_post_init__(self) -> None:
        in_table = {event for row in self.table.values() for event in row}
        if in_table != set(self.evolvers):
            raise TypeError(f"{self.name}: table and evolvers disagree on {in_table ^ set(self.evolvers)}")
        for event, evolver in self.evolvers.items():
            if isinstance(evolver, _Sets):
                evolver.require_fields(self.state, event)
        self._rows.update({status: {} for status in (None, *self.statuses)})
        for status, row in self.table.items():
            for event, after in row.items():
                row_after = None if isinstance(after, tuple) else self._rows[after]
                self._rows[status][event] = (self.evolvers[event], after, row_after)
        self.state.final_statuses, self.state.ended_statuses = self.final, self.ended

    @cached_property
    def events(self) -> tuple[type[Event], ...]:
        """Every event type of this aggregate, in the order in which the table first mentions it."""
        return tuple(dict.fromkeys(event for row in self.table.values() for event in row))

    @cached_property
    def final(self) -> frozenset[StrEnum]:
        """The statuses without a way out."""
        return frozenset(
            status for status in self.statuses if self.after_the_end.issuperset(self.table.get(status, ()))
        )

    @cached_property
    def ended(self) -> frozenset[StrEnum]:
        """The final and the `restartable` statuses."""
        return self.final | self.restartable

    @cached_property
    def endings(self) -> tuple[type[Event], ...]:
        """The events that lead to an ended status from another one, in table order."""
        steps = ((before, event, after) for before, row in self.table.items() for event, after in row.items())
        return tuple(
            dict.fromkeys(
                event
                for before, event, after in steps
                if self.ended.issuperset(next_statuses(after)) and before not in next_statuses(after)
            )
        )

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
        """Return the state after all `facts`, in order, starting from `state`; None if there were none."""
        row = self._rows[None if state is None else state.status]
        for fact in facts:
            event = fact.event
            step = row.get(type(event))
            if step is None:
                return self.evolve(state, fact)  # raises, with the facts
            evolver, status, row_after = step
            state = evolver(state, event, fact, status)
            if row_after is None:
                assert state is not None, "no event removes the aggregate"
                row_after = self._rows[state.status]
            row = row_after
        return state

    def statuses_accepting(self, *events: type[Event]) -> tuple[StrEnum, ...]:
        """Return the statuses that allow any of `events`, in table order."""
        return tuple(s for s, row in self.table.items() if s is not None and any(event in row for event in events))


def in_every_status(table: Table, event: type[Event], statuses: type[StrEnum]) -> Table:
    """Return the table with an event that may happen in every status, which it leaves as it is."""
    rows: dict[StrEnum | None, Mapping[type[Event], NextStatus]] = dict(table)
    rows.update({status: {**table.get(status, {}), event: status} for status in statuses})
    return rows


V = TypeVar("V", bound=msgspec.Struct)


def part_of(whole: V, kind: type[V]) -> V:
    """Return the part of `whole` that `kind`, one of its bases, declares: the spec in a state."""
    return kind(**{name: getattr(whole, name) for name in kind.__struct_fields__})


class Changes(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of edits; fields that are None leave the value unchanged."""

    def given(self) -> dict[str, Any]:
        """Return the fields that are not None, by name."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}

    def differing_from(self, value: msgspec.Struct) -> Self:
        """Return only the changes that differ from `value`."""
        return type(self)(**{name: new for name, new in self.given().items() if new != getattr(value, name)})


# --- Evolvers as data -------------------------------------------------------------------------------------------------

TIME: Final = attrgetter("time")
"""In `sets`: the time of the fact."""

ACTOR: Final = attrgetter("actor")
"""In `sets`: the actor of the fact."""


class _Given(str):
    __slots__ = ()


def given(field: str) -> object:
    """In `sets`: a field of the event that has another name in the state."""
    return _Given(field)


def sets(*copied: str, **values: object) -> Evolve[Any]:
    """Return the evolver that copies fields of the event into the state, and sets others to `values`.

    A value is a constant, or one of `TIME`, `ACTOR` and `given`. The `Aggregate` refuses names that its state or the
    event does not have. Events that come by the thousand have a function of their own instead, which is twice as fast.
    """
    return _Sets({name: _Given(name) for name in copied} | values)


class _Sets:
    __slots__ = ("_circumstances", "_copied", "_fixed")

    def __init__(self, values: Mapping[str, object]) -> None:
        self._copied = {name: str(value) for name, value in values.items() if isinstance(value, _Given)}
        self._circumstances = {name: value for name, value in values.items() if isinstance(value, attrgetter)}
        self._fixed = {n: value for n, value in values.items() if not isinstance(value, _Given | attrgetter)}

    def __call__(self, state: Any, event: Event, fact: HappenedFact, status: StrEnum) -> Any:
        changes = {"status": status, **self._fixed}
        for name, field in self._copied.items():
            changes[name] = getattr(event, field)
        for name, get in self._circumstances.items():
            changes[name] = get(fact)
        return replace(state, **changes)

    def require_fields(self, state: type[State], event: type[Event]) -> None:
        """Raise TypeError unless both have the fields that it names."""
        names = {state: {*self._fixed, *self._copied, *self._circumstances}, event: {*self._copied.values()}}
        for kind, named in names.items():
            if unknown := named.difference(kind.__struct_fields__):
                raise TypeError(f"the evolver of {event.__name__}: {kind.__name__} has no {', '.join(sorted(unknown))}")


def status_only(state: S, event: Event, fact: HappenedFact, status: StrEnum) -> S:
    """Evolve nothing but the status, for events that carry no more."""
    return replace(state, status=status)
