"""``aura doctor``: what was left behind or is stuck, and what to do about it."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from aura_cli._arguments import finish

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aura_cli._health import Finding
    from aura_cli._settings import Settings
    from aura_cli._terminal import Terminal

_EPILOG = """\
Looked at are Python and git, the files of the store, tasks that something is to be done for and nobody drives,
processes and worktrees that were left behind. What another process works on right now is left alone.

exit code: 0 when nothing is wrong, or all of it was put right; 1 otherwise.
"""

_STYLES = {"ok": "green", "note": "yellow", "wrong": "red", "fixed": "green"}


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--fix",
        action="store_true",
        help="put it right: go on with tasks, end processes, remove worktrees after a safety copy",
    )
    parser.add_argument(
        "--unknown",
        action="store_true",
        help="also what this store knows nothing of: other stores that use the same AURA_HOME would lose theirs",
    )
    finish(parser, run)


def run(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """Look at everything; raise `NotHealthy` for what is wrong then."""
    import anyio

    from aura_cli._errors import NotHealthy

    wrong = anyio.run(_look, arguments, settings, terminal)
    if wrong:
        terminal.flush()
        remedies = {} if not arguments.fix else {"remedy": "see above what was in the way"}
        raise NotHealthy(problems=wrong, **remedies)
    return 0


async def _look(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """Show what is found, and what was put right; return how many things are wrong."""
    wrong = 0

    async def take(finding: "Finding") -> None:
        nonlocal wrong
        if arguments.fix and finding.fix is not None:
            terminal.say(f"putting right: {finding.text}")
            finding = await finding.fixed()
        wrong += finding.status == "wrong"
        _show(finding, terminal)

    await _find(take, arguments, settings)
    return wrong


async def _find(take: "Callable[[Finding], Awaitable[None]]", arguments: Namespace, settings: "Settings") -> None:
    """Hand over what is found, the engine being open as long as it may be needed to put it right."""
    from aura_cli._engine import engine_of
    from aura_cli._health import Finding, check_engine, check_machine, check_store
    from aura_cli._reading import reading
    from aura_contracts.errors import AuraError
    from aura_contracts.store_url import StoreUrl

    for finding in check_machine(settings.environment):
        await take(finding)
    path = StoreUrl.parse(settings.store).path
    if path is not None and not path.exists():
        remedy = "aura run makes one; check --store and AURA_STORE if there should be one"
        await take(Finding(id=settings.store, kind="store", status="note", text="there is no store yet", remedy=remedy))
        return
    try:
        async with reading(settings) as log:
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
    from aura_cli._terminal import printable

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
        lines.append(f"       to do: {printable(finding.remedy)}")
    terminal.item(data, "\n".join(lines))
