"""Write the pages that are made from the code: the state diagrams and the event catalogue.

python docs/generate.py            write them
python docs/generate.py --check    exit with 1 when a page is not what the code says
"""  # noqa: INP001  # a script, not a package

import argparse
import ast
import inspect
import json
import sys
import types
import typing
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, StrEnum
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from aura_contracts import failures
from aura_contracts.aggregates import AGGREGATES
from aura_contracts.events import Event
from aura_contracts.ledger import LEDGER
from aura_contracts.machine import Aggregate, Table
from aura_contracts.workflow import STEP_TABLE, WORKFLOW

FOLDER = Path(__file__).parent

PARTS: Mapping[str, tuple[str, Table]] = types.MappingProxyType({WORKFLOW.name: ("step", STEP_TABLE)})
"""Aggregates whose parts have a table of their own: what a part is called, and the table."""

NOTE = "<!-- Made from the code by docs/generate.py. Do not edit. -->"


def main(arguments: list[str] | None = None) -> int:
    """Write or check the pages; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, exit with 1 when a page has drifted")
    check = parser.parse_args(arguments).check
    drifted = [path for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text]
    for path in drifted:
        if not check:
            path.write_text(pages()[path], "utf-8")
        sys.stdout.write(f"{path.relative_to(FOLDER.parent)} {'has drifted' if check else 'written'}\n")
    if check and drifted:
        sys.stdout.write("run: python docs/generate.py\n")
    return 1 if check and drifted else 0


@cache
def pages() -> Mapping[Path, str]:
    """Return every page that is made from the code, with its text."""
    return {FOLDER / "state-diagrams.md": state_diagrams(), FOLDER / "event-catalogue.md": event_catalogue()}


# --- State diagrams ---------------------------------------------------------------------------------------------------


def state_diagrams() -> str:
    """Return the page with a diagram for every transition table."""
    return _page(
        "# State diagrams",
        NOTE,
        "The life of every aggregate, drawn from its transition table. A box is a status, an arrow is an event; what"
        " no arrow allows cannot happen. Events that leave the status as it is are listed below each diagram. What the"
        " events mean and who causes them is in the [event catalogue](event-catalogue.md).",
        " · ".join(f"[{title(aggregate)}](#{aggregate.name})" for aggregate in AGGREGATES),
        *chain.from_iterable(_diagrams_of(aggregate) for aggregate in AGGREGATES),
    )


def _diagrams_of(aggregate: Aggregate[Any]) -> Iterator[str]:
    yield f'<a id="{aggregate.name}"></a>\n\n## {title(aggregate)}'
    yield _summary(aggregate)
    yield from _diagram(aggregate.table)
    if aggregate.name in PARTS:
        part, table = PARTS[aggregate.name]
        yield f"### {title(aggregate)} {part}"
        yield f"Every {part} of a {aggregate.name} has its own life; an event about one needs a row in both tables."
        yield from _diagram(table)


def _diagram(table: Table) -> Iterator[str]:
    arrows: dict[tuple[StrEnum | None, StrEnum], list[str]] = defaultdict(list)
    for before, row in table.items():
        for event, after in row.items():
            arrows[before, after].append(_verb(event))
    lines = ["stateDiagram-v2"]
    for (before, after), verbs in arrows.items():
        if before is not after:
            lines.append(f"    {before or '[*]'} --> {after}: {'<br/>'.join(verbs)}")
    lines += [f"    {status} --> [*]" for status in _statuses(table) if not table.get(status)]
    yield "```mermaid\n" + "\n".join(lines) + "\n```"
    stays: dict[str, list[str]] = defaultdict(list)
    for (before, after), verbs in arrows.items():
        if before is after:
            stays[", ".join(verbs)].append(f"`{before}`")
    if stays:
        yield _table(("while it is", "this may happen"), [(", ".join(when), what) for what, when in stays.items()])


def _statuses(table: Table) -> Iterable[StrEnum]:
    """Return every status of a table, in the order of their enum."""
    return type(next(status for status in table if status is not None))


def _verb(event: type[Event]) -> str:
    return event.topic.partition(".")[2].replace("_", " ")


# --- Event catalogue --------------------------------------------------------------------------------------------------


def event_catalogue() -> str:
    """Return the page with every event of every aggregate."""
    events = sum(len(aggregate.events) for aggregate in AGGREGATES)
    return _page(
        "# Event catalogue",
        NOTE,
        f"Everything that AURA records: {events} events of {len(AGGREGATES)} aggregates. The log labels an event with"
        " its topic and version (`task.created@1`) and holds it as JSON, with every field. A type that ends in Id is a"
        " UUID; a datetime is a text as in RFC 3339, with its offset. Topics never"
        " change, versions only grow, and every version that was ever released stays readable. With"
        " each event the log keeps its circumstances: time, actor, correlation and causation id. In which order events"
        " can happen is drawn in the [state diagrams](state-diagrams.md).",
        _table(
            ("aggregate", "is", "events"),
            [
                (f"[{title(aggregate)}](#{aggregate.name})", _summary(aggregate), str(len(aggregate.events)))
                for aggregate in AGGREGATES
            ],
        ),
        *chain.from_iterable(_events_of(aggregate) for aggregate in AGGREGATES),
        "## Shared values",
        *(_value(kind) for kind in _values_of(failures.__name__)),
    )


def _events_of(aggregate: Aggregate[Any]) -> Iterator[str]:
    yield f'<a id="{aggregate.name}"></a>\n\n## {title(aggregate)}'
    yield _summary(aggregate)
    for event in aggregate.evolvers:  # in the order in which the module defines them
        yield from _event(aggregate, event)
    if values := _values_of(aggregate.state.__module__):
        yield f"### Values of {aggregate.name} events"
        yield from (_value(kind) for kind in values)


def _event(aggregate: Aggregate[Any], event: type[Event]) -> Iterator[str]:
    yield f"### `{event.topic}`"
    yield _first_line(event)
    by = [f"`{command.__name__}`" for command in aggregate.commands if event in command.emits]
    emitter = "the store" if aggregate is LEDGER else ", ".join(by)
    yield f"Version {event.version}, emitted by {emitter}. {_moves(aggregate.table, event)}"
    if event.__struct_fields__:
        yield _fields(event)


def _moves(table: Table, event: type[Event]) -> str:
    """Say from which statuses to which an event leads."""
    sources: dict[StrEnum, list[StrEnum | None]] = defaultdict(list)
    for before, row in table.items():
        if event in row:
            sources[row[event]].append(before)
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
        for inner in _inner_types(hint):
            if issubclass(inner, msgspec.Struct | Enum) and inner not in found:
                found[inner] = None
                _collect(inner, found)


def _inner_types(hint: Any) -> Iterator[type[Any]]:
    if isinstance(hint, type) and not typing.get_args(hint):
        yield hint
    yield from chain.from_iterable(_inner_types(arg) for arg in typing.get_args(hint))


def _values_of(module: str) -> list[type[Any]]:
    return [kind for kind in _values() if kind.__module__ == module]


def _value(kind: type[Any]) -> str:
    heading = f'<a id="{_anchor(kind)}"></a>\n\n#### `{kind.__name__}`'
    own_words = _first_line(kind) if kind.__doc__ and not kind.__doc__.startswith(f"{kind.__name__}(") else ""
    body = _members(kind) if issubclass(kind, Enum) else _fields(kind)
    return "\n\n".join(part for part in (heading, own_words, body) if part)


def _members(kind: type[Enum]) -> str:
    docs = _attribute_docs(kind)
    if not any(member.name in docs for member in kind):
        return "One of " + ", ".join(f"`{member.value}`" for member in kind) + "."
    return "\n".join(f"- `{member.value}`: {docs.get(member.name, '')}".rstrip(": ") for member in kind)


def _fields(kind: type[Any]) -> str:
    hints, docs = typing.get_type_hints(kind), _attribute_docs(kind)
    rows = [
        (f"`{field.name}`", _type(hints[field.name]), _default(field), docs.get(field.name, ""))
        for field in msgspec.structs.fields(kind)
    ]
    if docs:
        return _table(("field", "type", "default", "meaning"), rows)
    return _table(("field", "type", "default"), [row[:3] for row in rows])


def _type(hint: Any) -> str:
    """Return an annotation in words, its enums and structs as links."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(arg) for arg in args)
    if origin is tuple and args[-1] is Ellipsis:
        return f"list of {_type(args[0])}"
    if origin is dict:
        return f"object of {_type(args[1])}"
    if hint in _WORDS:
        return _WORDS[hint]
    if isinstance(hint, type) and hint in _values():
        return f"[{hint.__name__}](#{_anchor(hint)})"
    return str(hint.__name__)


_WORDS = {Any: "any", bool: "true or false", bytes: "base64", float: "number", int: "integer", str: "text"} | {
    types.NoneType: "null"
}


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return ""
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    if isinstance(value, msgspec.Struct):
        return "its defaults"
    return f"`{json.dumps(msgspec.to_builtins(value))}`"


def _anchor(kind: type[Any]) -> str:
    return f"{kind.__module__.rpartition('.')[2]}-{kind.__name__}".lower()


# --- Words of the source ----------------------------------------------------------------------------------------------


@cache
def _attribute_docs(kind: type[Any]) -> Mapping[str, str]:
    """Return the texts that stand below the attributes of a class and of its bases, by attribute."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("aura_"):
            docs |= _texts_below_names(_classes_in(base.__module__)[base.__name__])
    return docs


@cache
def _classes_in(module: str) -> Mapping[str, ast.ClassDef]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _texts_below_names(body: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for above, below in zip(body.body, body.body[1:], strict=False):
        target = above.target if isinstance(above, ast.AnnAssign) else getattr(above, "targets", [None])[0]
        if isinstance(target, ast.Name) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            yield target.id, _one_line(str(below.value.value))


def _summary(aggregate: Aggregate[Any]) -> str:
    """Return what an aggregate is, from the first line of its module, without the name and the source."""
    words = _first_line(inspect.getmodule(aggregate.state)).partition(": ")[2].partition(" (")[0].rstrip(".")
    return words[0].upper() + words[1:] + "."


def _first_line(thing: Any) -> str:
    return _one_line(inspect.cleandoc(thing.__doc__).partition("\n\n")[0])


def _one_line(text: str) -> str:
    return " ".join(text.split())


# --- Markdown ---------------------------------------------------------------------------------------------------------


def title(aggregate: Aggregate[Any]) -> str:
    """Return the heading of an aggregate."""
    return aggregate.name.capitalize()


def _page(*blocks: str) -> str:
    return "\n\n".join(blocks) + "\n"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = [head, ("---",) * len(head), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
