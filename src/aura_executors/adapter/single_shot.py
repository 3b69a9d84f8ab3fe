"""Single shot: programs that only write a model's answer, which becomes one message, kept in bounded memory.

`ModelExecutor` and `ModelConversation` are for programs that take the name of a model and report tokens on standard
error.
"""

import re
from collections.abc import Iterable
from typing import ClassVar

from aura_contracts.entries import TEXT_LIMIT, Entry, Message, Thinking, Usage, UsageReported
from aura_contracts.errors import InvalidInput
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import AgentRun, Conversation, failure_of
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.adapter.agent_executor import AgentExecutor
from aura_executors.adapter.bounded_text import MESSAGE_LIMIT, Tail, clipped
from aura_executors.adapter.failure_classification import failure_from
from aura_executors.adapter.options import Options

_CONTROL = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])"  # ECMA-48: CSI, OSC, other escapes
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)

_KEPT = 4 * TEXT_LIMIT
"""Bytes to keep of the beginning, and of the end; a character takes at most four."""


def without_controls(text: str) -> str:
    r"""Return `text` without terminal control sequences; of an overwritten line, only the final content.

    >>> without_controls("\x1b[?25lpulling 3%\rpulled\x1b[K\n\x1b[1mdone\x1b[0m\n")
    'pulled\ndone\n'
    """
    lines = _CONTROL.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


class PlainConversation(Conversation):
    """Parses a program whose standard output is the answer; everything else goes to standard error."""

    thinking: tuple[str, str] = ("", "")
    """The lines that delimit the model's thoughts at the beginning of the answer; empty if it marks none."""

    def __init__(self) -> None:
        self.errors = Tail()
        self._answered = False
        self._head = bytearray()
        self._tail = bytearray()
        self._size = 0

    def receive(self, source: OutputSource, data: bytes) -> Iterable[Entry]:
        if source is OutputSource.STDERR:
            self.errors.feed(data)
        elif source is OutputSource.STDOUT:
            room = _KEPT - len(self._head)
            self._head += data[:room]
            self._tail += data[room:]
            if len(self._tail) > 2 * _KEPT:
                del self._tail[:-_KEPT]
            self._size += len(data)
        return ()

    def end(self, exit: ProcessExit) -> Iterable[Entry]:
        thoughts, answer = self._parts(without_controls(self._text()))
        self._answered = bool(answer)
        if thoughts:
            yield Thinking(text=clipped(thoughts))
        if answer:
            yield Message(text=clipped(answer))

    def judge(self, exit: ProcessExit) -> Failure | None:
        failure = failure_of(exit)
        if failure is None and not self._answered:
            failure = Failure(FailureReason.AGENT_ERROR, "no output", exit_code=exit.exit_code)
        if failure is None or exit.cause is not ExitCause.OWN or exit.signal is not None or not self.diagnostics:
            return failure
        found = failure_from(clipped(self.diagnostics, MESSAGE_LIMIT))
        return Failure(found.reason, found.message, exit_code=exit.exit_code)

    @property
    def diagnostics(self) -> str:
        """Standard error without terminal control sequences."""
        return without_controls(self.errors.text).strip()

    def _text(self) -> str:
        tail = self._tail[-_KEPT:]
        left_out = self._size - len(self._head) - len(tail)
        cut = f"\n[... {left_out} bytes left out; the output has them ...]\n".encode() if left_out > 0 else b""
        return (bytes(self._head) + cut + tail).decode("utf-8", "replace")

    def _parts(self, text: str) -> tuple[str, str]:
        """Return the model's thoughts and its answer."""
        begin, end = self.thinking
        text = text.strip()
        if not begin or not text.startswith(begin):
            return "", text
        thoughts, _, answer = text[len(begin) :].partition(end)
        return thoughts.strip(), answer.strip()


class ModelConversation(PlainConversation):
    """Parses a program that asks `model`, and reports tokens on standard error."""

    read: ClassVar[re.Pattern[str]]
    """Matches the number of input tokens, in a group."""
    written: ClassVar[re.Pattern[str]]
    """Matches the number of output tokens, in a group."""

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model = model

    def end(self, exit: ProcessExit) -> Iterable[Entry]:
        yield from super().end(exit)
        read, written = self.read.findall(self.diagnostics), self.written.findall(self.diagnostics)
        if read or written:
            usage = Usage(input_tokens=int(read[-1]) if read else 0, output_tokens=int(written[-1]) if written else 0)
            yield UsageReported(usage=usage, model=self._model)


class ModelExecutor(AgentExecutor[Options]):
    """Runs a program that asks the model in option `model`, which the command `listing` lists."""

    listing: ClassVar[str]

    def options_of(self, run: AgentRun) -> Options:
        """Raises `InvalidInput` also for a model name that the program would take for an option."""
        options = super().options_of(run)
        if options.model is None:
            reason, remedy = f"executor {self.name} requires it", f"name one that `{self.listing}` shows"
            raise InvalidInput(field="option model", reason=reason, remedy=remedy)
        if options.model.startswith("-"):
            raise InvalidInput(field="option model", reason=f"{options.model!r} is not the name of a model")
        return options
