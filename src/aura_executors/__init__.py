"""Executors: how agents are run here. The registry that finds them, the runner of their processes, two of our own.

    custom      any command
    scripted    an agent that does what a list of steps says: for demonstrations and tests

The port is `aura_contracts.ports.executors`; `aura_executors.testing` proves executors of others.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aura_executors._options import read_options
    from aura_executors._runner import SupervisedRunner
    from aura_executors.custom import CustomExecutor
    from aura_executors.registry import ExecutorRegistry
    from aura_executors.scripted import ScriptedExecutor

__all__ = [
    "CustomExecutor",
    "ExecutorRegistry",
    "ScriptedExecutor",
    "SupervisedRunner",
    "read_options",
]

_HOMES = {
    "CustomExecutor": "custom",
    "ExecutorRegistry": "registry",
    "ScriptedExecutor": "scripted",
    "SupervisedRunner": "_runner",
    "read_options": "_options",
}


def __getattr__(name: str) -> object:
    """Import what is asked for: the registry must not pay for the runner's event loop, nor the runner for plugins."""
    if name in _HOMES:
        return getattr(import_module(f"aura_executors.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
