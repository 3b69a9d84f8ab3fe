"""``aura approval``: a human's inbox and decisions."""

import os.path
from argparse import ArgumentParser
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from aura_cli._call import Invocation, all_rows, engine_of
from aura_cli.arguments.parser import add_subcommand, add_subcommands
from aura_cli.rendering.approval_page import Subject, diff_lines, list_row, list_titles, page_lines
from aura_cli.rendering.formatting import counted
from aura_contracts.approval import Approval
from aura_contracts.errors import InvalidInput
from aura_contracts.task import Task, TaskStatus
from aura_contracts.workspace import Workspace

if TYPE_CHECKING:
    from aura_engine import Engine

_EPILOG = """\
What follows (the merge, or the agent's next attempt) happens here and is shown
as `aura run` shows it, unless another process drives the task already. With
--no-wait it is left to whatever drives the task next.

ID may be omitted if exactly one approval is pending.
"""

_AT_ONCE = 500
"""Tasks to look up at once."""

_ID_HELP = "the approval or its task: its id, or the first or last digits of it"


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    listing = add_subcommand(commands, "list", "list pending approvals, those of this repository first", _list)
    listing.add_argument("--all", action="store_true", help="include decided approvals")
    showing = add_subcommand(commands, "show", "show a question, whole, and what it is about", _show)
    showing.add_argument("id", metavar="ID", nargs="?", help=_ID_HELP)
    showing.add_argument("--diff", action="store_true", help="include the diff")
    for name, summary, function in (
        ("approve", "approve, and continue the task", _approve),
        ("reject", "reject, and send your feedback to the agent", _reject),
    ):
        deciding = add_subcommand(commands, name, summary, function)
        deciding.epilog = _EPILOG
        deciding.add_argument("id", metavar="ID", nargs="?", help=_ID_HELP)
        deciding.add_argument(
            "--feedback",
            metavar="TEXT",
            required=name == "reject",
            help="your comment" if name == "approve" else "what is wrong with it",
        )
        deciding.add_argument("--no-wait", action="store_true", help="record the decision only")
        if name == "approve":
            _add_remember(deciding)
        else:
            deciding.add_argument("--changes", action="store_true", help="request changes instead of rejecting")
    delegating = add_subcommand(commands, "delegate", "delegate the decision to someone else", _delegate)
    delegating.add_argument("id", metavar="ID", nargs="?", help=_ID_HELP)
    delegating.add_argument("--to", metavar="NAME", required=True, help="who decides instead")
    delegating.add_argument("--reason", metavar="TEXT", default="", help="why it is delegated")


def _add_remember(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--remember",
        metavar="SCOPE",
        choices=("once", "session", "task", "pattern"),
        default="once",
        help="which further tool calls the answer covers",
    )
    parser.add_argument("--pattern", metavar="RULE", help="the calls covered by --remember pattern")


# --- Reading ----------------------------------------------------------------------------------------------------------


async def _list(call: Invocation) -> None:
    pending = None if call.arguments.all else True
    async with engine_of(call, read_only=True) as engine:
        found = [one async for one in all_rows(engine.approvals.list, pending=pending)]
        subjects = await _subjects(engine, found)
    here = os.path.realpath(".")  # noqa: ASYNC240 - looks at one folder
    approvals = sorted(found, key=lambda one: not subjects[one.id].holds(here))  # the order among them stays
    titles = list_titles(approvals)
    call.terminal.table(
        approvals,
        titles,
        lambda one: list_row(one, subjects[one.id], titles),
        lambda one: {**one.as_dict(), **subjects[one.id].data},
    )
    call.terminal.say(counted(len(approvals), "approval"))


async def _subjects(engine: "Engine", approvals: Sequence[Approval]) -> dict[str, Subject]:
    """Return the subject of each approval, by its id."""
    ids = sorted({one.task_id for one in approvals if one.task_id is not None})
    tasks: dict[str, Task] = {}
    workspaces: dict[str, Workspace] = {}
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        tasks |= {one.id: one async for one in all_rows(engine.tasks.list, id=some, status=tuple(TaskStatus))}
        workspaces |= {one.task_id: one async for one in all_rows(engine.workspaces.list, task=some)}
    return {one.id: Subject.of(tasks.get(one.task_id or ""), workspaces.get(one.task_id or "")) for one in approvals}


async def _show(call: Invocation) -> None:
    async with engine_of(call, read_only=True) as engine:
        approval = await engine.approvals.get(await _meant(engine, call.arguments.id))
        subject = (await _subjects(engine, [approval]))[approval.id]
        diff = await engine.approvals.diff(approval.id) if call.arguments.diff else None
    lines = [*page_lines(approval, subject), *(["", *diff_lines(approval, diff)] if diff else [])]
    data = {**approval.as_dict(), **subject.data}
    call.terminal.item(data if diff is None else {**data, "diff": diff}, "\n".join(lines))


# --- Deciding ---------------------------------------------------------------------------------------------------------


async def _approve(call: Invocation) -> int:
    given = call.arguments
    how = {"remember": given.remember, "pattern": given.pattern}
    return await _decide(call, lambda engine, approval: engine.approvals.approve(approval, given.feedback, **how))


async def _reject(call: Invocation) -> int:
    async def decide(engine: "Engine", approval: str) -> Approval:
        reject = engine.approvals.request_changes if call.arguments.changes else engine.approvals.reject
        return await reject(approval, call.arguments.feedback)

    return await _decide(call, decide)


async def _delegate(call: Invocation) -> int:
    given = call.arguments
    given.no_wait = True
    return await _decide(call, lambda engine, approval: engine.approvals.delegate(approval, given.to, given.reason))


async def _decide(call: Invocation, decide: "Callable[[Engine, str], Awaitable[Approval]]") -> int:
    """Record a decision, then follow the task if this process drives it."""
    from aura_cli.streaming.follower import FollowOptions, follow

    async with engine_of(call, record_only=call.arguments.no_wait) as engine:
        since = await engine.events.head()
        approval = await decide(engine, await _meant(engine, call.arguments.id))
        text = f"approval {approval.id} is {approval.status}"
        if not call.arguments.no_wait and await _is_started(engine, approval):
            run = await engine.resume(str(approval.task_id))
            if run.driven:
                return await follow(engine, run, call.terminal, FollowOptions(since=since, hint=call.hint))
            text += "; another process continues its task"
        call.terminal.item(approval.as_dict(), text)
        return 0


async def _is_started(engine: "Engine", approval: Approval) -> bool:
    """Whether the decision is about a task that an engine may work on."""
    return approval.task_id is not None and (await engine.tasks.get(approval.task_id)).execution_id is not None


async def _meant(engine: "Engine", text: str | None) -> str:
    """Return the named approval, or the only pending one."""
    if text is not None:
        return text
    pending = (await engine.approvals.list(pending=True)).rows
    if len(pending) != 1:
        reason = f"{len(pending) or 'no'} approvals are pending"
        raise InvalidInput(field="ID", reason=reason, remedy="name one of those that `aura approval list` shows")
    return pending[0].id
