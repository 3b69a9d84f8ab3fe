"""Approval page: a question to a human, whole, and what is known about it. Pure.

A human decides on what is shown, so a page cuts nothing; lists do, and mark it. Fields are at the start of a line, and
whatever an agent chose is quoted or indented below them, so that it cannot pass for a field.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from msgspec import DecodeError, json, to_builtins

from aura_cli.rendering.errors import as_commands
from aura_cli.rendering.formatting import minute_text
from aura_cli.rendering.subject import Subject
from aura_contracts.actors import actor_name
from aura_contracts.approval import Approval, Comment, Delegation, PolicyDecision, Question, Remember, ToolCall, Vote
from aura_contracts.plain_data import short
from aura_contracts.quoting import block, cut, one_line, printable, quoted

if TYPE_CHECKING:
    from aura_engine import AnswerOutcome, LinkInfo, Overlap, PlacedComment

ABOUT_LIMIT = 80
"""Maximum characters of a question in a list."""

_PADDING = re.compile(r" {50,}")
"""Spaces with which an agent may push the rest of a command off the screen; their number is shown instead."""

_GAP = 10
"""Empty lines, one after the other, that are shown as such."""

_FILES_NAMED = 5
"""The most files of another task that a page names."""

TITLES = ("id", "status", "kind", "repository", "title", "asked (UTC)", "waits for")
"""The first columns of a list; `list_titles` adds the others."""


# --- Lists ------------------------------------------------------------------------------------------------------------


def list_titles(approvals: Iterable[Approval]) -> tuple[str, ...]:
    """Return the titles of the columns; who decided, and when, has one if anything is decided."""
    decided = any(one.closed_at is not None for one in approvals)
    return (*TITLES, *(["decided (UTC)"] if decided else []), "about")


def list_row(approval: Approval, subject: Subject, titles: Iterable[str]) -> tuple[str, ...]:
    """Return the texts below `titles`."""
    cells = {
        "id": approval.id,
        "status": approval.status,
        "kind": approval.kind,
        "repository": subject.place,
        "title": short(subject.title),
        "asked (UTC)": minute_text(approval.requested_at),
        "waits for": ", ".join(awaited(approval)),
        "decided (UTC)": _closed(approval, minute_text),
        "about": cut(_about(approval), ABOUT_LIMIT),
    }
    return tuple(cells[title] for title in titles)


def awaited(approval: Approval) -> tuple[str, ...]:
    """Return the names of those whose answer counts now; none once the approval is decided."""
    return approval.awaited_at(datetime.now(UTC)) if approval.closed_at is None else ()


def _about(approval: Approval) -> str:
    call = approval.tool_call
    if call is not None:
        return one_line(f"{call.tool} {json.encode(call.arguments).decode()}")
    first, _, rest = approval.proposed_solution.strip().partition("\n")
    return f"{one_line(first)} …" if rest.strip() else one_line(first)


# --- Pages ------------------------------------------------------------------------------------------------------------


def page_lines(
    approval: Approval,
    subject: Subject,
    comments: "Sequence[PlacedComment]" = (),
    overlaps: "Sequence[Overlap]" = (),
    links: "Sequence[LinkInfo]" = (),
) -> Iterator[str]:
    """Yield the lines of a page: the facts, then the whole question, then the comments on its diff."""
    facts = {
        "approval": approval.id,
        "status": approval.status,
        "kind": approval.kind,
        "title": one_line(subject.title),
        "task": approval.task_id or "",
        "repository": ", ".join(map(quoted, subject.folders)),
        "asked": f"{_moment(approval.requested_at)} by {one_line(approval.requested_by)}",
        "waits for": one_line(", ".join(awaited(approval)) or "no one"),
        "until": "" if approval.deadline is None or approval.closed_at else _moment(approval.deadline),
        "level": _level(approval),
        "barred": one_line(", ".join(approval.barred)),
        "policy": "" if approval.policy is None else _said(approval.policy),
        "decided": _closed(approval, _moment),
        "remember": _remembered(approval),
        "commits": one_line(", ".join(f"{name} {commit}" for name, commit in approval.commits.items())),
    }
    yield from (f"{name:<9} {value}".rstrip() for name, value in facts.items() if value)
    yield from (f"{'delegated':<9} {_delegated(*one)}" for one in approval.delegations.items())
    yield from (f"{'answer':<9} {_vote(vote)}" for vote in approval.votes)
    yield from (f"{'link':<9} {_link(one)}" for one in links)
    yield from (f"{'overlap':<9} {_overlap(one)}" for one in overlaps)
    if approval.feedback:
        yield from _field("feedback", approval.feedback)
    yield ""
    yield from question_lines(approval)
    yield from comment_lines(comments)


def _link(link: "LinkInfo") -> str:
    seat = f", for the seat of {one_line(link.seat)}" if link.seat and link.seat != link.reviewer else ""
    match link.status:
        case "used" if link.used_at is not None:
            status = f"used at {_moment(link.used_at)}"
        case "revoked" if link.revoked_at is not None:
            status = f"revoked at {_moment(link.revoked_at)}"
        case _:
            status = str(link.status)
    does = "answers as" if link.seat else "shows it to"
    return f"{link.id} {does} {one_line(link.reviewer)}{seat}, expires at {_moment(link.expires_at)}: {status}"


def _overlap(other: "Overlap") -> str:
    named = other.paths[:_FILES_NAMED]
    more = f" and {other.files - len(named)} more" if other.files > len(named) else ""
    files = ", ".join(map(quoted, named)) + more
    return f"task {other.task_id} ({one_line(other.title)}), which is {other.status}, changes {files}, too"


def comment_lines(comments: "Sequence[PlacedComment]") -> Iterator[str]:
    """Yield the threads: the line that each is about, then who said what. Nothing without comments."""
    threads: dict[str, list[PlacedComment]] = {}
    for one in comments:
        threads.setdefault(one.comment.reply_to or one.comment.id, []).append(one)
    for ident, thread in threads.items():
        first = thread[0]
        yield from ("", f"comment   {ident}")
        yield f"  {place_of(first.comment, first.line)}{' (outdated)' if first.outdated else ''}"
        yield f"  > {one_line(first.comment.anchor.content)}"
        for said in (each.comment for each in thread):
            yield f"  {one_line(said.author)}, {_moment(said.time)}:"
            yield from block(said.text, "    ")


def place_of(comment: Comment, line: int | None = None) -> str:
    """Return the file and the line of a comment: the line as it was, unless another one is given."""
    anchor = comment.anchor
    path = "/".join(filter(None, (anchor.repository, anchor.path)))
    return f"{quoted(path)}:{anchor.line if line is None else line}{' (removed)' if anchor.removed else ''}"


def comment_data(placed: "PlacedComment") -> dict[str, Any]:
    """Return a comment as data, with where its line is now."""
    data: dict[str, Any] = to_builtins(placed.comment)
    return {**data, "approval_id": placed.approval_id, "line": placed.line, "outdated": placed.outdated}


def _said(policy: PolicyDecision) -> str:
    return one_line(f"{policy.verdict}: {policy.reason}" if policy.reason else str(policy.verdict))


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _closed(approval: Approval, text_of: Callable[[datetime], str]) -> str:
    """Return when and by whom it was decided; no one decides what expires or is withdrawn."""
    if approval.closed_at is None:
        return ""
    by = "" if approval.reviewed_by is None else f" by {one_line(actor_name(approval.reviewed_by))}"
    return f"{text_of(approval.closed_at)}{by}"


def _level(approval: Approval) -> str:
    """Return who is asked at which level; nothing where one answer decides."""
    if len(approval.stages) == 1 and approval.quorum == 1:
        return ""
    levels = (f"{level.quorum} of {', '.join(level.reviewers)}" for level in approval.stages)
    text = "; then ".join(levels)
    return one_line(f"{approval.level} of {len(approval.stages)}: {text}" if approval.levels else text)


def _delegated(delegator: str, delegation: Delegation) -> str:
    until = "" if delegation.until is None else f" until {_moment(delegation.until)}"
    reason = f": {delegation.reason}" if delegation.reason else ""
    return one_line(f"by {delegator} to {delegation.delegate}{until}{reason}")


def _vote(vote: Vote) -> str:
    """Return an answer with who gave it, when, from where, by which rule and on which commits."""
    seat = "" if vote.seat == vote.reviewer else f" of {vote.seat}"
    source = " ".join(filter(None, (vote.source.channel, vote.source.host, vote.source.session)))
    seen = f", having seen {', '.join(vote.commits.values())}" if vote.commits else ""
    return one_line(
        f"{vote.decision} by {vote.reviewer} ({vote.entitlement}{seat}), {_moment(vote.time)}, from {source}{seen}"
    )


def outcome_data(outcome: "AnswerOutcome") -> dict[str, Any]:
    """Return what became of one of several answers, as data."""
    if outcome.answered is not None:
        return outcome.answered.as_dict()
    assert outcome.refused is not None, "an answer that was not recorded was refused"
    error = {**to_builtins(outcome.refused), "remedy": as_commands(outcome.refused.remedy)}
    return {"id": outcome.approval, "status": "refused", "error": error}


def outcome_text(outcome: "AnswerOutcome") -> str:
    """Return what became of one of several answers, in one line."""
    if outcome.answered is not None:
        return f"approval {outcome.answered.id} is {outcome.answered.status}"
    assert outcome.refused is not None, "an answer that was not recorded was refused"
    remedy = as_commands(outcome.refused.remedy)
    why = f"{outcome.refused.message}; {remedy}" if remedy else outcome.refused.message
    return one_line(f"approval {outcome.approval} is not answered: {why}")


def _remembered(approval: Approval) -> str:
    if approval.remember is Remember.ONCE:
        return ""
    return one_line(f"{approval.remember} {approval.pattern or ''}".rstrip())


def _field(name: str, text: str) -> Iterator[str]:
    if "\n" in text:
        yield name
        yield from block(text)
    else:
        yield f"{name:<9} {one_line(text)}"


def question_lines(question: Question) -> Iterator[str]:
    """Yield the whole question, indented: what is proposed, or the tool and each of its arguments."""
    if question.proposed_solution:
        yield from block(question.proposed_solution.strip("\n"))
    if question.tool_call is not None:
        yield from call_lines(question.tool_call)


def call_lines(call: ToolCall) -> Iterator[str]:
    """Yield a tool call: the tool, then each argument with its whole value, as JSON unless it is a text.

    A text that reads like JSON is in quotes, so that ``"true"`` and ``true`` differ.
    """
    yield f"  {one_line(call.tool)}"
    for name, value in call.arguments.items():
        text = value if isinstance(value, str) and not _is_json(value) else json.encode(value).decode()
        if "\n" in text:
            yield f"    {one_line(name)}:"
            yield from map(_unpadded, _without_gaps(block(text, "      ")))
        else:
            yield _unpadded(f"    {one_line(name)}: {one_line(text)}")


def _is_json(text: str) -> bool:
    """Whether a text of one line would be taken for another value if it were shown without quotes: ``true``, say."""
    if "\n" in text:
        return False
    try:
        json.decode(text)
    except (DecodeError, RecursionError):
        return False
    return True


def _without_gaps(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines, with the number of empty ones in place of so many that the lines before leave the screen."""
    for empty, group in groupby(lines, key=lambda line: not line.strip()):
        run = list(group)
        yield from [f"      ({len(run)} empty lines)"] if empty and len(run) > _GAP else run


def _unpadded(line: str) -> str:
    return _PADDING.sub(lambda found: rf"\x20{{{len(found[0])}}}", line)


def diff_lines(question: Question, diff: str) -> Iterator[str]:
    """Yield the lines of a diff. Git wrote the diff of a worktree; that of a tool call is the agent's, and indented."""
    if question.tool_call is not None:
        yield from block(diff.rstrip("\n"))
    else:
        yield from (printable(line, keep="\t") for line in diff.rstrip("\n").split("\n"))


def headline(approval: Approval, subject: Subject) -> str:
    """Return the prompt for a decision: what to approve, about which task, and where."""
    call = approval.tool_call
    what = f"allow {cut(one_line(call.tool))} for" if call is not None else "approve"
    title = cut(one_line(subject.title) or approval.id)
    where = ", ".join(map(quoted, subject.folders))
    return f'{what} "{title}"{f" in {where}" if where else ""}?'
