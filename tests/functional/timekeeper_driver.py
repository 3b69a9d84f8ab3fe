"""A service in a process of its own, whose clock is ahead, and which dies at a moment that its argument names.

    python timekeeper_driver.py STORE HOME HOURS MOMENT

``before`` it has fired anything, ``while`` it fires (the append has begun), ``after`` the first timer took effect, or
``never``: then it ends when nothing is due any more.
"""

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import anyio

from aura_engine import open_engine
from aura_engine.clockwork import timekeeper, wall_clock
from aura_engine.clockwork.effects import fire
from aura_engine.host import Host, now
from aura_store.log._event_log import RecorderEventLog
from conditions import until


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


async def serve(store, home, hours, moment):
    wall_clock.HOLD = 0.0
    append = RecorderEventLog.append

    async def appended(log, *appends):
        async with anyio.create_task_group() as group:
            group.start_soon(append, log, *appends)
            await anyio.lowlevel.checkpoint()
            die()

    async def fired(bus, timer, drive):
        if moment == "before":
            die()
        if moment == "while":
            RecorderEventLog.append = appended
        done = await fire(bus, timer, drive)
        if moment == "after":
            die()
        return done

    timekeeper.fire = fired
    host = Host(clock=lambda: now() + timedelta(hours=hours))
    async with open_engine(store, home=Path(home), user="alice", host=host) as engine:
        await engine.serve().started()

        async def nothing_is_due():
            due = await engine.timers.list(due_before=host.clock(), kind="approval")
            return not due.rows

        await until(nothing_is_due, patience=300)


if __name__ == "__main__":
    anyio.run(serve, sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4])
