"""Replays of what codex wrote: what its adapter understands of it, in whatever pieces it comes."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

from aura_contracts.failures import Failure
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import AgentRun, Entry, Send
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.agents._conversation import JsonLines
from aura_executors.agents.codex import CodexExecutor

CAPTURES = Path(__file__).parent / "captures"
THREAD = "01a1fb74-d4e2-7b61-b7d6-db4a545e7032"
"""Of the captures `resume` of the app-server."""


def exited(code: int | None = 0, signal: int | None = None, cause: ExitCause = ExitCause.OWN) -> ProcessExit:
    return ProcessExit(token="t", cause=cause, exit_code=code, signal=signal)


def a_run(protocol: str = "app-server", session: str | None = None, *, fork: bool = False, **options: Any) -> AgentRun:
    given = {"protocol": protocol, **options}
    return AgentRun(prompt="Create hello.txt", cwd="/tmp/demo-repo", options=given, session_id=session, fork=fork)


def written(protocol: str, case: str, source: str = "stdout") -> bytes:
    folder = {"exec": "codex", "app-server": "codex-app-server"}[protocol]
    path = CAPTURES / folder / f"{case}.{source}"
    return path.read_bytes() if source == "stdout" or path.exists() else b""


@attrs.frozen
class Replay:
    conversation: JsonLines
    entries: list[Entry]
    sends: list[Send]
    failure: Failure | None

    def of(self, *kinds: type[Entry]) -> list[Any]:
        return [entry for entry in self.entries if isinstance(entry, kinds)]


def replay(
    run: AgentRun,
    pieces: Iterable[bytes],
    ended: ProcessExit | None = None,
    errors: bytes = b"",
) -> Replay:
    conversation = CodexExecutor().converse(run)
    assert isinstance(conversation, JsonLines)
    said: list[Entry | Send] = []
    for piece in pieces:
        said += conversation.receive(OutputSource.STDOUT, piece)
    said += conversation.receive(OutputSource.STDERR, errors)
    said += conversation.end(ended or exited())
    entries = [one for one in said if isinstance(one, Entry)]
    sends = [one for one in said if isinstance(one, Send)]
    return Replay(conversation, entries, sends, conversation.judge(ended or exited()))
