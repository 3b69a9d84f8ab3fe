"""The pages about the aggregates: state diagrams, and the event catalogue."""

import sys
import types
import typing
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, StrEnum
from functools import cache
from itertools import chain
from typing import Any

import msgspec

from aura_contracts.aggregate import Aggregate, Table, next_statuses
from aura_contracts.catalogue import AGGREGATES
from aura_contracts.events import Event
from aura_contracts.ledger import LEDGER
from aura_contracts.workflow import STEP_TABLE, WORKFLOW
from aura_engine.decisions import DECIDERS, Decider
from generator.markdown import NOTE, fenced, page, table
from generator.source import first_line, own_words
from generator.values import anchor, fields, home, members, types_in

PARTS: Mapping[str, tuple[str, Table]] = types.MappingProxyType({WORKFLOW.name: ("step", STEP_TABLE)})
"""Aggregates whose parts have a table of their own: what a part is called, and the table."""

# --- State diagrams ---------------------------------------------------------------------------------------------------


def state_diagrams() -> str:
    """Return the page with a diagram for every transition table."""
    return page(
        "# State diagrams",
        NOTE,
        "The lifecycle of every aggregate, drawn from its transition table. A box is a status and an arrow is an event;"
        " a transition without an arrow cannot happen. The table below each diagram lists the events that leave the"
        " status unchanged. The [event catalogue](events.md) describes the events and the commands that emit them.",
        " · ".join(f"[{title(aggregate)}](#{aggregate.name})" for aggregate in AGGREGATES),
        *chain.from_iterable(_diagrams_of(aggregate) for aggregate in AGGREGATES),
    )


def _diagrams_of(aggregate: Aggregate[Any]) -> Iterator[str]:
    yield f'<a id="{aggregate.name}"></a>\n\n## {title(aggregate)}'
    yield _summary(aggregate)
    yield from _diagram(aggregate.table)
    if aggregate.name in PARTS:
        part, rows = PARTS[aggregate.name]
        yield f"### {title(aggregate)} {part}"
        yield f"Each {part} of a {aggregate.name} has its own lifecycle. An event about one needs a row in both tables."
        yield from _diagram(rows)


def _diagram(transitions: Table) -> Iterator[str]:
    arrows: dict[tuple[StrEnum | None, StrEnum], list[str]] = defaultdict(list)
    for before, row in transitions.items():
        for event, possible in row.items():
            for after in next_statuses(possible):
                arrows[before, after].append(_verb(event))
    lines = ["stateDiagram-v2"]
    for (before, after), verbs in arrows.items():
        if before is not after:
            lines.append(f"    {before or '[*]'} --> {after}: {'<br/>'.join(verbs)}")
    lines += [f"    {status} --> [*]" for status in _statuses(transitions) if not transitions.get(status)]
    yield fenced("\n".join(lines), "mermaid")
    stays: dict[str, list[str]] = defaultdict(list)
    for (before, after), verbs in arrows.items():
        if before is after:
            stays[", ".join(verbs)].append(f"`{before}`")
    if stays:
        yield table(
            ("status", "events that leave it unchanged"), [(", ".join(when), what) for what, when in stays.items()]
        )


def _statuses(rows: Table) -> Iterable[StrEnum]:
    """Return every status of a table, in the order of their enum."""
    return type(next(status for status in rows if status is not None))


def _verb(event: type[Event]) -> str:
    return event.topic.partition(".")[2].replace("_", " ")


# --- Event catalogue --------------------------------------------------------------------------------------------------


def event_catalogue() -> str:
    """Return the page with every event of every aggregate."""
    events = sum(len(aggregate.events) for aggregate in AGGREGATES)
    return page(
        "# Event catalogue",
        NOTE,
        f"Everything that AURA records: {events} events of {len(AGGREGATES)} aggregates. The log labels each event with"
        " its topic and version (`task.created@1`) and stores it as JSON with every field. A type that ends in Id is a"
        " UUID; a datetime is an RFC 3339 text with its offset. A topic never changes and a version only grows, so"
        " every released version stays readable. With each event the log stores its time, actor, correlation id and"
        " causation id. The [state diagrams](state-diagrams.md) show the possible orders.",
        table(
            ("aggregate", "description", "events"),
            [
                (f"[{title(aggregate)}](#{aggregate.name})", _summary(aggregate), str(len(aggregate.events)))
                for aggregate in AGGREGATES
            ],
        ),
        *chain.from_iterable(_events_of(aggregate) for aggregate in AGGREGATES),
        "## Shared values",
        *(_value(kind) for kind in _shared_values()),
    )


def _events_of(aggregate: Aggregate[Any]) -> Iterator[str]:
    yield f'<a id="{aggregate.name}"></a>\n\n## {title(aggregate)}'
    yield _summary(aggregate)
    for event in aggregate.evolvers:  # in the order in which the module defines them
        yield from _event(aggregate, event)
    if values := _values_of(home(aggregate.state)):
        yield f"### Values of {aggregate.name} events"
        yield from (_value(kind) for kind in values)


def _event(aggregate: Aggregate[Any], event: type[Event]) -> Iterator[str]:
    yield f"### `{event.topic}`"
    yield first_line(event)
    emitter = "the store" if aggregate is LEDGER else _emitters(DECIDERS[aggregate.name], event)
    yield f"Version {event.version}, emitted by {emitter}. {_moves(aggregate.table, event)}"
    if event.__struct_fields__:
        yield fields(event, _place)


def _emitters(decider: Decider[Any], event: type[Event]) -> str:
    """Return the commands that emit an event; "any command" is followed by it where the state makes it so."""
    by = [f"`{command.__name__}`" for command in decider.decisions if event in command.emits]
    return ", ".join([*by, *(["any command that leads to it"] if event in decider.consequences else [])])


def _moves(rows: Table, event: type[Event]) -> str:
    """Return the transitions of an event in words."""
    sources: dict[StrEnum, list[StrEnum | None]] = defaultdict(list)
    for before, row in rows.items():
        for after in next_statuses(row[event]) if event in row else ():
            sources[after].append(before)
    moves = []
    for after, befores in sources.items():
        others = [before for before in befores if before is not after]
        names = ", ".join("nothing" if before is None else f"`{before}`" for before in others)
        if others:
            moves.append(f"{names} → `{after}`")
    stays = [f"`{after}`" for after, befores in sources.items() if after in befores]
    if stays:
        moves.append(f"stays {_either(stays)}")
    return "; ".join(moves)[:1].upper() + "; ".join(moves)[1:] + "."


def _either(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


# --- Values: the enums and structs that fields hold -------------------------------------------------------------------


@cache
def _values() -> tuple[type[Any], ...]:
    """Return every enum and struct that an event holds, in the order of first mention."""
    found: dict[type[Any], None] = {}
    for aggregate in AGGREGATES:
        for event in aggregate.events:
            _collect(event, found)
    return tuple(found)


def _collect(kind: type[Any], found: dict[type[Any], None]) -> None:
    for hint in typing.get_type_hints(kind).values() if issubclass(kind, msgspec.Struct) else ():
        for inner in types_in(hint):
            if issubclass(inner, msgspec.Struct | Enum) and inner not in found:
                found[inner] = None
                _collect(inner, found)


def _values_of(module: str) -> list[type[Any]]:
    return [kind for kind in _values() if home(kind) == module]


def _shared_values() -> list[type[Any]]:
    """Return the values that belong to no aggregate in particular."""
    homes = {home(aggregate.state) for aggregate in AGGREGATES}
    return [kind for kind in _values() if home(kind) not in homes]


def _value(kind: type[Any]) -> str:
    heading = f'<a id="{anchor(kind)}"></a>\n\n#### `{kind.__name__}`'
    body = members(kind) if issubclass(kind, Enum) else fields(kind, _place)
    return "\n\n".join(part for part in (heading, own_words(kind), body) if part)


def _place(kind: type[Any]) -> str:
    return anchor(kind) if kind in _values() else ""


# --- Names ------------------------------------------------------------------------------------------------------------


def title(aggregate: Aggregate[Any]) -> str:
    """Return the heading of an aggregate."""
    return aggregate.name.capitalize()


def _summary(aggregate: Aggregate[Any]) -> str:
    """Return what an aggregate is, from the first line of its module, without the name and the source."""
    words = first_line(sys.modules[home(aggregate.state)]).partition(": ")[2].partition(" (")[0].rstrip(".")
    return words[0].upper() + words[1:] + "."
