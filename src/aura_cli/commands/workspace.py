"""``aura workspace``: worktrees and their safety copies."""

import os.path
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from aura_cli._call import Invocation, all_rows, engine_of
from aura_cli.arguments.parser import add_subcommand, add_subcommands
from aura_cli.arguments.values import number
from aura_cli.rendering.formatting import counted, state_heading, state_lines, time_text
from aura_contracts.first_use import convert
from aura_contracts.plain_data import short
from aura_contracts.quoting import one_line, quoted
from aura_contracts.workspace import SafetyCopy, Unrecorded, Workspace, WorkspaceStatus

if TYPE_CHECKING:
    from aura_engine import Engine

DIFF_LIMIT = 64 * 1024 * 1024
"""Maximum bytes of a diff to show."""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    listing = add_subcommand(commands, "list", "list the workspaces, oldest first", _list)
    listing.add_argument("--all", action="store_true", help="include removed workspaces")
    _add_id(add_subcommand(commands, "show", "show a workspace, its safety copies and the state of its files", _show))
    diff = add_subcommand(commands, "diff", "show its changes, including uncommitted ones", _diff)
    _add_id(diff)
    diff.add_argument("--stat", action="store_true", help="only file names and line counts")
    _add_id(add_subcommand(commands, "snapshot", "save its files, even untracked ones, as a safety copy", _snapshot))
    restore = add_subcommand(commands, "restore", "restore its files from a safety copy", _restore)
    restore.epilog = "Unsaved work is kept as another safety copy."
    _add_id(restore)
    restore.add_argument("ref", metavar="REF", help="the safety copy: its ref or its number; see `aura workspace show`")
    clean = add_subcommand(commands, "clean", "remove its worktrees; keep the branch", _clean)
    clean.epilog = "Uncommitted work and ignored files are kept as a safety copy."
    _add_id(clean)
    clean.add_argument("--discard", action="store_true", help="give up what a safety copy cannot hold")
    warm = add_subcommand(commands, "warm", "prepare worktrees of a repository in advance", _warm)
    warm.add_argument("repository", metavar="PATH", nargs="?", default=".", help="the repository")
    warm.add_argument("--count", metavar="N", type=number, default=2, help="number of worktrees")


def _add_id(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the workspace or its task: its id, or the first or last digits of it")


# --- Reading ----------------------------------------------------------------------------------------------------------


async def _list(call: Invocation) -> None:
    removed = None if call.arguments.all else False
    async with engine_of(call, read_only=True) as engine:
        workspaces = await all_rows(engine.workspaces.list, removed=removed)
    call.terminal.table(
        workspaces,
        ("id", "status", "copies", "branch", "folder", "title"),
        lambda one: (one.id, one.status, str(len(one.snapshots)), one.branch, one.root, short(one.title)),
    )
    call.terminal.say(counted(len(workspaces), "workspace"))


async def _show(call: Invocation) -> None:
    async with engine_of(call, read_only=True) as engine:
        workspace = await engine.workspaces.get(call.arguments.id)
        there = workspace.status is not WorkspaceStatus.REMOVED
        condition: dict[str, Any] | None = (
            msgspec.to_builtins(await engine.workspaces.inspect(workspace.id)) if there else None
        )
    lines = [
        state_heading("workspace", workspace, call.terminal),
        *state_lines(workspace),
        *(one_line(_copy_text(copy)) for copy in workspace.snapshots),
        f"now: {_condition_text(condition)}",
    ]
    call.terminal.item({**workspace.as_dict(), "condition": condition}, "\n".join(lines))


def _condition_text(condition: dict[str, Any] | None) -> str:
    if condition is None:
        return "removed"
    if not condition["exists"]:
        return f"missing{': ' if condition['missing'] else ''}{', '.join(map(quoted, condition['missing']))}"
    operations = [f"{quoted(name)} is in the middle of a {what}" for name, what in condition["operations"].items()]
    beside = [one_line(str(convert(one, Unrecorded))) for one in condition["unrecorded"]]
    state = "uncommitted changes" if condition["dirty"] else "everything is committed"
    return ", ".join([state, *operations, *beside])


def _copy_text(copy: SafetyCopy) -> str:
    commits = ", ".join(f"{one.repository} {one.commit[:12]}" for one in copy.commits)
    without = "".join(f", without {one.path}" for one in copy.left_out)
    return f"copy {copy.ref}  {time_text(copy.taken_at)}  {copy.reason}  {commits}{without}"


async def _diff(call: Invocation) -> None:
    from aura_cli.streaming.lines import TextLines

    terminal, stat = call.terminal, call.arguments.stat
    async with engine_of(call, read_only=True) as engine:
        workspace = await engine.workspaces.get(call.arguments.id)
        found = await engine.workspaces.diff(workspace.id, patch_limit=0 if stat else DIFF_LIMIT)
    if terminal.json:
        terminal.write_json({"id": workspace.id, "files": found.files, "patch": found.patch})
    elif stat:
        for file in found.files:
            changed = "binary" if file.added is None else f"+{file.added} -{file.removed}"
            terminal.out.write(f"{file.kind:<10}  {changed:<12}  {quoted(f'{file.repository}/{file.path}')}\n")
    else:
        encoding = getattr(terminal.out, "encoding", None) or "utf-8"
        lines = TextLines(escaped=terminal.out.isatty(), encoding=encoding)
        terminal.out.write(lines.verbatim(found.patch).decode(encoding))
    if found.truncated and not stat:
        terminal.say("the diff is too long to show all of it")


# --- Changing ---------------------------------------------------------------------------------------------------------


async def _snapshot(call: Invocation) -> None:
    async with engine_of(call) as engine:
        workspace = await engine.workspaces.snapshot(call.arguments.id)
    _say(workspace, workspace.snapshots[-1].ref, call)


async def _restore(call: Invocation) -> None:
    async def restore(engine: "Engine", workspace: Workspace) -> Workspace:
        return await engine.workspaces.restore(workspace.id, call.arguments.ref)

    await _change(call, restore, f"as in {call.arguments.ref}", "the files before are kept")


async def _clean(call: Invocation) -> None:
    async def clean(engine: "Engine", workspace: Workspace) -> Workspace:
        return await engine.workspaces.clean(workspace.id, discard=call.arguments.discard)

    await _change(call, clean, "its branch is kept", "uncommitted work is kept")


async def _change(
    call: Invocation, change: "Callable[[Engine, Workspace], Awaitable[Workspace]]", what: str, kept: str
) -> None:
    """Change the files of a workspace, and report where its unsaved work is kept."""
    async with engine_of(call) as engine:
        before = await engine.workspaces.get(call.arguments.id)
        after = await change(engine, before)
    _say(after, what, call)
    for copy in after.snapshots[len(before.snapshots) :]:
        call.terminal.say(f"{kept} as {copy.ref}")


def _say(workspace: Workspace, what: str, call: Invocation) -> None:
    call.terminal.item(workspace.as_dict(), one_line(f"workspace {workspace.id} is {workspace.status}: {what}"))


async def _warm(call: Invocation) -> None:
    count = call.arguments.count
    path = os.path.abspath(call.arguments.repository)  # noqa: ASYNC240, PTH100 - looks at no file
    async with engine_of(call, make=True, store="memory:") as engine:
        made = await engine.workspaces.warm(path, count)
    data = {"id": path, "status": "ready", "made": made, "count": count}
    call.terminal.item(data, f"{count} ready for {quoted(path)}, {made} of them new")
