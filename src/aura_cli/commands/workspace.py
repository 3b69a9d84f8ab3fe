"""``aura workspace``: worktrees and their safety copies."""

from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aura_cli.arguments.parser import add_subcommand, add_subcommands
from aura_cli.arguments.values import number

if TYPE_CHECKING:
    from aura_cli._settings import Settings
    from aura_cli.rendering.terminal import Terminal
    from aura_contracts.ids import WorkspaceId
    from aura_contracts.workspace import SafetyCopy, Workspace
    from aura_engine.engine import Engine

    Go = Callable[[Engine, WorkspaceId], Awaitable[None]]


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    listing = add_subcommand(commands, "list", "list the workspaces, oldest first", _list)
    listing.add_argument("--all", action="store_true", help="include removed workspaces")
    _add_id(add_subcommand(commands, "show", "show a workspace, its safety copies and the state of its files", _show))
    diff = add_subcommand(commands, "diff", "show its changes, uncommitted ones included", _diff)
    _add_id(diff)
    diff.add_argument("--stat", action="store_true", help="only file names and line counts")
    _add_id(add_subcommand(commands, "snapshot", "make a safety copy of its files, untracked ones included", _snapshot))
    restore = add_subcommand(commands, "restore", "restore its files from a safety copy", _restore)
    restore.epilog = "Unsaved work is kept as another safety copy."
    _add_id(restore)
    restore.add_argument("ref", metavar="REF", help="the safety copy: its ref or its number; see `aura workspace show`")
    clean = add_subcommand(commands, "clean", "remove its worktrees; keep the branch", _clean)
    clean.epilog = "Uncommitted work is kept as a safety copy."
    _add_id(clean)
    warm = add_subcommand(commands, "warm", "prepare worktrees of a repository in advance", _warm)
    warm.add_argument("repository", metavar="PATH", nargs="?", default=".", help="the repository")
    warm.add_argument("--count", metavar="N", type=number, default=2, help="number of worktrees")


def _add_id(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the workspace or its task: its id, or the first digits of it")


# --- Reading ----------------------------------------------------------------------------------------------------------


def _list(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    import anyio

    anyio.run(_list_all, arguments, settings, terminal)
    return 0


async def _list_all(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> None:
    from aura_cli._reading import all_of, reading
    from aura_cli.rendering.formatting import counted, plain, short
    from aura_contracts.workspace import WORKSPACE, WorkspaceStatus

    async with reading(settings, terminal) as log:
        workspaces = await all_of(log, WORKSPACE)
    rows = [
        (plain(one), (one.id, str(one.status), str(len(one.snapshots)), one.branch, one.root, short(one.title)))
        for one in workspaces
        if arguments.all or one.status is not WorkspaceStatus.REMOVED
    ]
    terminal.table(rows, ("id", "status", "copies", "branch", "folder", "title"))
    terminal.say(counted(len(rows), "workspace"))


def _show(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    async def show(engine: "Engine", workspace_id: "WorkspaceId") -> None:
        from aura_cli.rendering.formatting import plain, state_lines
        from aura_cli.rendering.terminal import printable

        workspace = await engine.workspaces.get(workspace_id)
        condition = await _condition(engine, workspace)
        lines = [
            f"workspace {terminal.style(workspace.id, 'bold')} {terminal.style(workspace.status, 'cyan')}",
            *state_lines(workspace),
            *(printable(_copy_text(copy)) for copy in workspace.snapshots),
            f"now: {_condition_text(condition)}",
        ]
        terminal.item(plain(workspace, condition=condition), "\n".join(lines))

    return _with_workspace(show, arguments, settings)


async def _condition(engine: "Engine", workspace: "Workspace") -> dict[str, Any] | None:
    """Return how the files are right now; None where there are none to look at."""
    import msgspec

    from aura_contracts.ids import WorkspaceId
    from aura_contracts.workspace import WorkspaceStatus

    if workspace.status is WorkspaceStatus.REMOVED:
        return None
    found: dict[str, Any] = msgspec.to_builtins(await engine.workspaces.inspect(WorkspaceId(workspace.id)))
    return found


def _condition_text(condition: dict[str, Any] | None) -> str:
    if condition is None:
        return "removed"
    if not condition["exists"]:
        return f"missing{': ' if condition['missing'] else ''}{', '.join(condition['missing'])}"
    operations = [f"{name} is in the middle of a {what}" for name, what in condition["operations"].items()]
    return ", ".join(["uncommitted changes" if condition["dirty"] else "everything is committed", *operations])


def _copy_text(copy: "SafetyCopy") -> str:
    from aura_cli.rendering.formatting import time_text

    commits = ", ".join(f"{one.repository} {one.commit[:12]}" for one in copy.commits)
    return f"copy {copy.ref}  {time_text(copy.taken_at)}  {copy.reason}  {commits}"


def _diff(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    async def show(engine: "Engine", workspace_id: "WorkspaceId") -> None:
        from aura_cli.rendering.terminal import printable
        from aura_cli.streaming.lines import TextLines

        limit = 0 if arguments.stat else 64 * 1024 * 1024
        found = await engine.workspaces.diff(workspace_id, patch_limit=limit)
        if terminal.json:
            terminal.write_json({"id": workspace_id, "files": found.files, "patch": found.patch})
        elif arguments.stat:
            for file in found.files:
                changed = "binary" if file.added is None else f"+{file.added} -{file.removed}"
                terminal.out.write(printable(f"{file.kind:<10}  {changed:<12}  {file.repository}/{file.path}") + "\n")
        else:
            encoding = getattr(terminal.out, "encoding", None) or "utf-8"
            lines = TextLines(escaped=terminal.out.isatty(), encoding=encoding)
            terminal.out.write(lines.verbatim(found.patch).decode(encoding))
        if found.truncated and not arguments.stat:
            terminal.say("the diff is too long to show all of it")

    return _with_workspace(show, arguments, settings)


# --- Changing ---------------------------------------------------------------------------------------------------------


def _snapshot(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    async def take(engine: "Engine", workspace_id: "WorkspaceId") -> None:
        workspace = await engine.workspaces.snapshot(workspace_id)
        _say(workspace, workspace.snapshots[-1].ref, terminal)

    return _with_workspace(take, arguments, settings)


def _restore(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    async def restore(engine: "Engine", workspace_id: "WorkspaceId") -> None:
        before = await engine.workspaces.get(workspace_id)
        refs = [copy.ref for copy in before.snapshots if arguments.ref in (copy.ref, copy.ref.rpartition("/")[2])]
        restored = await engine.workspaces.restore(workspace_id, refs[0] if refs else arguments.ref)
        _say(restored, f"as in {refs[0] if refs else arguments.ref}", terminal)
        for copy in restored.snapshots[len(before.snapshots) :]:
            terminal.say(f"the files before are kept as {copy.ref}")

    return _with_workspace(restore, arguments, settings)


def _clean(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    async def clean(engine: "Engine", workspace_id: "WorkspaceId") -> None:
        before = await engine.workspaces.get(workspace_id)
        cleaned = await engine.workspaces.clean(workspace_id)
        _say(cleaned, f"branch {cleaned.branch} is kept", terminal)
        for copy in cleaned.snapshots[len(before.snapshots) :]:
            terminal.say(f"uncommitted work is kept as {copy.ref}")

    return _with_workspace(clean, arguments, settings)


def _say(workspace: "Workspace", what: str, terminal: "Terminal") -> None:
    from aura_cli.rendering.formatting import plain
    from aura_cli.rendering.terminal import printable

    terminal.item(plain(workspace), printable(f"workspace {workspace.id} is {workspace.status}: {what}"))


def _warm(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    import os.path

    import anyio

    path = os.path.abspath(arguments.repository)  # noqa: PTH100 - looks at no file

    async def warm() -> int:
        from aura_cli._engine import engine_of

        async with engine_of(settings, make=True, store="memory:") as engine:
            return await engine.workspaces.warm(path, arguments.count)

    made = anyio.run(warm)
    text = f"{arguments.count} ready for {path}, {made} of them new"
    terminal.item({"id": path, "status": "ready", "made": made, "count": arguments.count}, text)
    return 0


def _with_workspace(go: "Go", arguments: Namespace, settings: "Settings") -> int:
    """Open an engine and do something about the workspace that is named, by its id or by that of its task."""
    import anyio

    async def opened() -> None:
        from aura_cli._engine import engine_of

        async with engine_of(settings) as engine:
            await go(engine, await _meant(engine, arguments.id))

    anyio.run(opened)
    return 0


async def _meant(engine: "Engine", text: str) -> "WorkspaceId":
    from aura_cli._errors import NoSuchId
    from aura_cli._lookup import find_id
    from aura_contracts.ids import TaskId, WorkspaceId
    from aura_engine.runtime.views import workspace_of

    try:
        return WorkspaceId(await find_id(engine.log, text, "workspace"))
    except NoSuchId:
        try:
            task_id = TaskId(await find_id(engine.log, text, "task"))
        except NoSuchId:
            remedy = "`aura workspace list` lists the workspaces"
            raise NoSuchId(kind="workspace", id=text, remedy=remedy) from None
        return WorkspaceId(await find_id(engine.log, workspace_of(task_id), "workspace"))
