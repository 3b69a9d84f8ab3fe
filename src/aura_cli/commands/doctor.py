"""``aura doctor``: finds and fixes leftovers and stuck tasks."""

from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

from aura_cli._call import Invocation, engine_of, sqlite_path
from aura_cli.arguments.parser import finish
from aura_cli.rendering.errors import NotHealthy, as_commands
from aura_contracts.errors import AuraError
from aura_contracts.quoting import one_line

if TYPE_CHECKING:
    from aura_engine import Finding

_EPILOG = """\
Checks Python and git, the files of the store, tasks that are stuck, and
leftover processes and worktrees. Tasks that another process is working on are
left alone. A task whose agent was cut off is not resumed: its hint says how.

exit code: 0 if no problem remains, 1 otherwise.
"""

_STYLES = {"ok": "green", "note": "yellow", "wrong": "red", "fixed": "green"}


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--fix",
        action="store_true",
        help="fix problems, starting no agent: repair stuck tasks, end leftover processes, remove worktrees"
        " after a safety copy",
    )
    parser.add_argument(
        "--unknown",
        action="store_true",
        help="also fix leftovers unknown to this store; unsafe if another store shares this AURA_HOME",
    )
    finish(parser, run)


async def run(call: Invocation) -> None:
    """Check everything; raise `NotHealthy` for problems that remain."""
    found: list[Finding] = []

    def take(finding: "Finding") -> None:
        found.append(finding)
        _show(finding, call)

    problem = await _examine(call, take)
    if problem is not None:
        if not found:
            await _examine_host(call, take)
        take(problem)
    wrong = sum(finding.status == "wrong" for finding in found)
    if wrong:
        call.terminal.flush()
        raise NotHealthy(problems=wrong, **({"remedy": "see the problems above"} if call.arguments.fix else {}))


async def _examine(call: Invocation, take: "Callable[[Finding], None]") -> "Finding | None":
    """Collect findings, fixing them if requested; return the reason if the store cannot be examined."""
    from aura_engine import Finding

    given, store = call.arguments, call.settings.store
    try:
        path = sqlite_path(store)
        if path is not None and not path.exists():
            remedy = "`aura run` creates it; check --store and AURA_STORE if you expected one"
            return Finding(id=store, kind="store", status="note", text="no store yet", remedy=remedy)
        async with (
            engine_of(call, read_only=not given.fix) as engine,
            aclosing(engine.doctor.examine(unknown=given.unknown)) as findings,
        ):
            async for finding in findings:
                if given.fix and finding.fix is not None:
                    call.terminal.say(f"fixing: {finding.text}")
                    take(await engine.doctor.fix(finding))
                else:
                    take(finding)
    except AuraError as error:
        return Finding(id=store, kind="store", status="wrong", text=error.message(), remedy=error.remedy)
    except OSError as error:  # AURA_HOME cannot be read or written
        home = str(call.settings.home)
        return Finding(id=home, kind="home", status="wrong", text=str(error), remedy="make it readable and writable")
    return None


async def _examine_host(call: Invocation, take: "Callable[[Finding], None]") -> None:
    """Collect findings about the machine only, when there is no store to open."""
    async with (
        engine_of(call, store="memory:", read_only=True) as engine,
        aclosing(engine.doctor.examine()) as findings,
    ):
        async for finding in findings:
            # The other checks need AURA_HOME, and would create it.
            if finding.kind not in ("python", "git", "settings", "profiles"):
                break
            take(finding)


def _show(finding: "Finding", call: Invocation) -> None:
    remedy = as_commands(finding.remedy)
    status = call.terminal.style(f"{finding.status:<5}", _STYLES[finding.status])
    lines = [f"{status}  {finding.kind:<8}  {one_line(finding.text)}"]
    if remedy:
        lines.append(f"       hint: {one_line(remedy)}")
    call.terminal.item({**finding.as_dict(), "remedy": remedy}, "\n".join(lines))
