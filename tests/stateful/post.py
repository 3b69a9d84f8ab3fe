"""Who has to be told what, as a judge of whole engines sees it: by whom, once, at their time, and by which channel.

It goes by the documented table of notifications and by the settings of `paper_post`. Letters are what channels took;
what the outboxes record is held against them.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import attrs
from notes import Notes
from paper_post import PERSONS, REFUSED, Letter, Person, local_time
from timing import reminder_at

NOTIFIES = {
    "approval.requested": "asked",
    "approval.reminder_sent": "reminder",
    "approval.escalated": "escalated",
    "approval.expired": "expired",
    "task.failed": "failed",
    "task.blocked": "blocked",
    "lease.lost": "worker_lost",
    "alerts.raised": "alert",
    "ledger.outage_ended": "outage_ended",
}
WHILE_OPEN = ("asked", "reminder", "escalated")
"""What nobody needs to know of a question that is closed meanwhile."""


@attrs.frozen
class News:
    """Something that people are told."""

    kind: str
    about: str
    time: datetime
    position: int
    names: frozenset
    operators: bool = False
    reminded: bool = False
    """Whether people were, or soon are, reminded of the same question when this alert came."""

    @property
    def key(self) -> tuple:
        return (self.kind, self.about, self.time)

    def concerns(self, name: str) -> bool:
        person = PERSONS[name]
        return name in self.names or person.watches or (self.operators and person.operator)


@attrs.define
class Message:
    """What is known of a message in an outbox."""

    channel: str
    message: object
    status: str = "pending"


@attrs.define
class PostBook:
    """What is known of all that people are told."""

    news: dict[tuple, News] = attrs.field(factory=dict)
    messages: dict[tuple, Message] = attrs.field(factory=dict)
    """By channel and key."""
    told: dict[tuple, tuple] = attrs.field(factory=dict)
    """By channel, person and news: the key of the message that has it."""
    covered: dict[tuple, int] = attrs.field(factory=dict)
    """By channel and lane: up to where messages have told at least the number of news."""
    letters: dict[tuple, Letter] = attrs.field(factory=dict)
    seen: int = 0
    claimed: list[tuple] = attrs.field(factory=list)
    """What is recorded as sent since the letters were looked at."""


def pace_of(person: Person, kind: str) -> str:
    return person.kinds.get(kind, "always" if kind == "outage_ended" else "now")


def is_quiet(person: Person, now: datetime) -> bool:
    if person.quiet is None:
        return False
    begin, end = person.quiet
    clock = local_time(person, now)
    return begin <= clock < end if begin <= end else clock >= begin or clock < end


def digest_due(person: Person, happened: datetime) -> datetime:
    """Return when the digest is due that has what happened then."""
    hour, minute = map(int, person.digest.split(":"))
    due = happened.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return due if due > happened else due + timedelta(days=1)


# --- What the log says ------------------------------------------------------------------------------------------------


def note_news(notes: Notes, record, topic: str, event) -> None:
    """Note what people have to be told about an event, after it was noted otherwise."""
    kind = NOTIFIES.get(topic)
    if kind is None:
        return
    about, names, operators = record.stream_id, frozenset(), False
    if kind == "alert":
        kind, about, names, operators = event.kind, event.about, frozenset(event.to), event.kind != "stuck"
        _require_alert(notes, record, event)
    elif kind == "outage_ended":
        about, operators = "", True
    elif topic.startswith("approval"):
        names = _people_of(notes.asked[record.stream_id], kind, event)
    else:
        if kind == "worker_lost":
            about = notes.runs[notes.leases[record.stream_id]].task
        task = notes.tasks[about]
        kind_of, _, name = task.creator.partition(":")
        creator = name if kind_of == "human" else task.spec.on_behalf_of
        names = frozenset(task.spec.reviewers if creator is None else (creator,))
    reminded = kind == "waiting" and _is_reminded(notes.asked[about], record.time)
    news = News(kind, about, record.time, record.position, names, operators, reminded)
    notes.post.news[news.key] = news


def _is_reminded(asked, time: datetime) -> bool:
    return bool(asked.reminders) or reminder_at(asked) <= time + timedelta(hours=1)


def _people_of(asked, kind: str, event) -> frozenset:
    if kind == "asked":
        return frozenset(asked.question.reviewers)
    return frozenset(asked.seats) if kind == "expired" else frozenset(event.to)


def _require_alert(notes: Notes, record, event) -> None:
    if event.kind == "waiting":
        asked = notes.asked[event.about]
        assert record.time - asked.requested_at >= timedelta(hours=24), f"an alert is not early: {record}"


def note_outbox(notes: Notes, record, topic: str, event) -> None:
    """Note what is recorded of a message."""
    book = notes.post
    if topic == "outbox.queued":
        key = (event.channel, event.message.key)
        assert key not in book.messages, f"a message is made once: {record}"
        notes.outboxes[record.stream_id] = event.channel
        book.messages[key] = Message(event.channel, event.message)
        _require_right(notes, record, event)
        return
    message = book.messages[notes.outboxes[record.stream_id], event.key]
    before, after = {
        "outbox.sent": ("pending", "sent"),
        "outbox.given_up": ("pending", "dead"),
        "outbox.retried": ("dead", "pending"),
    }[topic]
    assert message.status == before, f"a message that is {message.status}: {record}"
    message.status = after
    if after == "dead":
        assert event.attempts > 1 or event.reason == REFUSED, f"a message is given up after one attempt: {record}"
    if after == "sent":
        book.claimed.append((message.channel, event.key))


def _require_right(notes: Notes, record, event) -> None:
    """Hold a message against who has to be told what, and when."""
    book, message = notes.post, event.message
    name, lanes = message.recipient, [lane.split("/") for lane in event.positions]
    person = PERSONS[name]
    assert {whose for whose, _ in lanes} == {name}, f"a message is for one person: {record}"
    (pace,) = {pace_of(person, kind) for _, kind in lanes}
    assert event.channel in person.channels, f"a channel that does not lead to {name}: {record}"
    times = [record.time, *(record.time + shift for shift in notes.shifts)]
    for item in message.items:
        news = book.news.get((item.kind, item.about, item.time))
        assert news is not None, f"it tells what has not happened: {item}"
        others = _others(notes, news)
        assert news.concerns(name) or name in others, f"{name} is told what does not concern them: {news}"
        assert pace_of(person, item.kind) == pace, f"{name} wants it otherwise: {item}"
        assert news.position <= event.positions[f"{name}/{item.kind}"], f"it tells of what is ahead of it: {item}"
        if pace == "digest":
            ahead = min(times) < item.time - timedelta(minutes=30)  # the clock was set back: it does not wait for it
            assert ahead or max(times) >= digest_due(person, item.time), f"a digest is not early: {record}"
        told = (event.channel, name, *news.key)
        assert told not in book.told, f"{name} is told a second time, under another key: {item}"
        book.told[told] = (event.channel, message.key)
    if pace == "now":
        assert not all(is_quiet(person, time) for time in times), f"{name} is not disturbed in quiet hours: {record}"
    if message.count > len(message.items):
        book.covered |= {(event.channel, lane): position for lane, position in event.positions.items()}


def _others(notes: Notes, news: News) -> set[str]:
    """Return who may be told as well: those whose answer counts by now."""
    asked = notes.asked.get(news.about)
    return set() if asked is None or news.kind != "asked" else answers_of(asked)


def answers_of(asked) -> set[str]:
    """Return everyone whose answer to a question counts at some time."""
    names = {name for names, _ in asked.levels for name in names} | (asked.escalated or set())
    return names | {delegate for delegate, _ in asked.delegations.values()}


# --- What channels took -----------------------------------------------------------------------------------------------


def note_letters(notes: Notes, letters: list[Letter], claimed: list[tuple]) -> None:
    """Hold the letters that came before the log was read up to here against what it says.

    `claimed` is what the log had said before they were counted.
    """
    book = notes.post
    for letter in letters[book.seen :]:
        key = (letter.channel, letter.message.key)
        known = book.letters.get(key)
        assert known is None or known.faults.killed, f"it comes a second time, though no engine was killed: {letter}"
        assert known is None or known.message == letter.message, "a repetition says the same"
        message = book.messages.get(key)
        assert message is not None, f"a message is recorded before it is sent: {letter}"
        assert message.message == letter.message, "what is sent is what is recorded"
        book.letters[key] = letter
    book.seen = len(letters)
    for key in claimed:
        assert key in book.letters, f"it is recorded as sent, and was not: {book.messages[key]}"
    del book.claimed[: len(claimed)]


def untold(notes: Notes, now: datetime, mood: str) -> Iterator[str]:
    """Yield what a service still has to tell."""
    book = notes.post
    for news in book.news.values():
        if news.kind in WHILE_OPEN and not _still_matters(notes, news):
            continue
        for name, person in PERSONS.items():
            pace = pace_of(person, news.kind)
            quiet = pace == "now" and is_quiet(person, now)
            early = pace == "digest" and now <= digest_due(person, news.time)
            if pace == "off" or quiet or early or not news.concerns(name) or _gets_reminder(notes, news, name):
                continue
            for channel in person.channels:
                if channel == "dead" and mood != "takes":
                    continue
                key = book.told.get((channel, name, *news.key))
                covered = news.position <= book.covered.get((channel, f"{name}/{news.kind}"), 0)
                if (key is None and not covered) or (key is not None and book.messages[key].status == "pending"):
                    yield f"tells {name} by {channel}: {news.kind} of {news.about} at {news.time}; it is {now}"


def _gets_reminder(notes: Notes, news: News, name: str) -> bool:
    """Whether a reminder of the same stands for an alert: then the person need not get the alert."""
    if news.kind != "waiting":
        return False
    person, asked = PERSONS[name], notes.asked[news.about]
    wants = pace_of(person, "reminder") in ("now", "always") and (person.watches or name in answers_of(asked))
    return wants and (news.reminded or _is_reminded(asked, news.time))


def _still_matters(notes: Notes, news: News) -> bool:
    asked = notes.asked[news.about]
    return asked.status == "pending" and (news.kind != "asked" or asked.untouched)


def dead_letters(notes: Notes) -> set[str]:
    """Return the keys of what could not be sent."""
    return {key for (_, key), one in notes.post.messages.items() if one.status == "dead"}
