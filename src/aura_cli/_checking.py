"""Checking: what can be known to be wrong with a request before anything is recorded, or any worktree made."""

from collections.abc import Mapping
from typing import Any

from aura_contracts.errors import InvalidInput, UnknownExecutor
from aura_contracts.permission import require_questions
from aura_contracts.ports.executors import AgentRun, Capability
from aura_engine.engine import Engine
from aura_engine.profiles import Profiles
from aura_engine.requests import RunRequest
from aura_executors.registry import ExecutorRegistry
from aura_worker_protocol.messages import ListExecutors


async def check(engine: Engine, request: RunRequest, environment: Mapping[str, str]) -> None:
    """Raise `UnknownExecutor`, or `InvalidInput` for what the executor cannot do, or would refuse."""
    (found,) = (await engine.runtime.gateway.request(ListExecutors(names=(request.executor,)))).executors
    _require_able(found.capability, request)
    profiles = engine.runtime.profiles
    options = profiles.options(request.executor, request.variant, request.options)
    require_questions(request.plan.permissions, found.name, options, asks=found.capability.permissions)
    _require_options(profiles, request, options, environment)


def speaks_protocol(executor: str) -> bool:
    """Whether the agent's standard output is a protocol rather than text for people."""
    try:
        return ExecutorRegistry().get(executor).capability.protocol
    except UnknownExecutor:  # one that was installed when the task was run
        return False


def _require_able(can: Capability, request: RunRequest) -> None:
    name = request.executor
    if request.session_id is not None and not can.resume:
        reason = f"executor {name} has no sessions to resume"
        raise InvalidInput(field="session", reason=reason, remedy="omit --session")
    if request.fork and not can.fork:
        reason = f"executor {name} cannot copy a session"
        raise InvalidInput(field="fork", reason=reason, remedy="omit --fork to resume the session itself")
    if request.tools and not can.tool_servers:
        raise InvalidInput(field="mcp", reason=f"executor {name} cannot be given tools", remedy="omit --mcp")


def _require_options(
    profiles: Profiles, request: RunRequest, options: dict[str, Any], environment: Mapping[str, str]
) -> None:
    """Have the executor look at the options, as it will when it is started; nothing is started here."""
    executor = ExecutorRegistry().get(request.executor)
    run = AgentRun(
        prompt=request.prompt,
        cwd=request.repositories[0],
        options=options,
        session_id=request.session_id,
        fork=request.fork,
        environment=dict(environment),
    )
    try:
        executor.launch(run)
    except InvalidInput as error:
        name = error.field.removeprefix("option ").partition("[")[0].partition(".")[0]
        if name in options and name not in request.options:
            sources = ", ".join(profiles.sources(request.executor, request.variant, name))
            field = f"{sources}: {request.executor}, {error.field}"
            raise InvalidInput(field=field, reason=error.reason, remedy=error.remedy) from error
        raise
