"""The worker's side: it carries out `TO_WORKER` with workspaces, a process runner and executors (see `Worker`)."""

from aura_engine.worker._launching import ToolsOf
from aura_engine.worker._worker import Worker

__all__ = ["ToolsOf", "Worker"]
