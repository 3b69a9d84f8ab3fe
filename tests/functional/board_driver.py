"""An engine in a process of its own that has cards follow their tasks, and dies at a moment that its argument names.

    python board_driver.py STORE HOME MOMENT

``before`` it has recorded anything of a card, ``while`` it records one (the append has begun), ``after`` a card has
moved and before the cursor does, or ``never``: then it ends when the cursor is at the head of the log.
"""

import os
import signal
import sys
from pathlib import Path

import anyio

from aura_contracts.board import CardMoved, CardPlaced
from aura_engine import open_engine
from aura_engine.runtime.board_cards import CURSOR, BoardCards
from aura_store.log._event_log import RecorderEventLog
from conditions import until


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


async def follow(store, home, moment):
    append, save = RecorderEventLog.append, RecorderEventLog.save_cursor

    async def appended(log, *appends):
        cards = any(isinstance(fact.event, CardMoved | CardPlaced) for one in appends for fact in one.facts)
        if cards and moment == "before":
            die()
        async with anyio.create_task_group() as group:
            if cards and moment == "while":
                group.start_soon(append, log, *appends)
                await anyio.lowlevel.checkpoint()
                die()
        return await append(log, *appends)

    async def saved(log, name, position):
        if name == CURSOR and moment == "after":
            die()
        await save(log, name, position)

    if moment != "never":
        RecorderEventLog.append, RecorderEventLog.save_cursor = appended, saved
    async with open_engine(store, home=Path(home), user="alice", drive_all=True) as engine:
        log = engine._core.log

        async def passed():
            (last,) = (await log.page(0, topics=("task.*",)))[-1:]
            return (await log.load_cursor(CURSOR) or 0) >= last.position

        assert isinstance(engine._core.follower.cards, BoardCards)
        await until(passed, patience=300)


if __name__ == "__main__":
    anyio.run(follow, *sys.argv[1:4])
