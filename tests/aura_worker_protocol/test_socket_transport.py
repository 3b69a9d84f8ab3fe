"""Another transport needs no change of either side: two peers over TCP, each frame with its length before it."""

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from aura_contracts.errors import UnknownExecutor
from aura_contracts.ids import WorkerIdentity
from aura_worker_protocol import ByteTransport, Peer, Role
from aura_worker_protocol.messages import (
    AppendOutput,
    ExecutorsListed,
    ForgetProcess,
    Hello,
    ListExecutors,
    OutputAccepted,
    Welcome,
)
from conditions import until

pytestmark = pytest.mark.anyio

EXECUTION = "0192f0c1-2d3e-7abc-8def-000000000001"
HELLO = Hello(
    protocol=1,
    worker_id="0192f0c1-2d3e-7abc-8def-000000000002",
    identity=WorkerIdentity(host="here", instance="one"),
    version="1",
)


class SocketTransport(ByteTransport):
    """Frames over a stream of bytes."""

    def __init__(self, stream):
        self.stream = stream
        self.buffered = BufferedByteReceiveStream(stream)

    async def send(self, frame):
        with anyio.CancelScope(shield=True):  # half a frame cannot be taken back
            await self.stream.send(len(frame).to_bytes(4, "big") + frame)

    async def receive(self):
        try:
            size = int.from_bytes(await self.buffered.receive_exactly(4), "big")
            return await self.buffered.receive_exactly(size)
        except anyio.IncompleteRead:
            raise anyio.EndOfStream from None

    async def aclose(self):
        await self.stream.aclose()


async def test_peers_talk_over_a_socket():
    async def welcome(hello):
        return Welcome(engine_id="e")

    async def append(batch):
        return OutputAccepted(next=batch.first + 1)

    async def list_executors(request):
        if request.names:
            raise UnknownExecutor(name=request.names[0], known=())
        return ExecutorsListed(executors=())

    async def forget(request):
        await anyio.sleep_forever()

    served = []

    async def serve(stream):
        engine = Peer(SocketTransport(stream), Role.ENGINE, {Hello: welcome, AppendOutput: append})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(engine.run)
            assert await engine.request(ListExecutors()) == ExecutorsListed(executors=())
            with pytest.raises(UnknownExecutor):
                await engine.request(ListExecutors(names=("cowsay",)))
            await engine.begin(ForgetProcess(token="t"))
            served.append(True)
            await anyio.sleep_forever()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        transport = SocketTransport(await anyio.connect_tcp("127.0.0.1", port))
        worker = Peer(transport, Role.WORKER, {ListExecutors: list_executors, ForgetProcess: forget})
        async with anyio.create_task_group() as working:
            working.start_soon(worker.run)
            assert await worker.request(HELLO) == Welcome(engine_id="e")
            for first in range(100):
                batch = AppendOutput(execution_id=EXECUTION, epoch=1, token="t", first=first, chunks=())
                assert (await worker.request(batch)).next == first + 1
            await until(lambda: served)
            worker.close()
        tasks.cancel_scope.cancel()
