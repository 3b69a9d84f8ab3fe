"""Worker protocol: how engine and worker speak. JSON-RPC 2.0 over a transport that keeps frames whole and in order.

messages      what they say to one another, method by method
frames        JSON-RPC 2.0 as bytes
codec         messages to frames and back, typed; errors too
connection    what was said and asked on one connection, without I/O; its life is a table (`_state`)
transport     the port; `memory` is the one within a process
peer          one side of a connection at work
"""

from aura_worker_protocol._state import ConnectionState, Role
from aura_worker_protocol.connection import REQUEST_LIMIT, Connection
from aura_worker_protocol.frames import FRAME_LIMIT
from aura_worker_protocol.memory import MemoryTransport, memory_pair
from aura_worker_protocol.messages import PROTOCOL_VERSION, TO_ENGINE, TO_WORKER, Request, Result
from aura_worker_protocol.peer import Handler, Peer, PendingReply
from aura_worker_protocol.transport import Transport

__all__ = [
    "FRAME_LIMIT",
    "PROTOCOL_VERSION",
    "REQUEST_LIMIT",
    "TO_ENGINE",
    "TO_WORKER",
    "Connection",
    "ConnectionState",
    "Handler",
    "MemoryTransport",
    "Peer",
    "PendingReply",
    "Request",
    "Result",
    "Role",
    "Transport",
    "memory_pair",
]
