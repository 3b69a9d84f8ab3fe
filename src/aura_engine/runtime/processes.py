"""Processes: what the worker is asked to start for an execution, and how what still runs of an ended one is ended."""

import logging

from aura_contracts.actors import WORKER
from aura_contracts.errors import AuraError, Recovery
from aura_contracts.execution import CODING, Execution, ExecutionStatus, Exit, RecordProcessExit
from aura_contracts.ports.processes import ProcessExit
from aura_contracts.run_plan import Script
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.entries import record_entries
from aura_engine.runtime.session_place import is_elsewhere
from aura_engine.runtime.session_replay import beginning_of, prompt_of
from aura_engine.runtime.session_usage import session_usage
from aura_engine.runtime.views import View
from aura_worker_protocol.messages import AgentWork, AwaitProcess, ForgetProcess, InterruptProcess, StartProcess

_LOG = logging.getLogger(__name__)


async def agent_work(runtime: Runtime, view: View) -> AgentWork:
    """Return the work of the agent: the same at every call, until it is started again."""
    execution, workspace = view.working()
    begun, before, since = await beginning_of(runtime.bus, execution.id)
    return AgentWork(
        executor=execution.executor,
        prompt=await prompt_of(runtime, view, begun, since),
        options=view.agent.options if view.agent is not None else {},
        session_id=begun.session_id,
        fork=begun.fork,
        elsewhere=await is_elsewhere(runtime, workspace, begun, before),
        session_usage=await session_usage(runtime.reads, begun),
        task_id=execution.task_id if execution.plan.tools else None,
        review=str(view.task.approval_mode),
    )


async def start_request(
    runtime: Runtime, view: View, begun: Execution, *, script: Script | None = None, agent: AgentWork | None = None
) -> StartProcess:
    """Return the request to start the process of a stage, or to take it over. `begun` is the execution in the stage."""
    return StartProcess(
        execution_id=begun.id,
        epoch=begun.epoch,
        token=str(begun.process_token),
        stage=str(begun.status),
        directory=view.require_workspace().directory,
        next_record=await runtime.gateway.outputs.next(begun.id),
        plan=begun.plan,
        script=script,
        agent=agent,
        grace=runtime.grace,
    )


def exit_report(execution: Execution, exit: ProcessExit) -> RecordProcessExit:
    """Return the command that records how a process ended."""
    return RecordProcessExit(
        epoch=execution.epoch,
        exit=Exit(
            token=exit.token,
            exit_code=exit.exit_code,
            signal=exit.signal,
            cpu_seconds=exit.cpu_seconds,
            peak_memory=exit.peak_memory,
        ),
    )


async def end_processes(runtime: Runtime, view: View) -> None:
    """End the processes of an ended execution, gently first, and delete their files."""
    execution, gateway = view.require_execution(), runtime.gateway
    reason = f"the execution is {execution.status}"
    tokens = {process.identity.token for process in execution.processes}
    known = {token for token in gateway.known if token.startswith(execution.id)}
    for token in sorted(tokens | known):
        if token in tokens & known and execution.status is ExecutionStatus.CANCELLED:
            await _settle(runtime, view, token, reason)
        await gateway.request(InterruptProcess(token=token, reason=reason))
        await gateway.request(ForgetProcess(token=token))
        gateway.known.discard(token)


async def _settle(runtime: Runtime, view: View, token: str, reason: str) -> None:
    """Take over an agent that no engine awaited when its execution was cancelled; record its usage and its exit."""
    execution, gateway = view.require_execution(), runtime.gateway
    begun = (await beginning_of(runtime.bus, execution.id)).execution
    if begun.status not in CODING or str(begun.process_token) != token:
        return
    try:
        await gateway.request(await start_request(runtime, view, begun, agent=await agent_work(runtime, view)))
        await gateway.request(InterruptProcess(token=token, reason=reason))
        finished = await gateway.request(AwaitProcess(execution_id=begun.id, epoch=begun.epoch, token=token))
    except AuraError as error:
        if error.recovery is Recovery.LATER:
            raise
        _LOG.warning("what process %s consumed is not known: %s", token, error)
        return
    async with runtime.bus.unit(WORKER) as unit:
        await record_entries(unit, execution.id, execution.epoch, token, finished.entries, gateway.reviewers)
        await unit.handle(execution.id, exit_report(execution, finished.exit))
