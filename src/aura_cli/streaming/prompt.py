"""Prompt: a question to the human at the terminal, which blocks nothing else."""

import os
from typing import NamedTuple

import anyio

from aura_cli.rendering.terminal import Terminal


class Decision(NamedTuple):
    """What the human decided: yes, or no with feedback."""

    granted: bool
    feedback: str


async def ask(terminal: Terminal, keyboard: int) -> Decision | None:
    """Ask for approval; return None if the human does not want to decide now.

    Waits without a thread that could be left behind, so it may be cancelled at any moment.
    """
    terminal.say("approve? y, n, or what to change instead; an empty line to decide later")
    answer = await _line(keyboard)
    match answer.lower():
        case "":
            return None
        case "y" | "yes":
            return Decision(granted=True, feedback="")
        case "n" | "no":
            terminal.say("why not? your answer is sent to the agent")
            feedback = await _line(keyboard)
            return Decision(granted=False, feedback=feedback) if feedback else None
        case _:
            return Decision(granted=False, feedback=answer)


async def _line(keyboard: int) -> str:
    """Return the next line that is typed: a terminal hands out whole lines."""
    await anyio.wait_readable(keyboard)
    return os.read(keyboard, 65536).decode("utf-8", "replace").strip()
