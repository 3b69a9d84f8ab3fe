"""The page about entries: the output of every agent in one vocabulary."""

import typing
from enum import Enum
from itertools import chain
from typing import Any

import msgspec

from aura_contracts import entries as module
from aura_contracts.execution import ENTRY_EVENTS
from generator.docstrings import inline
from generator.markdown import NOTE, page, table
from generator.source import first_line, own_words
from generator.values import anchor, fields, members, types_in

ENTRIES: tuple[type[module.Entry], ...] = typing.get_args(module.AnyEntry)

_KEPT_AS = {
    module.SessionStarted: "`execution.session_recorded`",
    module.UsageReported: "`execution.usage_recorded`",
    module.PermissionRequested: "an [approval](../how-to/permissions.md), and `execution.permission_asked`",
    module.PermissionWithdrawn: "`approval.withdrawn`",
}


def entries() -> str:
    """Return the page with every kind of entry."""
    return page(
        "# Entries",
        NOTE,
        "What an agent says and does, in one vocabulary for all agents: each [executor](agents/index.md) translates its"
        " agent's output into entries. `aura run --json` prints one object per line, with `kind` set to `entry` and the"
        " kind below as `type`. The log stores entries in order, next to the output they were read from. AURA redacts"
        f" secrets and cuts a text at {module.TEXT_LIMIT:,} characters; the output is kept in full.",
        table(
            ("kind", "meaning", "stored as"),
            [(f"[`{_tag(kind)}`](#{anchor(kind)})", inline(first_line(kind)), _kept_as(kind)) for kind in ENTRIES],
        ),
        *chain.from_iterable(_entry(kind) for kind in ENTRIES),
        "## Values",
        *(_value(kind) for kind in _values()),
    )


def _kept_as(kind: type[module.Entry]) -> str:
    return f"`{ENTRY_EVENTS[kind].topic}`" if kind in ENTRY_EVENTS else _KEPT_AS[kind]


def _tag(kind: type[module.Entry]) -> str:
    return str(kind.__struct_config__.tag)


def _entry(kind: type[module.Entry]) -> tuple[str, ...]:
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
