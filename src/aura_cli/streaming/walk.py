"""Walk: asks a human about everything that waits for them, one question after another.

Every answer names the commits that were shown, so that it never counts for others. A question that was decided
elsewhere meanwhile, or has changed, is reported, and the walk continues.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from shutil import get_terminal_size

import attrs

from aura_cli._call import all_rows
from aura_cli._followed_tasks import continue_all
from aura_cli._subjects import here, subjects_of_approvals
from aura_cli.rendering.approval_page import diff_lines, headline, page_lines
from aura_cli.rendering.errors import report
from aura_cli.rendering.formatting import counted
from aura_cli.rendering.subject import Subject
from aura_cli.rendering.terminal import Terminal
from aura_cli.streaming.prompt import DecisionPrompt, HumanDecision, MoreKeys, ask_or_do, discard_input, whole_line
from aura_contracts.approval import Approval, ApprovalDecision, ApprovalKind, ApprovalStatus
from aura_contracts.errors import AuraError
from aura_contracts.quoting import one_line
from aura_engine import Engine

KEYS = MoreKeys(
    "y/n/d/c/e/l/next/q/?",
    {
        "d": "d", "diff": "d",
        "c": "c", "comment": "c",
        "next": "next", ">": "next",
        "q": "q", "quit": "q",
    },
    """\
  c  comment on a line of the diff; the agent gets it with your feedback
  next  show the next question, and this one again at the end
  q  end the review
""",
)  # fmt: skip

_MARGIN = 3
"""Lines of the screen that a page leaves free: the prompt, and what was asked."""


@attrs.define
class Walk:
    """One review. `here_only` leaves out other repositories; `waits` carries out what was decided."""

    _engine: Engine
    _terminal: Terminal
    _keyboard: int
    here_only: bool = attrs.field(kw_only=True)
    waits: bool = attrs.field(kw_only=True)
    _seen: set[str] = attrs.field(init=False, factory=set)
    _decided: list[Approval] = attrs.field(init=False, factory=list)

    async def run(self) -> None:
        """Ask until nothing new waits, or the human has enough."""
        while questions := await self._waiting():
            self._seen.update(one.id for one, _ in questions)
            if not await self._ask_all(deque(questions)):
                break
            await self._carry_out()
        if not self._seen:
            self._terminal.say("nothing waits for you")
        await self._carry_out()

    async def _waiting(self) -> Sequence[tuple[Approval, Subject]]:
        """Return the questions that wait for the user and were not shown yet: those of this repository first."""
        rows = await all_rows(self._engine.approvals.list, pending=True, awaiting=self._engine.user)
        found = [one for one in rows if one.id not in self._seen]
        subjects = await subjects_of_approvals(self._engine, found)
        place = here()
        pairs = [(one, subjects[one.id]) for one in found]
        mine = [pair for pair in pairs if pair[1].holds(place)]
        return mine if self.here_only else [*mine, *(pair for pair in pairs if pair not in mine)]

    async def _carry_out(self) -> None:
        decided, self._decided = self._decided, []
        if decided and self.waits:
            self._terminal.say(f"{counted(len(decided), 'answer')} recorded; carrying them out, Ctrl-C stops waiting")
            await continue_all(self._terminal, self._engine, decided)

    async def _ask_all(self, questions: deque[tuple[Approval, Subject]]) -> bool:
        """Ask about each; return False once the human ends the review."""
        while questions:
            approval, subject = questions.popleft()
            self._terminal.say(f"{counted(len(questions) + 1, 'question')} left")
            try:
                key = await self._ask(approval.id, subject)
            except AuraError as error:
                report(error, json=False)
                continue
            if key == "q":
                return False
            if key == "next":
                questions.append((approval, subject))
        return True

    async def _ask(self, approval_id: str, subject: Subject) -> str:
        """Show a question and ask until it is decided or left; return the key that ended it, "" for a decision."""
        approval = await self._engine.approvals.get(approval_id)
        if approval.status is not ApprovalStatus.PENDING:
            self._terminal.say(f"approval {approval.id} is {approval.status} by now")
            return ""
        prompt = self._prompt(approval, subject)
        await self._page(await prompt.lines())
        if approval.kind is ApprovalKind.CHANGES:
            await self._page(self._colored(await prompt.diff()))
        while True:
            said = await ask_or_do(self._terminal, self._keyboard, prompt, KEYS)
            match said:
                case None:
                    self._terminal.say(f"later: aura approval show {approval.id}")
                    return "l"
                case "d":
                    await self._page(self._colored(await prompt.diff()) or ["  there is no diff"])
                case "c":
                    await self._comment(approval)
                case str():
                    return said
                case HumanDecision():
                    await self._decide(approval, said)
                    return ""

    def _prompt(self, approval: Approval, subject: Subject) -> DecisionPrompt:
        async def lines() -> Iterable[str]:
            approvals = self._engine.approvals
            comments, overlaps = await approvals.comments(approval.id), await approvals.overlaps(approval.id)
            return page_lines(approval, subject, comments, overlaps)

        async def diff() -> Iterable[str]:
            try:
                text = await self._engine.approvals.diff(approval.id)
            except AuraError as error:  # the worktree may be gone; the question stays
                return (f"  no diff: {one_line(error.message())}",)
            return diff_lines(approval, text) if text else ()

        return DecisionPrompt(approval, headline(approval, subject), lines, diff)

    async def _decide(self, approval: Approval, said: HumanDecision) -> None:
        approvals, commits = self._engine.approvals, approval.commits
        match said.decision:
            case ApprovalDecision.APPROVED:
                answered = await approvals.approve(approval.id, said.feedback or None, commits=commits)
            case ApprovalDecision.REJECTED:
                answered = await approvals.reject(approval.id, said.feedback, commits=commits)
            case ApprovalDecision.NEEDS_CHANGES:
                answered = await approvals.request_changes(approval.id, said.feedback, commits=commits)
        self._terminal.say(f"approval {answered.id} is {answered.status}")
        self._decided.append(answered)

    async def _comment(self, approval: Approval) -> None:
        """Ask for a line and a comment on it; what is not understood is said, and nothing recorded."""
        self._terminal.say("FILE:LINE and your comment, in one line; empty: none")
        typed = await whole_line(self._terminal, self._keyboard)
        if typed is None or not typed.strip():
            return
        place, _, text = typed.strip().partition(" ")
        path, _, line = place.rpartition(":")
        if not (path and line.isascii() and line.isdecimal() and len(line) < 10 and text.strip()):
            self._terminal.say("no comment: write it like src/app.py:7 Why twice?")
            return
        try:
            await self._engine.approvals.comment(approval.id, text.strip(), path=path, line=int(line))
        except AuraError as error:
            report(error, json=False)
        else:
            self._terminal.say(f"commented on {place}; the agent gets it with your feedback")

    # --- The screen ---------------------------------------------------------------------------------------------------

    async def _page(self, lines: Iterable[str]) -> None:
        """Show lines, a screen at a time."""
        left, size = list(lines), max(get_terminal_size().lines - _MARGIN, 1)
        while True:
            self._terminal.show(left[:size])
            left = left[size:]
            if not left:
                return
            discard_input(self._keyboard)
            self._terminal.say(f"{counted(len(left), 'line')} more: Enter shows them, q skips them")
            typed = await whole_line(self._terminal, self._keyboard)
            if typed is None or typed.strip().lower() == "q":
                return

    def _colored(self, lines: Iterable[str]) -> list[str]:
        return [*(_in_color(line) for line in lines)] if self._terminal.color_err else list(lines)


_COLORS = (("+++", "1"), ("---", "1"), ("diff ", "1"), ("@@", "36"), ("+", "32"), ("-", "31"))
"""How a line of a diff begins, and its colour."""


def _in_color(line: str) -> str:
    start = line.lstrip(" ") if line.startswith("  ") else line
    code = next((code for sign, code in _COLORS if start.startswith(sign)), None)
    return line if code is None else f"\033[{code}m{line}\033[0m"
