"""Turn state: agents that run for one turn, whose stream names a session first and ends with the outcome."""

import re
from collections.abc import Iterator
from typing import ClassVar

from aura_contracts.entries import Entry, Finished, SessionStarted, Usage, UsageReported
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.adapter.bounded_text import clipped
from aura_executors.adapter.json_lines import UNFINISHED, JsonLines, lost_session


class SingleTurn(JsonLines):
    """Base for agents that run for one turn. `session_id` is the session to resume."""

    unknown_session: ClassVar[re.Pattern[str]]
    """Matches the agent's message for an unknown session."""

    def __init__(self, session_id: str = "") -> None:
        super().__init__()
        self.failure: Failure | None = None
        """The failure that the agent reported."""
        self.finished = False
        """Whether the agent has reported its outcome."""
        self._asked = session_id
        self._session = ""
        self._model = ""

    def judge(self, exit: ProcessExit) -> Failure | None:
        words = self.errors.text or (self.failure.message if self.failure else "")
        lost = self._asked and not self._session and exit.cause is ExitCause.OWN and self.unknown_session.search(words)
        failure = self.failed(exit, lost_session(self._asked, words) if lost else self.failure)
        if failure is None and not self.finished:
            return Failure(FailureReason.AGENT_ERROR, UNFINISHED, exit_code=exit.exit_code)
        return failure

    def take_session(self, session_id: str, model: str | None) -> Iterator[Entry]:
        """Record the session and its model, which are reported once."""
        self._model = self._model or clipped(model or "", 1_000)
        if session_id and not self._session:
            self._session = session_id
            yield SessionStarted(session_id=clipped(session_id, 1_000), model=self._model)

    def take_result(self, usage: Usage, failure: Failure | None) -> Iterator[Entry]:
        """Record the outcome and the usage."""
        self.finished, self.failure = True, failure
        if usage != Usage():
            yield UsageReported(usage=usage, model=self._model)
        yield Finished(failure=failure)
