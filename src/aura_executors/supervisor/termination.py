"""Ending everything that an agent started: SIGINT, SIGTERM, SIGKILL, with time in between to leave by itself.

Standard library only: the supervisor loads this module.
"""

import os
import signal
from collections.abc import Callable

from aura_contracts.process_table import send

UNKILLABLE = 30.0
"""Seconds after SIGKILL until what is still there is left: it hangs in the kernel, or belongs to another user."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
STEP_INTERRUPT, STEP_TERMINATE, STEP_KILL = range(3)

_SHORTEST, _LONGEST = 0.01, 0.2
"""Seconds between two looks at what is left: the pauses grow, because a look costs some milliseconds."""


class Termination:
    """The escalation. `find` returns the pids that are left; `waits` are the seconds after SIGINT and after SIGTERM.

    `kill_all` kills all at once, where the system can do that; what it misses is killed one by one.

    Each step reaches also what is started while it lasts. `now` is monotonic time in seconds everywhere.
    """

    def __init__(
        self,
        find: Callable[[], list[int]],
        waits: tuple[float, float],
        kill_all: Callable[[], None] | None = None,
    ) -> None:
        self.step = -1
        """The step that was taken last; -1 before the first."""
        self.given_up = False
        """Whether the last step has not helped for `UNKILLABLE` seconds."""
        self.survivors: set[int] = set()
        """What was signalled when the main process had gone."""
        self._find = find
        self._kill_all = kill_all
        self._waits = (*waits, UNKILLABLE)
        self._reached: set[int] = set()
        self._next_step = 0.0
        self._next_look = 0.0
        self._pause = _SHORTEST

    @property
    def begun(self) -> bool:
        return self.step >= 0

    @property
    def due(self) -> float:
        """When to call `advance` next."""
        return min(self._next_step, self._next_look)

    def go_to(self, step: int, now: float, *, main_gone: bool) -> None:
        """Take `step` at once, unless it is past."""
        if step > self.step:
            self.step = min(step, STEP_KILL)
            self._reached.clear()
            self._next_step = now + self._waits[self.step]
            self._pause = _SHORTEST
            self._signal_remaining(now, main_gone=main_gone)

    def hasten(self, deadline: float) -> None:
        """Take the next step at `deadline` at the latest."""
        if self.step < STEP_KILL:
            self._next_step = min(self._next_step, deadline)

    def advance(self, now: float, *, main_gone: bool) -> None:
        """Do what is due."""
        if now >= self._next_step and self.step == STEP_KILL:
            self.given_up = True
        elif now >= self._next_step:
            self.go_to(self.step + 1, now, main_gone=main_gone)
        elif now >= self._next_look:
            self._signal_remaining(now, main_gone=main_gone)

    def _signal_remaining(self, now: float, *, main_gone: bool) -> None:
        number = _SIGNALS[self.step]
        left = self._find()
        if self.step == STEP_KILL and self._kill_all is not None:
            self._kill_all()
        reached = send([pid for pid in left if self.step == STEP_KILL or pid not in self._reached], number)
        if number == signal.SIGTERM:
            send(reached, signal.SIGCONT)  # what is stopped would not see it otherwise
        self._reached.update(reached)
        if main_gone:
            self.survivors.update(reached)
        self._next_look = now + self._pause
        self._pause = min(self._pause * 2, _LONGEST)


def kill_children(find: Callable[[], list[int]]) -> None:
    """Kill everything that `find` returns and reap all children until none are left: the last resort."""
    while True:
        send(find(), signal.SIGKILL)
        try:
            os.wait4(-1, 0)
        except ChildProcessError:
            return
