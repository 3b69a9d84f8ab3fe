"""Aggregates as data: what their parts promise, shown on a door, and on all that AURA has."""

import typing
from datetime import datetime, timedelta
from enum import StrEnum
from functools import reduce
from types import FunctionType, MappingProxyType

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.actors import human
from aura_contracts.aggregate import ACTOR, TIME, Aggregate, Command, State, next_statuses, sets, status_only
from aura_contracts.aggregate import given as field_of
from aura_contracts.approval import APPROVAL
from aura_contracts.catalogue import AGGREGATES
from aura_contracts.errors import ImpossibleTransition
from aura_contracts.events import Event, EventRecord, Fact
from aura_contracts.ledger import LEDGER
from aura_contracts.task import TASK
from aura_engine.decisions import DECIDERS, Decider
from aura_engine.decisions._decider import anyone, becomes
from strategies import EPOCH


class DoorStatus(StrEnum):
    OPEN = "open"
    SHUT = "shut"
    WALLED_UP = "walled_up"


class Hung(Event, frozen=True, kw_only=True):
    topic = "door.hung"
    door_id: str


class Opened(Event, frozen=True, kw_only=True):
    topic = "door.opened"


class Shut(Event, frozen=True, kw_only=True):
    topic = "door.shut"


class WalledUp(Event, frozen=True, kw_only=True):
    topic = "door.walled_up"


class Door(State, frozen=True, kw_only=True):
    id: str
    status: DoorStatus
    opened: int = 0


TABLE = {
    None: {Hung: DoorStatus.SHUT},
    DoorStatus.SHUT: {Opened: DoorStatus.OPEN, WalledUp: DoorStatus.WALLED_UP},
    DoorStatus.OPEN: {Shut: DoorStatus.SHUT},
}


def _hung(_, event, fact, status):
    return Door(id=event.door_id, status=status)


def _opened(state, event, fact, status):
    return msgspec.structs.replace(state, status=status, opened=state.opened + 1)


EVOLVERS = {
    Hung: _hung,
    Opened: _opened,
    Shut: status_only,
    WalledUp: status_only,
}
DOOR = Aggregate(
    name="door",
    state=Door,
    statuses=DoorStatus,
    table=MappingProxyType(TABLE),
    evolvers=MappingProxyType(EVOLVERS),
)


def facts(*events):
    """Return events as facts, a second apart."""
    times = (EPOCH + timedelta(seconds=n) for n in range(len(events)))
    return [Fact(event, time, human("alice"), "r", "c") for event, time in zip(events, times, strict=True)]


@st.composite
def histories(draw):
    """Draw facts that follow one another in the door's table."""
    events, status = [Hung(door_id="front")], DoorStatus.SHUT
    while (row := TABLE.get(status)) and draw(st.integers(0, 6)):
        kind = draw(st.sampled_from([*row]))
        events.append(kind())
        status = row[kind]
    return facts(*events)


def test_the_events_come_in_the_order_of_the_table():
    assert DOOR.events == (Hung, Opened, WalledUp, Shut)


def test_what_nothing_leads_out_of_is_final():
    assert DOOR.final == {DoorStatus.WALLED_UP}


def test_statuses_that_accept_an_event_come_in_the_order_of_the_table():
    assert DOOR.statuses_accepting(Opened, Shut) == (DoorStatus.SHUT, DoorStatus.OPEN)
    assert DOOR.statuses_accepting(Hung) == ()


def test_an_event_moves_the_state_along_its_row():
    door = DOOR.fold(facts(Hung(door_id="front"), Opened(), Shut(), Opened()))
    assert door == Door(id="front", status=DoorStatus.OPEN, opened=2)


def test_nothing_folds_to_nothing():
    assert DOOR.fold([]) is None


def test_nothing_more_leaves_a_state_as_it_is():
    door = Door(id="front", status=DoorStatus.SHUT)
    assert DOOR.fold([], door) is door


@pytest.mark.parametrize(
    ("state", "event", "status"),
    [
        (None, Opened(), ""),
        (Door(id="front", status=DoorStatus.SHUT), Hung(door_id="front"), "shut"),
        (Door(id="front", status=DoorStatus.SHUT), Shut(), "shut"),
        (Door(id="front", status=DoorStatus.WALLED_UP), Opened(), "walled_up"),
    ],
)
def test_a_miss_in_the_table_raises(state, event, status):
    (fact,) = facts(event)
    with pytest.raises(ImpossibleTransition) as by_evolve:
        DOOR.evolve(state, fact)
    with pytest.raises(ImpossibleTransition) as by_fold:
        DOOR.fold([fact], state)
    expected = {"aggregate": "door", "status": status, "event": event.topic}
    assert by_evolve.value.facts() == by_fold.value.facts() == expected


@given(histories())
def test_to_fold_is_to_evolve_again_and_again(history):
    assert DOOR.fold(history) == reduce(DOOR.evolve, history, None)


@given(histories(), st.data())
def test_a_fold_may_stop_and_go_on_anywhere(history, data):
    cut = data.draw(st.integers(0, len(history)))
    assert DOOR.fold(history[cut:], DOOR.fold(history[:cut])) == DOOR.fold(history)


@given(histories())
def test_records_fold_as_facts_do(history):
    records = [
        EventRecord(100 + n, "front", n, f.event, f.time, f.actor, f.correlation_id, f.causation_id)
        for n, f in enumerate(history, 1)
    ]
    assert DOOR.fold(records) == DOOR.fold(history)


@given(histories())
def test_an_error_in_an_evolver_is_not_taken_for_a_miss(history):
    def confused(*_):
        raise KeyError("a defect")

    broken = attrs.evolve(DOOR, evolvers={**EVOLVERS, Hung: confused})
    with pytest.raises(KeyError, match="a defect"):
        broken.fold(history)


@pytest.mark.parametrize("evolvers", [{k: v for k, v in EVOLVERS.items() if k is not Shut}, EVOLVERS | {Event: None}])
def test_table_and_evolvers_have_to_name_the_same_events(evolvers):
    with pytest.raises(TypeError, match="door: table and evolvers disagree on"):
        attrs.evolve(DOOR, evolvers=evolvers)


class Painted(Event, frozen=True, kw_only=True):
    topic = "door.painted"
    colour: str
    shade: str = ""


class PaintedDoor(Door, frozen=True, kw_only=True):
    colour: str = ""
    tone: str = ""
    painter: str = ""
    painted_at: datetime | None = None
    dry: bool = True


def painting(evolver):
    """Return an aggregate whose doors are painted by `evolver`."""
    return Aggregate(
        name="door",
        state=PaintedDoor,
        statuses=DoorStatus,
        table={None: {Hung: DoorStatus.SHUT}, DoorStatus.SHUT: {Painted: DoorStatus.SHUT}},
        evolvers={Hung: _hung, Painted: evolver},
    )


def test_an_evolver_sets_what_it_names():
    evolver = sets("colour", tone=field_of("shade"), painter=ACTOR, painted_at=TIME, dry=False)
    door = PaintedDoor(id="front", status=DoorStatus.SHUT)
    (fact,) = facts(Painted(colour="red", shade="dark"))
    assert painting(evolver).fold([fact], door) == msgspec.structs.replace(
        door, colour="red", tone="dark", painter=fact.actor, painted_at=fact.time, dry=False
    )


@pytest.mark.parametrize(
    ("evolver", "unknown"),
    [
        (sets("color"), "PaintedDoor has no color"),
        (sets("opened"), "Painted has no opened"),
        (sets(tone=field_of("shdae")), "Painted has no shdae"),
        (sets(painetd_at=TIME, wet=True), "PaintedDoor has no painetd_at, wet"),
    ],
)
def test_an_evolver_names_only_fields(evolver, unknown):
    with pytest.raises(TypeError, match=f"the evolver of Painted: {unknown}$"):
        painting(evolver)


class Paint(Command[PaintedDoor], frozen=True, kw_only=True):
    emits = (Painted,)
    colour: str


@pytest.mark.parametrize(
    ("event", "problem"),
    [(Painted, "cannot become Painted: it has no shade"), (Opened, "does not declare that it emits Opened")],
)
def test_a_command_becomes_only_an_event_that_it_can_fill(event, problem):
    with pytest.raises(TypeError, match=f"^Paint {problem}$"):
        Decider(painting(sets("colour")), {Paint: (anyone, becomes(event))})


# --- AURA's own -------------------------------------------------------------------------------------------------------

every_aggregate = pytest.mark.parametrize("aggregate", [pytest.param(each, id=each.name) for each in AGGREGATES])


def commands_of(aggregate):
    """Return the commands that the engine decides; the store decides about the ledger."""
    return () if aggregate is LEDGER else tuple(DECIDERS[aggregate.name].decisions)


@every_aggregate
def test_topics_begin_with_the_name_of_their_aggregate(aggregate):
    assert all(event.topic.startswith(f"{aggregate.name}.") for event in aggregate.events)


@every_aggregate
def test_every_event_is_emitted_and_nothing_else_is(aggregate):
    emitted = {event for command in commands_of(aggregate) for event in command.emits}
    emitted |= set() if aggregate is LEDGER else set(DECIDERS[aggregate.name].consequences)
    assert emitted == set(() if aggregate is LEDGER else aggregate.events)


def refuses_actors(function):
    """Whether a decision, or a function of its module that it calls, may refuse an actor."""
    names = function.__code__.co_names
    called = (value for name in names if isinstance(value := function.__globals__.get(name), FunctionType))
    return "NotAllowed" in names or any(refuses_actors(each) for each in called)


@every_aggregate
def test_a_command_that_anyone_may_give_refuses_no_actor(aggregate):
    for command in commands_of(aggregate):
        guard, decide = DECIDERS[aggregate.name].decisions[command]
        assert guard is not anyone or not refuses_actors(decide), command.__name__


@every_aggregate
def test_every_status_is_in_the_table_and_no_other(aggregate):
    statuses = {status for row in aggregate.table.values() for after in row.values() for status in next_statuses(after)}
    assert statuses == set(aggregate.statuses)
    assert set(aggregate.table) - {None} <= set(aggregate.statuses)


@every_aggregate
def test_its_parts_are_frozen_and_say_what_they_mean(aggregate):
    for kind in (aggregate.state, *aggregate.events, *commands_of(aggregate)):
        assert kind.__struct_config__.frozen
        assert kind.__doc__
        assert not kind.__doc__.startswith(f"{kind.__name__}(")


@every_aggregate
def test_events_are_not_watched_by_the_garbage_collector(aggregate):
    assert not any(kind.__struct_config__.gc for kind in (aggregate.state, *aggregate.events))


@every_aggregate
def test_every_time_in_an_event_knows_its_zone(aggregate):
    """A naive datetime, refused when stored: the annotation is what the store goes by."""
    for event in aggregate.events:
        for name, hint in typing.get_type_hints(event, include_extras=True).items():
            assert datetime not in plain_types(hint), f"{event.__name__}.{name}: write Instant"


def plain_types(hint, around=()):
    """Yield the types in an annotation and in the structs it names, but not what an annotation is laid upon.

    `around` are the structs that it is in: one that contains its own kind has no end.
    """
    if typing.get_origin(hint) is typing.Annotated or hint in around:
        return
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        for inner in typing.get_type_hints(hint, include_extras=True).values():
            yield from plain_types(inner, (*around, hint))
    yield hint
    for inner in typing.get_args(hint):
        yield from plain_types(inner, around)


def test_the_table_says_what_is_final_what_has_ended_and_which_events_end_it():
    assert TASK.final == {"cancelled", "deleted"}
    assert TASK.ended == {*TASK.final, "failed", "completed"}, "a failed or completed task may be started again"
    assert {event.topic for event in TASK.endings} == {
        "task.completed",
        "task.cancelled",
        "task.deleted",
        "task.failed",
    }
    assert {event.topic for event in APPROVAL.endings} == {
        "approval.approved",
        "approval.rejected",
        "approval.changes_requested",
        "approval.expired",
        "approval.withdrawn",
    }


@pytest.mark.parametrize("aggregate", AGGREGATES, ids=lambda aggregate: aggregate.name)
def test_a_state_knows_what_its_table_says(aggregate):
    assert aggregate.state.final_statuses == aggregate.final
    assert aggregate.state.ended_statuses == aggregate.ended
