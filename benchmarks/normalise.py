"""Normalise: MB/s of what agents wrote, through the conversations that understand it, and the memory it takes.

The input of each agent is the largest of its captures that ended well, over and over, up to ``--size`` MB: in one that
failed there is little, and what comes after a failure is not looked at. A capture is a whole
session: after it the agent would be gone, and a conversation rightly makes little of what follows. So each has a
conversation of its own, begun outside of the clock. Where AURA leads the conversation, and would mostly be measured
opening sessions, what lies between beginning and end is repeated, up to 1 MB for a conversation. Entries are asserted
to be as many as they should be. The conversation is given 64 KiB at once, as by the supervisor. The reference, in turn
with it, takes the same bytes and calls ``json.loads`` for each line. Neither waits for anything, so that it is the
processor's time which is measured: other programs do not count.

Memory is the peak of one conversation that is given all of the input, up to 20 MB; what it remembers is limited.
"""

import gc
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import attrs

from aura_contracts.entries import Entry, Finished, SessionStarted
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import AgentRun, Conversation, Executor, Send
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.agents.acp import AcpExecutor
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
DIALOGUE_FLOOR = 0.6
"""Where AURA leads the conversation. A repeated body is the densest session there can be: every few lines complete a
call or ask for a permission, which is named, compared with the last ones and kept open."""
MEMORY = 4_000_000
"""Bytes that a conversation may need, whatever the size of the input."""
CHUNK = 65_536
BATCH = 1_000_000
"""Bytes of a session that was made longer, or of the sessions whose conversations are begun before the clock runs."""

SUBJECTS: dict[str, tuple[type[Executor], dict[str, str]]] = {
    "claude-agent-acp": (AcpExecutor, {"agent": "claude-agent-acp"}),
    "codex-acp": (AcpExecutor, {"agent": "codex-acp"}),
    "copilot-acp": (AcpExecutor, {"agent": "copilot"}),
    "gemini-acp": (AcpExecutor, {"agent": "gemini"}),
    "opencode-acp": (AcpExecutor, {"agent": "opencode"}),
    "qwen-acp": (AcpExecutor, {"agent": "qwen"}),
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
    entries: int
    """That are in it."""
    led: bool
    """Whether AURA leads the conversation: its body is repeated."""

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield `size` bytes of sessions, one after the other, cut anywhere."""
        chunk = self.written * (CHUNK // len(self.written) + 2)
        place = 0
        for _ in range(size // CHUNK):
            yield chunk[place : place + CHUNK]
            place = (place + CHUNK) % len(self.written)


def measure(size: int) -> Iterator[Row]:
    for name, (executor, options) in SUBJECTS.items():
        run = AgentRun(prompt="Create hello.txt", cwd="/repository", options=options)
        converse = partial(executor().converse, run)
        captures = sorted(path.read_bytes() for path in (CAPTURES / name).glob("*.stdout"))
        written = max((capture for capture in captures if _ended_well(converse(), capture)), key=len)
        subject = _lengthened(name, converse, written)
        yield _speed(subject, size * 1_000_000)
        yield _memory(subject, min(size, MEMORY_SIZE) * 1_000_000)


def _ended_well(conversation: Conversation, written: bytes) -> bool:
    """Say whether the agent says so in `written`, and not only by its exit code."""
    _entries(conversation, written)
    return conversation.judge(_EXIT) is None


def _lengthened(name: str, converse: Callable[[], Conversation], written: bytes) -> Subject:
    """Return the session `written`; if it is one that AURA opens, with all but its beginning and end repeated."""
    conversation, lines = converse(), written.splitlines(keepends=True)
    said = [[*conversation.receive(OutputSource.STDOUT, line)] for line in lines]
    kinds = [{type(one) for one in what} for what in said]
    first = next(number for number, what in enumerate(kinds, 1) if SessionStarted in what)
    last = next((number for number, what in enumerate(kinds) if Finished in what), len(lines))
    head, body, tail = b"".join(lines[:first]), b"".join(lines[first:last]), b"".join(lines[last:])
    once, twice, thrice = (len(_entries(converse(), head + body * times + tail)) for times in (1, 2, 3))
    led = any(isinstance(one, Send) for what in said[:first] for one in what)
    times = BATCH // len(body) if led and thrice - twice == twice - once > 0 else 1
    return Subject(name, converse, head + body * times + tail, once + (times - 1) * (twice - once), times > 1)


def _speed(subject: Subject, size: int) -> Row:
    batch = max(1, BATCH // len(subject.written))
    rounds = max(1, size // (batch * len(subject.written)))
    aura, reference = alternate(
        lambda: _megabytes(rounds, batch, subject, lambda: _normalise(subject, batch)),
        lambda: _megabytes(rounds, batch, subject, lambda: _load(subject, batch)),
    )
    return Row(
        subject.name,
        aura,
        "MB/s",
        "json.loads of each line",
        aura / reference,
        DIALOGUE_FLOOR if subject.led else FLOOR,
    )


def _megabytes(rounds: int, batch: int, subject: Subject, once: Callable[[], float]) -> float:
    gc.collect()
    seconds = sum(once() for _ in range(rounds))
    return rounds * batch * len(subject.written) / seconds / 1e6


def _normalise(subject: Subject, batch: int) -> float:
    conversations = [subject.converse() for _ in range(batch)]
    count = 0
    began = time.process_time()
    for conversation in conversations:
        count += len(_entries(conversation, subject.written))
    taken = time.process_time() - began
    assert count == batch * subject.entries, f"{subject.name}: {count} entries, {batch * subject.entries} expected"
    return taken


def _entries(conversation: Conversation, written: bytes) -> list[Entry]:
    said: list[object] = []
    for start in range(0, len(written), CHUNK):
        said += conversation.receive(OutputSource.STDOUT, written[start : start + CHUNK])
    said += conversation.end(_EXIT)
    return [one for one in said if isinstance(one, Entry)]


def _load(subject: Subject, batch: int) -> float:
    began = time.process_time()
    for _ in range(batch):
        for line in subject.written.split(b"\n"):
            if line:
                json.loads(line)
    return time.process_time() - began


def _memory(subject: Subject, size: int) -> Row:
    peak = _peak(subject, size)
    return Row(f"{subject.name}, memory", peak / 1e3, "KB", f"{MEMORY // 1_000:,} KB", peak / MEMORY, 1, ceiling=True)


def _peak(subject: Subject, size: int) -> int:
    """Return the peak of memory, in bytes, of one conversation whose entries are not kept."""
    conversation, chunks = subject.converse(), subject.chunks(size)
    next(chunks)  # the input is made before memory is counted
    gc.collect()
    tracemalloc.start()
    try:
        for chunk in chunks:
            for _ in conversation.receive(OutputSource.STDOUT, chunk):
                pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    main("Understanding what agents write", measure, size=SIZE)
