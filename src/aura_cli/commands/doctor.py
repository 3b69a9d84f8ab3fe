"""``aura doctor``: leftovers and stuck tasks, and what to do about them."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from aura_cli.arguments.parser import finish

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aura_cli._health import Finding
    from aura_cli._settings import Settings
    from aura_cli.rendering.terminal import Terminal

_EPILOG = """\
Checks Python and git, the files of the store, tasks that are stuck, and
leftover processes and worktrees. Tasks that another process is working on are
left alone.

exit code: 0 if no problem remains, 1 otherwise.
"""

_STYLES = {"ok": "green", "note": "yellow", "wrong": "red", "fixed": "green"}


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--fix",
        action="store_true",
        help="fix problems: resume stuck tasks, end leftover processes, remove leftover worktrees after a safety copy",
    )
    parser.add_argument(
        "--unknown",
        action="store_true",
        help="also fix leftovers unknown to this store; unsafe if another store shares this AURA_HOME",
    )
    finish(parser, run)


def run(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """Look at everything; raise `NotHealthy` for what is wrong then."""
    import anyio

    from aura_cli._errors import NotHealthy

    wrong = anyio.run(_look, arguments, settings, terminal)
    if wrong:
        terminal.flush()
        remedies = {} if not arguments.fix else {"remedy": "see the problems above"}
        raise NotHealthy(problems=wrong, **remedies)
    return 0


async def _look(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """Show what is found, and what was put right; return how many things are wrong."""
    wrong = 0

    async def take(finding: "Finding") -> None:
        nonlocal wrong
        if arguments.fix and finding.fix is not None:
            terminal.say(f"fixing: {finding.text}")
            finding = await finding.fixed()
        wrong += finding.status == "wrong"
        _show(finding, terminal)

    await _find(take, arguments, settings, terminal)
    return wrong


async def _find(
    take: "Callable[[Finding], Awaitable[None]]", arguments: Namespace, settings: "Settings", terminal: "Terminal"
) -> None:
    """Hand over what is found, the engine being open as long as it may be needed to put it right."""
    from aura_cli._engine import engine_of
    from aura_cli._health import Finding, check_engine, check_machine, check_store
    from aura_cli._reading import reading
    from aura_cli._store import sqlite_path
    from aura_contracts.errors import AuraError

    for finding in check_machine(settings.environment):
        await take(finding)
    path = sqlite_path(settings.store)
    if path is not None and not path.exists():
        remedy = "`aura run` creates it; check --store and AURA_STORE if you expected one"
        await take(Finding(id=settings.store, kind="store", status="note", text="no store yet", remedy=remedy))
        return
    try:
        async with reading(settings, terminal) as log:
            store = await check_store(log)
        await take(store)
        if store.status == "wrong":
            return
        async with engine_of(settings) as engine:
            for finding in [finding async for finding in check_engine(engine, unknown=arguments.unknown)]:
                await take(finding)
    except AuraError as error:
        lasting = Finding(id=settings.store, kind="store", status="wrong", text=error.message(), remedy=error.remedy)
        await take(lasting)


def _show(finding: "Finding", terminal: "Terminal") -> None:
    from aura_cli.rendering.terminal import printable

    data = {
        "id": finding.id,
        "status": finding.status,
        "kind": finding.kind,
        "text": finding.text,
        "remedy": finding.remedy,
    }
    status = terminal.style(f"{finding.status:<5}", _STYLES[finding.status])
    lines = [f"{status}  {finding.kind:<8}  {printable(finding.text)}"]
    if finding.remedy:
        lines.append(f"       hint: {printable(finding.remedy)}")
    terminal.item(data, "\n".join(lines))
