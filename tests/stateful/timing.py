"""What is due although nothing happens, as a judge of whole engines sees it: reminders, escalations and retries.

Deadlines are in `silence`. The clock may have been set, forward and back: what counts is the time of each record.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec.structs import replace
from notes import Asked, Notes, Run

DAY = 24 * 3600.0

SET_BACK = timedelta(seconds=180)
"""By which clocks may differ, or be corrected."""

NEAR = timedelta(seconds=1)
"""Between a decision and its record."""

MOVES = ("approval.vote_cast", "approval.level_approved", "approval.delegated", "approval.escalated")
"""What changes whose answer a question waits for."""


def require_times(asked: Asked, record) -> None:
    """Hold the times of a new question against what the policy says, and begin to count."""
    question, watched = asked.question, asked.watched
    wanted = (3600.0, 7200.0, ("erin",)) if watched else (DAY, 2 * DAY, ())
    assert (question.remind_after, question.escalate_after, question.escalate_to) == wanted, "people are asked in time"
    asked.since = asked.counts_from = asked.lasts_from = record.time


def note_time(asked: Asked, record, topic: str, event) -> None:
    """Hold what became due against its time."""
    match topic:
        case "approval.reminder_sent":
            _reminded(asked, record, event)
        case "approval.escalated":
            _escalated(asked, record, event)
        case "approval.level_approved":
            asked.since = asked.counts_from = record.time
            asked.escalated = None
            _count_again(asked, record)
        case "approval.times_moved":
            _moved(asked, record, event)
        case "approval.delegated":
            ends = [] if event.until is None else [event.until]
            asked.ends, asked.coming = asked.ends + ends, asked.coming + ends
    asked.untouched &= topic not in MOVES


def _moved(asked: Asked, record, event) -> None:
    """Each time moves if the clock was set back behind the moment from which this time counts, and only then."""
    deadline = asked.question.deadline
    assert event.reminder or event.escalation or event.deadline, f"something moves: {record}"
    asked.counts_from -= _shift(asked.counts_from, event.reminder, record, may_stay=_has_ended(asked, record))
    asked.since -= _shift(asked.since, event.escalation, record)
    if event.reminder:
        _count_again(asked, record)
    shift = _shift(asked.lasts_from, event.deadline, record)
    asked.lasts_from -= shift
    if deadline is None:
        return
    asked.question = replace(asked.question, deadline=deadline - shift)


def _shift(since: datetime, seconds: float, record, *, may_stay: bool = False) -> timedelta:
    """Return by how much a time moved. What is due already may stay."""
    ahead, shift = since - record.time, timedelta(seconds=seconds)
    if not shift:
        assert may_stay or ahead < SET_BACK + NEAR, f"what counts from a moment that is to come is moved: {record}"
        return shift
    assert ahead >= SET_BACK, f"a time moves only if the clock was set back behind what it counts from: {record}"
    assert abs(ahead - shift) < NEAR, f"it is as far away as when it was set: {record}"
    return shift


def _reminded(asked: Asked, record, event) -> None:
    _require_due(asked, record)
    assert _has_ended(asked, record) or record.time >= reminder_at(asked), (
        f"a reminder is not early, nor sent twice: {record}"
    )
    assert event.number == asked.reminders + 1, "reminders are counted"
    voted = {vote.reviewer for vote in asked.votes}
    may = {name for seat in asked.seats for name in asked.chain(seat, record.time)} - voted
    assert event.to, "someone is reminded"
    assert set(event.to) <= may, f"only those are reminded whose answer counts: {record}"
    asked.reminders, asked.counts_from = event.number, record.time
    _count_again(asked, record)


def _has_ended(asked: Asked, record) -> bool:
    """Whether a delegation has ended since people were asked or reminded."""
    return any(end <= record.time for end in asked.coming)


def _count_again(asked: Asked, record) -> None:
    asked.coming = [end for end in asked.ends if end > record.time]


def _escalated(asked: Asked, record, event) -> None:
    assert asked.escalated is None, f"a question is escalated once: {record}"
    if asked.question.quorum <= len(asked.question.reviewers):
        _require_due(asked, record)
        assert record.time >= _escalation_at(asked), f"an escalation is not early: {record}"
    else:
        assert record.time == asked.since, f"those without whom there is no quorum are asked at once: {record}"
    assert set(event.to) == more_people(asked), "it goes to those who are named and not asked"
    asked.escalated = set(event.to)


def _require_due(asked: Asked, record) -> None:
    deadline = asked.question.deadline
    assert record.actor == "system:engine"
    assert deadline is None or record.time < deadline, f"no one is bothered after the deadline: {record}"


def reminder_at(asked: Asked) -> datetime:
    return asked.counts_from + timedelta(seconds=asked.question.remind_after)


def _escalation_at(asked: Asked) -> datetime:
    return asked.since + timedelta(seconds=asked.question.escalate_after)


def more_people(asked: Asked) -> set[str]:
    known = {name for names, _ in asked.levels for name in names} | {vote.reviewer for vote in asked.votes}
    return set(asked.question.escalate_to) - known - set(asked.question.barred)


def undone(notes: Notes, now: datetime) -> Iterator[str]:
    """Yield what a service has to do about questions that wait."""
    for key in notes.pending():
        asked = notes.asked[key]
        deadline = asked.question.deadline
        if deadline is not None and now >= deadline:
            continue  # it has to be closed
        if now > reminder_at(asked):
            yield f"reminds of {key}, asked at {asked.since}, reminded at {asked.counts_from}; it is {now}"
        if asked.escalated is None and more_people(asked) and now > _escalation_at(asked):
            yield f"escalates {key}, asked at {asked.since}; it is {now}"


def is_answered(notes: Notes, run: Run) -> bool:
    """Whether a question about a run was closed since its stage failed: it need not wait for its retry."""
    return any(one.closed_at > run.retry_since for one in notes.asked.values() if one.task == run.task)


def require_retry_due(notes: Notes, run: Run, record) -> None:
    """Hold the retry of a stage against its time; an answer may come before.

    A pause that seems to be minutes longer than any in this world began before the clock was set back, and is over.
    """
    answered = is_answered(notes, run)
    early = run.retry_at is not None and run.retry_at - SET_BACK < record.time < run.retry_at
    assert answered or not early, f"a retry is not early: {record}"
