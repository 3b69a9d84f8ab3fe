"""Worker: the worker of this process with its adapters (git, executors, workspaces), and what they need of the machine.

Imported with what drives tasks, when an engine first needs it.
"""

import platform
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import anyio

from aura_contracts import __version__
from aura_contracts.ids import ExecutionId, TaskId, WorkerId, WorkerIdentity
from aura_contracts.ports.executors import AgentTools
from aura_engine.agent_tools.access import TaskScope, key_of, token_for, tools_for
from aura_engine.bootstrap.engine_options import EngineOptions
from aura_engine.facade.findings import Finding
from aura_engine.host import Host, read_or_create
from aura_executors import SupervisedRunner
from aura_executors.registry import ExecutorRegistry
from aura_git import CommandLineGit, find_git
from aura_worker import Worker
from aura_workspace import LocalWorkspaces


@asynccontextmanager
async def local_worker(given: EngineOptions, host: Host, home: Path) -> AsyncIterator[Worker]:
    """Open the worker for an engine that was opened with the options `given`."""
    environment = host.environment
    named = await anyio.to_thread.run_sync(read_or_create, home / "worker", uuid.uuid4().hex.encode)
    instance = named.decode()  # the permanent name of this folder's worker

    def make_tools(task_id: TaskId, execution_id: ExecutionId) -> AgentTools:
        """Return AURA's tools for an agent: a process on the same store, with a token of this home."""
        return tools_for(
            token_for(key_of(home), TaskScope(task_id=task_id, execution_id=execution_id)),
            python=sys.executable,
            store=given.url,
            home=home,
            folder=host.folder,
            encryption_key=given.encryption_key,
            compression=given.compression,
        )

    git = CommandLineGit(environment=environment, pins=home / "workspaces" / ".pins")
    async with SupervisedRunner(home, clock=host.clock, python=sys.executable) as runner:
        yield Worker(
            worker_id=WorkerId(str(uuid.uuid5(uuid.NAMESPACE_OID, instance))),
            identity=WorkerIdentity(host=platform.node(), instance=instance),
            workspaces=LocalWorkspaces(home, git),
            runner=runner,
            executors=ExecutorRegistry(given.executors),
            environment=environment,
            make_tools=make_tools,
            version=__version__,
        )


def examine_host(host: Host) -> Sequence[Finding]:
    """Check the programs that AURA depends on: Python and git."""
    python = Finding(id=sys.executable, kind="python", status="ok", text=f"Python {platform.python_version()}")
    found = find_git(host.environment.get("PATH"), host.environment)
    status: Literal["ok", "wrong"] = "ok" if found.usable else "wrong"
    remedy = "" if found.usable else "install git 2.34 or newer"
    return python, Finding(id=found.executable or "git", kind="git", status=status, text=found.reason, remedy=remedy)
