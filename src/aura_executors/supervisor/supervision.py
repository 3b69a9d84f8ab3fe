"""The loop of a supervisor: it runs one agent, keeps what it writes, and ends it together with all it started.

    worker ──request──► supervisor ──pipes──► agent ──► its children
       ▲ ▲                 │  │
       │ └──── socket ─────┘  └── spool, exit record ──┐
       └───────────────────────────────────────────────┘

One thread, one loop (`Supervision.run`), no locks: every field belongs to it. What may be relied on:

- Nothing here blocks but `poll`, and that no longer than until the next deadline; all files are non-blocking. (The
  one exception is the end: a worker that does not read has a second to take the exit record.)
- An agent's output is in the spool before it is announced to any worker.
- A cause, once set, stays: the first reason to end the agent is the one that is recorded, and none is recorded if its
  main process had ended by itself before.
- Termination only escalates. It begins once and continues until the family is gone or cannot be ended.
- The loop ends when the family is gone and its output is read (or `drain_time` is over), never earlier; then the exit
  record is written, and only then do workers hear of it.
- No worker owns a supervisor. The one that started it may be killed, and a later one finds it by its folder
  (`run_directory`); none for longer than the grace period ends the agent.

Each part keeps its own state: `ProcessFamily` the processes, `KeptOutput` the spool, `Outputs` and `StandardInput` the
pipes, `TimeLimits` and `WorkerPresence` the clocks, `Termination` the escalation, `ControlServer` the connections.

Standard library only. Times are monotonic seconds, except in records.
"""

import os
import select
import signal
import time
from contextlib import suppress

from aura_contracts.process_table import start_time
from aura_executors.supervisor import run_directory
from aura_executors.supervisor.control_group import ControlGroup
from aura_executors.supervisor.control_protocol import (
    ACKNOWLEDGE,
    CLOSE_INPUT,
    DONE,
    EXPECT_EXIT,
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
from aura_executors.supervisor.control_server import ConnectedWorker, ControlServer, listen
from aura_executors.supervisor.kept_output import Cause, KeptOutput
from aura_executors.supervisor.launch import Launched, LaunchRequest
from aura_executors.supervisor.pipes import Answer, Outputs, StandardInput
from aura_executors.supervisor.process_family import ProcessFamily
from aura_executors.supervisor.termination import STEP_INTERRUPT, STEP_TERMINATE, Termination
from aura_executors.supervisor.time_limits import Limit, TimeLimits, WorkerPresence

_FOLDER_INTERVAL = 1.0
"""Seconds between two checks that the folder still exists."""

_MESSAGE_LIMIT = 500
"""Characters of the message in the exit record."""

_OWN: Cause = ("own", "")
"""It ended by itself: the cause as long as there is no other."""


class Supervision:
    """One agent under supervision."""

    def __init__(
        self,
        folder: str,
        lock: int,
        request: LaunchRequest,
        launched: Launched,
        wakeup: int,
        *,
        reaper: bool,
        group: ControlGroup | None = None,
    ) -> None:
        now = time.monotonic()
        self._folder = folder
        self._lock = lock
        self._folder_checked_at = now
        self._request = request
        self._group_path = group.path if group else ""
        self._started_at = time.time_ns()
        self._cause = _OWN
        self._wakeup = wakeup
        self._poll = select.poll()
        self._poll.register(wakeup, select.POLLIN)
        self._family = ProcessFamily(launched.pid, request.token, reaper=reaper, group=group)
        self._kept = KeptOutput(request)
        self._outputs = Outputs(launched.outputs, self._poll)
        self._input = StandardInput(launched.stdin, self._poll)
        self._written: set[bytes] = set()
        """Keys of what was written to standard input, so that it is written once."""
        self._limits = TimeLimits(request.timeout, request.idle_timeout, now)
        self._presence = WorkerPresence(request.grace, now)
        waits = (request.after_interrupt, request.after_terminate)
        self._termination = Termination(self._family.find, waits, group.kill if group else None)
        self._server = ControlServer(listen(request.socket), self._poll, self._handle, self.running())

    def running(self) -> dict[str, object]:
        """Return the record of who runs."""
        me = os.getpid()
        return {
            "format": run_directory.FORMAT,
            "token": self._request.token,
            "supervisor": [me, start_time(me)],
            "agent": [self._family.main, self._family.main_started],
            "socket": self._request.socket,
            "control_group": self._group_path,
            "first_record": self._request.first_record,
            "started_at": time.time_ns(),
        }

    def run(self) -> None:
        """Run until everything has ended and a worker, or the folder, knows how."""
        if self._request.input is not None:
            self._input.offer(self._request.input, None)
        if not self._request.interactive:
            self._input.close_when_written()
        while not self._finished():
            self._step()
        self._deliver(self._finish())

    # --- The loop -----------------------------------------------------------------------------------------------------

    def _step(self) -> None:
        now = time.monotonic()
        self._outputs.watch(now, paused=self._kept.paused)
        ready = self._poll.poll(max(0.0, self._next_deadline() - now) * 1000)
        now = time.monotonic()
        for file, events in ready:
            if file == self._wakeup:
                self._take_signals(now)
            elif not self._outputs.note(file) and not self._server.ready(file, events):
                self._answer(self._input.ready(file, events))
        self._read(now)
        if self._family.reap(now) and self._termination.begun:
            self._termination.hasten(self._drained_at)
        self._check(now)

    @property
    def _drained_at(self) -> float:
        """When what the main process left behind has had its time."""
        return self._family.main_ended_at + self._request.drain_time

    def _next_deadline(self) -> float:
        deadlines = [self._folder_checked_at + _FOLDER_INTERVAL, self._outputs.due]
        if self._termination.begun:
            deadlines.append(self._termination.due)
        elif self._family.main_ended:
            deadlines += (self._drained_at, self._family.next_look)
        else:
            deadlines += [deadline for deadline, _, _ in self._upcoming()]
        return min(deadlines)

    def _upcoming(self) -> list[Limit]:
        return self._limits.upcoming() + self._presence.upcoming()

    def _check(self, now: float) -> None:
        self._presence.note(now, connected=self._server.connected)
        if now >= self._folder_checked_at + _FOLDER_INTERVAL:
            self._folder_checked_at = now
            if not self._kept.discarding and not run_directory.is_lock_of(self._lock, self._folder):
                self._end(self._kept.fail(f"{self._folder} was removed"), now)
        if self._termination.begun:
            if now >= self._termination.due:
                self._termination.advance(now, main_gone=self._family.main_ended)
        elif self._family.main_ended:
            if now >= self._drained_at and self._family.left_behind:
                self._termination.go_to(STEP_TERMINATE, now, main_gone=True)
        else:
            for deadline, cause, message in self._upcoming():
                if now >= deadline:
                    self._end((cause, message), now)

    def _finished(self) -> bool:
        """Say whether everything has ended: the main process, what it started, and its output."""
        now = time.monotonic()
        if self._termination.given_up:
            return True
        return self._family.is_gone(now) and (self._outputs.closed or now >= self._drained_at)

    # --- Ending it ----------------------------------------------------------------------------------------------------

    def _take_signals(self, now: float) -> None:
        if signal.SIGTERM in os.read(self._wakeup, 4096):
            self._interrupt("the supervisor received SIGTERM", now, now)

    def _end(self, cause: Cause, now: float) -> None:
        """Begin to end the agent."""
        self._set_cause(cause)
        if not self._termination.begun:
            main_gone = self._family.main_ended
            self._termination.go_to(STEP_TERMINATE if main_gone else STEP_INTERRUPT, now, main_gone=main_gone)

    def _interrupt(self, reason: str, due: float, now: float) -> None:
        """End the agent from `due` on: it may have been asked in its own protocol, and exit by itself until then."""
        if self._termination.begun:
            self._termination.go_to(self._termination.step + 1, now, main_gone=self._family.main_ended)
        elif due > now and self._limits.schedule_end(due, "interrupted", reason):
            self._set_cause(("interrupted", reason))
        else:
            self._end(("interrupted", reason), now)

    def _set_cause(self, cause: Cause) -> None:
        if not self._family.main_ended and self._cause == _OWN:
            self._cause = cause[0], cause[1][:_MESSAGE_LIMIT]

    # --- Output -------------------------------------------------------------------------------------------------------

    def _read(self, now: float) -> None:
        for source, data in self._outputs.read(now):
            self._limits.note_output(now)
            if cause := self._kept.keep(source, data):
                self._end(cause, now)
        self._limits.hold(now, held=self._kept.paused)
        self._server.announce_output(self._kept.last)

    # --- Workers ------------------------------------------------------------------------------------------------------

    def _handle(self, connection: ConnectedWorker, kind: int, body: bytes) -> None:
        """Do what a worker asks. Raises `ValueError` for a frame that makes no sense, which cuts the worker off."""
        number, rest = split_number(body)
        now = time.monotonic()
        if kind == ACKNOWLEDGE:
            self._kept.acknowledge(number)
            self._limits.hold(now, held=self._kept.paused)
        elif kind == WANT:
            self._want(connection, number)
        elif kind == WRITE:
            self._write(connection, number, *split_key(rest))
        elif kind == CLOSE_INPUT:
            self._answer(self._input.close_when_written((connection, number)))
        elif kind in (INTERRUPT, EXPECT_EXIT, PAUSE_LIMITS):
            self._command(kind, rest, now)
            self._server.send(connection, numbered(DONE, number))
        else:
            raise ValueError(f"a frame of unknown kind {kind}")

    def _command(self, kind: int, body: bytes, now: float) -> None:
        value, reason = split_number(body)
        if kind == INTERRUPT:
            self._interrupt(reason.decode(errors="replace"), now + value / 1000, now)
        elif kind == EXPECT_EXIT:
            self._limits.schedule_end(
                now + value / 1000, "exit_grace", "it had said that it was done, and did not exit"
            )
        else:
            self._limits.wait(now, waiting=value != 0)

    def _write(self, connection: ConnectedWorker, number: int, key: bytes, data: bytes) -> None:
        if key in self._written:
            self._server.send(connection, numbered(DONE, number))
            return
        if key:
            self._written.add(key)
        self._answer(self._input.offer(data, (connection, number)))

    def _want(self, connection: ConnectedWorker, seen: int) -> None:
        if seen < self._kept.last:
            self._server.send(connection, numbered(OUTPUT, self._kept.last))
        else:
            connection.want = seen if connection.want is None else min(seen, connection.want)

    def _answer(self, answers: list[Answer]) -> None:
        for asker, done in answers:
            if asker is not None:
                self._server.send(asker[0], numbered(DONE if done else GONE, asker[1]))

    # --- The end ------------------------------------------------------------------------------------------------------

    def _finish(self) -> dict[str, object]:
        """Keep the rest of the output, and return the exit record."""
        now = time.monotonic()
        for source, data in self._outputs.rest():
            if failed := self._kept.keep(source, data):
                self._end(failed, now)
        self._kept.close()
        self._answer(self._input.close())
        cause, message = self._cause
        if self._termination.given_up:
            left = ", ".join(str(pid) for pid in self._family.find())
            message = f"{message}; these processes could not be ended: {left}".lstrip("; ")
        self._family.close()
        status = self._family.status
        code = None if status is None else os.waitstatus_to_exitcode(status)
        return {
            "token": self._request.token,
            "cause": cause,
            "exit_code": code if code is not None and code >= 0 else None,
            "signal": -code if code is not None and code < 0 else None,
            "message": message[:_MESSAGE_LIMIT],
            "cpu_seconds": round(self._family.cpu_seconds, 6),
            "peak_memory": self._family.peak_memory,
            "started_at": self._started_at,
            "ended_at": time.time_ns(),
            "records": self._kept.records,
            "survivors": len(self._termination.survivors),
        }

    def _deliver(self, exit_record: dict[str, object]) -> None:
        """Write the exit record and send it to the workers; stay for the grace period if it cannot be written."""
        deadline = time.monotonic() + self._request.grace
        while True:
            written = self._write_exit(exit_record)
            taken = self._server.announce_exit(exit_record, timeout=1.0)
            if written or taken or time.monotonic() >= deadline:
                break
            for file, events in self._poll.poll(100):
                self._server.ready(file, events)
        if self._request.socket:
            with suppress(OSError):
                os.unlink(self._request.socket)

    def _write_exit(self, exit_record: dict[str, object]) -> bool:
        try:
            if not run_directory.is_lock_of(self._lock, self._folder):
                raise FileNotFoundError(f"{self._folder} was removed")
            run_directory.write_exit(".", exit_record)
        except OSError as error:
            if exit_record["cause"] == "own":
                exit_record["cause"] = "spool_failed"
                exit_record["message"] = f"its exit record could not be stored: {error.strerror or error}"
            return False
        return True
