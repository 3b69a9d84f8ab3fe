"""Outputs: what the tasks of steps have come to, as values for the steps after them."""

import json
from typing import Any

import msgspec

from aura_contracts.errors import AuraError, InvalidInput
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.quoting import bounded
from aura_contracts.task import Task
from aura_contracts.workflow import AgentTaskStep, CommandStep, StepConfig
from aura_contracts.workspace import WORKSPACE
from aura_engine.agent_results import KEYS
from aura_engine.message_objects import objects_in
from aura_engine.orchestration.schemas import require_fit
from aura_engine.orchestration.world import LoadState
from aura_engine.runtime.proposals import said_by
from aura_engine.runtime.views import workspace_of
from aura_engine.unit_of_work import CommandBus

COMMAND_TEXT = 4096
"""Bytes of a command's standard output, from its end, that are its output without a schema."""


class OutputMissing(Exception):
    """A task has completed without the output that its step declares."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def asked_for(schema: dict[str, Any]) -> str:
    """Return the words that ask an agent for output."""
    text = json.dumps(schema, ensure_ascii=False)
    return f"\n\nSay what came of it in one JSON object of its own that follows this JSON Schema:\n{text}\n"


async def output_of(bus: CommandBus, step_id: str, config: StepConfig, task: Task, load: LoadState) -> Any:
    """Return the output of the completed task of a step. Raises `OutputMissing` if it is not as declared."""
    said = "" if task.execution_id is None else await said_by(bus, task.execution_id)
    if isinstance(config, CommandStep):
        if config.output is not None:
            return _fitting(_last_line(said), config.output, step_id)
        return {"exit_code": 0, "text": said.encode()[-COMMAND_TEXT:].decode(errors="ignore")}
    assert isinstance(config, AgentTaskStep), "no other steps have tasks"
    if config.output is not None:
        return _fitting(_object(said, task), config.output, step_id)
    output: dict[str, Any] = {"text": said or task.proposed_solution or ""}
    if task.execution_id is None and task.result:  # an agent outside AURA
        output |= task.result
    if task.result and task.result.get("merged"):
        workspace = await load(WORKSPACE, workspace_of(task.id))
        output |= {"branch": "" if workspace is None else workspace.branch, "commits": task.result["merged"]}
    return output


def _fitting(value: Any, schema: dict[str, Any], step_id: str) -> Any:
    try:
        require_fit(value, schema, step=step_id)
    except AuraError as error:
        raise OutputMissing(Failure(FailureReason.AGENT_ERROR, bounded(str(error)))) from error
    return value


def _last_line(text: str) -> Any:
    line = text.rstrip().rpartition("\n")[2]
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        wrong = bounded(f"the last line of its output is not JSON: {line!r}")
        raise OutputMissing(Failure(FailureReason.AGENT_ERROR, wrong)) from None


def _object(message: str, task: Task) -> Any:
    """Return the last object of a message that is not the agent's account of its own run."""
    if task.execution_id is None:
        return task.result
    try:
        found = [one for one in objects_in(message) if len(one.data.keys() & set(KEYS)) <= 1]
    except InvalidInput as error:
        raise OutputMissing(Failure(FailureReason.AGENT_ERROR, bounded(str(error)))) from error
    if not found or found[-1].repeated is not None:
        wrong = "its last message has no JSON object with the output"
        raise OutputMissing(Failure(FailureReason.AGENT_ERROR, wrong))
    return found[-1].data
