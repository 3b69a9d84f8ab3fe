"""``aura approval``: the inbox of a human, and their decisions."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from aura_cli.arguments.parser import add_subcommand, add_subcommands

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aura_cli._settings import Settings
    from aura_cli.rendering.terminal import Terminal
    from aura_contracts.approval import Approval
    from aura_contracts.ids import ApprovalId
    from aura_engine.engine import Engine

_EPILOG = """\
What follows (the merge, or the agent's next attempt) happens here and is shown
as `aura run` shows it, unless another process drives the task already. With
--no-wait it is left to whatever drives the task next.

ID may be omitted if exactly one approval is pending.
"""

_ID_HELP = "the approval: its id, or the first digits of it"


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    listing = add_subcommand(commands, "list", "list pending approvals", list_)
    listing.add_argument("--all", action="store_true", help="include approvals that were decided")
    showing = add_subcommand(commands, "show", "show a question and what it would change", show)
    showing.add_argument("id", metavar="ID", nargs="?", help=_ID_HELP)
    showing.add_argument("--diff", action="store_true", help="include the diff")
    for name, summary, function in (
        ("approve", "approve, and continue the task", approve),
        ("reject", "reject, and send your feedback to the agent", reject),
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
    delegating = add_subcommand(commands, "delegate", "delegate the decision to someone else", delegate)
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


def list_(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """List approvals, the oldest first."""
    import anyio

    return anyio.run(_list, arguments, settings, terminal)


async def _list(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    from aura_cli._reading import all_of, reading
    from aura_contracts.approval import APPROVAL, ApprovalStatus

    async with reading(settings, terminal) as log:
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
    """Return whose answer would still count: none, once it is decided."""
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
    from aura_cli.rendering.terminal import printable

    lines = [
        f"approval  {approval.id}",
        f"status    {approval.status}",
        f"kind      {approval.kind}",
        f"task      {approval.task_id}",
        f"asked     {approval.requested_at:%Y-%m-%d %H:%M:%S} by {approval.requested_by}",
        f"waits for {', '.join(_awaited(approval)) or 'no one'}",
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
    """Approve, and do what follows."""
    from aura_contracts.approval import Remember

    async def decide(engine: "Engine", approval_id: "ApprovalId") -> "Approval":
        remember = Remember(arguments.remember)
        return await engine.approvals.approve(
            approval_id, arguments.feedback, remember=remember, pattern=arguments.pattern
        )

    return _decide(decide, arguments, settings, terminal)


def reject(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """Reject, and do what follows."""

    async def decide(engine: "Engine", approval_id: "ApprovalId") -> "Approval":
        if arguments.changes:
            return await engine.approvals.request_changes(approval_id, arguments.feedback)
        return await engine.approvals.reject(approval_id, arguments.feedback)

    return _decide(decide, arguments, settings, terminal)


def delegate(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """Delegate the decision."""
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
    from aura_cli.streaming.follower import beginning_of, follow, follow_options

    async with engine_of(settings) as engine:
        since = await engine.log.head()
        approval = await decide(engine, await _meant(engine, arguments.id))
        if arguments.no_wait or approval.task_id is None:
            terminal.item(_data(approval), f"approval {approval.id} is {approval.status}")
            return 0
        if not await engine.drive(approval.task_id):
            text = f"approval {approval.id} is {approval.status}; another process continues its task"
            terminal.item(_data(approval), text)
            return 0
        begin = await beginning_of(engine, approval.task_id)
        options = follow_options(settings, terminal, wait=False, review=False, asks=False)
        return await follow(engine, approval.task_id, terminal, options, begin=begin, since=since)


async def _meant(engine: "Engine", text: str | None) -> "ApprovalId":
    """Return the approval that is named, or the only one that is pending."""
    from aura_cli._lookup import find_id
    from aura_contracts.errors import InvalidInput
    from aura_contracts.ids import ApprovalId

    if text is not None:
        return ApprovalId(await find_id(engine.log, text, "approval"))
    pending = await engine.approvals.pending()
    if len(pending) != 1:
        reason = f"{len(pending) or 'no'} approvals are pending"
        raise InvalidInput(field="ID", reason=reason, remedy="name one of those that `aura approval list` shows")
    return ApprovalId(pending[0].id)
