"""Normalise: MB/s of what agents wrote, through the conversations that understand it, and the memory it takes.

The input of each agent is the largest of its captures, over and over, up to ``--size`` MB. A capture is a whole session:
after it the agent would be gone, and a conversation rightly makes little of what follows. So there is one conversation
for each, begun outside of the clock, which makes entries of all of it; that they are as many as they should be is
asserted. It is given at most 64 KiB at once, as the supervisor does. The reference, in turn with it, takes the same
bytes and calls ``json.loads`` for each line: the least that whoever reads them without types does.

Memory is the peak, of one conversation that is given all of the input, against one that is given a tenth of it.
"""

import gc
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import attrs

from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import AgentRun, Conversation, Entry, Executor
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.agents.claude import ClaudeExecutor
from aura_executors.agents.codex import CodexExecutor
from aura_executors.agents.copilot import CopilotExecutor
from aura_executors.agents.gemini import GeminiExecutor
from aura_executors.agents.opencode import OpencodeExecutor
from aura_executors.agents.qwen import QwenExecutor
from benchmarks._report import Row, alternate, main

CAPTURES = Path(__file__).parents[1] / "tests" / "aura_executors" / "agents" / "captures"
SIZE = 200
"""MB."""
MEMORY_SIZE = 20
"""MB at most for the memory: counting it makes everything slow."""
FLOOR = 1.5
MEMORY_CEILING = 1.5
CHUNK = 65_536
BATCH = 1_000_000
"""Bytes for which conversations are begun before the clock runs."""

SUBJECTS: dict[str, tuple[type[Executor], dict[str, str]]] = {
    "claude": (ClaudeExecutor, {}),
    "claude22": (ClaudeExecutor, {}),
    "codex": (CodexExecutor, {"protocol": "exec"}),
    "codex-app-server": (CodexExecutor, {"protocol": "app-server"}),
    "copilot": (CopilotExecutor, {}),
    "gemini": (GeminiExecutor, {}),
    "opencode": (OpencodeExecutor, {}),
    "qwen": (QwenExecutor, {}),
}
"""Folders of captures, who understands them, and the options of the run."""

_EXIT = ProcessExit(token="", cause=ExitCause.OWN, exit_code=0)


@attrs.frozen
class Subject:
    """An agent, and what it wrote in one session."""

    name: str
    converse: Callable[[], Conversation]
    written: bytes

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield `size` bytes of sessions, one after the other, cut anywhere."""
        chunk = self.written * (CHUNK // len(self.written) + 2)
        place = 0
        for _ in range(size // CHUNK):
            yield chunk[place : place + CHUNK]
            place = (place + CHUNK) % len(self.written)


def measure(size: int) -> Iterator[Row]:
    for name, (executor, options) in SUBJECTS.items():
        written = max((path.read_bytes() for path in (CAPTURES / name).glob("*.stdout")), key=len)
        run = AgentRun(prompt="Create hello.txt", cwd="/repository", options=options)
        subject = Subject(name, partial(executor().converse, run), written)
        yield _speed(subject, size * 1_000_000)
        yield _memory(subject, min(size, MEMORY_SIZE) * 1_000_000)


def _speed(subject: Subject, size: int) -> Row:
    batch = max(1, BATCH // len(subject.written))
    rounds = max(1, size // (batch * len(subject.written)))
    expected = len(_entries(subject.converse(), subject.written))
    assert expected, f"{subject.name}: nothing was understood"
    aura, reference = alternate(
        lambda: _megabytes(rounds, batch, subject, lambda: _normalise(subject, batch, expected)),
        lambda: _megabytes(rounds, batch, subject, lambda: _load(subject, batch)),
    )
    return Row(subject.name, aura, "MB/s", "json.loads of each line", aura / reference, FLOOR)


def _megabytes(rounds: int, batch: int, subject: Subject, once: Callable[[], float]) -> float:
    gc.collect()
    seconds = sum(once() for _ in range(rounds))
    return rounds * batch * len(subject.written) / seconds / 1e6


def _normalise(subject: Subject, batch: int, expected: int) -> float:
    conversations = [subject.converse() for _ in range(batch)]
    count = 0
    began = time.perf_counter()
    for conversation in conversations:
        count += len(_entries(conversation, subject.written))
    taken = time.perf_counter() - began
    assert count == batch * expected, f"{subject.name}: {count} entries, {batch * expected} expected"
    return taken


def _entries(conversation: Conversation, written: bytes) -> list[Entry]:
    said: list[object] = []
    for start in range(0, len(written), CHUNK):
        said += conversation.receive(OutputSource.STDOUT, written[start : start + CHUNK])
    said += conversation.end(_EXIT)
    return [one for one in said if isinstance(one, Entry)]


def _load(subject: Subject, batch: int) -> float:
    began = time.perf_counter()
    for _ in range(batch):
        for line in subject.written.split(b"\n"):
            if line:
                json.loads(line)
    return time.perf_counter() - began


def _memory(subject: Subject, size: int) -> Row:
    small, large = _peak(subject, size // 10), _peak(subject, size)
    return Row(f"{subject.name}, memory", large / 1e3, "KB", "a tenth of the input", large / small, MEMORY_CEILING, True)


def _peak(subject: Subject, size: int) -> int:
    """Return the peak of memory, in bytes, of one conversation whose entries are not kept."""
    conversation = subject.converse()
    gc.collect()
    tracemalloc.start()
    try:
        for chunk in subject.chunks(size):
            for _ in conversation.receive(OutputSource.STDOUT, chunk):
                pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    main("Understanding what agents write", measure, size=SIZE)
