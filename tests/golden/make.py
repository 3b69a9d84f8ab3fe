"""Write the golden files that are missing: one sample of every event in its present version, as a log holds it.

    python tests/golden/make.py

A file that is there is never written again: it stands for all the logs out there with such an event in them. When
`test_golden.py` fails on one, the event has changed in a way that those logs cannot be read with; give it a new version
and an upcaster.
"""

import hashlib
import sys
import types
import typing
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

from aura_contracts.actors import Actor
from aura_contracts.catalogue import CATALOGUE, label
from aura_contracts.events import Event

FOLDER = Path(__file__).parent / "events"

_PLAIN = {
    Actor: "human:alice",
    Any: {"free": ["text", 1, 2.5, True, None]},
    bytes: b"\x00\xff",
    datetime: datetime(2026, 1, 4, 12, 30, 15, 123456, tzinfo=UTC),
    dict[str, Any]: {"free": ["text", 1, 2.5, True, None]},
    float: 0.25,
    int: 7,
}


def main() -> None:
    """Write a sample of each event type that has none in its version."""
    for event_type in CATALOGUE.types.values():
        path = FOLDER / f"{label(event_type)}.json"
        if not path.exists():
            path.write_bytes(msgspec.json.encode(sample(event_type)) + b"\n")
            sys.stdout.write(f"{path.name} written\n")


def sample(kind: type[Event]) -> Event:
    """Return an event with every field at something else than its default, so that the file shows every field."""
    event = _struct(kind)
    shown = msgspec.to_builtins(event)
    assert len(shown) == len(kind.__struct_fields__), f"{kind.__name__}: some fields are at their defaults"
    return event


def _struct(kind: type[Any], around: tuple[type[Any], ...] = ()) -> Any:
    """Return a struct within those `around`; one that contains its own kind does so one level deep."""
    hints = typing.get_type_hints(kind)
    inner = (*around, kind)
    return kind(
        **{field.name: _value(field.name, hints[field.name], field, inner) for field in msgspec.structs.fields(kind)}
    )


def _value(name: str, hint: Any, field: Any, around: tuple[type[Any], ...]) -> Any:
    if hint in _PLAIN:
        return _PLAIN[hint]
    if hint is str:
        return f"the {name.replace('_', ' ')}: ü, €, ✓"
    if hint is bool:
        return field is None or field.default is not True
    if isinstance(hint, typing.NewType):
        random = hashlib.sha256(name.encode()).hexdigest()[:12]
        return f"0192f0c1-2d3e-7abc-8def-{random}" if hint.__name__.endswith("Id") else name.replace("_", "-")
    if isinstance(hint, type) and issubclass(hint, Enum):
        return next(member for member in hint if field is None or member != field.default)
    return _composed(name, typing.get_origin(hint), typing.get_args(hint), hint, around)


def _composed(name: str, origin: Any, args: tuple[Any, ...], hint: Any, around: tuple[type[Any], ...]) -> Any:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _struct(hint, around)
    if origin in (typing.Union, types.UnionType):
        if around.count(args[0]) > 1:
            return None
        return _value(name, next(arg for arg in args if arg is not types.NoneType), None, around)
    if origin is tuple and args[1:] != (...,):
        return tuple(_value(name, arg, None, around) for arg in args)
    if origin is tuple:
        return () if around.count(args[0]) > 1 else (_value(name, args[0], None, around),)
    if origin is dict:
        return {"key": _value(name, args[1], None, around)}
    raise TypeError(f"no sample for {hint!r}: add one to tests/golden/make.py")


if __name__ == "__main__":
    main()
