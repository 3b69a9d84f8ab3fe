"""Reports: what a worker tells the engine, of itself and of the output of what it runs."""

import msgspec

from aura_contracts.entries import AnyEntry
from aura_contracts.ids import ExecutionId, WorkerId, WorkerIdentity
from aura_contracts.lease import HEARTBEAT_INTERVAL
from aura_contracts.output import Chunk
from aura_worker_protocol.request import Result, ToEngine


class Welcome(Result, frozen=True, kw_only=True):
    """The worker is connected. It sends a heartbeat every `heartbeat` seconds."""

    engine_id: str
    heartbeat: float = HEARTBEAT_INTERVAL


class KnownProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process that the worker has from before its restart."""

    token: str
    running: bool


class Hello(ToEngine[Welcome], frozen=True, kw_only=True):
    """The first message of a connection."""

    method = "worker.hello"
    protocol: int
    """The version of this protocol: 1."""
    worker_id: WorkerId
    identity: WorkerIdentity
    version: str
    """Of AURA."""
    processes: tuple[KnownProcess, ...] = ()


class Heartbeat(ToEngine[Result], frozen=True, kw_only=True):
    """The worker is alive."""

    method = "worker.heartbeat"


class OutputAccepted(Result, frozen=True, kw_only=True):
    """`next` is the number of the next record that the engine does not have: everything before it is durable."""

    next: int


class ParsedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of an agent, in order, that the record of number `record` completed."""

    record: int
    entries: tuple[AnyEntry, ...]


class AppendOutput(ToEngine[OutputAccepted], frozen=True, kw_only=True):
    """Hand over records of output with the entries in them; the first record has the number `first`.

    Both are stored together: an entry is stored if and only if its record is.
    """

    method = "output.append"
    lane_field = "execution_id"
    execution_id: ExecutionId
    epoch: int
    token: str
    first: int
    chunks: tuple[Chunk, ...]
    parsed: tuple[ParsedRecord, ...] = ()


class OutputRead(Result, frozen=True, kw_only=True):
    """A piece of recorded output; its first record has the number `first`. No chunks: this is the end."""

    first: int
    chunks: tuple[Chunk, ...] = ()
    after: int = 0
    """Where to continue reading."""


class ReadOutput(ToEngine[OutputRead], frozen=True, kw_only=True):
    """Read the output of an execution again, for a restarted worker, a piece at a time: `after` is the last one's."""

    method = "output.read"
    lane_field = "execution_id"
    execution_id: ExecutionId
    epoch: int
    after: int = 0
