"""Narration: the events of a task as lines for people. Pure: records of the log in, lines out.

It covers the events that people wait for; ``aura events --task ID`` lists everything. ``process exited with N`` is
always about the agent's process; scripts are named ``setup`` and ``cleanup``.
"""

from collections.abc import Iterator

import msgspec

from aura_contracts import approval, execution, lock_table, task, workspace
from aura_contracts.actors import actor_name
from aura_contracts.approval import ApprovalKind
from aura_contracts.events import Event, EventRecord
from aura_contracts.execution import ExecutionStatus, ProcessToken
from aura_contracts.quoting import block, listed, one_line, quoted

STAGES = {ExecutionStatus.SETUP: "setup", ExecutionStatus.CLEANUP: "cleanup"}
"""Names of scripts by stage."""

DIFF_LINES = 40
"""Maximum lines of a diff to show when an agent asks."""

_OWN_WORDS = frozenset({ApprovalKind.CHANGES, ApprovalKind.MERGE_CONFLICT, ApprovalKind.LOCK_CONFLICT})
"""Questions in words of AURA's own; others are the agent's, and indented."""


def _script_of(token: ProcessToken) -> str:
    return STAGES.get(token.stage, "process")


class Narration:
    """Describes the records of a task, which it must receive in order. `hint` is the suffix of suggested commands.

    Every text that it returns is one line, so whatever an agent chose cannot begin a line that looks like AURA's own.
    """

    def __init__(self, hint: str = "") -> None:
        self._hint = hint
        self._executor = "the agent"
        self._branch = ""
        self._in_place = False
        self._paths: tuple[str, ...] = ()
        self._targets: dict[str, str] = {}
        self.exit: tuple[int | None, int | None] | None = None
        """Exit code and signal of the agent's last process."""
        self.questions: dict[str, bool] = {}
        """The ids of the pending approvals, oldest first; whether a running agent waits for the answer."""
        self._agent_runs = False
        self._waits_for_locks = False
        self._held: dict[str, tuple[str, ...]] = {}
        """The commands that answer an agent's questions, by question, held back until the next record, because a rule's
        answer is recorded together with the question."""

    def narrate(self, record: EventRecord) -> list[str]:
        """Process a record; return its lines."""
        lines = [one_line(line) for line in self._lines(record)]
        return lines if record.event.topic.startswith("approval.") else [*self.release(), *lines]

    def release(self) -> list[str]:
        """Return the lines held back for the next record."""
        held, self._held = self._held, {}
        return [one_line(line) for question, lines in held.items() if question in self.questions for line in lines]

    def where(self) -> Iterator[str]:
        """Yield the branch and folders of the task."""
        if self._branch and self._paths and not self._in_place:
            yield f"branch {self._branch}"
        yield from (f"{'folder' if self._in_place else 'worktree'} {quoted(path)}" for path in self._paths)

    def _lines(self, record: EventRecord) -> Iterator[str]:
        match record.event.topic.partition(".")[0]:
            case "task":
                return self._of_task(record)
            case "workspace":
                return self._of_workspace(record)
            case "execution":
                return self._of_execution(record)
            case "approval":
                return self._of_approval(record)
            case "lock_table":
                return self._of_locks(record)
            case _:
                return iter(())

    def _of_task(self, record: EventRecord) -> Iterator[str]:
        event = record.event
        match event:
            case task.TaskCreated():
                yield f"task {event.task_id}: {event.spec.title}"
            case task.TaskQueued() if event.request is not None:
                yield f"waits for {_wanted(event.request)}"
            case task.TaskAssigned() if event.selection is not None:
                yield f"agent {event.agent_id} has it: {event.selection.reason}"
            case task.AttemptFailed():
                yield f"{event.failure.message or event.failure.reason}; {_again(event, record)}"
            case task.TaskCancelled():
                yield f"cancelled{f': {event.reason}' if event.reason else ''}"
                yield from self.where()
            case task.TaskFailed():
                yield from self.where()
            case task.TaskCompleted():
                yield from self._completed(event)
            case _:
                return

    def _completed(self, event: task.TaskCompleted) -> Iterator[str]:
        changed = event.result.get("changed_files", 0)
        if self._in_place and changed:
            yield f"{changed} file{'s' * (changed != 1)} changed"
            yield from self.where()

    def _of_locks(self, record: EventRecord) -> Iterator[str]:
        event = record.event
        match event:
            case lock_table.LocksRequested() if event.ahead:
                self._waits_for_locks = True
                more = f" and {event.ahead - 1} more" if event.ahead > 1 else ""
                yield f"waits in line behind task {event.last_ahead}{more}: it needs {event.locks} for itself"
            case lock_table.LocksTaken() if self._waits_for_locks:
                self._waits_for_locks = False
                yield "has its locks now" if event.allowed_by is None else "begins without its locks being free"
            case _:
                return

    def _of_workspace(self, record: EventRecord) -> Iterator[str]:
        event = record.event
        match event:
            case workspace.WorkspaceRequested():
                layout = event.layout
                self._branch, self._in_place = layout.branch, layout.in_place
                self._targets = {
                    repository.name: repository.path if repository.plain else repository.target_branch
                    for repository in layout.repositories
                }
                self._paths = (layout.root,) if layout.in_place else ()
            case workspace.WorkspacePrepared():
                if not self._in_place:
                    self._paths = tuple(tree.path for tree in event.worktrees)
                    yield from (f"worktree {quoted(path)} on branch {self._branch}" for path in self._paths)
                empty = "is empty: the repository has no copy of its commit (git submodule update --init)"
                yield from (f"submodule {quoted(path)} {empty}" for path in event.empty_submodules)
            case workspace.SnapshotTaken():
                yield f"safety copy: {event.ref}"
                yield from (f"  without {one}" for one in event.left_out)
            case workspace.WorkspaceKept():
                yield f"not removed: {event.reason}"
                yield from self.where()
            case workspace.WorkMerged():
                for commit in event.commits:
                    yield f"merged into {self._targets.get(commit.repository, '?')}: {commit.commit}"
            case _:
                return

    def _of_execution(self, record: EventRecord) -> Iterator[str]:
        event = record.event
        match event:
            case execution.ExecutionQueued():
                self._executor = event.spec.executor
            case execution.ProcessStarted():
                self._agent_runs = event.token.coding
                name = self._executor if event.token.coding else _script_of(event.token)
                yield f"{name} started (process {event.process.identity.pid})"
            case execution.ProcessExited():
                self._agent_runs = False
                yield self._exited(event.exit)
            case execution.StageRetryScheduled():
                yield f"{event.failure.message or event.failure.reason}; {_again(event, record)}"
            case execution.SessionRecorded():
                yield f"session {event.session_id}"
            case execution.CodingChangedNothing() if event.empty_folders:
                empty = listed([quoted(folder) for folder in event.empty_folders], 5)
                yield f"nothing changed: git keeps no folder without a file, such as {empty}"
            case execution.ProgressReported():
                yield _progress(event)
            case _:
                yield from _told(event)

    def _exited(self, ended: execution.Exit) -> str:
        token = ProcessToken.parse(ended.token)
        name = _script_of(token)
        if token.coding:
            self.exit = (ended.exit_code, ended.signal)
        if ended.exit_code is not None:
            return f"{name} exited with {ended.exit_code}"
        return f"{name} vanished" if ended.signal is None else f"{name} ended by signal {ended.signal}"

    def _of_approval(self, record: EventRecord) -> Iterator[str]:
        event = record.event
        match event:
            case approval.ApprovalRequested():
                asks = event.question.kind in (ApprovalKind.TOOL_CALL, ApprovalKind.QUESTION)
                self.questions[event.approval_id] = asks or self._agent_runs
                yield from self._asked(event)
            case approval.ApprovalGranted():
                yield f"approved by {actor_name(record.actor)}{f': {event.feedback}' if event.feedback else ''}"
            case approval.ApprovalRejected():
                yield f"rejected by {actor_name(record.actor)}: {event.feedback}"
            case approval.ApprovalChangesRequested():
                yield f"{actor_name(record.actor)} requests changes: {event.feedback}"
            case approval.ApprovalExpired():
                yield "the approval expired"
            case _:
                pass
        if isinstance(event, approval.APPROVAL.endings):
            self.questions.pop(record.stream_id, None)

    def _asked(self, event: approval.ApprovalRequested) -> Iterator[str]:
        question = event.question
        call = question.tool_call
        if call is not None:
            yield f"the agent asks to use {call.tool}: {msgspec.json.encode(call.arguments).decode()}"
            yield from _beginning(call.diff or "")
        elif question.proposed_solution:
            yield from block(question.proposed_solution, "" if question.kind in _OWN_WORDS else "  ")
        if question.kind in (ApprovalKind.CHANGES, ApprovalKind.MERGE_CONFLICT):
            yield from self.where()
        how = (
            f"approval {event.approval_id} waits for {' or '.join(question.reviewers) or 'a human'}:",
            f"  aura approval approve {event.approval_id}{self._hint}",
            f"  aura approval reject {event.approval_id} --feedback TEXT{self._hint}",
        )
        if call is None:
            yield from how
        else:
            self._held[event.approval_id] = how


def _beginning(diff: str) -> Iterator[str]:
    """Yield the first lines of the diff of a tool call."""
    lines = list(block(diff.removesuffix("\n"))) if diff else []
    yield from lines[:DIFF_LINES]
    if len(lines) > DIFF_LINES:
        yield f"  ... and {len(lines) - DIFF_LINES} more lines: aura approval show --diff"


def _told(event: Event) -> Iterator[str]:
    """Yield what a human tells an agent, as text."""
    match event:
        case execution.MessageQueued():
            yield f"{event.message.author} wrote to the agent: {event.message.text}"
        case execution.HumanMessageTaken() if not event.entry.answered:
            yield "the agent has the message"
        case execution.FollowUpRequested():
            yield f"resuming with feedback: {event.feedback}"
        case _:
            return


def _progress(report: execution.ProgressReported) -> str:
    """Return an agent's progress report as text."""
    percent = None if report.percent is None else f"{report.percent:.0f}%"
    where = ", ".join(part for part in (report.step, percent) if part)
    return f"progress{f' ({where})' if where else ''}: {report.message}"


def _wanted(request: task.PoolRequest) -> str:
    """Return the agents that a task may be given to, in words."""
    of_type = "an agent" if request.agent_type is None else f"an agent of type {request.agent_type}"
    return f"{of_type} that can do {', '.join(request.capabilities)}" if request.capabilities else of_type


def _again(event: task.AttemptFailed | execution.StageRetryScheduled, record: EventRecord) -> str:
    seconds = max((event.retry_at - record.time).total_seconds(), 0.0)
    return f"attempt {event.attempt + 1} in {seconds:.1f} s"
