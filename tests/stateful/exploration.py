"""A directed search through the states of an aggregate, by commands alone.

    from each state reached so far, those reached in the rarest ways first:
        every command that its status allows, with the values, by the actors, at the times that the state suggests
            ──► decide ──► rows of the table and emitted events to tick off ──► states of a new shape to go on from

Random commands rarely name the approval that is pending or come from the agent that is assigned; here they do, because
values are taken from the state: a field typed `ApprovalId` is tried with every approval id that the state knows.
Everything is seeded, so a search goes the same way every time.
"""

import heapq
import itertools
import random
import types
import typing
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from functools import cache
from typing import Any

import attrs
import msgspec

from aura_contracts.actors import Actor, agent, human, system
from aura_contracts.aggregate import Command, State, Table, next_statuses
from aura_contracts.approval import POLICY
from aura_contracts.errors import CommandRefused
from aura_contracts.events import Event, Fact
from aura_contracts.execution import ACTIONS, Action
from aura_contracts.ids import AgentId
from aura_contracts.task import AGENT_TYPES, AgentType
from aura_contracts.workflow import AgentTaskStep, StepDefinition, WorkflowDefinition
from aura_engine.decisions import Context, Decider, Decision
from strategies import EPOCH, IDS, NAMES

Row = tuple[StrEnum | None, type[Event], StrEnum]
Emission = tuple[type[Command], type[Event]]

TRIES = 60
"""Random combinations of values, actor and time per command and state, after the systematic ones."""


@attrs.frozen(kw_only=True)
class Guide:
    """What a search needs to know of an aggregate beyond its types, tables and states."""

    commands: Callable[[Any], Iterable[Command]] = lambda _: ()
    """From a state (or None) to commands worth trying in it, where types alone do not say what fits together."""
    mark: Callable[[Any], Any] = lambda _: None
    """What tells apart states that the same row leads to; each kind is tried as often as the others."""
    parts: Callable[[Any], Mapping[str, StrEnum]] = lambda _: {}
    """From a state to the statuses of its parts by id, where these have a table of their own."""
    part_table: Table = types.MappingProxyType({})
    values: int = 25
    """Commands per kind with promising values; fewer where `commands` says what is worth trying."""
    tries: int = TRIES
    """Commands per kind with values chosen at random."""
    limit: int = 800
    """States that are tried."""


# --- One step, held against the promises ------------------------------------------------------------------------------


def through_a_store(fact: Fact) -> Fact:
    """Return `fact` as it comes back from a store: written as JSON bytes, read by the type of its event."""
    event = msgspec.json.decode(msgspec.json.encode(fact.event), type=type(fact.event))
    _, *rest = msgspec.json.decode(msgspec.json.encode(fact))
    return Fact(event, *(msgspec.convert(value, hint) for value, hint in zip(rest, _CIRCUMSTANCES, strict=True)))


_CIRCUMSTANCES = (datetime, str, str, str)


def checked_step(
    decider: Decider[Any], state: Any, command: Command, context: Context, guide: Guide
) -> tuple[Decision[Any] | None, list[Row]]:
    """Decide, and hold the outcome against what every aggregate promises; return it with the rows it went through.

    The rows of the parts are among them. A refusal is None. Anything raised that is no `CommandRefused` gets out of
    here, and so fails the test.
    """
    aggregate = decider.aggregate
    try:
        decision = decider.decide(decision_id(state), state, command, context)
    except CommandRefused:
        return None, []
    assert decider.decide(decision_id(state), state, command, context) == decision, f"{command} is decided by chance"
    if state is not None and state.status in aggregate.final:
        assert aggregate.after_the_end.issuperset(map(type, decision.events)), f"{state.status} took {command}"
    stored = [through_a_store(Fact(event, context.now, context.actor, "r", "c")) for event in decision.events]
    rows: list[Row] = []
    replayed = state
    for fact in stored:
        before, event = replayed, fact.event
        replayed = aggregate.evolve(before, fact)
        row = (None if before is None else before.status, type(event), replayed.status)
        assert row[2] in next_statuses(aggregate.table[row[0]][row[1]]), (
            f"{type(event).__name__} led past the table: {row}"
        )
        rows += [row, *part_rows(guide, before, event, replayed)]
    assert replayed == aggregate.fold(stored, state) == decision.state, f"{command} folds to another state than decided"
    return decision, rows


def decision_id(state: Any) -> str:
    """The id under which a decision is made: the state's own, or that of a stream without events."""
    return IDS[0] if state is None else state.id


def part_rows(guide: Guide, before: Any, event: Event, after: Any) -> Iterator[Row]:
    """Yield how the parts of a state have moved by `event`; each move must be a row of their table."""
    were = {} if before is None else guide.parts(before)
    for name, status in guide.parts(after).items():
        if were.get(name) is not status:
            row = (were.get(name), type(event), status)
            possible = next_statuses(guide.part_table[row[0]][row[1]])
            assert row[2] in possible, f"{type(event).__name__} led past the table: {row}"
            yield row


def rows_of(table: Table) -> set[Row]:
    """Every row of a table."""
    steps = ((before, event, possible) for before, row in table.items() for event, possible in row.items())
    return {(before, event, after) for before, event, possible in steps for after in next_statuses(possible)}


def emissions_of(decider: Decider[Any]) -> set[Emission]:
    """Every event that a command says it may lead to."""
    return {(command, event) for command in decider.decisions for event in command.emits}


# --- What a state suggests --------------------------------------------------------------------------------------------


class Suggestions:
    """Values worth trying in the fields of commands, the most promising first: what the state knows, then the usual."""

    def __init__(self, state: State | None) -> None:
        self.by_name: dict[str, list[Any]] = defaultdict(list)
        self.by_type: dict[Any, list[Any]] = defaultdict(list)
        self._values: dict[tuple[str, Any], list[Any]] = {}
        if state is not None:
            self._learn("", type(state), state)

    def _learn(self, name: str, hint: Any, value: Any) -> None:
        if isinstance(value, msgspec.Struct):
            for field, field_hint in _hints(type(value)).items():
                self._learn(field, field_hint, getattr(value, field))
        elif isinstance(value, Mapping):
            for key, item in value.items():
                self._learn("", _part(hint, 0), key)
                self._learn("", _part(hint, 1), item)
        elif isinstance(value, Collection) and not isinstance(value, str | bytes):
            for item in value:
                self._learn(name.removesuffix("s"), _part(hint, 0), item)
        elif value is not None:
            _remember(self.by_name[name], value)
            _remember(self.by_type[_without_none(hint)], value)
            _remember(self.by_type[type(value)], value)

    def actors(self) -> list[Actor]:
        """AURA and its policies, the humans and agents that the state knows, and strangers."""
        known = [*self.by_type[Actor], *(agent(a) for a in self.by_type[AgentId])]
        return _unique([system("engine"), POLICY, *known, human("alice"), human("bob"), agent(IDS[0]), agent(IDS[3])])

    def times(self) -> list[datetime]:
        """Just after each time that the state knows, and long after all of them."""
        known = sorted(self.by_type[datetime]) or [EPOCH]
        return _unique([*(time + timedelta(seconds=1) for time in known[-4:]), known[-1] + timedelta(days=30)])

    def values(self, name: str, hint: Any) -> list[Any]:
        """Values for a field of this name and annotation."""
        if (name, hint) not in self._values:
            wanted = _without_none(hint)
            found = _unique([*self._known(name, wanted), *self._usual(name, wanted)])
            self._values[name, hint] = found if wanted == hint else [*found, None]
        return self._values[name, hint]

    def _known(self, name: str, hint: Any) -> list[Any]:
        if isinstance(hint, typing.NewType):
            return self.by_type[hint][:4]
        if hint is str:
            named = [*self.by_name[name], *(self.by_name["id"] if name.endswith("_id") else ())]
            return [*(value for value in named if isinstance(value, str)), *self.by_type[str][:4]]
        return [value for value in self.by_type[hint][:2] if isinstance(value, int | float | datetime)]

    def _usual(self, name: str, hint: Any) -> list[Any]:
        if isinstance(hint, typing.NewType) and hint.__name__.endswith("Id"):
            return list(IDS)
        if hint in _USUAL:
            return list(_USUAL[hint])
        if isinstance(hint, type) and issubclass(hint, Enum):
            return list(hint)
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            kinds = [next(self.structs(kind)) for kind in ACTIONS] if hint is Action else self.structs(hint)
            return list(itertools.islice(kinds, len(ACTIONS)))
        if hint in (Actor, datetime):
            return self.actors() if hint is Actor else [*self.times(), EPOCH.replace(tzinfo=None)]
        return self._composed(name, typing.get_origin(hint), typing.get_args(hint), hint)

    def _composed(self, name: str, origin: Any, args: tuple[Any, ...], hint: Any) -> list[Any]:
        if origin in (typing.Union, types.UnionType):
            return [value for arg in args for value in self.values(name, arg)]
        if origin is typing.Literal:
            return list(args)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            keys, items = self.values("", args[0]), self.values("", args[1])
            return [{}, *({key: item} for key, item in zip(keys, itertools.cycle(items), strict=False))][:4]
        if origin is tuple and args[1:] != (...,):
            return list(itertools.islice(itertools.product(*(self.values(name, arg) for arg in args)), 6))
        if isinstance(origin, type) and issubclass(origin, Collection):
            kind = tuple if origin not in (list, set, frozenset) else origin
            return [kind(items) for items in self._sequences(name.removesuffix("s"), args[0])]
        raise TypeError(f"no suggestions for {hint!r}: add them to tests/stateful/exploration.py")

    def _sequences(self, name: str, hint: Any) -> list[Sequence[Any]]:
        """One of each, two different ones, none."""
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            singles = list(itertools.islice(self.structs(hint), 6))
            pair = [next(self.structs(hint, shift)) for shift in (0, 1)]
        else:
            singles = self.values(name, hint)[:6]
            pair = singles[:2]
        return [*([single] for single in singles), pair, []]

    def structs(self, kind: type[Any], shift: int = 0) -> Iterator[Any]:
        """One struct of the most promising values (ids moved on by `shift`), then one for every other value."""
        choices = {name: self.values(name, hint) for name, hint in _hints(kind).items()}
        base = {name: choices[name][shift % len(choices[name])] for name in _required(kind)}
        yield kind(**base)
        for name, values in choices.items():
            for value in values:
                yield kind(**{**base, name: value})

    def random_struct(self, kind: type[Any], rng: random.Random) -> Any:
        """A struct of values chosen at random, fields with a default half of the time left at it."""
        required = _required(kind)
        return kind(
            **{
                name: self._random(name, hint, rng)
                for name, hint in _hints(kind).items()
                if name in required or rng.random() < 0.5
            }
        )

    def _random(self, name: str, hint: Any, rng: random.Random) -> Any:
        """A value of a field chosen at random; of a value that a command carries, each of its fields."""
        whole = hint is Action or hint in _USUAL
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct) and not whole:
            return self.random_struct(hint, rng)
        return rng.choice(self.values(name, hint))


_STEP = StepDefinition(id="code", config=AgentTaskStep(task_template="build"))

_USUAL: Mapping[Any, Sequence[Any]] = types.MappingProxyType(
    {
        AgentType: [*AGENT_TYPES[:2], "Two words"],
        Any: [1, "x", None],
        bool: [True, False],
        bytes: [b"x", b""],
        dict[str, Any]: [{}, {"x": 1}],
        float: [0.5, 0.0, 1.0, 60.0, -1.0, 1e300, float("inf"), float("nan")],
        int: [1, 2, 3, 0, 100, -1, 2**53],
        str: [*NAMES, ""],
        StepDefinition: [_STEP],
        WorkflowDefinition: [WorkflowDefinition(name="build", steps=(_STEP,))],
    }
)
"""A step contains steps, so there is no end of what its type suggests."""


@cache
def _hints(kind: type[msgspec.Struct]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {name: hints[name] for name in kind.__struct_fields__}


@cache
def _required(kind: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(field.name for field in msgspec.structs.fields(kind) if field.required)


def _without_none(hint: Any) -> Any:
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint
    args = [arg for arg in typing.get_args(hint) if arg is not types.NoneType]
    return args[0] if len(args) == 1 else typing.Union[tuple(args)]  # noqa: UP007  # of a tuple, not of names


def _part(hint: Any, index: int) -> Any:
    args = typing.get_args(_without_none(hint))
    return args[index] if index < len(args) else Any


def _remember(known: list[Any], value: Any) -> None:
    if value not in known:
        known.append(value)


def _unique(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if not any(value == other and type(value) is type(other) for other in found):
            found.append(value)
    return found


# --- The search -------------------------------------------------------------------------------------------------------


@attrs.define
class Exploration:
    """What a search has found: states by shape, rows gone through, events emitted by commands."""

    decider: Decider[Any]
    guide: Guide
    missing_rows: set[Row]
    missing_emissions: set[Emission]
    states: list[Any] = attrs.field(factory=lambda: [None])
    """One state of each shape reached, and None."""
    expanded: int = 0
    tried: int = 0

    def attempts(self, state: Any, kind: type[Command], rng: random.Random) -> Iterator[tuple[Command, Context]]:
        """Commands of one kind, each with actor and time: every actor, every value, then combinations at random."""
        suggestions = Suggestions(state)
        actors, times = suggestions.actors(), suggestions.times()
        hinted = [command for command in self.guide.commands(state) if type(command) is kind]
        plain = list(itertools.islice(suggestions.structs(kind), self.guide.values))
        for actor in actors:
            for command in (*hinted, plain[0]):
                yield command, Context(actor=actor, now=times[0])
        for command in plain[1:]:
            yield command, Context(actor=rng.choice(actors), now=rng.choice(times))
        for _ in range(self.guide.tries):
            command = rng.choice(hinted) if hinted and rng.random() < 0.5 else suggestions.random_struct(kind, rng)
            lineage = tuple(rng.sample(IDS, k=rng.randrange(3)))
            yield command, Context(actor=rng.choice(actors), now=rng.choice(times), lineage=lineage)

    def possible(self, state: Any) -> list[type[Command]]:
        """The commands that may lead to an event of the state's row."""
        row = self.decider.aggregate.table.get(None if state is None else state.status, {})
        return [kind for kind in self.decider.decisions if any(event in row for event in kind.emits)]

    def may_add(self, state: Any) -> bool:
        """Whether a row that is missing begins in the state, or in one of its parts, or an emission is possible."""
        begins = {None} if state is None else {None, state.status, *self.guide.parts(state).values()}
        kinds = set(self.possible(state))
        rows = any(row[0] in begins for row in self.missing_rows)
        return rows or any(kind in kinds for kind, _ in self.missing_emissions)

    def expand(self, state: Any, rng: random.Random) -> Iterator[tuple[Any, list[Row]]]:
        """Try everything in `state`, tick off what happens, yield the states reached, each with the rows taken."""
        for kind in self.possible(state):
            for command, context in self.attempts(state, kind, rng):
                self.tried += 1
                decision, rows = checked_step(self.decider, state, command, context, self.guide)
                if decision is None or not rows:
                    continue
                self.missing_rows.difference_update(rows)
                self.missing_emissions.difference_update((kind, event) for _, event, _ in rows)
                yield decision.state, rows

    @property
    def complete(self) -> bool:
        return not self.missing_rows and not self.missing_emissions


def explore(decider: Decider[Any], guide: Guide) -> Exploration:
    """Search until every row and every emission was seen, or `Guide.limit` states have been tried.

    First come states from which a missing row leads. Of these, those that were reached by a rare row, or whose status
    is rarely seen beside that of one of its parts: a search in breadth would not get far.
    """
    aggregate = decider.aggregate
    moves = {row for row in rows_of(guide.part_table) if row[0] is not row[2]}  # others leave no trace in a part
    found = Exploration(decider, guide, rows_of(aggregate.table) | moves, emissions_of(decider))
    rng = random.Random(aggregate.name)
    seen: set[Any] = set()
    visits: dict[Any, int] = defaultdict(int)
    order = itertools.count()
    frontier: list[tuple[bool, int, int, int, Any]] = [(False, 0, 0, next(order), None)]
    while frontier and found.expanded < guide.limit and not found.complete:
        useless, *rank, state = heapq.heappop(frontier)
        if not useless and not found.may_add(state):  # others have found what it promised
            heapq.heappush(frontier, (True, *rank, state))
            continue
        found.expanded += 1
        for reached, rows in found.expand(state, rng):
            if (form := shape(reached)) not in seen:
                seen.add(form)
                found.states.append(reached)
                novelty = (rows[-1], guide.mark(reached), *sorted(guide.parts(reached).values()))
                pairs = {(guide.mark(reached), reached.status, part) for part in guide.parts(reached).values()}
                reasons = (novelty[:2], *pairs)
                for one in (novelty, *reasons):
                    visits[one] += 1
                rarest = min(visits[one] for one in reasons)
                heapq.heappush(frontier, (False, rarest, visits[novelty], next(order), reached))
    return found


def shape(value: Any) -> Any:
    """What makes one state worth trying beside another: statuses, flags, what is there and what is not."""
    return _shape_of(type(value))(value)


@cache
def _shape_of(kind: type[Any]) -> Callable[[Any], Any]:
    """Return the function that tells the shape of values of a type; finding it takes longer than calling it."""
    if issubclass(kind, msgspec.Struct):
        names = kind.__struct_fields__
        return lambda value: tuple([shape(getattr(value, name)) for name in names])
    if issubclass(kind, Enum | bool | None):
        return lambda value: value
    if issubclass(kind, int | float):
        return lambda value: min(max(value, -1), 3)
    if issubclass(kind, Mapping):
        return lambda value: tuple(sorted((str(shape(item)) for item in value.values()), key=str))[:3]
    if issubclass(kind, Collection) and not issubclass(kind, str | bytes):
        return lambda value: tuple([shape(item) for item in itertools.islice(value, 3)])
    return bool
