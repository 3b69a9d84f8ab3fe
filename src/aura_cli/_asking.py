"""Asking: a question to the human at the terminal, while everything else goes on."""

import os
from typing import NamedTuple

import anyio

from aura_cli._terminal import Terminal


class Said(NamedTuple):
    """What the human said: yes, or no with feedback."""

    granted: bool
    feedback: str


async def ask(terminal: Terminal, keyboard: int) -> Said | None:
    """Ask whether something is approved; None when the human does not want to decide now.

    Waits without a thread that could be left behind, so it may be cancelled at any moment.
    """
    terminal.say("approve? y, n, or what should be different; an empty line to decide later")
    answer = await _line(keyboard)
    match answer.lower():
        case "":
            return None
        case "y" | "yes":
            return Said(granted=True, feedback="")
        case "n" | "no":
            terminal.say("why? the agent goes on with it")
            feedback = await _line(keyboard)
            return Said(granted=False, feedback=feedback) if feedback else None
        case _:
            return Said(granted=False, feedback=answer)


async def _line(keyboard: int) -> str:
    """Return the next line that is typed: a terminal hands out whole lines."""
    await anyio.wait_readable(keyboard)
    return os.read(keyboard, 65536).decode("utf-8", "replace").strip()
