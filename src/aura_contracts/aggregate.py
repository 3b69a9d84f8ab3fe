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
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

import attrs
import msgspec

from aura_contracts.actors import Actor
from aura_contracts.errors import ImpossibleTransition, InvalidInput
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
    """Base of all aggregate states. A subclass adds fields and narrows the types of `id` and `status` to its own.

    States are plain data: they compare by value, pickle, convert to dictionaries (`as_dict`), and are accepted as
    fields of pydantic models. A state may also be one of the values that its events carry (a `Task` is a `TaskSpec`
    with a life); that is why this class has no fields of its own at run time: each subclass declares `id` and `status`.
    """

    if TYPE_CHECKING:
        id: str
        status: StrEnum

    ended_statuses: ClassVar[frozenset[StrEnum]] = frozenset()
    final_statuses: ClassVar[frozenset[StrEnum]] = frozenset()

    @property
    def final(self) -> bool:
        """Whether nothing can happen to it any more: its transition table leads nowhere from here."""
        return self.status in self.final_statuses

    @property
    def ended(self) -> bool:
        """Whether it is final, or can only be started again (a failed task)."""
        return self.status in self.ended_statuses

    def as_dict(self) -> dict[str, Any]:
        """Return its fields as JSON-ready values: strings, numbers, lists, dictionaries; times as ISO 8601."""
        return {"id": self.id, "status": str(self.status), **msgspec.to_builtins(self)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the state that `as_dict` gave these fields of. Raises `InvalidInput` for fields of another shape."""
        try:
            return msgspec.convert(fields, cls)
        except msgspec.ValidationError as error:
            raise InvalidInput(field=cls.__name__.lower(), reason=str(error)) from error

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Mapping[str, Any]:
        """Let pydantic validate, serialise and describe it; pydantic is imported only by those who have it."""
        from pydantic_core import core_schema  # noqa: PLC0415 - contracts do not depend on pydantic

        def validated(value: object) -> State:
            return value if isinstance(value, cls) else msgspec.convert(value, cls)

        serialization = core_schema.plain_serializer_function_ser_schema(cls.as_dict)
        return core_schema.no_info_plain_validator_function(validated, serialization=serialization)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, Any]:
        (own,), definitions = msgspec.json.schema_components([cls])
        return dict(_resolved(own, definitions))


def _resolved(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Return a JSON schema with what it refers to in its place: pydantic names its definitions itself."""
    match schema:
        case {"$ref": str(place)}:
            return _resolved(definitions[place.rpartition("/")[2]], definitions)
        case dict():
            return {name: _resolved(value, definitions) for name, value in schema.items()}
        case list():
            return [_resolved(value, definitions) for value in schema]
        case _:
            return schema


S = TypeVar("S", bound=State)


class Command(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """Base of all commands: what somebody wants to happen, in the imperative, to an aggregate whose state is `S`.

    `emits` names every event the command may lead to. The event catalogue is made of it, and a decision that answers
    with any other event is a program error.
    """

    emits: ClassVar[tuple[type[Event], ...]]


AnyCommand = Command[Any]

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
    commands: tuple[type[Command[S]], ...] = attrs.field(repr=False)
    restartable: frozenset[StrEnum] = frozenset()
    """Statuses in which it has ended, although somebody may start it again."""
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
        self.state.final_statuses, self.state.ended_statuses = self.final, self.ended

    @property
    def events(self) -> tuple[type[Event], ...]:
        """Every event type of this aggregate, in the order of the table's first mention."""
        return tuple(dict.fromkeys(event for row in self.table.values() for event in row))

    @property
    def final(self) -> frozenset[StrEnum]:
        """The statuses that nothing leads out of."""
        return frozenset(status for status in self.statuses if not self.table.get(status))

    @property
    def ended(self) -> frozenset[StrEnum]:
        """The final statuses, and those that are `restartable`."""
        return self.final | self.restartable

    @property
    def endings(self) -> tuple[type[Event], ...]:
        """The events that lead to a status in which it has ended, in the order of the table."""
        steps = (step for row in self.table.values() for step in row.items())
        return tuple(dict.fromkeys(event for event, after in steps if after in self.ended))

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


V = TypeVar("V", bound=msgspec.Struct)


def part_of(whole: V, kind: type[V]) -> V:
    """Return the fields of `whole` that `kind`, one of its bases, declares: the spec in a state."""
    return kind(**{name: getattr(whole, name) for name in kind.__struct_fields__})


class Changes(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of edits of a value: a field that is None leaves the value's field of that name as it is."""

    def given(self) -> dict[str, Any]:
        """Return the fields that are not None, by name."""
        return {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}

    def differing_from(self, value: msgspec.Struct) -> Self:
        """Return only what would change `value`."""
        return type(self)(**{name: new for name, new in self.given().items() if new != getattr(value, name)})


def status_only(state: S, event: Event, fact: HappenedFact, status: StrEnum) -> S:
    """Evolve by the status alone: the evolver of events that say nothing more."""
    return msgspec.structs.replace(state, status=status)
