"""A transport within one process. Frames are bytes, as on any other: what passes here passes everywhere."""

import anyio
import anyio.lowlevel
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from aura_worker_protocol.transport import Transport


class MemoryTransport(Transport):
    """One end of `memory_pair`."""

    def __init__(self, sending: MemoryObjectSendStream[bytes], receiving: MemoryObjectReceiveStream[bytes]) -> None:
        self._sending = sending
        self._receiving = receiving

    async def send(self, frame: bytes) -> None:
        await self._sending.send(frame)

    async def receive(self) -> bytes:
        return await self._receiving.receive()

    async def aclose(self) -> None:
        self._sending.close()
        self._receiving.close()
        await anyio.lowlevel.checkpoint()


def memory_pair(*, buffer: int = 16) -> tuple[MemoryTransport, MemoryTransport]:
    """Return two ends of one channel; `buffer` is how many frames may be on their way, in each direction."""
    to_one, from_other = anyio.create_memory_object_stream[bytes](buffer)
    to_other, from_one = anyio.create_memory_object_stream[bytes](buffer)
    return MemoryTransport(to_other, from_other), MemoryTransport(to_one, from_one)
