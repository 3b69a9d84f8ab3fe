"""Callables: Python functions as agents, in the process of the engine (specification, `executeAgent`, option A).

async def summarise(call: AgentCall) -> str:
    call.say("reading")
    (call.folder / "SUMMARY").write_text("...")
    return "The summary is in SUMMARY."

async with open_engine(url, agents={"summarise": summarise}) as engine:
    ...
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any


class AgentCall(ABC):
    """One run of a Python agent: what it is asked, where it works, and how it answers."""

    prompt: str
    folder: Path
    """The worktree, or the folder of the task."""
    arguments: Mapping[str, Any]
    """The executor's option ``arguments``: those of the agent, then those of the run."""

    @property
    @abstractmethod
    def cancelled(self) -> bool:
        """Whether the run was interrupted. An asynchronous agent is cancelled; a plain function looks here."""

    @abstractmethod
    def say(self, text: str) -> None:
        """Send a message to the human. May be called from the thread of a plain function."""


AgentCallable = Callable[[AgentCall], Awaitable[str | None] | str | None]
"""An agent. What it returns is its last message; what it raises, the reason of its failure.

An asynchronous function runs in the event loop of the engine, a plain one in a thread."""
