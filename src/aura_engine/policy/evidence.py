"""Evidence: what is known about a question when it is asked. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from aura_contracts.agent import Agent
from aura_contracts.approval import ChangeSize, CommandRun, Evidence
from aura_contracts.events import Event
from aura_contracts.execution import CallMade, CallStarted, Execution, FileChangeReported, UsageRecorded
from aura_contracts.permission import Places, commands_of
from aura_contracts.ports.workspaces import FileSummary
from aura_contracts.task import Task
from aura_contracts.workspace import Workspace
from aura_engine.policy.sources import is_project_path

PATHS_LIMIT = 1_000
"""The most paths that are recorded with a question; of more changed files, the paths are unknown to policies."""

_COMMANDS_LIMIT = 50
_COMMAND_LENGTH = 500


def evidence_of(
    task: Task,
    *,
    agent: Agent | None = None,
    execution: Execution | None = None,
    workspace: Workspace | None = None,
    events: Sequence[Event] = (),
    files: Sequence[FileSummary] | None = None,
    places: Places | None = None,
) -> Evidence:
    """Return what is known: `events` are those of the execution, `files` the changed ones if changes are proposed."""
    return Evidence(
        agent=None if agent is None else agent.name,
        agent_id=None if agent is None else agent.id,
        executor=execution.executor if execution is not None else None if agent is None else agent.executor,
        model=_model(agent, execution, events),
        task_type=task.agent_type,
        priority=str(task.priority),
        project=task.project,
        labels=task.labels,
        creator=task.requester,
        change=None if files is None else change_of(files),
        commands=commands_run(events),
        rejections=task.rejections,
        in_place=workspace is not None and workspace.in_place,
        places=None if places is None else msgspec.to_builtins(places),
    )


def _model(agent: Agent | None, execution: Execution | None, events: Sequence[Event]) -> str | None:
    """Return the model that the agent reported, or else the one it was given."""
    reported = [event.model for event in events if isinstance(event, UsageRecorded) and event.model]
    if reported:
        return reported[-1]
    options: dict[str, Any] = {**(agent.options if agent else {}), **(execution.plan.options if execution else {})}
    model = options.get("model")
    return model if isinstance(model, str) else None


def change_of(files: Sequence[FileSummary]) -> ChangeSize:
    """Return the size of changes."""
    named = [(file.repository, path) for file in files for path in (file.path, file.old_path) if path is not None]
    ordered = sorted(dict.fromkeys(named), key=itemgetter(0))  # the paths of a repository stay as they are
    paths = [path for _, path in ordered]
    recorded = len(paths) <= PATHS_LIMIT
    return ChangeSize(
        files=len(files),
        added=sum(file.added or 0 for file in files),
        deleted=sum(file.removed or 0 for file in files),
        binary=sum(file.added is None for file in files),
        renames=sum(file.kind == "renamed" for file in files),
        policies=sum(is_project_path(path) for path in paths),
        paths=tuple(paths) if recorded else None,
        repositories=dict(Counter(repository for repository, _ in ordered)) if recorded else {},
    )


def commands_run(events: Iterable[Event]) -> tuple[CommandRun, ...]:
    """Return the last run of each command of an execution's agent, the newest last."""
    started: dict[str, str] = {}
    runs: dict[str, CommandRun] = {}
    for event in events:
        match event:
            case CallStarted(entry=entry):
                commands = commands_of(entry.arguments)
                if len(commands) == 1 and len(commands[0]) <= _COMMAND_LENGTH:
                    started[entry.call_id] = commands[0]
            case FileChangeReported():
                runs = {command: msgspec.structs.replace(run, stale=True) for command, run in runs.items()}
            case CallMade(entry=entry) if (command := started.pop(entry.call_id, None)) is not None:
                runs.pop(command, None)
                code = int(not entry.success) if entry.exit_code is None else entry.exit_code
                runs[command] = CommandRun(command, code)
            case _:
                pass
    return tuple(runs.values())[-_COMMANDS_LIMIT:]
