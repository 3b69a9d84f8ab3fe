"""Decide: from a state and a command to the events that follow, or a refusal. Pure: no I/O, no clock, no randomness.

    command ──► possible in this status? ──► may this actor? ──► the command's own function ──► events ──► next state
                (the transition table)       (its guard)         (rules)                            (evolve)

The first check needs no code of its own: a command names the events that it may emit, and the table lists the statuses
in which they are possible. Guards and functions say why they refuse; `Decider.decide` adds what was refused.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

import attrs
import msgspec

from aura_contracts.actors import Actor, actor_kind, actor_name, is_person, not_a_person
from aura_contracts.agent import AgentLimits
from aura_contracts.aggregate import Aggregate, AnyCommand, Command, State
from aura_contracts.errors import (
    ActorNotAllowed,
    AggregateExists,
    AggregateNotFound,
    CommandRefused,
    ImpossibleTransition,
    InvalidInput,
    RuleViolated,
    TransitionRefused,
)
from aura_contracts.events import Event, Fact
from aura_contracts.ids import TaskId
from aura_contracts.run_plan import RunPlan
from aura_contracts.task import AgentType, RetryPolicy, Task, parse_agent_type


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of a decision besides state and command."""

    actor: Actor
    now: datetime
    """The current time, aware; from the injected clock."""
    lineage: tuple[TaskId, ...] = ()
    """The parent that the command names and its ancestors, nearest first; the unit of work looks it up."""
    parent: Task | None = None
    """The parent that the command names."""
    waiting_circle: tuple[TaskId, ...] = ()
    """The tasks that would wait for one another after the command, from the task back to itself."""


S = TypeVar("S", bound=State)

Events = Sequence[Event]

Guard = Callable[[Any, Any, Context], None]
"""``(state, command, context)``: refuses those who may not give a command, before it is decided."""

Decide = Callable[[Any, Any, Context], Events]
"""``(state, command, context) -> events``; no events means nothing to change.

Raises `RuleBroken`, `NotAllowed`, or a `CommandRefused` about a part of the aggregate."""


@attrs.frozen
class RuleBroken(Exception):
    """A rule of the domain forbids a command; `Decider.decide` raises the `RuleViolated` that names the command."""

    rule: str
    reason: str
    remedy: str = ""


@attrs.frozen
class NotAllowed(Exception):
    """A rule of authorization forbids this actor a command; `Decider.decide` raises the `ActorNotAllowed` about it."""

    rule: str
    reason: str
    remedy: str


class Decision(msgspec.Struct, Generic[S], frozen=True):
    """The result of a command: the events to store, and the state they fold to."""

    events: tuple[Event, ...]
    state: S


@attrs.frozen
class Decider(Generic[S]):
    """All decisions about one kind of aggregate: who may give a command, and what follows from it."""

    aggregate: Aggregate[S]
    decisions: Mapping[type[Command[S]], tuple[Guard, Decide]] = attrs.field(repr=False)
    impossible: "Callable[[S, Command[S], Context, dict[str, Any]], CommandRefused | None]" = attrs.field(
        repr=False, default=lambda _state, _command, _context, _facts: None
    )
    """``(state, command, context, facts)`` -> a more telling error for what is not possible in this status."""
    settle: "Callable[[S | None, Decision[S], Command[S], Context], tuple[Events, S]] | None" = attrs.field(
        repr=False, default=None
    )
    """``(state before, decision, command, context)`` -> the events that follow by themselves from the state after those
    of a command, and the state after them. They are recorded together with it, and no command has to name them in
    `emits`."""
    consequences: tuple[type[Event], ...] = attrs.field(repr=False, default=())
    """The events that `settle` may return."""

    def __attrs_post_init__(self) -> None:
        for command, (_, decide) in self.decisions.items():
            if isinstance(decide, _Becomes):
                decide.require_fields(command)

    def decide(self, aggregate_id: str, state: S | None, command: Command[S], context: Context) -> Decision[S]:
        """Return the events of `command` and the resulting state.

        Raises a `CommandRefused` with the facts; nothing has changed then."""
        before = state
        row = self.aggregate.table.get(None if state is None else state.status, {})
        if row.keys().isdisjoint(command.emits):
            raise self._impossibility(self._about(aggregate_id, command), state, command, context)
        guard, decide = self.decisions[type(command)]
        refuse_observer(context.actor, self.aggregate.name, aggregate_id, type(command).__name__)
        try:
            guard(state, command, context)
            events = tuple(decide(state, command, context))
        except NotAllowed as refused:
            why = {"rule": refused.rule, "reason": refused.reason, "remedy": refused.remedy}
            raise ActorNotAllowed(**self._about(aggregate_id, command), actor=context.actor, **why) from None
        except RuleBroken as broken:
            why = {"rule": broken.rule, "reason": broken.reason, "remedy": broken.remedy}
            raise RuleViolated(**self._about(aggregate_id, command), **why) from None
        for event in events:
            if type(event) not in (*command.emits, *command.followed_by):
                raise TypeError(f"{type(command).__name__} does not declare that it emits {type(event).__name__}")
            fact = Fact(event, context.now, context.actor, "", "")
            try:
                state = self.aggregate.evolve(state, fact)
            except ImpossibleTransition as miss:
                raise TransitionRefused(**self._about(aggregate_id, command), status=miss.status) from None
        assert state is not None, "a command is possible without a state only if it leads to one"
        if self.settle is None:
            return Decision(events, state)
        more, state = self.settle(before, Decision(events, state), command, context)
        return Decision((*events, *more), state)

    def _about(self, aggregate_id: str, command: Command[S]) -> dict[str, Any]:
        """Return what every refusal of a command says."""
        return {
            "aggregate": self.aggregate.name,
            "aggregate_id": aggregate_id,
            "command": type(command).__name__,
        }

    def _impossibility(
        self, about: dict[str, Any], state: S | None, command: Command[S], context: Context
    ) -> CommandRefused:
        """Return why a command is not possible in the status of `state`."""
        if state is None:
            return AggregateNotFound(**about)
        allowed = tuple(str(status) for status in self.aggregate.statuses_accepting(*command.emits))
        if not allowed:
            return AggregateExists(**about)
        facts = {**about, "status": state.status, "allowed_in": allowed}
        return self.impossible(state, command, context, facts) or TransitionRefused(**facts)


def refuse_observer(actor: Actor, aggregate: str, aggregate_id: str, command: str) -> None:
    """Raise `ActorNotAllowed` for an observer, who only reads, on any command."""
    if actor_kind(actor) == "observer":
        about = {"aggregate": aggregate, "aggregate_id": aggregate_id, "command": command}
        reason, remedy = "observers only read", "ask a person who may change it"
        raise ActorNotAllowed(**about, actor=actor, rule="observer", reason=reason, remedy=remedy)


def anyone(_state: object, _command: object, _context: Context) -> None:
    """The guard of commands that any actor may give."""


def no_agent(reason: str, remedy: str = "ask a human to do it") -> Guard:
    """Return the guard of commands that agents may not give."""

    def refuse_agents(_state: object, _command: object, context: Context) -> None:
        if actor_kind(context.actor) == "agent":
            raise NotAllowed("no_agent", reason, remedy)

    return refuse_agents


def only_system(reason: str, remedy: str = "leave it to AURA") -> Guard:
    """Return the guard of commands that only AURA gives."""

    def refuse_others(_state: object, _command: object, context: Context) -> None:
        if not is_system(context):
            raise NotAllowed("only_system", reason, remedy)

    return refuse_others


def becomes(event: type[Event]) -> Decide:
    """Return the decision that records an event whose fields are all among the command's; `Decider` refuses others."""
    return _Becomes(event)


@attrs.frozen
class _Becomes:
    event: type[Event]

    def __call__(self, _state: object, command: AnyCommand, _context: Context) -> Events:
        return [self.event(**{name: getattr(command, name) for name in self.event.__struct_fields__})]

    def require_fields(self, command: type[AnyCommand]) -> None:
        """Raise TypeError unless `command` may emit the event and has its fields."""
        name = self.event.__name__
        if self.event not in command.emits:
            raise TypeError(f"{command.__name__} does not declare that it emits {name}")
        if missing := set(self.event.__struct_fields__).difference(command.__struct_fields__):
            raise TypeError(f"{command.__name__} cannot become {name}: it has no {', '.join(sorted(missing))}")


def require_agent_type(agent_type: AgentType | None) -> None:
    """Refuse a type of agent that is not a word; None is allowed."""
    if agent_type is None:
        return
    try:
        parse_agent_type(agent_type)
    except InvalidInput as error:
        raise RuleBroken("agent_type", error.reason, error.remedy) from None


def require_people(field: str, names: Iterable[str]) -> None:
    """Refuse names that are not those of people."""
    for name in names:
        if not is_person(name):
            raise RuleBroken(field, *not_a_person(name))


def require_zone(field: str, *times: datetime | None) -> None:
    """Refuse times without a zone, which no event can hold; None is allowed."""
    if any(time is not None and time.utcoffset() is None for time in times):
        raise RuleBroken(field, f"{field} has no time zone", "use an aware datetime")


def require_share(field: str, share: float | None) -> None:
    """Refuse what is not between 0 and 1; None is allowed."""
    if share is not None and not 0 <= share <= 1:
        raise RuleBroken(field, f"{share} is not between 0 and 1")


DELAY_LIMIT = 366 * 24 * 3600.0
"""Seconds; a retry more than a year ahead is a typing error."""


def require_limits(limits: AgentLimits | RunPlan) -> None:
    """Refuse limits under which a process could not run, or which no event can hold; None is allowed."""
    times = (limits.timeout, limits.idle_timeout)
    if any(seconds is not None and not 0 < seconds <= DELAY_LIMIT for seconds in times):
        raise RuleBroken("limits", f"a time limit is above 0 and at most {DELAY_LIMIT:.0f} seconds")
    if limits.output_limit is not None and not 1 <= limits.output_limit < 2**63:
        raise RuleBroken("limits", "a limit of output is at least 1 byte")


def retry_problem(retry: RetryPolicy) -> str | None:
    """Return the problem of a policy, None for a valid one."""
    if retry.max_attempts < 1:
        return f"max_attempts is at least 1, not {retry.max_attempts}"
    if not 0 <= retry.jitter <= 1:
        return f"jitter is between 0 and 1, not {retry.jitter}"
    if not (0 <= retry.base_delay <= DELAY_LIMIT and 0 <= retry.max_delay * (1 + retry.jitter) <= DELAY_LIMIT):
        return f"delays are between 0 and {DELAY_LIMIT:.0f} seconds, not {retry.base_delay} and {retry.max_delay}"
    return None


def is_human(context: Context) -> bool:
    """Whether the actor is a human."""
    return actor_kind(context.actor) == "human"


def is_agent(context: Context, agent_id: str | None) -> bool:
    """Whether the actor is the agent of this id."""
    return actor_kind(context.actor) == "agent" and actor_name(context.actor) == agent_id


def is_system(context: Context) -> bool:
    """Whether the actor is AURA itself, acting on a policy or an event."""
    return actor_kind(context.actor) == "system"
