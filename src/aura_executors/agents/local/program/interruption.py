"""Interruption: a signal ends the work at once, but for moments in which it has to wait."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """Somebody asked the program to stop. No `Exception`: nothing that tolerates errors swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Interruption:
    """Raises `Stopped` in the main thread for the first signal, once; those that follow say nothing new."""

    def __init__(self) -> None:
        self._held = 0
        self._asked = 0
        self._raised = False

    def install(self) -> None:
        """Take the signals from now on."""
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let signals wait until the block is left: it begins or ends a process, or writes a file."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            self._raise()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._asked = self._asked or number
        self._raise()

    def _raise(self) -> None:
        if self._asked and not self._held and not self._raised:
            self._raised = True
            raise Stopped(self._asked)
