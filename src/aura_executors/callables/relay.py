"""Relay: the process of a Python agent. It asks the engine's process for the call, and writes what comes of it.

Standard library only: it runs isolated. It ends with the call; if the socket ends before, the worker is lost.
"""

import json
import signal
import socket
import sys
from contextlib import suppress

CANCEL = b'{"cancel": true}\n'

END = b'{"end": '
"""The beginning of the last line, which has the exit code."""

_LOST = {"type": "finished", "failure": {"reason": "WorkerLost", "message": "the program that ran the call is gone"}}


def main() -> int:
    """Read the order from standard input, have it carried out, and return the exit code."""
    order = sys.stdin.buffer.readline()
    with socket.socket(socket.AF_UNIX) as connection:

        def cancel(_number: int, _frame: object) -> None:
            with suppress(OSError):
                connection.sendall(CANCEL)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, cancel)
        with suppress(OSError):
            connection.connect(json.loads(order)["socket"])
            connection.sendall(order)
            for line in connection.makefile("rb"):
                if line.startswith(END):
                    return int(json.loads(line)["end"])
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
    sys.stdout.buffer.write(json.dumps({"aura": _LOST}).encode() + b"\n")
    return 1
