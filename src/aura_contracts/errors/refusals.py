"""Errors of decisions: commands that the domain refuses, and events that a table does not allow."""

from aura_contracts.errors.base import AuraError


class CommandRefused(AuraError, code="refused"):
    """A command was refused; nothing was recorded."""

    summary = "{command} on {aggregate} {aggregate_id} was refused"
    aggregate: str
    aggregate_id: str
    command: str


class AggregateNotFound(CommandRefused, code="not_found"):
    """A command was sent to an aggregate that does not exist."""

    summary = "there is no {aggregate} {aggregate_id}"


class AggregateExists(CommandRefused, code="exists"):
    """The aggregate to create already exists."""

    summary = "{aggregate} {aggregate_id} already exists"


class TransitionRefused(CommandRefused, code="wrong_state"):
    """The command is not possible in this state."""

    status: str
    allowed_in: tuple[str, ...] = ()

    def message(self) -> str:
        allowed = f" (possible when {', '.join(self.allowed_in)})" if self.allowed_in else ""
        return f"{self.command} is not possible: {self.aggregate} {self.aggregate_id} is {self.status}{allowed}"


class ActorNotAllowed(CommandRefused, code="not_allowed"):
    """This actor may not send the command."""

    summary = "{actor} may not {command} {aggregate} {aggregate_id}: {reason}"
    actor: str
    reason: str


class RuleViolated(CommandRefused, code="rule_violated"):
    """A rule of the domain forbids the command; `rule` is its stable name, for programs."""

    summary = "{command} on {aggregate} {aggregate_id}: {reason}"
    rule: str
    reason: str


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
