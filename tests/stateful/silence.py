"""What silence means, as a judge of whole engines sees it: until when a question is open, and what follows then."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from notes import Asked, Notes, Work

LABELS = ((), (), (), ("brief",), ("lenient",), ("watched",))
"""What the policy goes by."""

POLICY_TEXT = """
  - ask: brief
    when: {labels: {any: brief}}
    then: {deadline: 1h}
  - ask: lenient
    when: {labels: {any: lenient}}
    then: {deadline: 1h, on_expiry: continue}
  - ask: watched
    when: {labels: {any: watched}}
    then: {remind_after: 1h, escalate_after: 2h, escalate_to: erin}
"""

EXPIRING = ("plan", "changes", "decomposition", "tool_call")


def require_terms(asked: Asked, task: Work, verdict: str, time: datetime) -> None:
    """Hold the deadline of a new question, and what silence means, against what the policy says."""
    if verdict not in ("ask", "never"):
        return
    labels, question = task.spec.labels, asked.question
    hours = 24 if asked.kind == "tool_call" else None
    if {"brief", "lenient"} & set(labels) and asked.kind in EXPIRING:
        hours = 1
    wanted = None if hours is None else time + timedelta(hours=hours)
    assert _is_near(question.deadline, wanted), f"a question is open until {wanted}, not {question.deadline}"
    refusing = verdict == "never" or (task.spec.priority == "low" and asked.kind == "changes")
    goes_on = "lenient" in labels and not refusing
    assert question.on_expiry == ("continue" if goes_on else "deny"), "silence means what the policy says"


def _is_near(one: datetime | None, other: datetime | None) -> bool:
    """Whether two times are the same but for what passes between a question and its record."""
    if one is None or other is None:
        return one is other
    return abs(one - other) < timedelta(minutes=5)


def require_expired(asked: Asked, record) -> None:
    """Hold the end of a question without an answer against its terms."""
    deadline = asked.question.deadline
    assert record.actor == "system:engine", "nobody decides by saying nothing"
    assert deadline is not None, "it has a deadline"
    assert record.time >= deadline, "a question is open until its deadline"
    assert record.event.continued == (asked.question.on_expiry == "continue")


def require_in_time(asked: Asked, record) -> None:
    """Hold an answer against the deadline."""
    deadline = asked.question.deadline
    assert deadline is None or record.time < deadline, f"an answer after the deadline counts: {record}"


def overdue(notes: Notes, now: datetime) -> Iterator[str]:
    """Yield the open questions that have to be closed."""
    for key in notes.pending():
        deadline = notes.asked[key].question.deadline
        if deadline is not None and now > deadline:
            yield f"closes {key}, which nobody has answered in time\n{notes.story_of(notes.asked[key].task)}"
