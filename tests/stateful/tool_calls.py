"""What agents ask permission for, as a judge of whole engines sees it: who decides about a call, and what they hear."""

from collections.abc import Iterator

import attrs
from notes import Asked, Notes

CALLS = ("make", "make", "make test")
"""What agents ask for."""

REFUSED = ("rejected", "needs_changes")
"""How a question ends that a human has answered with a no."""

OPEN_CALLS = 2
"""The most calls that an agent waits for at once."""


@attrs.define
class Call:
    """What is known of a process that asked for a call."""

    approval: str
    task: str
    run: str
    token: str
    request: str
    name: str
    what: str
    by_itself: bool
    """Whether it was answered without a human."""
    made: bool = False
    heard: bool = False


def note_call(notes: Notes, record, topic: str, event) -> None:
    """Hold what a run tells of its calls against the notes, and note it."""
    match topic:
        case "execution.permission_asked":
            _note_asked(notes, record.stream_id, event)
        case "execution.permission_answered":
            (call,) = (one for one in _of_process(notes, event.token) if one.request == event.request_id)
            asked = notes.asked[event.approval_id]
            assert not call.heard, "an agent hears an answer once"
            assert asked.status != "pending", "an agent hears what was decided"
            assert event.granted == asked.granted, "an agent hears what was decided"
            call.heard = True
        case "execution.call_made":
            for call in notes.calls:
                call.made = call.made or (call.run, call.name) == (record.stream_id, event.entry.call_id)
        case "execution.coding_finished" | "execution.coding_changed_nothing":
            for call in notes.calls:
                call.made = call.made or call.run == record.stream_id


def _note_asked(notes: Notes, run: str, event) -> None:
    """Note what a process asks for; a new question follows in the log."""
    task, what, new = notes.runs[run].task, event.fingerprint, event.approval_id not in notes.asked
    former = _asked_before(notes, task, event)
    if former is not None:
        assert event.approval_id == former, "a human is not asked about a call a second time"
    else:
        assert new, "a call that was made is another question"
        by_itself = event.automatic or notes.tasks[task].type == "secret"
        assert by_itself or not is_allowed_in_advance(notes, task, what), "a human has answered for the whole task"
    notes.calls.append(Call(event.approval_id, task, run, *_named(event), by_itself=event.automatic))


def _asked_before(notes: Notes, task: str, event) -> str | None:
    """Return the question that another process asked about a call that it did not make; of several, the last one on
    which anything was said. None if there is none, or a human has answered for later calls since.
    """
    about = [one for one in notes.calls if (one.task, one.what) == (task, event.fingerprint) and not one.by_itself]
    said = {}
    for approval, call in {one.approval: one for one in about}.items():
        if (asked := notes.asked.get(approval)) is None:
            continue  # it was asked at once with this one, and follows
        again = (call.token, call.request) == (event.token, event.request_id) and asked.status == "pending"
        unmade = call.token != event.token and not call.made and asked.status != "withdrawn"
        if again or unmade or (call.made and _counts(asked)):
            said[max(asked.asked_at, asked.closed_at)] = approval if again or unmade else None
    return said[max(said)] if said else None


def _counts(asked: Asked) -> bool:
    """Whether a human has answered for later calls, too: with a no, or with a yes for the whole task."""
    yes = asked.status == "approved" and asked.votes[-1].remember == "task"
    return yes or asked.status in REFUSED


def _named(event) -> tuple[str, str, str, str]:
    return event.token, event.request_id, event.call_id, event.fingerprint


def _of_process(notes: Notes, token: str) -> list[Call]:
    return [one for one in notes.calls if one.token == token]


def is_allowed_in_advance(notes: Notes, task: str, what: str) -> bool:
    """Whether a human has allowed a call for the whole task, and none refused it since."""
    last = max(filter(_counts, _decided(notes, task, what)), key=lambda one: one.closed_at, default=None)
    return last is not None and last.status == "approved"


def is_refused(notes: Notes, task: str, what: str) -> bool:
    """Whether a human has refused a call in this task."""
    return any(one.status in REFUSED for one in _decided(notes, task, what))


def _decided(notes: Notes, task: str, what: str) -> list[Asked]:
    """Return the questions about a call that humans have decided."""
    about = [one for one in notes.asked.values() if (one.kind, one.task) == ("tool_call", task) and one.votes]
    return [one for one in about if one.status != "pending" and one.question.tool_call.fingerprint == what]


def require_heard(notes: Notes, world) -> None:
    """Hold what agents have heard against what was decided."""
    for start in world.runner.starts:
        known = {one.request: one for one in _of_process(notes, start.process.spec.token)}
        heard = world.answers_to(start)
        assert len({one["request_id"] for one in heard}) == len(heard), "an agent hears an answer once"
        for answer in heard:
            asked = notes.asked[known[answer["request_id"]].approval]
            assert asked.status != "pending", "an agent hears of a decision that nobody made"
            assert answer["granted"] == asked.granted, f"an agent hears another answer than {asked.status}"


def duties_about_calls(notes: Notes, world) -> Iterator[str]:
    """Yield which agents have to be told what, and whose questions have to be asked."""
    for start in world.runner.at_work:
        if notes.runs[start.execution_id].status not in ("queued", "works"):
            continue
        known = {one.request: one for one in _of_process(notes, start.process.spec.token)}
        heard = {one["request_id"] for one in world.answers_to(start)}
        for request in world.asked_by(start):
            if request not in known:
                yield f"asks a human what the agent of {start.execution_id} asks"
            elif request not in heard and notes.asked[known[request].approval].status != "pending":
                yield f"tells the agent of {start.execution_id} what was decided about {known[request]}"
