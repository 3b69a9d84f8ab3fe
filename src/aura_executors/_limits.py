"""What an agent may run into: its time limits, and the appointments that were made for its end.

Standard library only: the supervisor loads this module.
"""

Limit = tuple[float, str, str]
"""When, the cause, the message."""


class Limits:
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
        self._appointments: dict[str, Limit] = {}

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

    def appoint(self, due: float, cause: str, message: str) -> bool:
        """Have it end at `due`, whatever it waits for; False if there is an appointment for this cause already."""
        if cause in self._appointments:
            return False
        self._appointments[cause] = (due, cause, message)
        return True

    def ahead(self) -> list[Limit]:
        """Return what it runs into if it goes on like this."""
        limits = list(self._appointments.values())
        if self._waiting_since is not None:
            return limits
        if self._timeout is not None:
            limits.append((self._began + self._timeout, "timeout", f"it ran for more than {self._timeout:g} s"))
        if self._idle_timeout is not None and not self._held:
            message = f"it wrote nothing for {self._idle_timeout:g} s"
            limits.append((self._active + self._idle_timeout, "idle_timeout", message))
        return limits
