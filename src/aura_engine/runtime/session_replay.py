"""Session replay: the conversation of a session that the agent lost, as a prompt."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from aura_contracts.actors import ENGINE
from aura_contracts.events import Event
from aura_contracts.execution import (
    EXECUTION,
    CallMade,
    CallStarted,
    ConversationReplayed,
    Execution,
    ExecutionQueued,
    FollowUpRequested,
    MessageSaid,
    RecordAction,
    SessionRecorded,
    SetupFinished,
    StageRetried,
)
from aura_contracts.ids import ExecutionId, TaskId
from aura_contracts.task import ExecutionStarted
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.session_runs import others_in_session
from aura_engine.runtime.views import View
from aura_engine.unit_of_work import CommandBus

HISTORY_LIMIT = 40_000
"""Maximum bytes of replayed conversation, the newest; the files hold the rest of the work. Agents that take their
prompt as a command-line argument accept at most 128 KiB.
"""

_PIECE = 4_000
"""Maximum characters of one message; a quarter of it for the arguments of a tool call."""

BEGINNINGS = (SetupFinished, FollowUpRequested, StageRetried)
"""The events that begin an attempt of the agent."""


class Beginning(NamedTuple):
    """An execution as it was just before its agent started, the events that led to it, and those since."""

    execution: Execution
    before: Sequence[Event]
    since: Sequence[Event]


async def beginning_of(bus: CommandBus, execution_id: ExecutionId) -> Beginning:
    """Return where the latest attempt of an execution's agent begins.

    A repeated start of the agent, after a restart, must be the same: its conversation begins as it did then, before the
    agent had named a session.
    """
    facts = await bus.log.facts(execution_id)
    places = [place for place, fact in enumerate(facts, 1) if isinstance(fact.event, BEGINNINGS)]
    place = places[-1] if places else len(facts)
    begun = EXECUTION.fold(facts[:place])
    assert begun is not None, "it has been queued"
    events = [fact.event for fact in facts]
    return Beginning(begun, events[:place], events[place:])


async def prompt_of(runtime: Runtime, view: View, begun: Execution, since: Sequence[Event]) -> str:
    """Return the agent's prompt, preceded by the conversation that was lost with its session.

    `begun` and `since` come from `beginning_of`. A replayed prompt is recorded, so it is the same at every call."""
    if begun.session_id is not None or begun.dropped_session_id is None:
        return begun.instructions(begun.prompt)
    for event in since:
        if isinstance(event, ConversationReplayed):
            return event.prompt
    history = _newest(await _history(runtime, view.task.id, begun))
    variables = begun.plan.variables
    prompt = await runtime.prompts.make("replay", view.task, variables, history=history, prompt=begun.prompt)
    prompt = begun.instructions(prompt)
    replayed = ConversationReplayed(session_id=begun.dropped_session_id, attempt=begun.attempt, prompt=prompt)
    epoch = view.execution.epoch if view.execution is not None else begun.epoch
    await runtime.bus.handle(ENGINE, begun.id, RecordAction(epoch=epoch, action=replayed))
    return prompt


async def _history(runtime: Runtime, task_id: TaskId, current: Execution) -> list[str]:
    """Return the conversation of the task's executions, preceded by that of other executions in the session."""
    bus = runtime.bus
    own = [event.execution_id for event in await bus.events(task_id) if isinstance(event, ExecutionStarted)]
    others = await others_in_session(runtime.reads, current, _sessions_of(await bus.events(current.id)))
    said = list[str]()
    for execution_id in [*(one.id for one in reversed(others) if one.id not in own), *own]:
        events = await bus.events(execution_id)
        said += _lines(events, newest=execution_id == current.id)
    return said


def _sessions_of(events: Sequence[Event]) -> frozenset[str]:
    """Return the sessions that an execution had: agents may resume one under another name."""
    queued = (event.spec.session_id for event in events if isinstance(event, ExecutionQueued))
    recorded = (event.session_id for event in events if isinstance(event, SessionRecorded))
    return frozenset(session for session in (*queued, *recorded) if session is not None)


def _lines(events: Iterable[Event], *, newest: bool) -> Iterator[str]:
    """Yield the conversation of an execution; of the newest one without its last prompt, which follows anyway."""
    lines: list[str] = []
    last_prompt = 0
    for event in events:
        if isinstance(event, ExecutionQueued | FollowUpRequested):
            last_prompt = len(lines)
            prompt = event.spec.prompt if isinstance(event, ExecutionQueued) else event.prompt
            lines.append(f"Your instructions were:\n{prompt[:_PIECE]}")
        else:
            lines += _said(event)
    if newest and lines:
        del lines[last_prompt]
    yield from lines


def _said(event: Event) -> Iterator[str]:
    match event:
        case MessageSaid(entry=entry):
            yield f"You said:\n{entry.text[:_PIECE]}"
        case CallStarted(entry=entry):
            yield f"You used {entry.tool}: {str(entry.arguments)[: _PIECE // 4]}"
        case CallMade() if event.error is not None:
            yield f"It failed: {event.error[: _PIECE // 4]}"
        case _:
            return


def _newest(lines: list[str]) -> str:
    kept: list[str] = []
    size = 0
    for line in reversed(lines):
        size += len(line.encode("utf-8", "replace")) + 2
        if size > HISTORY_LIMIT:
            kept.append("[earlier conversation omitted]")
            break
        kept.append(line)
    return "\n\n".join(reversed(kept))
