"""A terminal of its own for `aura`, on which a test types and reads."""

import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from command_line import AURA, ENVIRONMENT


class Session:
    """`aura` on a terminal of its own."""

    def __init__(self, ours: int, process: subprocess.Popen[bytes]) -> None:
        self._ours, self.process = ours, process
        self.seen = ""

    def until(self, text: str, after: int = 0) -> None:
        """Read until `text` is on the screen, after that many characters."""
        end = time.monotonic() + 60
        while text not in self.seen[after:]:
            assert select.select([self._ours], [], [], end - time.monotonic())[0], self.seen
            self.seen += os.read(self._ours, 65536).decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def ends(self) -> int:
        """Read to the end; return the exit code."""
        try:
            while select.select([self._ours], [], [], 30)[0]:
                self.seen += os.read(self._ours, 65536).decode(errors="replace")
        except OSError:  # Linux says so when the other end is closed
            pass
        return self.process.wait(60)


@contextmanager
def aura_session(place: Path, *words: str, out: Path | None = None, rows: int = 50) -> Iterator[Session]:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (rows, 120))
    settings = {name: os.environ[name] for name in ("AURA_HOME", "AURA_STORE", "AURA_USER")}
    with (out or Path(os.devnull)).open("wb") as file:
        process = subprocess.Popen(
            [AURA, *words],
            cwd=place,
            env=ENVIRONMENT | {"TERM": "xterm"} | settings,
            stdin=theirs,
            stdout=file if out else theirs,
            stderr=theirs,
            start_new_session=True,
        )
    os.close(theirs)
    try:
        yield Session(ours, process)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
