"""Prompt: on a real terminal only a clear word decides, and only one that was typed after the question was shown."""

import json
import os
import pty
import select
import signal
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import anyio
import pytest

from aura_cli.rendering.terminal import Terminal
from aura_cli.streaming.narration import Narration
from aura_cli.streaming.prompt import NO_REASON, DecisionPrompt, HumanDecision, ask
from aura_contracts.actors import ENGINE
from aura_contracts.approval import (
    ApprovalDecision,
    ApprovalGranted,
    ApprovalKind,
    ApprovalRequested,
    Question,
    ToolCall,
)
from aura_contracts.events import EventRecord
from command_line import call_aura
from repositories import content, git
from terminal_session import Session, aura_session

APPROVED, REJECTED = ApprovalDecision.APPROVED, ApprovalDecision.REJECTED
NEEDS_CHANGES = ApprovalDecision.NEEDS_CHANGES

CHANGES = Question(kind=ApprovalKind.CHANGES, reviewers=("alice",), proposed_solution="1 file changed")
CALL = Question(kind=ApprovalKind.TOOL_CALL, reviewers=("alice",), tool_call=ToolCall("Bash", "f", {"command": "ls"}))
CHOICE = Question(kind=ApprovalKind.QUESTION, reviewers=("alice",), proposed_solution="Which?", choices=("a", "b"))


MORE = {"write": {"path": "new.txt", "text": "more"}}


class Screen(StringIO):
    """What is written on the terminal. Types the next of `answers` whenever one is asked for."""

    def __init__(self, human: int, answers: list[bytes]) -> None:
        super().__init__()
        self._human, self._answers = human, answers

    def flush(self) -> None:
        last = self.getvalue().rpartition("\n")[0].rpartition("\n")[2]
        if self._answers and ("[y/n/d/e/l/?]" in last or last.startswith(("why not?", "your feedback"))):
            os.write(self._human, self._answers.pop(0))


def asked(question: Question, *answers: bytes, typed_ahead: bytes = b"") -> tuple[HumanDecision | None, str]:
    """Ask on a terminal on which a human answers; return the decision, and what was on the screen."""
    human, keyboard = pty.openpty()
    screen = Screen(human, list(answers))

    async def lines() -> list[str]:
        return ["  THE QUESTION"]

    async def diff() -> list[str]:
        return ["+THE DIFF"]

    async def answer() -> HumanDecision | None:
        with anyio.fail_after(60):
            prompt = DecisionPrompt(question, 'approve "x"?', lines, diff)
            return await ask(Terminal(StringIO(), screen), keyboard, prompt)

    try:
        if typed_ahead:
            os.write(human, typed_ahead)
            select.select([human], [], [], 5)  # the echo: the terminal has it, even without the end of a line
        return anyio.run(answer), screen.getvalue()
    finally:
        os.close(human)
        os.close(keyboard)


@pytest.mark.parametrize(
    ("answers", "decision"),
    [
        ((b"y\n",), HumanDecision(APPROVED)),
        ((b" YES \n",), HumanDecision(APPROVED)),
        ((b"n\n", b"not like this\n"), HumanDecision(REJECTED, "not like this")),
        ((b"no\n", b"\n"), HumanDecision(REJECTED, NO_REASON)),
        ((b"e\n", b"first\nsecond\n\n"), HumanDecision(NEEDS_CHANGES, "first\nsecond")),
        ((b"e\n", b"pasted\n\nin parts\n\n"), HumanDecision(NEEDS_CHANGES, "pasted\n\nin parts")),
        ((b"l\n",), None),
        ((b"\x04",), None),
        ((b"d\n", b"?\n", b"y\n"), HumanDecision(APPROVED)),
        ((b"n\n", b"\x04", b"y\n"), HumanDecision(APPROVED)),
        ((b"e\n", b"\n", b"l\n"), None),
        ((b"e\n", b"half\n\x04", b"y\n"), HumanDecision(APPROVED)),
    ],
)
def test_a_clear_word_decides(answers, decision):
    assert asked(CHANGES, *answers)[0] == decision


@pytest.mark.parametrize(
    "unclear",
    [
        *(b"\n", b"   \n", b"help me\n", b"yn\n", b"yes please\n", b"ok\n", b"nope\n", b"n because\n", b"1\n", b"q\n"),
        *(b"\xff\xfe\n", b"\x1b[A\n", "\u0443\n".encode(), "\uff59\n".encode(), b"y?\n", b"x" * 3000 + b"\n"),
    ],
)
def test_anything_else_is_asked_again(unclear):
    decision, screen = asked(CHANGES, unclear, b"l\n")
    assert decision is None
    assert "nothing is decided" in screen
    assert screen.count("[y/n/d/e/l/?]") == 2


@pytest.mark.parametrize("typed", [b"y\n", b"yes\n", b"n\nno good\n", b"y", b"y\ny\ny\n"])
def test_what_was_typed_before_the_question_is_no_answer(typed):
    assert asked(CHANGES, b"l\n", typed_ahead=typed)[0] is None


def test_a_second_line_typed_with_an_unclear_one_is_no_answer():
    decision, screen = asked(CHANGES, b"what?\ny\n", b"l\n")
    assert decision is None
    assert screen.count("[y/n/d/e/l/?]") == 2


def test_the_diff_and_the_question_are_shown_when_asked_for():
    _, screen = asked(CHANGES, b"d\n", b"?\n", b"l\n")
    assert screen.index("+THE DIFF") < screen.index("  THE QUESTION") < screen.index("y  yes: approve")


def test_feedback_to_a_running_agent_is_a_no_with_words():
    assert asked(CALL, b"e\n", b"use make\n\n")[0] == HumanDecision(REJECTED, "use make")


@pytest.mark.parametrize("key", [b"e\n", b"n\n"])
def test_feedback_of_which_the_terminal_dropped_a_part_is_not_taken(key):
    decision, screen = asked(CHANGES, key, b"x" * 6000 + b"\n\n", b"l\n")
    assert decision is None
    assert "4,095 bytes" in screen


def test_a_choice_is_a_clear_word_where_there_are_choices():
    assert asked(CHOICE, b"3\n", b"0\n", b"2\n")[0] == HumanDecision(APPROVED, "2")


# --- The whole command ------------------------------------------------------------------------------------------------


def session(place: Path, *words: str, out: Path | None = None) -> AbstractContextManager[Session]:
    return aura_session(place, "run", *words, out=out)


def custom(script: str, *more: str) -> tuple[str, ...]:
    words = ("--executor", "custom", "--prompt", "Say more", "--base-command", "sh", "--param", "-c")
    return (*words, "--param", script, "--wait", *more)


@pytest.mark.deep
def test_typed_ahead_and_unclear_words_leave_the_question_open(place, tmp_path):
    gate = tmp_path / "gate"
    script = f"echo ready; while ! test -e {gate}; do sleep 0.05; done; echo more > new.txt"
    with session(place, *custom(script)) as terminal:
        terminal.until("[stdout] ready")
        terminal.type("y\n")
        terminal.until("y\r\n")
        gate.touch()
        terminal.until("[y/n/d/e/l/?]")
        terminal.type("sure, why not\n")
        terminal.until("nothing is decided")
        terminal.until("[y/n/d/e/l/?]", terminal.seen.index("nothing is decided"))
        (approval,) = call_aura("approval", "list", "--json").objects
        assert approval["status"] == "pending"
        assert "new.txt" not in git(place, "ls-tree", "--name-only", "main")
        assert f'approve "Say more" in {place}?' in terminal.seen
        terminal.type("y\n")
        assert terminal.ends() == 0
    assert content(place, "main", "new.txt") == "more"


@pytest.mark.deep
def test_a_question_is_shown_whole_where_the_human_is_though_the_output_goes_to_a_file(place, tmp_path):
    with session(place, *custom("echo more > new.txt"), out=tmp_path / "log") as terminal:
        terminal.until("[y/n/d/e/l/?]")
        for line in ("title     Say more", f"repository {place}", "  A  new.txt  +1 -0"):
            assert line in terminal.seen
        terminal.type("d\n")
        terminal.until("+more")
        terminal.until("[y/n/d/e/l/?]", terminal.seen.index("+more"))
        terminal.type("\x04")
        terminal.until("later: aura approval show")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.ends() == 130
        assert "the question stays open: aura approval show" in terminal.seen
    assert [one["status"] for one in call_aura("approval", "list", "--json").objects] == ["pending"]


@pytest.mark.deep
def test_an_agent_that_waits_for_an_answer_is_asked_about_at_once_and_one_decided_by_rule_is_not(place):
    steps = [
        {"ask": {"tool": "Bash", "arguments": {"command": "ls"}}},
        {"ask": {"tool": "Edit", "arguments": {"path": "new.txt"}, "diff": "+more", "then": [MORE]}},
    ]
    words = ("--executor", "scripted", "--prompt", "Say more", "--approval", "auto", "--allow", "Bash(ls)")
    with session(place, *words, "--option", f"steps={json.dumps(steps)}") as terminal:
        terminal.until("[y/n/d/e/l/?]")
        assert "allow Bash" not in terminal.seen
        assert f'allow Edit for "Say more" in {place}?' in terminal.seen
        terminal.type("?\n")
        terminal.until("    path: new.txt")
        terminal.until("[y/n/d/e/l/?]", terminal.seen.index("    path: new.txt"))
        terminal.type("y\n")
        assert terminal.ends() == 0
    assert content(place, "main", "new.txt") == "more"


@pytest.mark.deep
def test_a_question_that_is_decided_elsewhere_is_withdrawn_and_the_next_is_asked(place):
    steps = [
        {"ask": {"tool": "First", "arguments": {}}},
        {"ask": {"tool": "Second", "arguments": {}, "then": [MORE]}},
    ]
    words = ("--executor", "scripted", "--prompt", "Say more", "--approval", "auto")
    with session(place, *words, "--option", f"steps={json.dumps(steps)}") as terminal:
        terminal.until("[y/n/d/e/l/?]")
        assert call_aura("approval", "approve", "--no-wait").code == 0
        terminal.until("allow Second")
        terminal.until("[y/n/d/e/l/?]", terminal.seen.index("allow Second"))
        terminal.type("n\n")
        terminal.until("why not?")
        terminal.type("\n")
        assert terminal.ends() != 0
    reasons = [one["feedback"] for one in call_aura("approval", "list", "--all", "--json").objects]
    assert reasons == [None, NO_REASON]


def test_several_open_questions_are_all_kept():
    narration = Narration()
    for number, question in enumerate((CALL, CALL, CHANGES), 1):
        event = ApprovalRequested(approval_id=str(number), requested_by=ENGINE, question=question)
        narration.narrate(EventRecord(number, str(number), 1, event, datetime.now(UTC), ENGINE, "", ""))
    assert narration.questions == {"1": True, "2": True, "3": False}
    granted = EventRecord(4, "1", 2, ApprovalGranted(), datetime.now(UTC), ENGINE, "", "")
    narration.narrate(granted)
    assert narration.questions == {"2": True, "3": False}
    assert next(line.split()[:2] for line in narration.release()) == ["approval", "2"]
