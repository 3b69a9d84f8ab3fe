"""Callables: Python functions as agents, with the lifecycle of any other.

    supervisor ──starts──► relay ◄──socket──► CallableServer ──calls──► the function, in the engine's process

What the function says goes to the relay, a tiny process that writes it to its own output. So output, limits, interrupts
and the end are those of an agent that is a program, and if the engine dies, the relay reports a lost worker.
"""

from aura_executors.callables.callable_executor import CallableExecutor as CallableExecutor
from aura_executors.callables.server import CallableServer as CallableServer
