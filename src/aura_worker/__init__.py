"""Worker: the side that owns files and processes. It carries out requests of the engine and decides nothing.

It depends on the worker protocol and the ports; the code that creates a `Worker` passes the adapters. The engine is at
the other end of the wire, and neither package imports the other.
"""

from aura_worker._launch import ExecutorSource, ToolsFactory
from aura_worker._worker import Worker

__all__ = ["ExecutorSource", "ToolsFactory", "Worker"]
