"""Relay: the process of a Python agent. It asks the engine's process for the call, and writes what comes of it.

Standard library only: it runs isolated. It ends with the call; if the socket ends before, the worker is lost.
"""

import json
import signal
import socket
import sys
from contextlib import suppress
from threading import Thread
from typing import NoReturn

CANCEL = b'{"cancel": true}\n'

END = b'{"end": '
"""The beginning of the last line, which has the exit code."""

_ASKED = (signal.SIGINT, signal.SIGTERM)
"""What asks for the end of the call. Blocked, for a thread to wait for them: a handler of Python that became due just
before a read began would run only after it."""

_LOST = {"type": "finished", "failure": {"reason": "WorkerLost", "message": "the program that ran the call is gone"}}


def main() -> int:
    """Read the order from standard input, have it carried out, and return the exit code."""
    order = sys.stdin.buffer.readline()
    signal.pthread_sigmask(signal.SIG_BLOCK, _ASKED)
    with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
        connection.connect(json.loads(order)["socket"])
        connection.sendall(order)
        Thread(target=_cancel_when_asked, args=(connection,), daemon=True).start()
        for line in connection.makefile("rb"):
            if line.startswith(END):
                return int(json.loads(line)["end"])
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
    sys.stdout.buffer.write(json.dumps({"aura": _LOST}).encode() + b"\n")
    return 1


def _cancel_when_asked(connection: socket.socket) -> NoReturn:
    while True:
        signal.sigwait(_ASKED)
        with suppress(OSError):
            connection.sendall(CANCEL)
