"""The clocks that end an agent: its own limits, ends that were scheduled, and the absence of workers.

Standard library only: the supervisor loads this module.
"""

FIRST_CONTACT = 2.0
"""Seconds that a worker has to connect for the first time, should the grace period be shorter."""

Limit = tuple[float, str, str]
"""When, the cause, the message."""


class TimeLimits:
    """The limits in time of one agent. `now` is monotonic time in seconds everywhere, limits are seconds or None.

    The two limits measure an agent that works. They do not count the time in which it waits for a human (`wait`); the
    idle limit does not count the time in which its output is not read either (`hold`).
    """

    def __init__(self, timeout: float | None, idle_timeout: float | None, now: float) -> None:
        self._timeout = timeout
        self._idle_timeout = idle_timeout
        self._began = self._active = now
        self._held = False
        self._waiting_since: float | None = None
        self._scheduled: dict[str, Limit] = {}

    def note_output(self, now: float) -> None:
        """Note that the agent wrote something."""
        self._active = now

    def hold(self, now: float, *, held: bool) -> None:
        """Note whether its output is left unread at the moment."""
        if self._held and not held:
            self._active = now
        self._held = held

    def wait(self, now: float, *, waiting: bool) -> None:
        """Note whether it waits for a human at the moment."""
        if waiting and self._waiting_since is None:
            self._waiting_since = now
        elif not waiting and self._waiting_since is not None:
            self._began += now - self._waiting_since
            self._active = now
            self._waiting_since = None

    def schedule_end(self, due: float, cause: str, message: str) -> bool:
        """Have it end at `due`, whatever it waits for; False if an end for this cause is scheduled already."""
        if cause in self._scheduled:
            return False
        self._scheduled[cause] = (due, cause, message)
        return True

    def upcoming(self) -> list[Limit]:
        """Return the limits that it reaches if nothing changes."""
        limits = list(self._scheduled.values())
        if self._waiting_since is not None:
            return limits
        if self._timeout is not None:
            limits.append((self._began + self._timeout, "timeout", f"it ran for more than {self._timeout:g} s"))
        if self._idle_timeout is not None and not self._held:
            message = f"it wrote nothing for {self._idle_timeout:g} s"
            limits.append((self._active + self._idle_timeout, "idle_timeout", message))
        return limits


class WorkerPresence:
    """The dead man's switch: how long no worker was connected. `grace` is seconds, `now` monotonic seconds."""

    def __init__(self, grace: float, now: float) -> None:
        self._grace = grace
        self._alone_since = now
        self._connected = False
        self._visited = False

    def note(self, now: float, *, connected: bool) -> None:
        """Note whether a worker is connected at the moment."""
        self._connected = connected
        if connected:
            self._visited = True
            self._alone_since = now

    def upcoming(self) -> list[Limit]:
        """Return when the agent is ended unless a worker connects."""
        if self._connected:
            return []
        grace = self._grace if self._visited else max(self._grace, FIRST_CONTACT)
        return [(self._alone_since + grace, "abandoned", f"no worker was connected for {self._grace:g} s")]
