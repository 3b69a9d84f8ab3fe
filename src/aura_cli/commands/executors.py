"""``aura executors``: the supported agents, whether they are installed, and what they can do."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from aura_cli._call import Invocation, engine_of
from aura_cli.arguments.parser import finish
from aura_contracts.plain_data import short
from aura_contracts.quoting import one_line

if TYPE_CHECKING:
    from aura_engine import ExecutorInfo


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="show everything about this executor")
    finish(parser, run)


async def run(call: Invocation) -> None:
    """List the executors of this machine, or show one; needs no store."""
    async with engine_of(call, make=True, store="memory:") as engine:
        name = call.arguments.name
        found = await engine.executors.list() if name is None else [await engine.executors.get(name)]
    if name is None:
        call.terminal.table(found, ("name", "status", "version", "what it is"), _row, _data)
    else:
        call.terminal.item(_data(found[0]), "\n".join(map(one_line, _lines(found[0]))))


def _status(one: "ExecutorInfo") -> str:
    return "available" if one.availability.available else "unavailable"


def _data(one: "ExecutorInfo") -> dict[str, Any]:
    return {"id": one.name, "status": _status(one), **msgspec.to_builtins(one)}


def _row(one: "ExecutorInfo") -> tuple[str, ...]:
    return (one.name, _status(one), one.availability.version or "", short(one.availability.reason or one.summary))


def _yes(can: bool) -> str:  # noqa: FBT001 - private
    return "yes" if can else "no"


def _lines(one: "ExecutorInfo") -> Iterator[str]:
    yield f"{one.name}  {_status(one)}"
    can, found = one.capability, one.availability
    login = {True: "yes", False: "no", None: "" if not found.login else "not known"}[found.logged_in]
    facts = {
        "what": one.summary,
        "program": found.executable,
        "version": found.version,
        "tested": ", ".join(found.tested_versions),
        "logged in": f"{login} ({found.login})" if found.login else login,
        "lacking": found.reason,
        "hint": found.remedy,
        "resumes": _yes(can.resume),
        "forks": _yes(can.fork),
        "asks first": _yes(can.permissions),
        "own tools": _yes(can.tool_servers),
        "plans": _yes(can.plan),
    }
    yield from (f"  {name:<10}  {value}" for name, value in facts.items() if value)
