"""The start of a supervisor: it detaches from the worker, waits for its request, starts the agent and reports.

Its standard input is a socket. The worker holds the lock of the folder and hands it over: the open file is shared, so
it stays locked until both have closed it. Then it writes the request, which keeps secrets off the disk and out of the
list of processes, and reads one JSON object from our standard output: `running.json`, or ``error`` and ``message``.
A worker that expects to need a supervisor starts it before it knows what for: Python takes a while to start.

    worker killed                       what happens
    before the request is whole         nothing was started; the lock is free; the next one starts again
    later                               the agent runs under this supervisor; the next one takes it over

Standard library only.
"""

import json
import os
import signal
import sys
import time
from contextlib import suppress

from aura_contracts.process_table import become_reaper, descendants, load_prctl
from aura_executors.supervisor import run_directory
from aura_executors.supervisor.control_group import ControlGroup, Unavailable, group_for
from aura_executors.supervisor.launch import LaunchRequest, launch, read_request, receive_lock
from aura_executors.supervisor.supervision import Supervision
from aura_executors.supervisor.termination import kill_children

_IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE)
"""What a terminal or a closed pipe may send; SIGTERM is a request to end the agent."""


def main() -> None:
    """Supervise. The argument, the folder of all processes, is for people who list them."""
    if os.fork():
        os._exit(0)  # so that the supervisor is not the worker's child, and never its zombie
    status = 1
    try:
        lock = receive_lock(0)
        request = None if lock is None else read_request(0)
        if lock is not None and request is not None:
            os.set_inheritable(lock, False)
            os.chdir(request.folder)
            _supervise(os.fsdecode(request.folder), lock, request, _take_report())
            status = 0
    except BaseException as error:  # noqa: BLE001 - the end of the program: nothing is left to raise it to
        _print_error(error)
    finally:
        os._exit(status)


def _print_error(error: BaseException) -> None:
    """Print the traceback, without the modules that `traceback` loads before anything has failed."""
    sys.excepthook(type(error), error, error.__traceback__)


def _take_report() -> int:
    """Return the file on which to report, and leave the worker's pipes."""
    report = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    log = os.open(run_directory.LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for file, number in ((null, 0), (null, 1), (log, 2)):
        os.dup2(file, number)
    os.close(null)
    os.close(log)
    return report


def _supervise(folder: str, lock: int, request: LaunchRequest, report: int) -> None:
    wakeup = _catch_signals()
    prctl = load_prctl()
    reaper = become_reaper(prctl)
    supervision = None
    group = None
    running: dict[str, object] = {}
    try:
        run_directory.reserve_exit(".")
        group, refusal = _group(request)
        launched = launch(request, prctl, group.fork if group else os.fork)
        if group and group.refused:
            refusal = group.refused
            group.remove()
            group = None
        supervision = Supervision(folder, lock, request, launched, wakeup, reaper=reaper, group=group)
        running = {**supervision.running(), "no_control_group": refusal}
        run_directory.write_json(run_directory.RUNNING, running)
        failure = launched.release()
    except OSError as error:
        failure = ("process_start_failed", f"{error.strerror or error}")
        kill_children(lambda: descendants(os.getpid()))
    if supervision is None or failure is not None:
        if group:
            group.remove()
        _remove(folder, request.socket)
        _send_report(report, dict(zip(("error", "message"), failure or (), strict=False)))
        return
    _send_report(report, running)
    _run(supervision, request, group)


def _run(supervision: Supervision, request: LaunchRequest, group: ControlGroup | None) -> None:
    """Run to the end; whatever happens, the agent does not run on without supervision."""
    try:
        supervision.run()
    except BaseException as error:
        _print_error(error)
        kill_children(lambda: descendants(os.getpid()))
        if group:
            group.remove()
        content: dict[str, object] = {"token": request.token, "cause": "vanished", "ended_at": time.time_ns()}
        run_directory.write_exit(".", {**content, "message": f"its supervisor failed: {error!r}"})
        raise


def _group(request: LaunchRequest) -> tuple[ControlGroup | None, str]:
    """Return a control group for the agent, or the reason for running without one."""
    if not request.control_group:
        return None, "switched off"
    try:
        return group_for(request.token), ""
    except (OSError, Unavailable) as error:
        return None, str(error)


def _catch_signals() -> int:
    """Return a file on which the numbers of signals arrive."""
    wakeup, sender = os.pipe()
    os.set_blocking(wakeup, False)
    os.set_blocking(sender, False)
    signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    return wakeup


def _send_report(report: int, content: dict[str, object]) -> None:
    with suppress(BrokenPipeError):  # the worker was killed
        os.write(report, json.dumps(content).encode())
    os.close(report)


def _remove(folder: str, socket: str) -> None:
    """Leave nothing of an agent that could not be started. The lock goes last, with the folder."""
    with suppress(OSError):
        os.unlink(socket)
    for name in sorted(os.listdir("."), key=lambda name: name == run_directory.LOCK):
        with suppress(OSError):
            os.unlink(name)
    with suppress(OSError):
        os.rmdir(folder)
