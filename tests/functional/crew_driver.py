"""A process with an engine that drives all tasks, and humans who answer: ``python crew_driver.py URL HOME``.

It ends when every task has ended and nothing is left to clear. It may be killed at any moment and started again: what
the humans do next follows from the questions as they are, never from what this process remembers.
"""

import sys

import anyio

from aura_contracts.approval import Approval
from aura_contracts.errors import CommandRefused
from aura_contracts.workspace import WorkspaceStatus
from aura_engine import open_engine
from aura_engine.facade.engine import Engine
from conditions import until

FIRST, SECOND, DELEGATE = "bob", "dave", "erin"
"""Who approves at the first level, who is asked at the second, and whom they delegate to."""


async def answer(engine: Engine, asked: Approval) -> None:
    """Do what is next with a question."""
    if asked.level == 1:
        await engine.approvals.approve(asked.id, f"{FIRST} has read it", by=FIRST)
    elif SECOND not in asked.delegations:
        await engine.approvals.delegate(asked.id, DELEGATE, by=SECOND)
    else:
        await engine.approvals.approve(asked.id, by=DELEGATE)


async def is_done(engine: Engine) -> bool:
    """Answer what is asked; return whether all tasks have ended and are cleared."""
    for asked in (await engine.approvals.list(pending=True, descending=False)).rows:
        try:
            await answer(engine, asked)
        except CommandRefused as refused:  # it was answered a moment ago, by what this process was before
            sys.stdout.write(f"{refused}\n")
    if (await engine.tasks.list(unfinished=True)).rows:
        return False
    workspaces = (await engine.workspaces.list()).rows
    return all(one.status is WorkspaceStatus.REMOVED for one in workspaces)


async def work(url: str, home: str) -> None:
    async with open_engine(url, home=home, user="alice", drive_all=True) as engine:
        await until(lambda: is_done(engine), patience=600)


if __name__ == "__main__":
    anyio.run(work, *sys.argv[1:])
