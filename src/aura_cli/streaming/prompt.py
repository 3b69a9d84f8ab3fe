"""Prompt: asks the human at the terminal without blocking the event loop."""

import os
from typing import NamedTuple

import anyio

from aura_cli.rendering.terminal import Terminal


class HumanDecision(NamedTuple):
    """The human's decision: yes, or no with feedback."""

    granted: bool
    feedback: str


async def ask(terminal: Terminal, keyboard: int) -> HumanDecision | None:
    """Ask for approval; return None if the human defers the decision.

    Waits without a thread, so it can be cancelled at any moment.
    """
    terminal.say("approve? y, n, or what to change instead; an empty line to decide later")
    answer = await _line(keyboard)
    match answer.lower():
        case "":
            return None
        case "y" | "yes":
            return HumanDecision(granted=True, feedback="")
        case "n" | "no":
            terminal.say("why not? your answer is sent to the agent")
            feedback = await _line(keyboard)
            return HumanDecision(granted=False, feedback=feedback) if feedback else None
        case _:
            return HumanDecision(granted=False, feedback=answer)


async def _line(keyboard: int) -> str:
    """Return the next line typed; a terminal delivers whole lines."""
    await anyio.wait_readable(keyboard)
    return os.read(keyboard, 65536).decode("utf-8", "replace").strip()
