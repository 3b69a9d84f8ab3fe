"""Approvals: questions to humans, and their decisions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Unpack

import attrs
import msgspec
from msgspec.structs import replace

from aura_contracts.actors import actor_name
from aura_contracts.aggregate import Command
from aura_contracts.approval import (
    APPROVAL,
    AnswerSource,
    Approval,
    ApprovalDecision,
    Approve,
    Comment,
    CommentOnLine,
    DelegateApproval,
    LinkPurpose,
    Reject,
    Remember,
    RequestChanges,
)
from aura_contracts.errors import AmbiguousId, AuraError, InvalidInput
from aura_contracts.ids import ApprovalId, TaskId, WorkflowId
from aura_contracts.patches import LineAnchor, line_now, lines_of
from aura_contracts.plain_data import Plain
from aura_contracts.ports.read_models import ApprovalQuery
from aura_contracts.ports.rows import Page
from aura_contracts.quoting import listed
from aura_contracts.workspace import WorkspaceStatus
from aura_engine.answer_refusal import AnswerRefusal, refusal_of
from aura_engine.approval_links.issuer import NewLink
from aura_engine.facade.answers import decide, drive_workflows, record_answer, workflows_of
from aura_engine.facade.arguments import Kept
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.noun import Noun
from aura_engine.facade.options import ApprovalFilters
from aura_engine.facade.overlaps import Overlap, overlaps_of
from aura_engine.host import require_person
from aura_engine.record.lessons import difference

if TYPE_CHECKING:
    from aura_engine.facade.workspaces import Workspaces

_DIFF_LIMIT = 64 * 1024 * 1024
"""Maximum bytes of a diff: a human decides on all of it."""

_CUT_HERE = "\\ The diff is cut here: it is too long to show the rest.\n"
"""The last line of a diff that was cut; a backslash begins remarks in unified diffs."""

Line = Annotated[int, msgspec.Meta(ge=1)]
"""The number of a line, from 1."""


class AnswerOutcome(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """What became of one of several answers: the approval as it is now, or why the answer was refused."""

    approval: str
    """The approval as it was named."""
    answered: Approval | None = None
    refused: AnswerRefusal | None = None


class PlacedComment(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """A comment, and where its line is in the diff that is shown now."""

    approval_id: ApprovalId
    """The question that it was written on."""
    comment: Comment
    line: int
    """Where the line is now; where it was if the comment is outdated."""
    outdated: bool
    """Whether the diff no longer shows the line."""


def _placed(asked: Approval, comment: Comment, shown: Approval, lines: Sequence[LineAnchor]) -> PlacedComment:
    now = line_now(comment.anchor, lines) if lines or asked.id != shown.id else comment.anchor.line
    line = comment.anchor.line if now is None else now
    return PlacedComment(approval_id=asked.id, comment=comment, line=line, outdated=now is None)


def _recorded(line: LineAnchor) -> LineAnchor:
    """Return a line as the log keeps it: without secrets."""
    from aura_contracts.secrets import redact  # noqa: PLC0415 - its patterns take milliseconds

    return replace(line, content=redact({"content": line.content})["content"])


def _line_named(lines: Sequence[LineAnchor], repository: str, path: str, line: int | None) -> LineAnchor:
    """Return the line of a diff with this place. Raises `InvalidInput` if it does not show it, or several."""
    of_file = [one for one in lines if one.path == path and repository in ("", one.repository)]
    if not of_file:
        paths = ", ".join(sorted({one.path for one in lines})) or "none"
        raise InvalidInput(field="path", reason=f"the diff shows no file {path!r}", remedy=f"its files are {paths}")
    found = [one for one in of_file if one.line == line]
    if not found:
        numbers = listed([one.line for one in of_file], 20)
        raise InvalidInput(
            field="line", reason=f"the diff does not show line {line} of it", remedy=f"it shows {numbers}"
        )
    if len({one.repository for one in found}) > 1:
        names = ", ".join(one.repository for one in found)
        raise InvalidInput(field="repository", reason="several have this file", remedy=f"name one of {names}")
    return found[0]


def _comment_named(approval: Approval, text: str) -> str:
    """Return the id of the comment that `text` is, or is part of. Raises `InvalidInput`, `AmbiguousId`."""
    found = [one.id for one in approval.comments if text and (one.id.startswith(text) or one.id.endswith(text))]
    if len(found) > 1:
        raise AmbiguousId(kind="comment", text=text, candidates=tuple(found))
    if not found:
        reason = f"there is no comment {text!r} on approval {approval.id}"
        raise InvalidInput(field="reply_to", reason=reason, remedy="`approvals.comments()` lists them")
    return found[0]


@gated
@attrs.frozen
class Approvals:
    """Questions to humans, by their own id or their task's; a task's id means its open question, or else its latest.

    A decision and its effect on the task are recorded together, or not at all; the engine then carries it out.
    """

    _core: Core
    _workspaces: ClassVar["Noun[Workspaces]"] = Noun()

    async def get(self, approval: str) -> Approval:
        """Return an approval. Raises `AggregateNotFound`, `AmbiguousId`."""
        return await self._core.load(APPROVAL, approval)

    async def list(self, **filters: Unpack[ApprovalFilters]) -> Page[Approval]:
        """Return a page of approvals, newest first; ``pending=True`` selects the open ones.

        With `awaiting`, a page may have fewer than `limit` rows: delegations that have ended are left out of it.
        """
        page = await self._core.reads.list(ApprovalQuery(**filters))
        name = filters.get("awaiting")
        return page if name is None else replace(page, rows=tuple(row for row in page.rows if self._awaits(row, name)))

    def _awaits(self, approval: Approval, name: str) -> bool:
        return name in approval.awaited_at(self._core.bus.clock())

    async def diff(self, approval: str) -> str:
        """Return the changes in question as a unified diff: of a tool call, of instructions, or of worktrees.

        A diff of more than 64 MiB is cut, and its last line says so.
        """
        question = await self.get(approval)
        if question.tool_call is not None:
            return question.tool_call.diff or ""
        if question.edit is not None:
            return difference(question.edit.before, question.edit.after)
        if question.task_id is None:
            return ""
        workspace = (await self._core.view(question.task_id)).workspace
        if workspace is None or workspace.status is WorkspaceStatus.REMOVED:
            return ""
        diff = await self._workspaces.diff(workspace.id, patch_limit=_DIFF_LIMIT)
        return f"{diff.patch}{_CUT_HERE}" if diff.truncated else diff.patch

    async def comment(
        self,
        approval: str,
        text: Kept[str],
        *,
        path: str = "",
        line: Line | None = None,
        repository: str = "",
        removed: bool = False,
        reply_to: str | None = None,
        by: str | None = None,
    ) -> Approval:
        """Comment on a line of the diff in question, or answer a comment: `reply_to` is its id, or the start of it.

        `path` and `line` name a line that the diff shows, of the file after the change, or before it if it was
        `removed`; `repository` is needed if the diff is about several. When the work is sent back, the agent gets the
        comments together with the feedback. Raises `InvalidInput` for a line that the diff does not show.
        """
        approval_id = await self._core.find("approval", approval)
        actor = await self._core.require_member("approval", approval_id, "comment", by)  # before the diff is looked at
        anchor, answered = None, None
        if reply_to is not None:
            answered = _comment_named(await self.get(approval_id), reply_to)
        else:
            shown = [one for one in lines_of(await self.diff(approval_id)) if one.removed is removed]
            anchor = _recorded(_line_named(shown, repository, path, line))
        command = CommentOnLine(comment_id=self._core.bus.ids(), text=text, anchor=anchor, reply_to=answered)
        return await self._core.bus.handle(actor, approval_id, command)

    async def comments(self, approval: str) -> Sequence[PlacedComment]:
        """Return the comments on a question and on earlier ones about the same work, oldest first, and where they are.

        A comment whose line the diff no longer shows is outdated, and kept.
        """
        question = await self.get(approval)
        asked = [question]
        if question.task_id is not None:
            query = ApprovalQuery(task=question.task_id, kind=question.kind, descending=False, limit=1000)
            asked = [one async for one in self._core.reads.rows(query) if one.requested_at <= question.requested_at]
        if not any(one.comments for one in asked):
            return []
        paths = {comment.anchor.path for one in asked for comment in one.comments}
        lines = [_recorded(one) for one in lines_of(await self.diff(question.id)) if one.path in paths]
        return [_placed(one, comment, question, lines) for one in asked for comment in one.comments]

    async def overlaps(self, approval: str) -> Sequence[Overlap]:
        """Return the other unfinished tasks whose recorded changes are of files that this question is about, too.

        Recorded are the changes that were proposed for review, unless they were too many. Empty for other questions.
        Looks at the newest 1,000 tasks that are worked on or reviewed.
        """
        return await overlaps_of(self._core, await self.get(approval))

    async def workflows(self, approval: str) -> Sequence[WorkflowId]:
        """Return the workflows that wait for an answer: that of the step which asks, or whose task does, first.

        After it come those that it is a step of. Empty for other questions.
        """
        return await workflows_of(self._core, await self.get(approval))

    async def approve(
        self,
        approval: str,
        feedback: Kept[str | None] = None,
        *,
        remember: Remember | str = Remember.ONCE,
        pattern: Kept[str | None] = None,
        commits: Mapping[str, str] | None = None,
        source: Kept[AnswerSource | None] = None,
        by: str | None = None,
    ) -> Approval:
        """Approve. With a quorum, the last approval decides; with levels, the approval of one has the next one asked.

        `remember` extends the answer to later tool calls: ``once`` (none), ``session``, ``task``, or ``pattern`` for
        all calls that the rule `pattern` matches.

        `commits` are those that were looked at, by repository (`Approval.commits`): if the question shows others, the
        answer is refused with `QuestionChanged`. `source` is where the answer comes from (default: `Host.source`); the
        vote keeps both. An answer that comes too late raises `AlreadyAnswered`, `QuestionWithdrawn` or
        `QuestionExpired`, one to a question that others were asked `ActorNotAllowed`; all answers do.
        """
        seen = self._seen(commits, source)
        command = Approve(feedback=feedback, remember=Remember(remember), pattern=pattern, **seen)
        return await decide(self._core, approval, command, by)

    async def reject(
        self,
        approval: str,
        feedback: Kept[str],
        *,
        commits: Mapping[str, str] | None = None,
        source: Kept[AnswerSource | None] = None,
        by: str | None = None,
    ) -> Approval:
        """Reject with a reason; the agent revises its work accordingly. See `approve` for the rest."""
        return await decide(self._core, approval, Reject(feedback=feedback, **self._seen(commits, source)), by)

    async def request_changes(
        self,
        approval: str,
        feedback: Kept[str],
        *,
        commits: Mapping[str, str] | None = None,
        source: Kept[AnswerSource | None] = None,
        by: str | None = None,
    ) -> Approval:
        """Ask for changes; the agent revises its work with the feedback. See `approve` for the rest."""
        return await decide(self._core, approval, RequestChanges(feedback=feedback, **self._seen(commits, source)), by)

    async def answer_all(
        self,
        decision: ApprovalDecision | str,
        feedback: Kept[str | None] = None,
        *,
        approvals: Sequence[str] = (),
        kind: str | None = None,
        task: str | None = None,
        source: Kept[AnswerSource | None] = None,
        by: str | None = None,
    ) -> Sequence[AnswerOutcome]:
        """Give one answer to several questions: those named, or else all that wait for the actor, by kind and task.

        Each answer is decided and recorded alone, in the order in which they were asked; one that is refused, or that
        the store could not record, stops none of the others. Their tasks continue once all are recorded. Return an
        outcome for each. Raises `InvalidInput` for a no without feedback.
        """
        self._core.bus.require_writable()
        decided = ApprovalDecision(decision)
        if decided is not ApprovalDecision.APPROVED and not (feedback or "").strip():
            raise InvalidInput(field="feedback", reason="a no needs a reason", remedy="say what should be different")
        names = list(dict.fromkeys(approvals)) or await self._awaiting(by, kind, task)
        recorded = [await self._outcome(name, decided, feedback, source, by) for name in names]
        for task_id in dict.fromkeys(task_id for _, task_id in recorded if task_id is not None):
            await self._core.drive(task_id)
        await drive_workflows(self._core, [one.answered for one, _ in recorded if one.answered is not None])
        return [outcome for outcome, _ in recorded]

    async def _awaiting(self, by: str | None, kind: str | None, task: str | None) -> Sequence[str]:
        """Return the ids of the open questions that wait for an actor, oldest first."""
        task_id = None if task is None else await self._core.find("task", task)
        name = actor_name(self._core.actor(by))
        query = ApprovalQuery(pending=True, awaiting=name, kind=kind, task=task_id, descending=False, limit=1000)
        return [row.id async for row in self._core.reads.rows(query) if self._awaits(row, name)]

    async def _outcome(
        self, name: str, decision: ApprovalDecision, feedback: str | None, source: AnswerSource | None, by: str | None
    ) -> tuple[AnswerOutcome, TaskId | None]:
        """Record one of several answers; return what became of it, and the task that continues, if any."""
        seen = self._seen(None, source)
        command: Command[Approval]
        match decision:
            case ApprovalDecision.APPROVED:
                command = Approve(feedback=feedback, **seen)
            case ApprovalDecision.REJECTED:
                command = Reject(feedback=feedback or "", **seen)
            case ApprovalDecision.NEEDS_CHANGES:
                command = RequestChanges(feedback=feedback or "", **seen)
        try:
            approval_id = await self._core.find("approval", name)
            answered, task_id = await record_answer(self._core, approval_id, command, self._core.actor(by))
        except AuraError as refused:
            if self._core.closed:  # none of the others could be recorded either
                raise
            return AnswerOutcome(approval=name, refused=refusal_of(refused)), None
        return AnswerOutcome(approval=name, answered=answered), task_id

    async def delegate(
        self,
        approval: str,
        to: Kept[str],
        reason: Kept[str] = "",
        *,
        until: datetime | None = None,
        by: str | None = None,
    ) -> Approval:
        """Delegate the decision to another human, by name; until a moment, if given, and then it is yours alone again.

        Refused with `RuleViolated` if it would go in a circle, or give a person a second vote. Raises `InvalidInput`
        unless `to` can be the name of a person.
        """
        require_person(to, "to")
        return await decide(self._core, approval, DelegateApproval(delegate=to, reason=reason, until=until), by)

    async def link(
        self,
        approval: str,
        *,
        purpose: LinkPurpose | str = LinkPurpose.ANSWER,
        address: Kept[str] = "",
        until: datetime | None = None,
        base_url: str | None = None,
        by: str | None = None,
    ) -> NewLink:
        """Issue a link with which the question is answered from anywhere, once, by anyone who has it.

        It answers for the actor, who has to be asked; one with the purpose ``view`` shows the question only. It lives
        for three days, or until `until`, at most 31 days. `address` is where it will be sent, for the record.
        `base_url` is where its page is reached (default: AURA_BASE_URL). See `links` for the rest.
        """
        approval_id = ApprovalId(await self._core.find("approval", approval))
        actor = self._core.actor(by)
        terms: dict[str, Any] = {"purpose": LinkPurpose(purpose), "address": address, "expires_at": until}
        return await self._core.link_issuer(base_url).issue(actor, approval_id, actor_name(actor), **terms)

    def _seen(self, commits: Mapping[str, str] | None, source: AnswerSource | None) -> dict[str, Any]:
        """Return the fields of an answer that say what was looked at, and where the answer comes from."""
        return {"commits": dict(commits or {}), "source": source or self._core.source}
