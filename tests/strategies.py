"""All Hypothesis strategies of the tests.

A strategy for a command, an event or a context is made from the annotations of its type, so a new aggregate needs no
code here. Three choices make random commands meet each other instead of missing:

- ids come from the few of `IDS`, names of people and things from the few of `NAMES`;
- times lie within some days around `EPOCH`;
- a field with a default is often left at it.

What no edge lets in is left out: half surrogates and NUL in texts, numbers in free JSON that JSON cannot hold. Numbers
in typed fields are of every kind, infinities and NaN included: a decision has to refuse what it cannot record.
"""

import types
import typing
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from functools import cache
from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from aura_contracts.actors import Actor, agent, human, system
from aura_contracts.aggregate import Aggregate, Command
from aura_contracts.events import Event, Fact
from aura_contracts.execution import ACTIONS, Action
from aura_engine.decisions import DECIDERS

T = TypeVar("T", bound=msgspec.Struct)

IDS = tuple(f"0192f0c1-2d3e-7abc-8def-00000000000{n}" for n in range(1, 5))
NAMES = ("alice", "bob", "build")
EPOCH = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)


# --- Words of the domain ----------------------------------------------------------------------------------------------


def ids() -> SearchStrategy[str]:
    """One of a few ids."""
    return st.sampled_from(IDS)


def texts(max_size: int = 12) -> SearchStrategy[str]:
    """A text that a database can hold: often one of a few names, sometimes an id, sometimes anything."""
    anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=max_size)
    return st.sampled_from(NAMES) | ids() | anything


def actors() -> SearchStrategy[Actor]:
    """A human, an agent or a part of AURA, of a few."""
    agents = [agent(agent_id) for agent_id in IDS]
    return st.sampled_from([human("alice"), human("bob"), system("engine"), system("policy"), *agents])


def times() -> SearchStrategy[datetime]:
    """An aware time within some days of `EPOCH`, most often in UTC."""
    zones = st.sampled_from([UTC, UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
    offsets = st.integers(-86_400 * 3, 86_400 * 3).map(lambda seconds: timedelta(seconds=seconds))
    return st.builds(lambda offset, zone: (EPOCH + offset).astimezone(zone), offsets, zones)


def json_values() -> SearchStrategy[Any]:
    """Any value that JSON can hold."""
    numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    leaves = st.none() | st.booleans() | numbers | texts()
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=2) | json_objects(inner), max_leaves=4)


def json_objects(inner: SearchStrategy[Any] | None = None) -> SearchStrategy[dict[str, Any]]:
    """A JSON object: the free context of a task, the result of a step."""
    return st.dictionaries(texts(), inner if inner is not None else json_values(), max_size=2)


# --- From types -------------------------------------------------------------------------------------------------------


def commands(aggregate: Aggregate[Any]) -> SearchStrategy[Command]:
    """Any command of `aggregate`."""
    return st.sampled_from(tuple(DECIDERS[aggregate.name].decisions)).flatmap(structs)


def events(aggregate: Aggregate[Any]) -> SearchStrategy[Event]:
    """Any event of `aggregate`."""
    return st.sampled_from(aggregate.events).flatmap(structs)


def facts(aggregate: Aggregate[Any]) -> SearchStrategy[Fact]:
    """Any event of `aggregate` with its circumstances."""
    return st.builds(Fact, events(aggregate), times(), actors(), ids(), ids())


@cache
def structs(kind: type[T]) -> SearchStrategy[T]:
    """Any value of a msgspec struct, from the annotations of its fields."""
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {name: field_values(name, hints[name]) for name in kind.__struct_fields__}
    optional = {f.name for f in msgspec.structs.fields(kind) if not f.required}
    return st.fixed_dictionaries(
        {name: values for name, values in fields.items() if name not in optional},
        optional={name: values for name, values in fields.items() if name in optional},
    ).map(lambda given: kind(**given))


def field_values(name: str, hint: Any) -> SearchStrategy[Any]:
    """Values for a field; a plain text that is named as an id holds one of the few ids or names."""
    if hint is str and name.endswith(("_id", "_ids")):
        return ids() | st.sampled_from(NAMES)
    return values(hint)


def values(hint: Any) -> SearchStrategy[Any]:
    """Any value of an annotation."""
    if hint in _PLAIN:
        return _PLAIN[hint]()
    if isinstance(hint, typing.NewType):
        return ids() if hint.__name__.endswith("Id") else values(hint.__supertype__)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return st.deferred(lambda: structs(hint))
    return _generic(typing.get_origin(hint), typing.get_args(hint), hint)


_PLAIN: Mapping[Any, Callable[[], SearchStrategy[Any]]] = types.MappingProxyType(
    {
        Action: lambda: st.one_of(*(structs(kind) for kind in ACTIONS)),
        Actor: actors,
        Any: json_values,
        None: st.none,
        types.NoneType: st.none,
        bool: st.booleans,
        bytes: lambda: st.binary(max_size=8),
        datetime: times,
        dict[str, Any]: json_objects,
        float: lambda: st.sampled_from([0.0, 0.5, 1.0, 60.0]) | st.floats(),
        int: lambda: st.integers(-2, 5) | st.integers(-(2**40), 2**40),
        str: texts,
    }
)


def _generic(origin: Any, args: tuple[Any, ...], hint: Any) -> SearchStrategy[Any]:
    if origin is typing.Annotated:
        return values(args[0])
    if origin is typing.Literal:
        return st.sampled_from(args)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*(values(arg) for arg in args))
    if origin is tuple and args[1:] != (...,):
        return st.tuples(*(values(arg) for arg in args))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return st.dictionaries(values(args[0]), values(args[1]), max_size=3)
    if isinstance(origin, type) and issubclass(origin, Collection):
        kind = tuple if origin not in (list, set, frozenset) else origin
        return st.lists(values(args[0]), max_size=3).map(kind)
    raise TypeError(f"no strategy for {hint!r}: add one to tests/strategies.py")
