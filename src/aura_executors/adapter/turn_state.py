"""Turn state: agents that run for one turn and report its outcome."""

import re
from collections.abc import Iterator
from typing import ClassVar

import msgspec

from aura_contracts.entries import Entry, Finished, SessionStarted, Usage, UsageReported
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ports.executors import Send, failure_of
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.adapter.bounded_text import clipped
from aura_executors.adapter.json_lines import UNFINISHED, Item, JsonLines, lost_session


class ReportedTurn(JsonLines):
    """Base for agents that are judged by the outcome that they report, whatever their exit code."""

    listening: ClassVar[bool] = False
    """Whether standard input stays open until the turn is over."""

    def __init__(self) -> None:
        super().__init__()
        self.finished: Finished | None = None
        """The outcome, once the agent has reported it."""

    def finish(self, failure: Failure | None) -> list[Item]:
        """Record the outcome, once, and return the end of the run."""
        if self.finished is not None:
            return []
        self.finished = Finished(failure=failure)
        return [self.finished, Send(close=True)] if self.listening else [self.finished]

    def unfinished(self, exit: ProcessExit) -> Failure | None:
        """Return why the outcome of an agent that AURA did not end is missing."""
        return self.failed(exit, None) or Failure(FailureReason.AGENT_ERROR, UNFINISHED)

    def judge(self, exit: ProcessExit) -> Failure | None:
        if exit.cause not in (ExitCause.OWN, ExitCause.EXIT_GRACE):
            return failure_of(exit)
        failure = self.unfinished(exit) if self.finished is None else self.finished.failure
        return failure and msgspec.structs.replace(failure, exit_code=exit.exit_code, signal=exit.signal)


class SingleTurn(ReportedTurn):
    """Base for agents whose stream names a session first. `session_id` is the session to resume."""

    unknown_session: ClassVar[re.Pattern[str]]
    """Matches the agent's message for an unknown session."""

    def __init__(self, session_id: str = "") -> None:
        super().__init__()
        self.failure: Failure | None = None
        """The last failure that the agent mentioned."""
        self._asked = session_id
        self._session = ""
        self._model = ""

    def unfinished(self, exit: ProcessExit) -> Failure | None:
        words = self.errors.text or (self.failure.message if self.failure else "")
        lost = self._asked and not self._session and self.unknown_session.search(words)
        return lost_session(self._asked, words) if lost else self.failure or super().unfinished(exit)

    def take_session(self, session_id: str, model: str | None) -> Iterator[Entry]:
        """Record the session and its model, which are reported once."""
        self._model = self._model or clipped(model or "", 1_000)
        if session_id and not self._session:
            self._session = session_id
            yield SessionStarted(session_id=clipped(session_id, 1_000), model=self._model)

    def take_result(self, usage: Usage, failure: Failure | None) -> Iterator[Item]:
        """Record the outcome and the usage."""
        if usage != Usage():
            yield UsageReported(usage=usage, model=self._model)
        yield from self.finish(failure)
