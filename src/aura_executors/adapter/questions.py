"""OpenQuestions: those that an agent waits for, and the answers that arrived before their questions.

The latter happens when AURA was restarted and replays the agent's output.
"""

from typing import Generic, TypeVar

from aura_contracts.ports.executors import Answer
from aura_executors.adapter.bounded_text import put

Q = TypeVar("Q")

LIMIT = 1_000
"""Maximum number of open questions, and of early answers; beyond it, the oldest is dropped."""


class OpenQuestions(Generic[Q]):
    """The questions of one run, by their request ids. Each is answered once."""

    def __init__(self) -> None:
        self.open: dict[str, Q] = {}
        self._answers: dict[str, Answer] = {}

    def ask(self, request_id: str, question: Q) -> Answer | None:
        """Return the answer if it arrived before; otherwise the question is open."""
        answer = self._answers.pop(request_id, None)
        if answer is None:
            put(self.open, request_id, question, LIMIT)
        return answer

    def answer(self, request_id: str, answer: Answer) -> Q | None:
        """Return the question, which is not open any more; None if it was not asked yet, and gets the answer then."""
        question = self.open.pop(request_id, None)
        if question is None:
            put(self._answers, request_id, answer, LIMIT)
        return question
