"""The start of a supervisor: it detaches from the worker, reads its request, starts the agent and reports.

The worker that starts it holds the lock of the folder and hands it over: the open file is shared, so it stays locked
until both have closed it. It writes the request to our standard input, which keeps secrets off the disk and out of the
list of processes, and reads one JSON object from our standard output: `running.json`, or ``error`` and ``message``.

    worker killed                       what happens
    before the request is whole         nothing was started; the lock is free; the next one starts again
    later                               the agent runs under this supervisor; the next one takes it over

Standard library only.
"""

import json
import os
import signal
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress

from aura_executors.supervisor import run_directory
from aura_executors.supervisor.control_group import ControlGroup, Unavailable, group_for
from aura_executors.supervisor.launch import LaunchRequest, launch, read_request
from aura_executors.supervisor.process_table import become_reaper, descendants, load_prctl
from aura_executors.supervisor.supervision import Supervision
from aura_executors.supervisor.termination import kill_children

_IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE)
"""What a terminal or a closed pipe may send; SIGTERM is a request to end the agent."""


def main(arguments: Sequence[str]) -> None:
    """Supervise: `arguments` are the program, the folder, and the number of the open lock file."""
    folder, lock = arguments[1], int(arguments[2])
    if os.fork():
        os._exit(0)  # so that the supervisor is not the worker's child, and never its zombie
    status = 1
    try:
        os.set_inheritable(lock, False)
        os.chdir(folder)
        request = read_request(0)
        if request is not None:
            _supervise(folder, lock, request, _take_report())
            status = 0
    except BaseException:  # noqa: BLE001 - the end of the program: nothing is left to raise it to
        traceback.print_exc()
    finally:
        os._exit(status)


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
        traceback.print_exc()
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
