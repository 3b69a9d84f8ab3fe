"""Worker: the side that owns files and processes. It carries out what the engine asks for and decides nothing.

It knows the worker protocol and the ports; whoever makes a `Worker` gives it the adapters. The engine is at the other
end of the wire: neither package imports the other.
"""

from aura_worker._launch import Executors, ToolsFactory
from aura_worker._worker import Worker

__all__ = ["Executors", "ToolsFactory", "Worker"]
