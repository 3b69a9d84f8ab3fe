"""``aura approval``: a human's inbox and decisions."""

from argparse import ArgumentParser
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aura_cli._call import Invocation, all_rows, engine_of
from aura_cli._followed_tasks import continue_all, is_started, say_parts
from aura_cli._subjects import here, subjects_of_approvals
from aura_cli.arguments.parser import add_subcommand, add_subcommands
from aura_cli.arguments.values import moment, pair
from aura_cli.rendering.approval_page import (
    comment_data,
    diff_lines,
    list_row,
    list_titles,
    outcome_data,
    outcome_text,
    page_lines,
    place_of,
)
from aura_cli.rendering.formatting import counted, time_text
from aura_contracts.approval import Approval
from aura_contracts.errors import InvalidInput
from aura_contracts.ports.time_arguments import moment_of

if TYPE_CHECKING:
    from datetime import datetime

    from aura_engine import Engine

_EPILOG = """\
What follows (the merge, the agent's next attempt, or the next steps of the
workflow) happens here and is shown as `aura run` shows it, unless another
process drives the task already. With --no-wait it is left to whatever drives
the task next.

ID may be omitted if exactly one approval is pending.
"""

_LINK_EPILOG = """\
Anyone who has the link can answer for you: treat it like a password. Opening it
decides nothing. `aura link` lists, shows and revokes links.
"""

_KINDS = (
    *("plan", "changes", "tool_call", "decomposition", "merge_conflict", "lock_conflict", "question"),
    "workflow_step",
    "instructions",
)

_ID_HELP = "the approval or its task: its id, or the first or last digits of it"


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    listing = add_subcommand(commands, "list", "list pending approvals, those of this repository first", _list)
    listing.add_argument("--all", action="store_true", help="include decided approvals")
    listing.add_argument("--project", metavar="NAME", help="only about tasks of this project")
    showing = add_subcommand(commands, "show", "show a question, whole, and what it is about", _show)
    showing.add_argument("id", metavar="ID", nargs="?", help=_ID_HELP)
    showing.add_argument("--diff", action="store_true", help="include the diff")
    showing.epilog = "ID may be omitted if one approval is pending in this repository, or anywhere."
    for name, summary, function in (
        ("approve", "approve, and continue the task", _approve),
        ("reject", "reject, and send your feedback to the agent", _reject),
    ):
        deciding = add_subcommand(commands, name, summary, function)
        deciding.epilog = _EPILOG
        deciding.add_argument("id", metavar="ID", nargs="*", help=_ID_HELP)
        deciding.add_argument(
            "--feedback",
            metavar="TEXT",
            required=name == "reject",
            help="your comment" if name == "approve" else "what is wrong with it",
        )
        deciding.add_argument("--no-wait", action="store_true", help="record the decision only")
        deciding.add_argument(
            "--commit",
            metavar="REPOSITORY=COMMIT",
            type=pair,
            action="append",
            default=[],
            help="what you have looked at; refused if it shows another commit",
        )
        _add_selection(deciding)
        if name == "approve":
            _add_remember(deciding)
        else:
            deciding.add_argument("--changes", action="store_true", help="request changes instead of rejecting")
    commenting = add_subcommand(commands, "comment", "comment on a line of the diff", _comment)
    commenting.epilog = "The agent gets the comments together with your feedback: `aura approval reject`."
    commenting.add_argument("id", metavar="ID", help=_ID_HELP)
    commenting.add_argument("place", metavar="FILE:LINE", help="a line that the diff shows; or a comment to answer")
    commenting.add_argument("text", metavar="TEXT", help="the comment")
    commenting.add_argument("--removed", action="store_true", help="a line of the file before the change")
    commenting.add_argument("--repository", metavar="NAME", default="", help="whose file, if several are shown")
    _add_link(add_subcommand(commands, "link", "issue a link with which you answer from anywhere, once", _link))
    delegating = add_subcommand(commands, "delegate", "delegate the decision to someone else", _delegate)
    delegating.add_argument("id", metavar="ID", nargs="?", help=_ID_HELP)
    delegating.add_argument("--to", metavar="NAME", required=True, help="who decides instead")
    delegating.add_argument(
        "--until", metavar="TIME", type=moment, help="when it ends, as 2026-01-04T10:00:00Z or 2026-01-04"
    )
    delegating.add_argument("--reason", metavar="TEXT", default="", help="why it is delegated")


def _add_link(parser: ArgumentParser) -> None:
    parser.epilog = _LINK_EPILOG
    parser.add_argument("id", metavar="ID", nargs="?", help=_ID_HELP)
    parser.add_argument("--view", action="store_true", help="it shows the question, and answers nothing")
    parser.add_argument("--to", metavar="ADDRESS", default="", help="where you will send it, for the record")
    parser.add_argument("--until", metavar="TIME", type=moment, help="when it expires (default: in three days)")
    parser.add_argument("--base-url", metavar="URL", help="where its page is (default: AURA_BASE_URL)")


def _add_selection(parser: ArgumentParser) -> None:
    several = parser.add_argument_group("several at once", "each is answered and recorded on its own")
    several.add_argument("--all", action="store_true", help="answer all that wait for you")
    several.add_argument("--kind", metavar="KIND", choices=_KINDS, help="of these, only questions of this kind")
    several.add_argument("--task", metavar="ID", help="of these, only those about this task")


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
        found = await all_rows(engine.approvals.list, pending=pending, project=call.arguments.project)
        subjects = await subjects_of_approvals(engine, found)
    place = here()
    approvals = sorted(found, key=lambda one: not subjects[one.id].holds(place))  # the order among them stays
    titles = list_titles(approvals)
    call.terminal.table(
        approvals,
        titles,
        lambda one: list_row(one, subjects[one.id], titles),
        lambda one: {**one.as_dict(), **subjects[one.id].data},
    )
    call.terminal.say(counted(len(approvals), "approval"))


async def _show(call: Invocation) -> None:
    async with engine_of(call, read_only=True) as engine:
        approval = await _shown(engine, call.arguments.id)
        subject = (await subjects_of_approvals(engine, [approval]))[approval.id]
        diff = await engine.approvals.diff(approval.id) if call.arguments.diff else None
        comments = await engine.approvals.comments(approval.id)
        overlaps = await engine.approvals.overlaps(approval.id)
        links = await engine.links.list(approval.id)
    page = page_lines(approval, subject, comments, overlaps, links)
    lines = [*page, *(["", *diff_lines(approval, diff)] if diff else [])]
    data = {**approval.as_dict(), **subject.data, "comments": [comment_data(one) for one in comments]}
    data["overlaps"] = [one.as_dict() for one in overlaps]
    data["links"] = [one.as_dict() for one in links]
    call.terminal.item(data if diff is None else {**data, "diff": diff}, "\n".join(lines))


# --- Deciding ---------------------------------------------------------------------------------------------------------


async def _approve(call: Invocation) -> int:
    given = call.arguments
    how = {"remember": given.remember, "pattern": given.pattern, "commits": dict(given.commit)}
    if _is_about_several(call):
        return await _answer_several(call, "approved")
    return await _decide(call, lambda engine, approval: engine.approvals.approve(approval, given.feedback, **how))


async def _reject(call: Invocation) -> int:
    given = call.arguments
    if _is_about_several(call):
        return await _answer_several(call, "needs_changes" if given.changes else "rejected")

    async def decide(engine: "Engine", approval: str) -> Approval:
        reject = engine.approvals.request_changes if given.changes else engine.approvals.reject
        return await reject(approval, given.feedback, commits=dict(given.commit))

    return await _decide(call, decide)


async def _comment(call: Invocation) -> None:
    given = call.arguments
    path, _, line = given.place.rpartition(":")
    where: dict[str, Any] = {"reply_to": given.place}
    if path:
        if not (line.isascii() and line.isdecimal() and len(line) < 10):
            raise InvalidInput(
                field="FILE:LINE", reason=f"{line!r} is not a number", remedy="write it like src/app.py:7"
            )
        where = {"path": path, "line": int(line), "removed": given.removed, "repository": given.repository}
    async with engine_of(call) as engine:
        approval = await engine.approvals.comment(given.id, given.text, **where)
        comment = approval.comments[-1]
        call.terminal.item(approval.as_dict(), f"comment {comment.id} on {place_of(comment)}")


async def _delegate(call: Invocation) -> int:
    given = call.arguments
    given.no_wait = True
    until = _until(given.until)

    async def decide(engine: "Engine", approval: str) -> Approval:
        return await engine.approvals.delegate(approval, given.to, given.reason, until=until)

    return await _decide(call, decide)


async def _link(call: Invocation) -> None:
    given = call.arguments
    terms = {"address": given.to, "until": _until(given.until), "base_url": given.base_url}
    async with engine_of(call, record_only=True) as engine:
        approval = await _meant(engine, given.id)
        link = await engine.approvals.link(approval, purpose="view" if given.view else "answer", **terms)
    call.terminal.say(f"link {link.id} for {link.reviewer} expires at {time_text(link.expires_at)}")
    call.terminal.item(link.as_dict(), link.url)


def _until(text: Any) -> "datetime | None":
    """Return the time of --until. Raises `InvalidInput` for a position of the log."""
    until = None if text is None else moment_of(text, "--until")
    if isinstance(until, int):
        raise InvalidInput(field="--until", reason="it is not a time", remedy="write it like 2026-01-04T10:00:00Z")
    return until


def _is_about_several(call: Invocation) -> bool:
    """Whether the command answers several questions at once. Raises `InvalidInput` for what does not go together."""
    given = call.arguments
    several = given.all or len(given.id) > 1
    if given.all and given.id:
        raise InvalidInput(field="ID", reason="--all answers all that wait for you", remedy="leave out either")
    if (given.kind or given.task) and not given.all:
        raise InvalidInput(field="--kind, --task", reason="they select among all", remedy="add --all")
    if several and (given.commit or getattr(given, "remember", "once") != "once" or getattr(given, "pattern", None)):
        remedy = "answer them one by one"
        raise InvalidInput(
            field="ID", reason="--commit, --remember and --pattern are about one question", remedy=remedy
        )
    return several


async def _answer_several(call: Invocation, decision: str) -> int:
    """Answer several questions, list what became of each, and wait until their tasks have gone as far as they can."""
    from aura_cli.streaming.workflow_continuation import continue_workflows

    given = call.arguments
    async with engine_of(call, record_only=given.no_wait) as engine:
        since = await engine.events.head()
        outcomes = await engine.approvals.answer_all(
            decision, given.feedback, approvals=given.id, kind=given.kind, task=given.task
        )
        for outcome in outcomes:
            call.terminal.item(outcome_data(outcome), outcome_text(outcome))
        refused = sum(outcome.refused is not None for outcome in outcomes)
        call.terminal.say(f"{counted(len(outcomes) - refused, 'answer')} recorded, {refused} refused")
        answered = [one.answered for one in outcomes if one.answered is not None]
        if not given.no_wait:
            await continue_all(call.terminal, engine, answered)
        await continue_workflows(call, engine, answered, since=since, follow=not given.no_wait)
    return 1 if refused else 0


async def _decide(call: Invocation, decide: "Callable[[Engine, str], Awaitable[Approval]]") -> int:
    """Record a decision, then follow the task or the workflow if this process drives it."""
    from aura_cli.streaming.follow_options import FollowOptions
    from aura_cli.streaming.follower import follow
    from aura_cli.streaming.workflow_continuation import continue_workflows

    async with engine_of(call, record_only=call.arguments.no_wait) as engine:
        since = await engine.events.head()
        named = call.arguments.id
        text = named if named is None or isinstance(named, str) else next(iter(named), None)
        approval = await decide(engine, await _meant(engine, text))
        text = f"approval {approval.id} is {approval.status}"
        if not call.arguments.no_wait and await is_started(engine, approval):
            run = await engine.resume(str(approval.task_id))
            if run.driven:
                code = await follow(engine, run, call.terminal, FollowOptions(since=since, hint=call.hint))
                await say_parts(call.terminal, engine, run.id)
                await continue_workflows(call, engine, [approval], since=since, follow=True)
                return code
            text += "; another process continues its task"
        call.terminal.item(approval.as_dict(), text)
        await continue_workflows(call, engine, [approval], since=since, follow=not call.arguments.no_wait)
        return 0


async def _shown(engine: "Engine", text: str | None) -> Approval:
    """Return the named approval, or the only pending one of this repository, or anywhere."""
    if text is None:
        pending = await all_rows(engine.approvals.list, pending=True)
        subjects = await subjects_of_approvals(engine, pending)
        mine = [one for one in pending if subjects[one.id].holds(here())]
        if len(mine) == 1:
            return mine[0]
    return await engine.approvals.get(await _meant(engine, text))


async def _meant(engine: "Engine", text: str | None) -> str:
    """Return the named approval, or the only pending one."""
    if text is not None:
        return text
    pending = (await engine.approvals.list(pending=True)).rows
    if len(pending) != 1:
        reason = f"{len(pending) or 'no'} approvals are pending"
        raise InvalidInput(field="ID", reason=reason, remedy="name one of those that `aura approval list` shows")
    return pending[0].id
