"""Errors of requests that are refused: invalid values from outside, and commands that the domain does not allow."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from aura_contracts.errors.base import AuraError

# --- Input ------------------------------------------------------------------------------------------------------------


class InvalidInput(AuraError, code="invalid_input"):
    """A value from outside was refused."""

    summary = "{field}: {reason}"
    field: str
    reason: str


class InvalidId(InvalidInput, code="invalid_id"):
    """A text is not an id."""

    summary = "{field}: {value!r} is not an id"
    value: str
    reason: str = "not an id"
    remedy: str = "give a UUID such as 0192f0c1-2d3e-7abc-8def-0123456789ab"


class InvalidText(InvalidInput, code="invalid_text"):
    """A text holds characters that no database can store: NUL or half of a surrogate pair."""

    remedy: str = "remove the character; encode binary data as base64"


class NaiveDatetime(InvalidInput, code="naive_datetime"):
    """A time without a zone could mean any of 38 instants."""

    reason: str = "has no time zone"
    remedy: str = "use an aware datetime, for example datetime.now(UTC)"


class EventTooLarge(InvalidInput, code="event_too_large"):
    """An event is larger than the log accepts; sizes are in bytes as stored."""

    summary = "{field} for stream {stream_id} takes {size} bytes; the limit is {limit}"
    stream_id: str
    size: int
    limit: int
    reason: str = "event too large"
    remedy: str = "keep large content in a file or a git object and refer to it by name"


class LinkRefused(AuraError, code="link_refused"):
    """A link does not open: it was not issued here, or was changed, or an answer does not come from its page."""

    summary = "the link is not accepted: {reason}"
    reason: str
    remedy: str = "open it exactly as it was sent, or ask for another one"


class AgentFileProblem(NamedTuple):
    """What is wrong with the definition of an agent in a file."""

    path: str
    line: int
    """From 1; 0 for the file itself."""
    field: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.field}: {self.reason}; {self.remedy}"


class AgentFilesRefused(AuraError, code="agent_files_refused"):
    """Files that should define agents were refused, with everything that is wrong in them. Nothing was imported."""

    problems: tuple[AgentFileProblem, ...]
    remedy: str = "correct the files, then import them again: nothing was imported"

    def message(self) -> str:
        """Return every problem, one per line."""
        return "\n".join(map(str, self.problems))


def require_aware(value: datetime, field: str) -> datetime:
    """Return `value`. Raises `NaiveDatetime`, naming `field`, if it has no time zone."""
    if value.utcoffset() is None:
        raise NaiveDatetime(field=field)
    return value


def require_text(text: str, field: str) -> str:
    """Return `text`. Raises `InvalidText` if it holds what databases cannot store."""
    if "\0" in text:
        raise InvalidText(field=field, reason="holds a NUL character, which databases cannot store")
    try:
        text.encode()
    except UnicodeEncodeError:
        reason = "holds half of a surrogate pair, which is not a character"
        raise InvalidText(field=field, reason=reason) from None
    return text


# --- Commands ---------------------------------------------------------------------------------------------------------


class CommandRefused(AuraError, code="refused"):
    """A command was refused; nothing was recorded."""

    summary = "{command} on {aggregate} {aggregate_id} was refused"
    aggregate: str
    aggregate_id: str
    command: str


class AggregateNotFound(CommandRefused, code="not_found"):
    """A command was sent to an aggregate that does not exist."""

    summary = "there is no {aggregate} {aggregate_id}"
    remedy: str = "`history.list()` lists everything in the log"


class AggregateExists(CommandRefused, code="exists"):
    """The aggregate to create already exists."""

    summary = "{aggregate} {aggregate_id} already exists"


class NameTaken(AggregateExists, code="name_taken"):
    """Another one has the name already."""

    summary = "there is a {aggregate} named {name} already: {aggregate_id}"
    name: str
    remedy: str = "choose another name, or edit that one"


class TransitionRefused(CommandRefused, code="wrong_state"):
    """The command is not possible in this state."""

    status: str
    allowed_in: tuple[str, ...] = ()

    def message(self) -> str:
        allowed = f" (possible when {', '.join(self.allowed_in)})" if self.allowed_in else ""
        return f"{self.command} is not possible: {self.aggregate} {self.aggregate_id} is {self.status}{allowed}"


class AlreadyAnswered(TransitionRefused, code="already_answered"):
    """An answer to a question that has been decided; nothing of it counts."""

    answered_by: str
    answered_at: str
    remedy: str = "yours was not recorded; the decision stands"

    def message(self) -> str:
        return (
            f"{self.answered_by} has answered {self.aggregate} {self.aggregate_id} at {self.answered_at}: {self.status}"
        )


class QuestionWithdrawn(TransitionRefused, code="question_withdrawn"):
    """An answer to a question that was withdrawn."""

    summary = "{aggregate} {aggregate_id} was withdrawn: {reason}"
    reason: str
    remedy: str = "yours was not recorded; `approvals.list(pending=True)` lists what is open"

    def message(self) -> str:
        return self.summary.format_map(self.facts())


class QuestionExpired(TransitionRefused, code="question_expired"):
    """An answer to a question whose deadline has passed."""

    summary = "{aggregate} {aggregate_id} has expired: its deadline was {deadline}"
    deadline: str
    remedy: str = "yours was not recorded"

    def message(self) -> str:
        return self.summary.format_map(self.facts())


class QuestionChanged(CommandRefused, code="question_changed"):
    """An answer names commits other than those that the question shows."""

    summary = "{aggregate} {aggregate_id} shows {shown}, and the answer is about {named}"
    shown: str
    named: str
    remedy: str = "look at what it shows now, then answer"


class ActorNotAllowed(CommandRefused, code="not_allowed"):
    """This actor may not send the command."""

    summary = "{actor} may not {command} {aggregate} {aggregate_id}: {reason}"
    actor: str
    rule: str
    """The stable name of the rule, for programs."""
    reason: str


class DomainRule(StrEnum):
    """The rules that other parts of AURA act on when one is violated. Most rules are known to their aggregate only."""

    TAKEN_OVER = "taken_over"
    """Another engine drives the execution by now."""
    STALE_EPOCH = "stale_epoch"
    """The command comes from an epoch that is over: the lease has been granted again since."""
    HELD = "held"
    """A worker holds the lease."""
    SEQUENCE_GAP = "sequence_gap"
    """Output is missing between what is stored and this piece."""
    SESSION = "session"
    """An agent reported a session with an empty id."""
    USAGE = "usage"
    """An agent reported tokens or a cost that are negative or not finite."""
    TOOL_CALL = "tool_call"
    """A tool call has no tool or no fingerprint, or is given for an approval of another kind."""


class RuleViolated(CommandRefused, code="rule_violated"):
    """A rule of the domain forbids the command; `rule` is its stable name, for programs."""

    summary = "{command} on {aggregate} {aggregate_id}: {reason}"
    rule: str
    reason: str


class CyclicDependency(CommandRefused, code="cyclic_dependency"):
    """Tasks would wait for one another; `path` leads from the task back to itself.

    A task waits for those that must complete first, and one that completes with its parts waits for these.
    """

    path: tuple[str, ...]
    remedy: str = "leave one of them out of what must complete first"

    def message(self) -> str:
        return f"task {self.aggregate_id} would wait for itself: {' > '.join(self.path)}"


class CyclicParent(CommandRefused, code="cyclic_parent"):
    """A task would become its own ancestor; `path` leads from the new parent back to the task."""

    path: tuple[str, ...]
    remedy: str = "choose a parent that is not below this task"

    def message(self) -> str:
        return f"task {self.aggregate_id} would be its own ancestor: {' < '.join(self.path)}"


class ImpossibleTransition(AuraError, code="impossible_transition"):
    """A transition table has no row for an event in the current status."""

    aggregate: str
    status: str
    event: str

    def message(self) -> str:
        return f"{self.aggregate}: no transition from {self.status or 'nothing'} by {self.event}"
