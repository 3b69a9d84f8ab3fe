"""``aura executors``: the supported agents, whether they are installed, what they can do."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from aura_cli.arguments.parser import finish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aura_cli._settings import Settings
    from aura_cli.rendering.terminal import Terminal
    from aura_worker_protocol.messages import ExecutorInfo


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="show everything about this one")
    finish(parser, run)


def run(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """List the executors, or show one."""
    import anyio

    found = anyio.run(_found, arguments.name, settings)
    if arguments.name is None:
        terminal.table([(_data(one), _row(one)) for one in found], ("name", "status", "version", "what it is"))
        return 0
    from aura_cli.rendering.terminal import printable

    for one in found:
        terminal.item(_data(one), printable("\n".join(_lines(one))))
    return 0


async def _found(name: str | None, settings: "Settings") -> "tuple[ExecutorInfo, ...]":
    """Ask the worker of this machine; no store is needed for it."""
    from aura_cli._engine import engine_of
    from aura_worker_protocol.messages import ListExecutors

    async with engine_of(settings, make=True, store="memory:") as engine:
        request = ListExecutors(names=() if name is None else (name,))
        return (await engine.runtime.gateway.request(request)).executors


def _status(one: "ExecutorInfo") -> str:
    return "available" if one.availability.available else "unavailable"


def _data(one: "ExecutorInfo") -> dict[str, Any]:
    import msgspec

    return {"id": one.name, "status": _status(one), **msgspec.to_builtins(one)}


def _row(one: "ExecutorInfo") -> tuple[str, ...]:
    from aura_cli.rendering.formatting import short

    return (one.name, _status(one), one.availability.version or "", short(one.availability.reason or one.summary))


def _yes(can: bool) -> str:  # noqa: FBT001 - private
    return "yes" if can else "no"


def _lines(one: "ExecutorInfo") -> "Iterator[str]":
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
