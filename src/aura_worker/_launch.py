"""Launch: the process that a request of the engine asks for, and the conversation that reads its output. Pure."""

import os.path
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Protocol
from uuid import UUID, uuid5

import attrs
from msgspec.structs import replace

from aura_contracts.errors import ExecutableNotFound, InvalidInput
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import ExecutionId, TaskId
from aura_contracts.permission import require_questions
from aura_contracts.ports.executors import (
    TASK_TOKEN,
    AgentRun,
    AgentTools,
    Conversation,
    Executor,
    ExecutorInfo,
    Launch,
    ToolServer,
    failure_of,
)
from aura_contracts.ports.processes import ExitCause, ProcessExit, ProcessSpec, merged_environment
from aura_contracts.run_plan import Script, Shell
from aura_worker_protocol.messages import AgentWork, StartProcess

VARIABLE_LIMIT = 131_071
"""Bytes of one variable with its name on Linux (MAX_ARG_STRLEN: 32 pages, with the NUL at the end)."""

PROMPT = "AURA_PROMPT"
EXECUTION = "AURA_EXECUTION_ID"
STAGE = "AURA_STAGE"
WORKSPACE = "AURA_WORKSPACE"

WITHHELD = frozenset({"AURA_ENCRYPTION_KEY", "AURA_STORE"})
"""What opens AURA's store: with it an agent could read everything, and approve its own work. Only an agent that is
given AURA's tools gets it, for the server of the tools."""

_NOT_INHERITED = frozenset(
    {
        *WITHHELD,
        *(PROMPT, EXECUTION, STAGE, WORKSPACE, TASK_TOKEN),  # of an outer run, when AURA is run by an agent
        *("AURA_MODEL", "AURA_REVIEW_MODE", "AURA_SESSION_ID"),
        *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_CONFIG", "GIT_CONFIG_COUNT"),
        *("GIT_CONFIG_PARAMETERS", "GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE"),
        *("GIT_INTERNAL_SUPER_PREFIX", "GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"),
        *("GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE", "GIT_WORK_TREE"),
    }
)
"""Also what leads git out of the worktree: ``git rev-parse --local-env-vars``, set when AURA runs in a hook."""


_NOT_THERE = frozenset({126, 127})
"""Exit codes of shells and of env(1) for a command that cannot be executed or is not there, such as ``node``."""


class ExecutorSource(Protocol):
    """Where executors are found; `aura_executors.ExecutorRegistry` is one."""

    def names(self) -> Sequence[str]:
        """Return the names of all executors."""
        ...

    def get(self, name: str) -> Executor:
        """Return the executor of this name. Raises `UnknownExecutor`."""
        ...

    def describe(self, names: Sequence[str] = (), *, environment: Mapping[str, str]) -> Sequence[ExecutorInfo]:
        """Describe executors, all of them without `names`. Blocks. Raises `UnknownExecutor`."""
        ...


@attrs.frozen
class ProcessAssignment:
    """A process to run, the conversation that reads its output, and the judge of its exit."""

    spec: ProcessSpec = attrs.field(repr=False)
    launch: Launch
    conversation: Conversation
    judge: Callable[[ProcessExit], Failure | None]


ToolsFactory = Callable[[TaskId, ExecutionId], AgentTools]
"""Makes AURA's own tools for an agent that may act on one task, from one execution of it. Blocks briefly."""


def assignment_of(
    request: StartProcess, executors: ExecutorSource, environment: Mapping[str, str], make_tools: ToolsFactory
) -> ProcessAssignment:
    """Return the assignment that `request` asks for, on a worker with this `environment`.

    Raises `InvalidInput` for an invalid script or invalid options, `UnknownExecutor`.
    """
    if (request.script is None) == (request.agent is None):
        raise InvalidInput(field="process.start", reason="needs either a script or an agent")
    env = {name: value for name, value in environment.items() if name not in _NOT_INHERITED}
    env |= {EXECUTION: request.execution_id, STAGE: request.stage, WORKSPACE: request.directory}
    if request.agent is not None:
        return _agent(request, request.agent, executors.get(request.agent.executor), env, make_tools)
    assert request.script is not None
    launch = Launch(argv=script_command(request.script))
    return ProcessAssignment(_spec(request, launch, env), launch, Conversation(), partial(_judged, _script_failure))


def require_program(launch: Launch, environment: Mapping[str, str]) -> None:
    """Raise `ExecutableNotFound` unless the program of `launch` is there: on the PATH, or where its path says. Blocks.

    A relative path is not judged: it is one in the worktree.
    """
    program, search = launch.argv[0], launch.env.get("PATH", environment.get("PATH"))
    if (os.sep in program and not os.path.isabs(program)) or shutil.which(program, path=search):  # noqa: PTH117
        return
    reason, remedy = _why_missing(program)
    missing = ExecutableNotFound(token="", executable=program, reason=reason)
    if launch.install:
        missing = missing.replaced(remedy=f"{launch.install}; or set its path with --executor-path NAME=PATH")
    raise missing.replaced(remedy=remedy) if remedy else missing


def _why_missing(program: str) -> tuple[str, str]:
    """Return why there is no program, and what to do where that is known."""
    path = Path(program)
    if os.sep not in program:
        return "it is not installed", ""
    if path.is_dir():
        return "it is a folder", "name a program in it"
    if path.is_file():
        return "it is not executable", f"make it executable: chmod +x {shlex.quote(program)}"
    return "it is not a file" if os.path.lexists(program) else "there is no such file", ""


def _agent(
    request: StartProcess, work: AgentWork, executor: Executor, env: dict[str, str], make_tools: ToolsFactory
) -> ProcessAssignment:
    if (
        len(PROMPT) + 1 + len(work.prompt.encode("utf-8", "surrogatepass")) <= VARIABLE_LIMIT
        and "\0" not in work.prompt
    ):
        env[PROMPT] = work.prompt  # what cannot be a variable goes the executor's own way, or is refused by it
    options = {**work.options, **request.plan.options}
    asks = executor.capability.permissions
    silencing = executor.silencing_option(options) if asks else None
    require_questions(request.plan.permissions, executor.name, asks=asks, silencing=silencing)
    servers: tuple[ToolServer, ...] = ()
    if work.task_id is not None:
        if not executor.capability.tool_servers:
            reason = f"executor {executor.name} cannot be given tools"
            raise InvalidInput(field="tools", reason=reason, remedy="run it without them, or use another executor")
        tools = make_tools(work.task_id, request.execution_id)
        env |= tools.environment
        servers = (tools.server,)
    run = AgentRun(
        prompt=work.prompt,
        cwd=request.directory,
        options=options,
        session_id=work.session_id,
        fork=work.fork and work.session_id is not None,
        elsewhere=work.elsewhere,
        session_usage=work.session_usage,
        idle_timeout=request.plan.idle_timeout,
        new_session_id=str(uuid5(UUID(request.execution_id), request.token)),
        environment=env,
        tool_servers=servers,
        variables=request.plan.variables,
        review=work.review,
    )
    launch = executor.launch(run)
    conversation = executor.converse(run)
    return ProcessAssignment(_spec(request, launch, env), launch, conversation, partial(_judged, conversation.judge))


def _spec(request: StartProcess, launch: Launch, env: Mapping[str, str]) -> ProcessSpec:
    return ProcessSpec(
        token=request.token,
        argv=launch.argv,
        cwd=request.directory,
        env=merged_environment(env, launch.env),
        stdin=launch.stdin,
        interactive=launch.interactive,
        first_record=request.next_record,
        timeout=request.plan.timeout,
        idle_timeout=request.plan.idle_timeout,
        output_limit=request.plan.output_limit,
        grace=request.grace,
        interrupt=launch.interrupt,
    )


def _judged(judge: Callable[[ProcessExit], Failure | None], exit: ProcessExit) -> Failure | None:
    """Return the failure that `judge` finds; it lasts if a command was not there."""
    failure = judge(exit)
    lasts = exit.cause is ExitCause.OWN and exit.exit_code in _NOT_THERE
    return replace(failure, lasting=True) if failure is not None and lasts else failure


def _script_failure(exit: ProcessExit) -> Failure | None:
    """As for any plain command; but it is the stage that failed, not an agent."""
    failure = failure_of(exit)
    of_agent = failure is not None and failure.reason is FailureReason.AGENT_ERROR
    return replace(failure, reason=FailureReason.STAGE_ERROR) if failure is not None and of_agent else failure


# --- Scripts ----------------------------------------------------------------------------------------------------------

SCRIPT_LIMIT = 131_071
"""Bytes of one argument on Linux (MAX_ARG_STRLEN: 32 pages, with the NUL at the end)."""

_COMMANDS: Mapping[Shell, tuple[str, ...]] = MappingProxyType(
    {
        Shell.BASH: ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"),
        Shell.SH: ("sh", "-e", "-c"),
        Shell.ZSH: ("zsh", "-f", "-e", "-o", "pipefail", "-c"),
        Shell.PWSH: ("pwsh", "-NoLogo", "-NoProfile", "-NonInteractive", "-Command"),
    }
)

_PWSH_PREAMBLE = "$ErrorActionPreference = 'Stop'; $PSNativeCommandUseErrorActionPreference = $true\n"
"""What ``-e`` is elsewhere: stop at the first error of a cmdlet, and (PowerShell 7.4) of any program."""


def script_command(script: Script) -> tuple[str, ...]:
    """Return the command that runs `script`. Raises `InvalidInput` for a text that no command line can hold.

    The first command that fails ends the script, as on continuous integration services, and start-up files of the user
    are not read: the same script does the same on every worker. The text is an argument (``-c``), so that standard
    input stays free of it: a command that reads from there would otherwise swallow the rest of the script.

    >>> script_command(Script("make", Shell.SH))
    ('sh', '-e', '-c', 'make')
    """
    text = _PWSH_PREAMBLE + script.text if script.shell is Shell.PWSH else script.text
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > SCRIPT_LIMIT:
        remedy = "put it into a file of the repository and run that"
        raise InvalidInput(field="script", reason=f"takes {size} bytes, more than {SCRIPT_LIMIT}", remedy=remedy)
    if "\0" in text:
        raise InvalidInput(field="script", reason="holds a NUL character", remedy="remove the character")
    return (*_COMMANDS[script.shell], text)
