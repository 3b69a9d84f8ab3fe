"""``aura serve`` by a clock that stands in a file, which can end as with ``kill -9`` when an event is appended.

    python service_driver.py FOLDER

The time is in FOLDER/clock. While there is FOLDER/doom, with a topic and a step, it ends at the next event with this
topic: ``begun``, while the append is at work, or ``done``, at once after it. The store and the home are those of the
environment. Each time it has looked for what is due, it prints a line with the time that it had before. If there is
FOLDER/version, it is AURA of that version, which has read models of its own.
"""

import json
import os
import signal
import sys
from datetime import datetime
from functools import partial
from pathlib import Path

import anyio

import aura_engine
from aura_cli.main import program
from aura_engine.clockwork import timekeeper, wall_clock
from aura_engine.clockwork.timekeeper import Timekeeper
from aura_engine.facade import service_turn
from aura_store.log._event_log import RecorderEventLog
from aura_store.read_models import _fold


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def shorten_pauses():
    wall_clock.HOLD = wall_clock.CLOCK_CHECK = timekeeper.CLOCK_CHECK = 1.0


def set_clock(file):
    def read():
        return datetime.fromisoformat(file.read_text())

    aura_engine.Host = partial(aura_engine.Host, clock=read)


def set_version(file):
    if file.exists():
        service_turn.__version__ = file.read_text()
        _fold.SCHEMA_VERSION = f"{_fold.SCHEMA_VERSION} of {file.read_text()}"


def tell_each_look(file):
    look = Timekeeper.look

    async def told(keeper, *given):
        before = file.read_text()
        found = await look(keeper, *given)
        sys.stdout.write(json.dumps({"looked": before}) + "\n")
        sys.stdout.flush()
        return found

    Timekeeper.look = told


def die_at(file):
    append = RecorderEventLog.append

    async def deadly(log, *appends):
        topic, _, step = file.read_text().partition(" ") if file.exists() else ("", "", "")
        meant = topic in {fact.event.topic for one in appends for fact in one.facts}
        if meant and step == "begun":
            async with anyio.create_task_group() as group:
                group.start_soon(append, log, *appends)
                await anyio.lowlevel.checkpoint()
                die()
        position = await append(log, *appends)
        if meant:
            die()
        return position

    RecorderEventLog.append = deadly


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    shorten_pauses()
    set_clock(folder / "clock")
    set_version(folder / "version")
    tell_each_look(folder / "clock")
    die_at(folder / "doom")
    sys.argv[1:] = ["serve", "--json"]
    program()
