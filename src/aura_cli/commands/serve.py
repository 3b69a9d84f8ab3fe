"""``aura serve``: looks after a store while no one else does."""

import os
import signal
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread, Timer
from typing import TYPE_CHECKING

import anyio

from aura_cli._call import Invocation, engine_of
from aura_cli._exit_codes import DONE, INTERRUPTED
from aura_cli._signals import ending_signals
from aura_cli.arguments.parser import finish
from aura_contracts.quoting import one_line

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from aura_engine import Engine, Service, Serving

_EPILOG = """\
Drives the tasks that other commands leave, gives those of the queue to agents,
and does what is due although no command runs: reminders, escalations, deadlines
and retries. One service at a time is at work on a store; another one waits, and
takes over when the first one stops or dies.

Ctrl-C or SIGTERM ends it in less than 2 seconds, also if its database hangs.
Agents at work live on for AURA_GRACE seconds, so that the next service takes
them over.

With --json the first line is {"kind": "serving", "store": ..., "engine_id":
..., "host": ..., "process_id": ...}, printed when it is at work.

exit code: 0 after SIGTERM, 130 after Ctrl-C.
"""

END_WITHIN = 1.5
"""Seconds that an end in order may take after a signal. A database that hangs would hold it up for good.

Then the process exits as if it were killed: what is recorded is durable, agents live on, the next service takes over.
"""

_LAST_WORDS = 0.2
"""Seconds at most to say so: the reader of stderr may hang, too."""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    finish(parser, run)


async def run(call: Invocation) -> int:
    """Serve until a signal asks to end; return the exit code."""
    ended: list[int] = []
    with _limited_end(call) as begin_end:

        def end(number: int) -> None:
            ended.append(number)
            begin_end(_code_of(number))

        async with engine_of(call, make=True, fires=False) as engine:
            serving = engine.serve()
            async with anyio.create_task_group() as group:
                await group.start(_watch_signals, group, end)
                await _serve(call, engine, serving)
    return _code_of(*ended)


def _code_of(number: int = signal.SIGTERM) -> int:
    return INTERRUPTED if number == signal.SIGINT else DONE


@contextmanager
def _limited_end(call: Invocation) -> Iterator[Callable[[int], None]]:
    """Yield what is called when the end begins, with the exit code: if the body lasts too long then, exit.

    A thread does, because an end in order waits for others that wait for the database.
    """
    limits: list[Timer] = []

    def begin(code: int) -> None:
        limits.append(Timer(END_WITHIN, _exit_now, (call, code)))
        limits[-1].daemon = True
        limits[-1].start()

    try:
        yield begin
    finally:
        for limit in limits:
            limit.cancel()


def _exit_now(call: Invocation, code: int) -> None:
    text = f"the end took longer than {END_WITHIN:g} s: exiting at once; the next service takes over"
    words = Thread(target=call.terminal.show, args=([text],), daemon=True)
    words.start()
    words.join(_LAST_WORDS)
    os._exit(code)


async def _serve(call: Invocation, engine: "Engine", serving: "Serving") -> None:
    other = await engine.service()
    if other is not None:
        call.terminal.say(f"{_shown(other)} serves this store: waiting to take over")
    own, store = await serving.started(), engine.store.name
    about = {"store": store, "engine_id": own.engine_id, "host": own.host, "process_id": own.process_id}
    call.terminal.item({"kind": "serving", **about}, one_line(f"serving {store}"))
    call.terminal.flush()
    await serving.wait()


def _shown(service: "Service") -> str:
    return f"process {service.process_id} on {service.host or 'this machine'}"


async def _watch_signals(
    group: "TaskGroup", end: Callable[[int], None], *, task_status: anyio.abc.TaskStatus[None]
) -> None:
    """End everything at the first signal that asks for it; tell `end` which one it was."""
    handled = ending_signals()
    if not handled:
        task_status.started()
        return
    with anyio.open_signal_receiver(*handled) as signals:
        task_status.started()
        async for number in signals:
            end(number)
            break
    group.cancel_scope.cancel()
