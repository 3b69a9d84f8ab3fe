"""Prompt: asks the human at the terminal without blocking the event loop.

Only a clear word decides: anything else is asked again, and the end of the input (Ctrl-D) means later. What was typed
before a question was on the screen is discarded, because it was not meant as an answer to it: the human may have typed
it for another program, or for an earlier question. The question is shown first, then the input is flushed, then the
line with the keys is written, so that a program which waits for that line is heard.

A terminal delivers whole lines while it is in canonical mode (termios(3)).
"""

import os
import termios
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress

import anyio
import attrs

from aura_cli.rendering.terminal import Terminal
from aura_contracts.approval import ApprovalDecision, ApprovalKind, Question

_WORDS = {
    "y": "y", "yes": "y",
    "n": "n", "no": "n",
    "d": "d", "diff": "d",
    "e": "e", "feedback": "e",
    "l": "l", "later": "l",
    "?": "?", "h": "?", "help": "?",
}  # fmt: skip
"""What may be typed, in either case, and the key that it stands for."""

KEYS = """\
  y  yes: approve
  n  no: reject; you are asked for the reason
  d  show the diff
  e  ask for changes: write feedback of one or more lines
  l  decide later, with the commands above
  ?  show the question and these keys again
"""

NO_REASON = "rejected without a reason"
"""The feedback of a rejection whose reason was left empty."""

FOREGROUND_CHECK = 0.5
"""Seconds between two looks at whether this process was brought to the foreground."""

PASTE_PAUSE = 0.1
"""Seconds in which the next line of a pasted text arrives."""

TERMINAL_LINE_LIMIT = 4_095
"""Bytes of a line that a terminal of Linux passes on (``N_TTY_BUF_SIZE``); it drops the rest without a word."""

_WITHOUT_WORK = frozenset({ApprovalKind.TOOL_CALL, ApprovalKind.QUESTION})
"""Questions of a running agent, to which feedback is a no with words."""


@attrs.frozen
class HumanDecision:
    """The human's decision. Empty feedback is possible for a yes only."""

    decision: ApprovalDecision
    feedback: str = ""


@attrs.frozen
class DecisionPrompt:
    """A question to show: its lines, the prompt for the keys, and how to get the diff."""

    question: Question
    headline: str
    """The prompt, in one line."""
    lines: Callable[[], Awaitable[Iterable[str]]]
    """Returns the question, whole."""
    diff: Callable[[], Awaitable[Iterable[str]]]
    shown: bool = True
    """Whether the question is on the screen already, among the lines of the run."""


@attrs.frozen
class MoreKeys:
    """Keys besides those that decide."""

    shown: str
    """All keys, as the prompt lists them."""
    words: Mapping[str, str]
    """What may be typed, in lower case, and the key that it stands for; before the words of `ask`."""
    help: str = ""


_NOTHING_ELSE = MoreKeys("y/n/d/e/l/?", {})


async def ask(terminal: Terminal, keyboard: int, prompt: DecisionPrompt) -> HumanDecision | None:
    """Ask for a decision; return None if the human defers it.

    Waits without a thread, so it can be cancelled at any moment.
    """
    said = await ask_or_do(terminal, keyboard, prompt, _NOTHING_ELSE)
    assert not isinstance(said, str), "there are no other keys"
    return said


async def ask_or_do(
    terminal: Terminal, keyboard: int, prompt: DecisionPrompt, more: MoreKeys
) -> HumanDecision | str | None:
    """Ask as `ask` does, and return the key if it is one of the further keys, which decide nothing."""
    await _until_foreground(keyboard)
    if not prompt.shown:
        terminal.show(await prompt.lines())
    choices = len(prompt.question.choices)
    keys = f"[{more.shown}]{f' or 1-{choices}' if choices else ''}"
    while True:
        discard_input(keyboard)
        terminal.say(f"{prompt.headline} {keys}")
        answer = await _line(keyboard)
        if answer is None:
            return None
        answer = answer.strip()
        if (other := more.words.get(answer.lower())) is not None:
            return other
        match _WORDS.get(answer.lower()):
            case "l":
                return None
            case "y":
                return HumanDecision(ApprovalDecision.APPROVED)
            case "n" | "e" as key:
                decided = await (_refusal if key == "n" else _changes)(terminal, keyboard, prompt)
                if decided is not None:
                    return decided
            case None if _is_choice(answer, choices):
                return HumanDecision(ApprovalDecision.APPROVED, answer)
            case key:
                await _help(terminal, prompt, key, more)


async def _help(terminal: Terminal, prompt: DecisionPrompt, key: str | None, more: MoreKeys) -> None:
    """Answer what decides nothing."""
    if key == "d":
        terminal.show(list(await prompt.diff()) or ["  there is no diff"])
    elif key == "?":
        terminal.show([*await prompt.lines(), *KEYS.splitlines(), *more.help.splitlines()])
    else:
        terminal.say("nothing is decided: please answer with one of the keys, ? explains them")


def discard_input(keyboard: int) -> None:
    """Discard what was typed but not read yet."""
    with suppress(termios.error):  # no terminal, or no more
        termios.tcflush(keyboard, termios.TCIFLUSH)


async def _until_foreground(keyboard: int) -> None:
    """Wait until this process is in the foreground of its terminal: using it from the background would stop it."""
    with suppress(OSError):  # not the terminal of this session: nothing stops this process
        while os.tcgetpgrp(keyboard) != os.getpgrp():  # noqa: ASYNC110 - a terminal does not report it
            await anyio.sleep(FOREGROUND_CHECK)


def _is_choice(answer: str, choices: int) -> bool:
    return answer.isascii() and answer.isdecimal() and len(answer) < 4 and 1 <= int(answer) <= choices


async def _refusal(terminal: Terminal, keyboard: int, _: DecisionPrompt) -> HumanDecision | None:
    """Ask for the reason of a no; return None at the end of the input: then nothing is decided."""
    terminal.say("why not? one line for the agent; empty: without a reason; Ctrl-D: do not reject")
    reason = await whole_line(terminal, keyboard)
    return None if reason is None else HumanDecision(ApprovalDecision.REJECTED, reason.strip() or NO_REASON)


async def _changes(terminal: Terminal, keyboard: int, prompt: DecisionPrompt) -> HumanDecision | None:
    """Ask for feedback of several lines; return None if it is empty: then nothing is decided."""
    terminal.say("your feedback for the agent; an empty line ends it, Ctrl-D drops it")
    lines: list[str] = []
    while (line := await whole_line(terminal, keyboard)) is not None:
        if not line.strip() and not await _more_follows(keyboard):
            break
        lines.append(line)
    feedback = "\n".join(lines).strip("\n")
    if line is None or not feedback:
        return None
    rejects = prompt.question.kind in _WITHOUT_WORK
    decision = ApprovalDecision.REJECTED if rejects else ApprovalDecision.NEEDS_CHANGES
    return HumanDecision(decision, feedback)


async def _more_follows(keyboard: int) -> bool:
    """Return whether more input is there at once, after an empty line: the text was pasted, and continues."""
    with anyio.move_on_after(PASTE_PAUSE):
        await anyio.wait_readable(keyboard)
        return True
    return False


async def whole_line(terminal: Terminal, keyboard: int) -> str | None:
    """Return the next line; None at the end of the input, and for a line whose end the terminal dropped."""
    line = await _line(keyboard)
    if line is None or len(line.encode()) < TERMINAL_LINE_LIMIT:
        return line
    terminal.say(f"a terminal drops what a line has beyond {TERMINAL_LINE_LIMIT:,} bytes; write shorter lines")
    return None


async def _line(keyboard: int) -> str | None:
    """Return the next line typed, without its end; None at the end of the input, after a part of a line too."""
    typed = b""
    while not typed.endswith((b"\n", b"\r")):
        await anyio.wait_readable(keyboard)
        try:
            data = os.read(keyboard, 65536)
        except OSError:  # the terminal is gone
            return None
        if not data:
            return None
        typed += data
    return typed.decode("utf-8", "replace").rstrip("\r\n").replace("\0", "")
