"""Executors: what the engine asks a worker about the agents that can run there; nothing is started."""

from typing import Any

from aura_contracts.ports.executors import ExecutorInfo
from aura_worker_protocol.request import Result, ToWorker


class ExecutorsListed(Result, frozen=True, kw_only=True):
    executors: tuple[ExecutorInfo, ...]


class ListExecutors(ToWorker[ExecutorsListed], frozen=True, kw_only=True):
    """Describe the installed executors; with `names`, only these."""

    method = "executors.list"
    names: tuple[str, ...] = ()


class OptionsChecked(Result, frozen=True, kw_only=True):
    silencing: str | None = None
    """The option with which the agent asks for no permission."""
    reads: tuple[str, ...] = ()
    """The documents that the agent reads itself, see `aura_contracts.ports.executors.Executor.documents_read`."""


class CheckOptions(ToWorker[OptionsChecked], frozen=True, kw_only=True):
    """Have an executor look at the options of a run, as it will when it is started. Nothing is started.

    Raises `UnknownExecutor`, or `InvalidInput` for what the executor would refuse. With `installed`, also
    `ExecutableNotFound` for a program that is not there.
    """

    method = "executors.check"
    executor: str
    prompt: str
    directory: str
    options: dict[str, Any] = {}
    session_id: str | None = None
    fork: bool = False
    installed: bool = False
    variables: dict[str, str] = {}
