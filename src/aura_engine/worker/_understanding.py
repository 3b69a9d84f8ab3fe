"""Understanding: the conversation with one agent, told each byte once, and never in the way of its output."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import count

import attrs
from msgspec.structs import replace

from aura_contracts.failures import Failure, FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import Answer, Conversation, Entry, ErrorReported, Send
from aura_contracts.ports.processes import OutputBatch, ProcessExit

_log = logging.getLogger(__name__)


@attrs.frozen
class Understood:
    """What an agent said, in order, after it had written the record of number `record`."""

    entries: tuple[Entry, ...]
    record: int


@attrs.define
class Understanding:
    """Feeds a conversation, which is code of others. One that raises is not asked again; the output goes on.

    What comes of it waits in `reports` and in `sends`, in order, until somebody has taken care of it and takes it out:
    it outlives connections.
    """

    _conversation: Conversation
    _judge: Callable[[ProcessExit], Failure | None]
    _fed: int
    """The number of the last record that the conversation was told, or will never be."""
    reports: dict[int, Understood] = attrs.field(factory=dict)
    """By numbers that grow."""
    sends: deque[Send] = attrs.field(factory=deque)
    _numbers: Iterator[int] = attrs.field(factory=count)
    _broken: str = ""
    _answered: set[str] = attrs.field(factory=set)
    _ended: bool = False

    def take(self, batch: OutputBatch) -> None:
        """Tell what the agent wrote; records that were told before are left out."""
        fresh = batch.chunks[max(0, self._fed + 1 - batch.first) :]
        self._fed = max(self._fed, batch.first + len(batch.chunks) - 1)
        said: list[Entry | Send] = []
        for chunk in fresh:
            if chunk.source is not OutputSource.AURA:
                said += self._asked(partial(self._conversation.receive, chunk.source, chunk.raw))
        self._put(said)

    def answer(self, request_id: str, answer: Answer) -> None:
        """Tell what was decided about a question of the agent; the second time nothing comes of it."""
        if request_id not in self._answered:
            self._answered.add(request_id)
            self._put(self._asked(partial(self._conversation.answer, request_id, answer)))

    def end(self, exit: ProcessExit) -> None:  # noqa: A002 - the word for it
        """Tell that the agent has ended; the second time nothing comes of it."""
        if not self._ended:
            self._ended = True
            self._put(self._asked(partial(self._conversation.end, exit)))

    def judge(self, exit: ProcessExit, stage: str) -> Failure | None:  # noqa: A002 - the word for it
        """Say whether the process failed; an executor that cannot be asked is a failure of its own."""
        try:
            failure = self._judge(exit)
        except Exception as error:  # noqa: BLE001 - a plugin's fault is its own
            self._break(error)
            failure = None
        if failure is None and self._broken:
            reason = f"what the agent wrote could not be understood: {self._broken}"
            failure = Failure(FailureReason.AGENT_ERROR, reason, exit_code=exit.exit_code, signal=exit.signal)
        return replace(failure, stage=stage) if failure is not None and not failure.stage else failure

    def _asked(self, ask: Callable[[], Iterable[Entry | Send]]) -> Sequence[Entry | Send]:
        if self._broken:
            return ()
        try:
            return tuple(ask())
        except Exception as error:  # noqa: BLE001 - a plugin's fault is its own
            self._break(error)
            return (ErrorReported(message=f"the executor failed on what the agent wrote: {self._broken}"),)

    def _break(self, error: Exception) -> None:
        _log.error("an executor failed on what its agent wrote: %r", error, exc_info=error)
        self._broken = self._broken or repr(error)

    def _put(self, said: Iterable[Entry | Send]) -> None:
        entries: list[Entry] = []
        for one in said:
            if isinstance(one, Send):
                self.sends.append(one)
            else:
                entries.append(one)
        if entries:
            self.reports[next(self._numbers)] = Understood(tuple(entries), self._fed)
