"""Replays of what agents wrote that speak Claude Code's protocol: what is understood, in whatever pieces it comes."""

import random
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs

from aura_contracts.failures import Failure
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import AgentRun, Answer, Entry, Executor, Send
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.agents._conversation import JsonLines

CAPTURES = Path(__file__).parent / "captures"


def exited(code: int | None = 0, cause: ExitCause = ExitCause.OWN) -> ProcessExit:
    signal = -code if code is not None and code < 0 else None
    return ProcessExit(token="t", cause=cause, exit_code=None if signal else code, signal=signal)


def a_run(session: str | None = None, **options: Any) -> AgentRun:
    return AgentRun(prompt="Create hello.txt", cwd="/tmp/demo-repo", options=options, session_id=session)


def written(folder: str, case: str, source: str = "stdout") -> bytes:
    path = CAPTURES / folder / f"{case}.{source}"
    return path.read_bytes() if path.exists() else b""


def cases(folder: str) -> list[str]:
    return sorted(path.stem for path in (CAPTURES / folder).glob("*.stdout"))


@attrs.frozen
class Replay:
    conversation: JsonLines
    entries: list[Entry]
    sends: list[Send]
    failure: Failure | None

    def of(self, *kinds: type[Entry]) -> list[Any]:
        return [entry for entry in self.entries if isinstance(entry, kinds)]


def replay(
    executor: Executor,
    pieces: Iterable[bytes],
    ended: ProcessExit | None = None,
    errors: bytes = b"",
    run: AgentRun | None = None,
    answers: Iterable[tuple[str, Answer]] = (),
) -> Replay:
    conversation = executor.converse(run or a_run())
    assert isinstance(conversation, JsonLines)
    said: list[Entry | Send] = [send for one in answers for send in conversation.answer(*one)]
    for piece in pieces:
        said += conversation.receive(OutputSource.STDOUT, piece)
    said += conversation.receive(OutputSource.STDERR, errors)
    said += conversation.end(ended or exited())
    entries = [one for one in said if isinstance(one, Entry)]
    sends = [one for one in said if isinstance(one, Send)]
    return Replay(conversation, entries, sends, conversation.judge(ended or exited()))


def cut(data: bytes, seed: int) -> list[bytes]:
    """Return `data` in pieces, some of one byte."""
    chance = random.Random(seed)
    places = sorted(chance.randrange(len(data) + 1) for _ in range(chance.choice((1, 5, 50, 500))))
    return [data[start:end] for start, end in pairwise([0, *places, len(data)])]


def mutated(data: bytes, seed: int) -> bytes:
    """Return `data` with parts of it deleted, doubled, exchanged, or overwritten with what is no JSON."""
    chance = random.Random(seed)
    for _ in range(chance.randrange(1, 8)):
        start = chance.randrange(len(data) + 1)
        part = data[start : start + chance.choice((1, 2, 9, 80))]
        other = chance.choice((b"", b"null", b"{}", b"[]", b'"', b"-1", b"1e999", b"\\ud800", b"\0", b"\n", part * 3))
        data = data[:start] + other + data[start + len(part) :]
    return data
