"""Worker protocol: communication between engine and worker. A transport carries frames; a codec encodes messages.

messages      the methods of both sides: requests and their results (bases: `request`)
codec         a message on its way, and the port that writes it into a frame
json_codec    frames as JSON-RPC 2.0 (`frames`), with errors made again from their facts (`errors`)
connection    the rules of one connection, without I/O; its life is a table (`_state`)
transport     the port, the base of transports that carry bytes, and the transport within a process
peer          one side of a connection at work
"""

from aura_worker_protocol._state import ConnectionState, Role
from aura_worker_protocol.connection import REQUEST_LIMIT, Connection
from aura_worker_protocol.frames import FRAME_LIMIT
from aura_worker_protocol.messages import PROTOCOL_VERSION, TO_ENGINE, TO_WORKER
from aura_worker_protocol.peer import Handler, Peer, PendingReply
from aura_worker_protocol.request import Request, Result
from aura_worker_protocol.transport import ByteTransport, MemoryTransport, Transport, memory_pair

__all__ = [
    "FRAME_LIMIT",
    "PROTOCOL_VERSION",
    "REQUEST_LIMIT",
    "TO_ENGINE",
    "TO_WORKER",
    "ByteTransport",
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
