"""The agent's main process and everything it started: found, reaped, counted.

What belongs to the family is found as `aura_contracts.process_table` describes: by parents, by token or session, by
control group. Where this process is the reaper of all descendants, the family is gone when there is no child any more
and nothing carries the token; elsewhere the list of processes has to say so, and is looked at ten times a second.

Standard library only: the supervisor loads this module.
"""

import os
import sys

from aura_contracts.process_table import descendants, processes_with_token, start_time
from aura_executors.supervisor.control_group import ControlGroup

STRAY_INTERVAL = 0.1
"""Seconds between two looks for what has left the tree of processes."""

_MEMORY_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in which getrusage(2) counts memory."""


class ProcessFamily:
    """What one agent consists of. `status` is the main process's wait status, None as long as it runs."""

    def __init__(self, pid: int, token: str, *, reaper: bool, group: ControlGroup | None) -> None:
        self.main = pid
        self.main_started = start_time(pid) or ""
        self.status: int | None = None
        self.main_ended_at = 0.0
        """Monotonic seconds; meaningful once there is a `status`."""
        self.cpu_seconds = 0.0
        self.peak_memory = 0
        """Bytes of the process that took the most."""
        self._token = token
        self._reaper = reaper
        self._group = group
        self._children = True
        self._strays: list[int] = []
        self._strays_sought_at = 0.0

    @property
    def main_ended(self) -> bool:
        return self.status is not None

    @property
    def next_look(self) -> float:
        """When to look for strays again."""
        return self._strays_sought_at + STRAY_INTERVAL

    @property
    def left_behind(self) -> bool:
        """Whether the main process left anything running, as far as was last seen."""
        return self._children or bool(self._strays)

    def reap(self, now: float) -> bool:
        """Reap all children that have ended; return whether the main process was one of them."""
        ended = False
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                self._children = False
                return ended
            if pid == 0:
                self._children = True
                return ended
            self.cpu_seconds += usage.ru_utime + usage.ru_stime
            self.peak_memory = max(self.peak_memory, usage.ru_maxrss * _MEMORY_UNIT)
            if pid == self.main:
                self.status = status
                self.main_ended_at = now
                ended = True

    def is_gone(self, now: float) -> bool:
        """Say whether nothing of it is left. Looks for strays when that is due, which takes some milliseconds."""
        if self.status is None or (self._children and self._reaper):
            return False
        if now >= self.next_look or self._strays_sought_at < self.main_ended_at:
            self._strays_sought_at = now
            self._strays = self._find_strays()
        return not self._strays

    def find(self) -> list[int]:
        """Return the pids of all that is left."""
        family = {*(descendants(os.getpid()) if self._reaper else ()), *self._group_members()}
        return sorted(family if self._reaper and family else {*family, *self._find_strays()})

    def close(self) -> None:
        """Count what only the control group has counted, and remove the group."""
        if self._group:
            self.cpu_seconds = max(self.cpu_seconds, self._group.cpu_seconds())
            self._group.remove()

    def _find_strays(self) -> list[int]:
        """Return what belongs to the agent by its token, its session or its group."""
        session = 0 if self._reaper else self.main
        return sorted({*processes_with_token(self._token, session=session), *self._group_members()})

    def _group_members(self) -> list[int]:
        return self._group.members() if self._group else []
