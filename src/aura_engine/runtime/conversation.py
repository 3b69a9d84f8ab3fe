"""Conversation: what was said in a session that the agent lost, told again as a prompt."""

from collections.abc import Iterable, Iterator

from aura_contracts.events import Event
from aura_contracts.execution import ActionLogged, Execution, ExecutionQueued, FollowUpRequested, LogAction
from aura_contracts.ids import ExecutionId, TaskId
from aura_contracts.task import ExecutionStarted
from aura_engine.runtime.context import ENGINE, Runtime
from aura_engine.runtime.views import View

HISTORY_LIMIT = 40_000
"""Characters of what is told again, the newest; the files tell the rest."""

_PIECE = 4_000
"""Characters of one message, and a quarter of it for what a tool was used for."""


async def prompt_of(runtime: Runtime, view: View) -> str:
    """Return what the agent is told: the prompt, and before it the conversation that was lost with its session."""
    execution = view.execution
    assert execution is not None, "an agent is told something in an execution"
    if execution.session_id is not None or execution.dropped_session_id is None:
        return execution.prompt
    history = _newest(await _history(runtime, TaskId(view.task.id), execution))
    variables = execution.plan.variables
    prompt = await runtime.prompts.make("replay", view.task, variables, history=history, prompt=execution.prompt)
    about = {"session_id": execution.dropped_session_id, "attempt": execution.attempt, "prompt": prompt}
    told = LogAction(epoch=execution.epoch, action="replayed", success=True, result=about)
    await runtime.desk.handle(ENGINE, execution.id, told)
    return prompt


async def _history(runtime: Runtime, task_id: TaskId, current: Execution) -> list[str]:
    log, said = runtime.desk.log, list[str]()
    for fact in await log.facts(task_id):
        if isinstance(fact.event, ExecutionStarted):
            events = [one.event for one in await log.facts(fact.event.execution_id)]
            said += _lines(events, newest=fact.event.execution_id == ExecutionId(current.id))
    return said


def _lines(events: Iterable[Event], *, newest: bool) -> Iterator[str]:
    """Yield what was said in an execution, without the prompt that comes at the end anyway."""
    lines: list[str] = []
    last_prompt = 0
    for event in events:
        if isinstance(event, ExecutionQueued | FollowUpRequested):
            last_prompt = len(lines)
            lines.append(f"You were told:\n{(event.prompt or '')[:_PIECE]}")
        elif isinstance(event, ActionLogged):
            lines += _said(event)
    if newest and lines:
        del lines[last_prompt]
    yield from lines


def _said(event: ActionLogged) -> Iterator[str]:
    about = event.result or {}
    if event.action == "message":
        yield f"You said:\n{str(about.get('text', ''))[:_PIECE]}"
    elif event.action == "tool_call":
        yield f"You used {about.get('tool')}: {str(about.get('arguments', ''))[: _PIECE // 4]}"
    elif event.action == "tool_result" and not event.success:
        yield f"It failed: {(event.error or '')[: _PIECE // 4]}"


def _newest(lines: list[str]) -> str:
    kept: list[str] = []
    size = 0
    for line in reversed(lines):
        size += len(line) + 2
        if size > HISTORY_LIMIT:
            kept.append("[what was said before is left out]")
            break
        kept.append(line)
    return "\n\n".join(reversed(kept))
