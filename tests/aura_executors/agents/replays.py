"""Replays of what agents wrote: what an executor understands of it, in whatever pieces it comes.

seen = replay(EXECUTOR, written("gemini", "first"))         # any bytes, or pieces of them
seen = recorded(EXECUTOR, "gemini/fail401", 145)            # a capture, with what it wrote to standard error
assert seen.kinds == "session_started finished"
assert seen.outcome.reason is FailureReason.AUTHENTICATION
"""

import random
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import msgspec

from aura_contracts.entries import Entry, Message, ToolCalled, Usage, UsageReported
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import AgentRun, Answer, Conversation, Executor, Send
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.adapter.json_lines import JsonLines

CAPTURES = Path(__file__).parent / "captures"


# --- Captures


def cases(folder: str) -> list[str]:
    """Return the names of the captures in a folder."""
    return sorted(path.stem for path in (CAPTURES / folder).glob("*.stdout"))


def captures(*folders: str) -> list[str]:
    """Return the captures in folders, as FOLDER/CASE."""
    return [f"{folder}/{case}" for folder in folders for case in cases(folder)]


def written(folder: str, case: str, source: str = "stdout") -> bytes:
    """Return what an agent wrote; nothing to standard error, where there is no such file."""
    path = CAPTURES / folder / f"{case}.{source}"
    return path.read_bytes() if source == "stdout" or path.exists() else b""


def json_lines(*values: Any) -> bytes:
    """Return values as JSON, each in a line."""
    return b"".join(msgspec.json.encode(value) + b"\n" for value in values)


# --- Runs and their ends


def a_run(session: str | None = None, *, fork: bool = False, **options: Any) -> AgentRun:
    prompt, cwd = "Create hello.txt", "/tmp/demo-repo"
    return AgentRun(prompt=prompt, cwd=cwd, options=options, session_id=session, fork=fork)


def exited(code: int | None = 0, cause: ExitCause = ExitCause.OWN) -> ProcessExit:
    """Return how a process ended; a code below 0 is a signal."""
    signal = -code if code is not None and code < 0 else None
    return ProcessExit(token="t", cause=cause, exit_code=None if signal else code, signal=signal)


# --- Replays


class Outcome(NamedTuple):
    """How a run went: why it failed, the last message, the last tool, tokens of input and output."""

    reason: FailureReason | None = None
    message: str | None = None
    tool: str | None = None
    tokens: tuple[int, int] | None = None


class Case(NamedTuple):
    """What is understood of a capture. `exit_code` is negative for a signal; `message` is a part of the failure's."""

    entries: str
    exit_code: int = 0
    reason: FailureReason | None = None
    message: str = ""
    blocked: str = ""
    usage: Usage = Usage()


@attrs.frozen
class Replay:
    conversation: Conversation
    entries: list[Entry]
    sends: list[Send]
    failure: Failure | None

    def of(self, *kinds: type[Entry]) -> list[Any]:
        return [entry for entry in self.entries if isinstance(entry, kinds)]

    @property
    def kinds(self) -> str:
        return " ".join(str(type(entry).__struct_config__.tag) for entry in self.entries)

    @property
    def reason(self) -> FailureReason | None:
        return self.failure.reason if self.failure else None

    @property
    def blocked(self) -> str:
        return self.conversation.blocked

    @property
    def unknown(self) -> int:
        return self.conversation.unknown if isinstance(self.conversation, JsonLines) else 0

    @property
    def usage(self) -> Usage:
        return sum((entry.usage for entry in self.of(UsageReported)), Usage())

    @property
    def outcome(self) -> Outcome:
        messages, tools, used = self.of(Message), self.of(ToolCalled), self.usage
        return Outcome(
            self.reason,
            messages[-1].text if messages else None,
            tools[-1].tool if tools else None,
            (used.input_tokens, used.output_tokens) if used != Usage() else None,
        )

    def must_be(self, case: Case) -> None:
        assert self.kinds == case.entries
        assert self.unknown == 0
        assert case.blocked in self.blocked
        assert bool(case.blocked) == bool(self.blocked)
        assert self.usage == case.usage
        assert self.reason is case.reason
        assert case.message in (self.failure.message if self.failure else "")


def replay(
    executor: Executor,
    pieces: bytes | Iterable[bytes] = b"",
    ended: ProcessExit | None = None,
    errors: bytes = b"",
    run: AgentRun | None = None,
    answers: Iterable[tuple[str, Answer]] = (),
) -> Replay:
    """Return what is understood of a run; `answers` are given before anything is asked, as after a restart."""
    conversation = executor.converse(run or a_run())
    said: list[Entry | Send] = [send for one in answers for send in conversation.answer(*one)]
    for piece in [pieces] if isinstance(pieces, bytes) else pieces:
        said += conversation.receive(OutputSource.STDOUT, piece)
    said += conversation.receive(OutputSource.STDERR, errors)
    said += conversation.end(ended or exited())
    entries = [one for one in said if isinstance(one, Entry)]
    sends = [one for one in said if isinstance(one, Send)]
    return Replay(conversation, entries, sends, conversation.judge(ended or exited()))


def recorded(executor: Executor, name: str, code: int = 0, run: AgentRun | None = None) -> Replay:
    """Return what is understood of a capture, FOLDER/CASE."""
    folder, _, case = name.partition("/")
    return replay(executor, written(folder, case), exited(code), written(folder, case, "stderr"), run)


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
        other = chance.choice(
            (b"", b"null", b"{}", b"[]", b'"', b"-1", b"1e999", b"\\ud800", b"\0", b"\n", chance.randbytes(3), part * 3)
        )
        data = data[:start] + other + data[start + len(part) :]
    return data
