"""The page about entries: what agents are understood to say and do."""

import typing
from enum import Enum
from itertools import chain
from typing import Any

import msgspec

from aura_contracts.execution import ENTRY_EVENTS
from aura_contracts.ports import executors
from generator.markdown import NOTE, page, table
from generator.prose import inline
from generator.source import first_line, own_words
from generator.values import anchor, fields, members, types_in

ENTRIES: tuple[type[executors.Entry], ...] = typing.get_args(executors.AnyEntry)

_KEPT_AS = {
    executors.SessionStarted: "`execution.session_recorded`",
    executors.UsageReported: "`execution.usage_recorded`",
    executors.PermissionRequested: "an [approval](permissions.md), and `execution.permission_asked`",
    executors.PermissionWithdrawn: "`approval.withdrawn`",
}


def entries() -> str:
    """Return the page with every kind of entry."""
    return page(
        "# Entries",
        NOTE,
        "What an agent says and does, in the same words for every agent: each [executor](agents/README.md)"
        " makes them of what its agent writes. `aura run --json` prints them, one object a line, with `kind`"
        " set to `entry` and the kind below as `type`. The log keeps them in order, beside the output that"
        " they were read from. What looks like a secret is blacked out, and a text has up to"
        f" {executors.TEXT_LIMIT:,} characters; all that the agent wrote is kept as output.",
        table(
            ("kind", "says", "kept as"),
            [(f"[`{_tag(kind)}`](#{anchor(kind)})", inline(first_line(kind)), _kept_as(kind)) for kind in ENTRIES],
        ),
        *chain.from_iterable(_entry(kind) for kind in ENTRIES),
        "## Values",
        *(_value(kind) for kind in _values()),
    )


def _kept_as(kind: type[executors.Entry]) -> str:
    return f"`{ENTRY_EVENTS[kind].topic}`" if kind in ENTRY_EVENTS else _KEPT_AS[kind]


def _tag(kind: type[executors.Entry]) -> str:
    return str(kind.__struct_config__.tag)


def _entry(kind: type[executors.Entry]) -> tuple[str, ...]:
    heading = f'<a id="{anchor(kind)}"></a>\n\n## `{_tag(kind)}`'
    words = [inline(" ".join(part.split())) for part in (kind.__doc__ or "").split("\n\n")]
    return heading, *(part for part in words if part), fields(kind, _place)


def _values() -> list[type[Any]]:
    found: dict[type[Any], None] = {}
    for kind in ENTRIES:
        _collect(kind, found)
    return list(found)


def _collect(kind: type[Any], found: dict[type[Any], None]) -> None:
    for hint in typing.get_type_hints(kind).values() if issubclass(kind, msgspec.Struct) else ():
        for inner in types_in(hint):
            if issubclass(inner, msgspec.Struct | Enum) and inner not in found:
                found[inner] = None
                _collect(inner, found)


def _value(kind: type[Any]) -> str:
    heading = f'<a id="{anchor(kind)}"></a>\n\n### `{kind.__name__}`'
    body = members(kind, inline) if issubclass(kind, Enum) else fields(kind, _place, words=inline)
    return "\n\n".join(part for part in (heading, inline(own_words(kind)), body) if part)


def _place(kind: type[Any]) -> str:
    return anchor(kind) if kind in _values() else ""
