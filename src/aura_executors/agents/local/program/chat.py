"""How the program and its conversation communicate: one JSON object in a line.

standard input     the `AgentRequest`, then {"request_id": ..., "granted": ..., "feedback": ...}
standard output    {"type": "message", "text": ...}: entries of the port, under the same names; and
                   {"type": "blocked", "what": ...}       it was not permitted to do this
                   {"type": "working"}                    a sign of life
                   {"type": "finished", "failure": {"message": ..., "reason": ... or "status": ...}}
"""

import json
import time
from typing import Any, BinaryIO, NamedTuple
from uuid import uuid4

HEARTBEAT = 15.0
"""Seconds after which a busy program says so, lest it seem to hang."""


class InputClosed(Exception):
    """Standard input came to its end while the program waited for permission."""


class Permission(NamedTuple):
    """What was answered."""

    granted: bool
    feedback: str


class Chat:
    """Both directions. Writing raises `BrokenPipeError` when the other side is gone."""

    def __init__(self, output: BinaryIO, answers: BinaryIO) -> None:
        self._told = output
        self._answers = answers
        self._last = time.monotonic()

    def send(self, kind: str, **fields: object) -> None:
        """Write an entry. What is not Unicode becomes question marks."""
        line = json.dumps({"type": kind, **fields}, ensure_ascii=False, allow_nan=False)
        self._told.write(line.encode("utf-8", "replace") + b"\n")
        self._told.flush()
        self._last = time.monotonic()

    def keep_alive(self) -> None:
        """Send a sign of life, if nothing was sent for a while."""
        if time.monotonic() - self._last >= HEARTBEAT:
            self.send("working")

    def ask(self, tool: str, arguments: dict[str, Any], diff: str | None, call_id: str) -> Permission:
        """Ask for permission, and wait for the answer. Raises `InputClosed`."""
        request_id = uuid4().hex
        self.send(
            "permission_request", request_id=request_id, tool=tool, arguments=arguments, diff=diff, call_id=call_id
        )
        while line := self._answers.readline():
            try:
                answer = json.loads(line)
                if answer["request_id"] == request_id:
                    return Permission(answer["granted"] is True, str(answer.get("feedback", "")))
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                continue  # no answer to anything
        raise InputClosed
