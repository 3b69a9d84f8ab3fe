"""The supervisor: it runs one agent, keeps what it writes, and ends it together with all it started.

    worker ──order──► supervisor ──pipes──► agent ──► its children
       ▲ ▲               │  │
       │ └──socket───────┘  └── spool, exit record ──┐
       └─────────────────────────────────────────────┘

It has one thread and one loop (`Supervision.run`). It belongs to nobody: the worker that started it may be killed, and
a later one finds it by its folder (`aura_executors._folder`). It ends when the main process of the agent and all that
it started have ended: by themselves, because somebody asked, because a limit was reached, or because no worker was
connected for longer than the grace period. Then it writes the exit record and goes.

Standard library only: `aura_executors.supervisor` is the program.
"""

# pathlib would cost every supervisor 5 ms and 1 MB:
# ruff: noqa: PTH108

import os
import select
import signal
import sys
import time
from contextlib import suppress

from aura_executors import _folder
from aura_executors._cgroup import Group
from aura_executors._control import (
    ACKNOWLEDGE,
    CLOSE_INPUT,
    DONE,
    FAREWELL,
    GONE,
    INTERRUPT,
    OUTPUT,
    PAUSE_LIMITS,
    WANT,
    WRITE,
    numbered,
    split_key,
    split_number,
)
from aura_executors._ending import INTERRUPT as STEP_INTERRUPT
from aura_executors._ending import TERMINATE as STEP_TERMINATE
from aura_executors._ending import Ending
from aura_executors._launch import Launched, Order
from aura_executors._limits import Limit, Limits
from aura_executors._piping import Answer, Input, Outputs
from aura_executors._reaping import carriers, descendants, start_time
from aura_executors._serving import Connection, Serving, listen
from aura_executors._spool import SpoolWriter

_LOOK_AT_FOLDER = 1.0
"""Seconds between two looks whether the folder is still there."""

_LOOK_FOR_REST = 0.1
"""Seconds between two looks for what has left the family."""

_FIRST_VISIT = 2.0
"""Seconds that the worker has to connect for the first time, should the grace period be shorter."""

_MESSAGE_LIMIT = 500
"""Characters of the message in the exit record."""


class Supervision:
    """One agent under supervision. Times are monotonic seconds, except where they are recorded."""

    def __init__(
        self,
        folder: str,
        lock: int,
        order: Order,
        launched: Launched,
        wakeup: int,
        *,
        reaper: bool,
        group: Group | None = None,
    ) -> None:
        self._folder = folder
        self._lock = lock
        self._order = order
        self._group = group
        self._agent = launched.pid
        self._agent_started = start_time(launched.pid) or ""
        self._reaper = reaper
        self._wakeup = wakeup
        self._poll = select.poll()
        self._poll.register(wakeup, select.POLLIN)
        self._spool = SpoolWriter(".", order.first_record, limit=order.unacknowledged, segment_size=order.segment_size)
        self._outputs = Outputs(launched.outputs, self._poll)
        self._input = Input(launched.stdin, self._poll)
        kill_all = group.kill if group else None
        self._ending = Ending(self._find, (order.after_interrupt, order.after_terminate), kill_all)
        self._serving = Serving(listen(order.socket), self._poll, self._handle, self.running())
        self._started_at = time.time_ns()
        self._alone_since = self._checked_folder = time.monotonic()
        self._limits = Limits(order.timeout, order.idle_timeout, self._alone_since)
        self._visited = False
        self._status: int | None = None
        self._gone_since = 0.0
        self._children = True
        self._rest: list[int] = []
        self._looked_for_rest = 0.0
        self._cause = "own"
        self._message = ""
        self._written: set[bytes] = set()
        self._discarding = False
        self._paused = False
        self._size = 0
        self._cpu = 0.0
        self._peak = 0

    def running(self) -> dict[str, object]:
        """Return the record of who runs."""
        me = os.getpid()
        return {
            "format": _folder.FORMAT,
            "token": self._order.token,
            "supervisor": [me, start_time(me)],
            "agent": [self._agent, self._agent_started],
            "socket": self._order.socket,
            "control_group": self._group.path if self._group else "",
            "first_record": self._order.first_record,
            "started_at": time.time_ns(),
        }

    def run(self) -> None:
        """Run until all has ended and somebody, or the folder, knows how."""
        if self._order.input is not None:
            self._input.offer(self._order.input, None)
        if not self._order.interactive:
            self._input.close_when_written()
        while not self._over():
            self._step()
        self._deliver(self._finish())

    # --- The loop -----------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        now = time.monotonic()
        self._outputs.watch(now, paused=self._paused)
        ready = self._poll.poll(max(0.0, self._next_deadline(now) - now) * 1000)
        now = time.monotonic()
        for file, events in ready:
            if file == self._wakeup:
                self._woken(now)
            elif not self._outputs.note(file) and not self._serving.ready(file, events):
                self._answer(self._input.ready(file, events))
        self._read(now)
        self._reap(now)
        self._check(now)

    def _next_deadline(self, now: float) -> float:
        deadlines = [self._checked_folder + _LOOK_AT_FOLDER, self._outputs.due]
        if self._ending.begun:
            deadlines.append(self._ending.due)
        elif self._status is not None:
            deadlines += (self._gone_since + self._order.linger, self._looked_for_rest + _LOOK_FOR_REST)
        else:
            deadlines += [deadline for deadline, _, _ in self._ahead()]
        return min(deadlines)

    def _ahead(self) -> list[Limit]:
        """Return what the agent may run into: when, cause, message."""
        limits = self._limits.ahead()
        if not self._serving.connected:
            grace = self._order.grace
            message = f"no worker was there for {grace:g} s"
            limits.append((self._alone_since + max(grace, 0 if self._visited else _FIRST_VISIT), "abandoned", message))
        return limits

    def _check(self, now: float) -> None:
        if self._serving.connected:
            self._visited = True
            self._alone_since = now
        if now >= self._checked_folder + _LOOK_AT_FOLDER:
            self._checked_folder = now
            if not self._discarding and not _folder.is_lock_of(self._lock, self._folder):
                self._spool_failed(f"{self._folder} was removed", now)
        if self._ending.begun:
            if now >= self._ending.due:
                self._ending.carry_on(now, main_gone=self._status is not None)
        elif self._status is not None:
            if now >= self._gone_since + self._order.linger and (self._children or self._rest):
                self._ending.take(STEP_TERMINATE, now, main_gone=True)
        else:
            for deadline, cause, message in self._ahead():
                if now >= deadline:
                    self._end(cause, message, now)

    def _over(self) -> bool:
        """Whether all has ended: the main process, what it started, and its output."""
        if self._ending.given_up:
            return True
        if self._status is None or (self._children and self._reaper):
            return False
        now = time.monotonic()
        if now >= self._looked_for_rest + _LOOK_FOR_REST or self._looked_for_rest < self._gone_since:
            self._looked_for_rest = now
            self._rest = self._strays()
        return not self._rest and (self._outputs.closed or now >= self._gone_since + self._order.linger)

    # --- Processes ----------------------------------------------------------------------------------------------------

    def _woken(self, now: float) -> None:
        if signal.SIGTERM in os.read(self._wakeup, 4096):
            self._interrupt("the supervisor was told to terminate", now, now)

    def _find(self) -> list[int]:
        """Return what is left of the agent and what it started."""
        family = {*(descendants(os.getpid()) if self._reaper else ()), *self._members()}
        return sorted(family if self._reaper and family else {*family, *self._strays()})

    def _strays(self) -> list[int]:
        """Return what belongs to the agent by its token, its session or its group."""
        return sorted({*carriers(self._order.token, session=0 if self._reaper else self._agent), *self._members()})

    def _members(self) -> list[int]:
        return self._group.members() if self._group else []

    def _reap(self, now: float) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                self._children = False
                return
            if pid == 0:
                self._children = True
                return
            self._cpu += usage.ru_utime + usage.ru_stime
            self._peak = max(self._peak, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))
            if pid == self._agent:
                self._status = status
                self._gone_since = now
                if self._ending.begun:
                    self._ending.hasten(now + self._order.linger)

    def _end(self, cause: str, message: str, now: float) -> None:
        """Begin to end the agent. The first cause is the one that is told, and none if it had ended before."""
        if self._status is None and self._cause == "own":
            self._cause, self._message = cause, message[:_MESSAGE_LIMIT]
        if not self._ending.begun:
            main_gone = self._status is not None
            self._ending.take(STEP_TERMINATE if main_gone else STEP_INTERRUPT, now, main_gone=main_gone)

    def _interrupt(self, reason: str, due: float, now: float) -> None:
        """End the agent from `due` on: it may have been asked in its own words, and go by itself until then."""
        if self._ending.begun:
            self._ending.take(self._ending.step + 1, now, main_gone=self._status is not None)
        elif due > now and self._limits.appoint(due, "interrupted", reason):
            if self._status is None and self._cause == "own":
                self._cause, self._message = "interrupted", reason[:_MESSAGE_LIMIT]
        else:
            self._end("interrupted", reason, now)

    # --- Output -------------------------------------------------------------------------------------------------------

    def _read(self, now: float) -> None:
        for source, data in self._outputs.read(now):
            self._limits.note_output(now)
            self._keep(source, data, now)
        self._update_pause(now)
        self._serving.tell_output(self._spool.last)

    def _keep(self, source: int, data: bytes, now: float) -> None:
        if self._discarding:
            return
        kept = data[: self._order.output_limit - self._size]
        if kept:
            try:
                self._spool.append(source, time.time_ns(), kept)
            except OSError as error:
                self._spool_failed(f"its output could not be kept: {error.strerror}", now)
                return
            self._size += len(kept)
        if len(kept) < len(data):
            self._discarding = True
            self._end("output_limit", f"it wrote more than {self._order.output_limit} bytes", now)

    def _spool_failed(self, message: str, now: float) -> None:
        self._discarding = True
        self._end("spool_failed", message, now)

    def _update_pause(self, now: float) -> None:
        self._paused = self._spool.full and not self._discarding
        self._limits.hold(now, held=self._paused)

    # --- The worker ---------------------------------------------------------------------------------------------------

    def _handle(self, connection: Connection, kind: int, body: bytes) -> None:
        """Do what a worker asks. Raises `ValueError` for what makes no sense, which cuts the worker off."""
        number, rest = split_number(body)
        now = time.monotonic()
        if kind == ACKNOWLEDGE:
            self._spool.acknowledge(number)
            self._update_pause(now)
        elif kind == WANT:
            self._want(connection, number)
        elif kind == WRITE:
            self._write(connection, number, *split_key(rest))
        elif kind == CLOSE_INPUT:
            self._answer(self._input.close_when_written((connection, number)))
        elif kind == INTERRUPT:
            wait, reason = split_number(rest)
            self._interrupt(reason.decode(errors="replace"), now + wait / 1000, now)
            self._serving.send(connection, numbered(DONE, number))
        elif kind == FAREWELL:
            due = now + split_number(rest)[0] / 1000
            self._limits.appoint(due, "farewell", "it had said that it was done, and did not go")
            self._serving.send(connection, numbered(DONE, number))
        elif kind == PAUSE_LIMITS:
            self._limits.wait(now, waiting=split_number(rest)[0] != 0)
            self._serving.send(connection, numbered(DONE, number))
        else:
            raise ValueError(f"a frame of unknown kind {kind}")

    def _write(self, connection: Connection, number: int, key: bytes, data: bytes) -> None:
        if key in self._written:
            self._serving.send(connection, numbered(DONE, number))
            return
        if key:
            self._written.add(key)
        self._answer(self._input.offer(data, (connection, number)))

    def _want(self, connection: Connection, seen: int) -> None:
        if seen < self._spool.last:
            self._serving.send(connection, numbered(OUTPUT, self._spool.last))
        else:
            connection.want = seen if connection.want is None else min(seen, connection.want)

    def _answer(self, answers: list[Answer]) -> None:
        for asked, done in answers:
            if asked is not None:
                self._serving.send(asked[0], numbered(DONE if done else GONE, asked[1]))

    # --- The end ------------------------------------------------------------------------------------------------------

    def _finish(self) -> dict[str, object]:
        """Keep the rest of the output, and return the exit record."""
        now = time.monotonic()
        for source, data in self._outputs.rest():
            self._keep(source, data, now)
        self._spool.close()
        self._answer(self._input.close())
        if self._ending.given_up:
            left = ", ".join(str(pid) for pid in self._find())
            self._message = f"{self._message}; these processes could not be ended: {left}".lstrip("; ")
        if self._group:
            self._cpu = max(self._cpu, self._group.cpu_seconds())
            self._group.remove()
        code = None if self._status is None else os.waitstatus_to_exitcode(self._status)
        return {
            "token": self._order.token,
            "cause": self._cause,
            "exit_code": code if code is not None and code >= 0 else None,
            "signal": -code if code is not None and code < 0 else None,
            "message": self._message[:_MESSAGE_LIMIT],
            "cpu_seconds": round(self._cpu, 6),
            "peak_memory": self._peak,
            "started_at": self._started_at,
            "ended_at": time.time_ns(),
            "records": self._spool.last - self._order.first_record + 1,
            "survivors": len(self._ending.survivors),
        }

    def _deliver(self, exit_record: dict[str, object]) -> None:
        """Write the exit record and tell the workers; stay for the grace period if it can only be told."""
        deadline = time.monotonic() + self._order.grace
        while True:
            written = self._write_exit(exit_record)
            told = self._serving.tell_exit(exit_record, patience=1.0)
            if written or told or time.monotonic() >= deadline:
                break
            for file, events in self._poll.poll(100):
                self._serving.ready(file, events)
        if self._order.socket:
            with suppress(OSError):
                os.unlink(self._order.socket)

    def _write_exit(self, exit_record: dict[str, object]) -> bool:
        try:
            if not _folder.is_lock_of(self._lock, self._folder):
                raise FileNotFoundError(f"{self._folder} was removed")
            _folder.write_exit(".", exit_record)
        except OSError as error:
            if exit_record["cause"] == "own":
                exit_record["cause"] = "spool_failed"
                exit_record["message"] = f"how it ended could not be kept: {error.strerror or error}"
            return False
        return True
