"""A transport that carries bytes, without an operating system: what passes here passes everywhere."""

import anyio
import anyio.lowlevel

from aura_worker_protocol import ByteTransport


class ByteStreamTransport(ByteTransport):
    """One end of `byte_pair`."""

    def __init__(self, sending, receiving):
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


def byte_pair(*, buffer: int = 16) -> tuple[ByteStreamTransport, ByteStreamTransport]:
    """Return two ends of one channel; `buffer` is how many frames may be under way, in each direction."""
    to_one, from_other = anyio.create_memory_object_stream[bytes](buffer)
    to_other, from_one = anyio.create_memory_object_stream[bytes](buffer)
    return ByteStreamTransport(to_other, from_other), ByteStreamTransport(to_one, from_one)
