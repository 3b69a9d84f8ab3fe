"""Worker: the worker of this process with its adapters (git, executors, workspaces), and what they need of the machine.

Imported with what drives tasks, when an engine first needs it.
"""

import platform
import shlex
import sys
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import anyio

from aura_contracts import __version__
from aura_contracts.ids import ExecutionId, TaskId, WorkerId, WorkerIdentity
from aura_contracts.ports.executors import AgentTools, Executor
from aura_contracts.quoting import quoted
from aura_engine.agent_tools.access import TaskScope, key_of, token_for, tools_for
from aura_engine.bootstrap.engine_options import EngineOptions
from aura_engine.facade.findings import Finding
from aura_engine.host import Host, read_or_create
from aura_executors import SupervisedRunner
from aura_executors.registry import ExecutorRegistry
from aura_git import CommandLineGit, find_git
from aura_worker import ToolsFactory, Worker
from aura_workspace import LocalWorkspaces


@asynccontextmanager
async def local_worker(given: EngineOptions, host: Host, home: Path) -> AsyncIterator[Worker]:
    """Open the worker for an engine that was opened with the options `given`."""
    environment = host.environment
    named = await anyio.to_thread.run_sync(read_or_create, home / "worker", uuid.uuid4().hex.encode)
    instance = named.decode()  # the permanent name of this folder's worker

    git = _git_of(environment, home)
    async with (
        _python_agents(given) as functions,
        SupervisedRunner(home, clock=host.clock, python=sys.executable) as runner,
    ):
        yield Worker(
            worker_id=WorkerId(str(uuid.uuid5(uuid.NAMESPACE_OID, instance))),
            identity=WorkerIdentity(host=platform.node(), instance=instance),
            workspaces=LocalWorkspaces(home, git, user_home=_user_home(environment)),
            runner=runner,
            executors=ExecutorRegistry([*given.executors, *functions]),
            environment=environment,
            make_tools=tools_factory(given, host.folder, home),
            version=__version__,
        )


def tools_factory(given: EngineOptions, folder: Path, home: Path) -> ToolsFactory:
    """Return what makes AURA's tools for the agents of an engine that was opened with the options `given`."""

    def make_tools(task_id: TaskId, execution_id: ExecutionId) -> AgentTools:
        """Return AURA's tools for an agent: a process on the same store, with a token of this home."""
        scope = TaskScope(task_id=task_id, execution_id=execution_id, has_callables=bool(given.policies))
        return tools_for(
            token_for(key_of(home), scope),
            python=sys.executable,
            store=given.url,
            home=home,
            folder=folder,
            encryption_key=given.encryption_key,
            compression=given.compression,
        )

    return make_tools


@asynccontextmanager
async def _python_agents(given: EngineOptions) -> AsyncIterator[Sequence[Executor]]:
    """Serve the functions that are agents; yield their executors."""
    if not given.agents:
        yield ()
        return
    from aura_executors.callables import CallableServer  # noqa: PLC0415 - few engines have such agents

    async with CallableServer.serve(given.agents) as server:
        yield server.executors


def _user_home(environment: Mapping[str, str]) -> Path | None:
    return Path(environment["HOME"]) if environment.get("HOME") else None


def _git_of(environment: Mapping[str, str], home: Path) -> CommandLineGit:
    return CommandLineGit(environment=environment, pins=home / "workspaces" / ".pins")


def examine_host(host: Host, home: Path) -> Sequence[Finding]:
    """Check the programs that AURA depends on, Python and git, and what agents have left for git."""
    python = Finding(id=sys.executable, kind="python", status="ok", text=f"Python {platform.python_version()}")
    found = find_git(host.environment.get("PATH"), host.environment)
    status: Literal["ok", "wrong"] = "ok" if found.usable else "wrong"
    remedy = "" if found.usable else "install git 2.34 or newer"
    git = Finding(id=found.executable or "git", kind="git", status=status, text=found.reason, remedy=remedy)
    left = _git_of(host.environment, home).distrusted_settings() if found.usable else {}
    return python, git, *(_settings(repository, keys) for repository, keys in left.items())


def _settings(repository: str, keys: Sequence[str]) -> Finding:
    """Return the finding about settings that changed while an agent worked: a user may want that, so it has no fix."""
    removal = shlex.join(["git", "-C", repository, "config", "--local", "--unset-all"])
    return Finding(
        id=repository,
        kind="settings",
        status="note",
        text=f"{repository} has git settings that appeared, or are gone, since an agent worked there; AURA goes without"
        f" this change, but your git does not: {', '.join(map(quoted, keys))}",
        remedy=f"remove each that is not yours with `{removal} NAME`, set again what was yours, and edit what is in"
        " .git/info; set what is new with `git config --global`",
    )
