"""A signal ends the work at once, except at moments in which it has to wait."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """The program was asked to stop. Not an `Exception`, so that nothing which tolerates errors swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Interruption:
    """Raises `Stopped` in the main thread for the first signal, once; later ones are ignored."""

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
        """Defer signals until the block is left: it starts or ends a process, or writes a file."""
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
