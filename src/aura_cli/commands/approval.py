"""``aura approval``: the inbox of a human, and what they say."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from aura_cli._arguments import add_subcommand, add_subcommands

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aura_engine.engine import Engine

    from aura_cli._settings import Settings
    from aura_cli._terminal import Terminal
    from aura_contracts.approval import Approval
    from aura_contracts.ids import ApprovalId

_EPILOG = """\
What follows from a decision (the merge, the agent's next attempt) is done here and now, and shown as aura run shows
it, unless another process drives the task already; with --no-wait it is left to whoever drives the task next.

Where just one approval waits, ID may be left out.
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    listing = add_subcommand(commands, "list", "list what waits for an answer", list_)
    listing.add_argument("--all", action="store_true", help="also what was decided")
    showing = add_subcommand(commands, "show", "show what is asked, and what it would change", show)
    showing.add_argument("id", metavar="ID", nargs="?", help="the approval, or the beginning of its id")
    showing.add_argument("--diff", action="store_true", help="with the changes themselves")
    for name, summary, function in (
        ("approve", "say yes", approve),
        ("reject", "say no, with the reason; the agent goes on with it", reject),
    ):
        deciding = add_subcommand(commands, name, summary, function)
        deciding.epilog = _EPILOG
        deciding.add_argument("id", metavar="ID", nargs="?", help="the approval, or the beginning of its id")
        deciding.add_argument("--feedback", metavar="TEXT", required=name == "reject", help="what you think of it")
        deciding.add_argument("--no-wait", action="store_true", help="only record it")
        if name == "approve":
            _add_remember(deciding)
        else:
            deciding.add_argument("--changes", action="store_true", help="it needs changes, rather than being wrong")
    delegating = add_subcommand(commands, "delegate", "have somebody else decide in your place", delegate)
    delegating.add_argument("id", metavar="ID", nargs="?", help="the approval, or the beginning of its id")
    delegating.add_argument("--to", metavar="NAME", required=True, help="who")
    delegating.add_argument("--reason", metavar="TEXT", default="", help="why")


def _add_remember(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--remember",
        choices=("once", "session", "task", "pattern"),
        default="once",
        help="of a tool call: for which calls the answer holds (default: once)",
    )
    parser.add_argument("--pattern", metavar="P", help="with --remember pattern: which calls")


# --- Looking ----------------------------------------------------------------------------------------------------------


def list_(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """List approvals, the oldest first."""
    import anyio

    return anyio.run(_list, arguments, settings, terminal)


async def _list(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    from aura_cli._reading import all_of, reading
    from aura_contracts.approval import APPROVAL, ApprovalStatus

    async with reading(settings) as log:
        approvals = await all_of(log, APPROVAL)
    shown = [one for one in approvals if arguments.all or one.status is ApprovalStatus.PENDING]
    rows = [
        (_data(one), (one.id, str(one.status), str(one.kind), ", ".join(_awaited(one)), _first_line(one)))
        for one in shown
    ]
    terminal.table(rows, ("id", "status", "kind", "waits for", "about"))
    terminal.say(f"{len(rows)} approval{'s' * (len(rows) != 1)}")
    return 0


def _awaited(approval: "Approval") -> tuple[str, ...]:
    """Return whose answer would still count: nobody's, once it is decided."""
    return approval.awaited if approval.closed_at is None else ()


def _data(approval: "Approval") -> object:
    from msgspec import to_builtins

    return to_builtins(approval)


def _first_line(approval: "Approval") -> str:
    if approval.tool_call is not None:
        from msgspec import json

        return f"{approval.tool_call.tool} {json.encode(approval.tool_call.arguments).decode()}"[:80]
    return approval.proposed_solution.strip().partition("\n")[0][:80]


def show(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """Show one approval."""
    import anyio

    return anyio.run(_show, arguments, settings, terminal)


async def _show(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    from aura_cli._engine import engine_of

    async with engine_of(settings) as engine:
        approval = await engine.approvals.get(await _meant(engine, arguments.id))
        patch = await _patch(engine, approval) if arguments.diff else None
    if terminal.json:
        terminal.write_json({**_data(approval), "diff": patch} if patch is not None else _data(approval))  # type: ignore[dict-item]
        return 0
    from aura_cli._terminal import printable

    lines = [
        f"approval  {approval.id}",
        f"status    {approval.status}",
        f"kind      {approval.kind}",
        f"task      {approval.task_id}",
        f"asked     {approval.requested_at:%Y-%m-%d %H:%M:%S} by {approval.requested_by}",
        f"waits for {', '.join(_awaited(approval)) or 'nobody'}",
        *([f"feedback  {approval.feedback}"] if approval.feedback else []),
        "",
        approval.proposed_solution or _first_line(approval),
    ]
    terminal.out.write(printable("\n".join(lines)) + "\n")
    if patch:
        terminal.out.write(f"\n{printable(patch.rstrip())}\n")
    return 0


async def _patch(engine: "Engine", approval: "Approval") -> str:
    from aura_contracts.workspace import WorkspaceStatus
    from aura_engine.runtime.views import workspace_of

    if approval.tool_call is not None or approval.task_id is None:
        return (approval.tool_call.diff or "") if approval.tool_call else ""
    workspace = (await engine.view(approval.task_id)).workspace
    if workspace is None or workspace.status is WorkspaceStatus.REMOVED:
        return ""
    return (await engine.workspaces.diff(workspace_of(approval.task_id))).patch


# --- Deciding ---------------------------------------------------------------------------------------------------------


def approve(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """Say yes, and do what follows."""
    from aura_contracts.approval import Remember

    async def decide(engine: "Engine", approval_id: "ApprovalId") -> "Approval":
        remember = Remember(arguments.remember)
        return await engine.approvals.approve(
            approval_id, arguments.feedback, remember=remember, pattern=arguments.pattern
        )

    return _decide(decide, arguments, settings, terminal)


def reject(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """Say no, and do what follows."""

    async def decide(engine: "Engine", approval_id: "ApprovalId") -> "Approval":
        if arguments.changes:
            return await engine.approvals.request_changes(approval_id, arguments.feedback)
        return await engine.approvals.reject(approval_id, arguments.feedback)

    return _decide(decide, arguments, settings, terminal)


def delegate(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """Hand the decision on."""
    arguments.no_wait = True

    async def decide(engine: "Engine", approval_id: "ApprovalId") -> "Approval":
        return await engine.approvals.delegate(approval_id, arguments.to, arguments.reason)

    return _decide(decide, arguments, settings, terminal)


def _decide(
    decide: "Callable[[Engine, ApprovalId], Awaitable[Approval]]",
    arguments: Namespace,
    settings: "Settings",
    terminal: "Terminal",
) -> int:
    import anyio

    return anyio.run(_decide_and_follow, decide, arguments, settings, terminal)


async def _decide_and_follow(
    decide: "Callable[[Engine, ApprovalId], Awaitable[Approval]]",
    arguments: Namespace,
    settings: "Settings",
    terminal: "Terminal",
) -> int:
    from aura_cli._engine import engine_of
    from aura_cli._following import beginning_of, follow, manner_of

    async with engine_of(settings) as engine:
        since = await engine.log.head()
        approval = await decide(engine, await _meant(engine, arguments.id))
        if arguments.no_wait or approval.task_id is None:
            terminal.item(_data(approval), f"approval {approval.id} is {approval.status}")
            return 0
        if not await engine.drive(approval.task_id):
            text = f"approval {approval.id} is {approval.status}; the process that drives its task goes on with it"
            terminal.item(_data(approval), text)
            return 0
        begin = await beginning_of(engine, approval.task_id)
        manner = manner_of(settings, terminal, wait=False, review=False, asks=False)
        return await follow(engine, approval.task_id, terminal, manner, begin=begin, since=since)


async def _meant(engine: "Engine", text: str | None) -> "ApprovalId":
    """Return the approval that is named; where none is, the one that waits."""
    from aura_cli._lookup import find_id
    from aura_contracts.errors import InvalidInput
    from aura_contracts.ids import ApprovalId

    if text is not None:
        return ApprovalId(await find_id(engine.log, text, "approval"))
    pending = await engine.approvals.pending()
    if len(pending) != 1:
        reason = f"{len(pending) or 'no'} approvals wait for an answer"
        raise InvalidInput(field="ID", reason=reason, remedy="aura approval list shows them; name one")
    return ApprovalId(pending[0].id)
