"""Approval page: a question to a human, whole, and what is known about it. Pure.

A human decides on what is shown, so a page cuts nothing; lists do, and mark it. Fields are at the start of a line, and
whatever an agent chose is quoted or indented below them, so that it cannot pass for a field.
"""

import os.path
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import PurePath
from typing import Any

import attrs
from msgspec import json

from aura_cli.rendering.formatting import minute_text, short
from aura_contracts.actors import actor_name
from aura_contracts.approval import Approval, Question, Remember, ToolCall
from aura_contracts.quoting import block, cut, one_line, printable, quoted
from aura_contracts.task import Task
from aura_contracts.workspace import Workspace

ABOUT_LIMIT = 80
"""Maximum characters of a question in a list."""

TITLES = ("id", "status", "kind", "repository", "title", "asked (UTC)", "waits for")
"""The first columns of a list; `list_titles` adds the others."""


@attrs.frozen
class Subject:
    """The task that an approval is about, and where its agent works."""

    title: str = ""
    folders: tuple[str, ...] = ()
    """The repositories, or the folder of a task that works in place."""
    worktrees: tuple[str, ...] = ()

    @classmethod
    def of(cls, task: Task | None, workspace: Workspace | None) -> "Subject":
        """Return the subject of a task; either may be missing."""
        title = "" if task is None else task.title
        if workspace is None:
            return cls(title)
        folders = tuple(one.path for one in workspace.repositories) or ((workspace.root,) if workspace.root else ())
        return cls(title, folders, tuple(tree.path for tree in workspace.worktrees))

    @property
    def data(self) -> dict[str, Any]:
        """The subject for programs."""
        return {"title": self.title, "repositories": self.folders}

    def holds(self, folder: str) -> bool:
        """Whether a folder, given as its real path, is in one of the repositories or worktrees."""
        return any(_is_within(folder, os.path.realpath(each)) for each in (*self.folders, *self.worktrees) if each)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


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
        "repository": ", ".join(PurePath(path).name or path for path in subject.folders),
        "title": short(subject.title),
        "asked (UTC)": minute_text(approval.requested_at),
        "waits for": ", ".join(awaited(approval)),
        "decided (UTC)": _closed(approval, minute_text),
        "about": cut(_about(approval), ABOUT_LIMIT),
    }
    return tuple(cells[title] for title in titles)


def awaited(approval: Approval) -> tuple[str, ...]:
    """Return the names of those whose answer still counts; none once the approval is decided."""
    return approval.awaited if approval.closed_at is None else ()


def _about(approval: Approval) -> str:
    call = approval.tool_call
    if call is not None:
        return one_line(f"{call.tool} {json.encode(call.arguments).decode()}")
    first, _, rest = approval.proposed_solution.strip().partition("\n")
    return f"{one_line(first)} …" if rest.strip() else one_line(first)


# --- Pages ------------------------------------------------------------------------------------------------------------


def page_lines(approval: Approval, subject: Subject) -> Iterator[str]:
    """Yield the lines of a page: the facts, then the whole question."""
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
        "answers": one_line(", ".join(f"{vote.reviewer} {vote.decision}" for vote in approval.votes)),
        "decided": _closed(approval, _moment),
        "remember": _remembered(approval),
        "commits": one_line(", ".join(f"{name} {commit}" for name, commit in approval.commits.items())),
    }
    yield from (f"{name:<9} {value}".rstrip() for name, value in facts.items() if value)
    if approval.feedback:
        yield from _field("feedback", approval.feedback)
    yield ""
    yield from question_lines(approval)


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _closed(approval: Approval, text_of: Callable[[datetime], str]) -> str:
    """Return when and by whom it was decided; no one decides what expires or is withdrawn."""
    if approval.closed_at is None:
        return ""
    by = "" if approval.reviewed_by is None else f" by {one_line(actor_name(approval.reviewed_by))}"
    return f"{text_of(approval.closed_at)}{by}"


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
    """Yield a tool call: the tool, then each argument with its whole value."""
    yield f"  {one_line(call.tool)}"
    for name, value in call.arguments.items():
        text = value if isinstance(value, str) else json.encode(value).decode()
        if "\n" in text:
            yield f"    {one_line(name)}:"
            yield from block(text, "      ")
        else:
            yield f"    {one_line(name)}: {one_line(text)}"


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
