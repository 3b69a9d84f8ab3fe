"""Peer: two sides that talk, on asyncio and on trio, over a transport that keeps them waiting, breaks and closes."""

from datetime import UTC, datetime

import anyio
import anyio.lowlevel
import attrs
import msgspec
import pytest

from aura_contracts.errors import (
    FrameTooLarge,
    LocalProtocolError,
    ProtocolError,
    RemoteError,
    RemoteProtocolError,
    UnknownExecutor,
    UnknownMethod,
    WorkerUnavailable,
)
from aura_contracts.ids import WorkerIdentity
from aura_contracts.output import Chunk, OutputSource
from aura_worker_protocol import ConnectionState, Peer, Role, Transport, memory_pair
from aura_worker_protocol.messages import (
    AppendOutput,
    ExecutorsListed,
    FindOrphans,
    ForgetProcess,
    Heartbeat,
    Hello,
    ListExecutors,
    OrphansFound,
    OutputAccepted,
    OutputRead,
    ReadOutput,
    Welcome,
)
from aura_worker_protocol.request import Result
from byte_transport import byte_pair
from conditions import until

pytestmark = pytest.mark.anyio

EXECUTION = "0192f0c1-2d3e-7abc-8def-000000000001"
HELLO = Hello(
    protocol=1,
    worker_id="0192f0c1-2d3e-7abc-8def-000000000002",
    identity=WorkerIdentity(host="here", instance="one"),
    version="1",
)


@pytest.fixture(params=[memory_pair, byte_pair])
def pair(request):
    """Makes the two ends of a connection: one that passes messages, one that carries bytes."""
    return request.param


async def welcome(hello):
    return Welcome(engine_id="e")


@attrs.define
class Ends:
    """Two peers at work, greeted."""

    engine: Peer
    worker: Peer
    tasks: anyio.abc.TaskGroup


class Conversing:
    """``async with Conversing(pair, engine handlers, worker handlers) as ends``; both peers run until it is left."""

    def __init__(self, pair, engine=None, worker=None, *, buffer=16, wrap=lambda end: end, greet=True, **options):
        ours, theirs = pair(buffer=buffer)
        self.engine = Peer(wrap(ours), Role.ENGINE, {Hello: welcome, **(engine or {})}, **options)
        self.worker = Peer(wrap(theirs), Role.WORKER, worker or {}, **options)
        self.greet = greet

    async def __aenter__(self):
        self.tasks = anyio.create_task_group()
        await self.tasks.__aenter__()
        self.tasks.start_soon(self.engine.run)
        self.tasks.start_soon(self.worker.run)
        if self.greet:
            await self.worker.request(HELLO)
            await self.engine.wait_ready()
        return Ends(self.engine, self.worker, self.tasks)

    async def __aexit__(self, *error):
        self.tasks.cancel_scope.cancel()
        return await self.tasks.__aexit__(*error)


class Gate:
    """A handler that waits to be let on."""

    def __init__(self, result):
        self.result = result
        self.arrived, self.cancelled = [], []
        self.open = anyio.Event()

    async def __call__(self, request):
        self.arrived.append(request)
        try:
            await self.open.wait()
        except BaseException:
            self.cancelled.append(request)
            raise
        return self.result


async def test_a_request_is_answered(pair):
    async def list_executors(request):
        assert request == ListExecutors(names=("a",))
        return ExecutorsListed(executors=())

    async with Conversing(pair, worker={ListExecutors: list_executors}) as ends:
        assert await ends.engine.request(ListExecutors(names=("a",))) == ExecutorsListed(executors=())
        assert ends.engine.state is ends.worker.state is ConnectionState.READY


async def test_none_stands_for_a_bare_result(pair):
    async def forget(request):
        return None

    async with Conversing(pair, worker={ForgetProcess: forget}) as ends:
        assert await ends.engine.request(ForgetProcess(token="t")) == Result()


async def test_errors_of_a_handler_are_raised_at_the_other_side(pair, caplog):
    async def list_executors(request):
        raise UnknownExecutor(name="cowsay", known=("custom",))

    async def find_orphans(request):
        raise ExceptionGroup("of a task group", [UnknownExecutor(name="in a group", known=())])

    async def forget(request):
        return 1 / 0

    handlers = {ListExecutors: list_executors, FindOrphans: find_orphans, ForgetProcess: forget}
    async with Conversing(pair, worker=handlers) as ends:
        with pytest.raises(UnknownExecutor) as caught:
            await ends.engine.request(ListExecutors())
        assert caught.value.known == ("custom",)
        with pytest.raises(UnknownExecutor):
            await ends.engine.request(FindOrphans(living=()))
        with pytest.raises(RemoteError, match="ZeroDivisionError"):
            await ends.engine.request(ForgetProcess(token="t"))
        assert "process.forget failed" in caplog.text
        with pytest.raises(UnknownExecutor):
            await ends.engine.request(ListExecutors())


async def test_a_request_that_nobody_serves_is_refused(pair):
    async with Conversing(pair) as ends:
        with pytest.raises(UnknownMethod):
            await ends.engine.request(ListExecutors())


async def test_requests_are_served_beside_one_another(pair):
    gate = Gate(OrphansFound(orphans=()))

    async def list_executors(request):
        return ExecutorsListed(executors=())

    async with Conversing(pair, worker={FindOrphans: gate, ListExecutors: list_executors}) as ends:
        slow = await ends.engine.begin(FindOrphans(living=()))
        await ends.engine.request(ListExecutors())
        gate.open.set()
        assert await slow.wait() == OrphansFound(orphans=())


async def test_requests_of_one_lane_are_served_in_order(pair):
    served = []

    async def append(request):
        await anyio.lowlevel.checkpoint()
        served.append(request.first)
        await anyio.lowlevel.checkpoint()
        return OutputAccepted(next=request.first + 1)

    async def report(request):
        served.append(str(request.after))
        return OutputRead(first=1)

    async with Conversing(pair, {AppendOutput: append, ReadOutput: report}) as ends:
        replies = []
        for first in range(1, 51):
            replies.append(await ends.worker.begin(ReadOutput(execution_id=EXECUTION, epoch=1, after=first)))
            replies.append(
                await ends.worker.begin(
                    AppendOutput(execution_id=EXECUTION, epoch=1, token="t", first=first, chunks=())
                )
            )
        for reply in replies:
            await reply.wait()
    assert served == [said for first in range(1, 51) for said in (str(first), first)]


async def test_lanes_do_not_wait_for_one_another(pair):
    gate = Gate(OutputAccepted(next=1))

    async def append(request):
        return await gate(request) if request.execution_id == EXECUTION else OutputAccepted(next=2)

    async with Conversing(pair, {AppendOutput: append}) as ends:
        stuck = await ends.worker.begin(AppendOutput(execution_id=EXECUTION, epoch=1, token="t", first=1, chunks=()))
        other = AppendOutput(execution_id=HELLO.worker_id, epoch=1, token="t", first=1, chunks=())
        assert await ends.worker.request(other) == OutputAccepted(next=2)
        gate.open.set()
        assert await stuck.wait() == OutputAccepted(next=1)


async def test_a_cancelled_request_is_cancelled_at_the_other_side(pair):
    gate = Gate(OrphansFound(orphans=()))
    async with Conversing(pair, worker={FindOrphans: gate}) as ends:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ends.engine.request, FindOrphans(living=()))
                await until(lambda: gate.arrived)
                scope.cancel()
        await until(lambda: gate.cancelled)
        gate.open.set()
        assert await ends.engine.request(FindOrphans(living=())) == OrphansFound(orphans=())


async def test_a_request_that_waits_in_its_lane_can_be_cancelled(pair):
    gate = Gate(OutputAccepted(next=2))
    async with Conversing(pair, {AppendOutput: gate}) as ends:
        first = await ends.worker.begin(AppendOutput(execution_id=EXECUTION, epoch=1, token="t", first=1, chunks=()))
        second = await ends.worker.begin(AppendOutput(execution_id=EXECUTION, epoch=1, token="t", first=2, chunks=()))
        await until(lambda: gate.arrived)
        second.cancel()
        with anyio.move_on_after(0.05):
            await second.wait()
        gate.open.set()
        await first.wait()
        with pytest.raises(ProtocolError, match="cancelled"):
            await second.wait()
    assert len(gate.arrived) == 1


async def test_requests_wait_for_the_welcome(pair):
    asked = anyio.Event()

    async def greet(hello):
        await asked.wait()
        return Welcome(engine_id="e")

    async def list_executors(request):
        return ExecutorsListed(executors=())

    answers = []

    async def ask():
        asked.set()
        answers.append(await ends.engine.request(ListExecutors()))

    handlers = {Hello: greet}
    async with Conversing(pair, handlers, {ListExecutors: list_executors}, greet=False) as ends:
        ends.tasks.start_soon(ask)
        await ends.worker.request(HELLO)
        await until(lambda: answers)


async def test_a_refused_hello_closes_both_sides(pair):
    async def refuse(hello):
        raise ProtocolError(reason="go away")

    ours, theirs = pair()
    engine, worker = Peer(ours, Role.ENGINE, {Hello: refuse}), Peer(theirs, Role.WORKER, {})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.run)
        tasks.start_soon(worker.run)
        with pytest.raises(ProtocolError, match="go away"):
            await worker.request(HELLO)
        with pytest.raises(WorkerUnavailable):
            await engine.wait_ready()
    assert engine.state is worker.state is ConnectionState.CLOSED


async def test_notifications_are_heard_and_their_errors_stay_there(pair, caplog):
    heard = []

    async def heartbeat(request):
        heard.append(request)
        if len(heard) == 1:
            raise ValueError("no")

    async with Conversing(pair, {Heartbeat: heartbeat}) as ends:
        for _ in range(3):
            await ends.worker.notify(Heartbeat())
        await until(lambda: len(heard) == 3)
    assert "worker.heartbeat failed" in caplog.text


async def test_whoever_waits_is_told_when_the_other_side_closes(pair):
    gate = Gate(OrphansFound(orphans=()))
    refused = []

    async def ask():
        with pytest.raises(WorkerUnavailable):
            await ends.engine.request(FindOrphans(living=()))
        refused.append(True)

    async with Conversing(pair, worker={FindOrphans: gate}) as ends:
        for _ in range(20):
            ends.tasks.start_soon(ask)
        await until(lambda: len(gate.arrived) == 20)
        ends.worker.close()
        await until(lambda: len(refused) == 20)
        await until(lambda: len(gate.cancelled) == 20)
        with pytest.raises(WorkerUnavailable):
            await ends.engine.request(ListExecutors())
        with pytest.raises(WorkerUnavailable):
            await ends.worker.notify(Heartbeat())


async def test_whoever_waits_to_send_is_told_when_its_own_side_closes():
    """The other side does not read: the frames fill the buffer."""
    ours, theirs = byte_pair(buffer=1)
    engine = Peer(ours, Role.ENGINE, {Hello: welcome})
    refused = []

    async def ask():
        with pytest.raises(WorkerUnavailable):
            await engine.request(ListExecutors())
        refused.append(True)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.run)
        await theirs.send(b'{"jsonrpc":"2.0","id":1,"method":"worker.hello","params":%s}' % _params(HELLO))
        await theirs.receive()
        for _ in range(5):
            tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        engine.close()
        await until(lambda: len(refused) == 5)
    await theirs.aclose()


def _params(struct):
    return msgspec.json.encode(struct)


async def test_garbage_closes_the_connection_after_saying_why():
    ours, theirs = byte_pair()
    engine = Peer(ours, Role.ENGINE, {Hello: welcome})
    async with anyio.create_task_group() as tasks:

        async def run():
            with pytest.raises(RemoteProtocolError, match="not JSON"):
                await engine.run()

        tasks.start_soon(run)
        await theirs.send(b"GET / HTTP/1.1")
        assert b"-32700" in await theirs.receive()
        with pytest.raises(anyio.EndOfStream):
            await theirs.receive()
    await theirs.aclose()


async def test_a_side_that_is_told_off_raises():
    ours, theirs = byte_pair()
    worker = Peer(theirs, Role.WORKER, {})
    async with anyio.create_task_group() as tasks:

        async def run():
            with pytest.raises(LocalProtocolError, match="I do not understand"):
                await worker.run()

        tasks.start_soon(run)
        await ours.send(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"I do not understand"}}')
    await ours.aclose()


class Slow(Transport):
    """Lets other tasks on between any two frames."""

    def __init__(self, transport):
        self.transport = transport

    def codec(self, methods):
        return self.transport.codec(methods)

    async def send(self, frame):
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        await self.transport.send(frame)

    async def receive(self):
        frame = await self.transport.receive()
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        return frame

    async def aclose(self):
        await self.transport.aclose()


async def test_back_pressure_reaches_whoever_sends():
    """A side that does not read holds the other; nothing grows but what the buffer holds."""
    ours, theirs = byte_pair(buffer=2)
    engine = Peer(ours, Role.ENGINE, {Hello: welcome})
    begun = []

    async def ask():
        for _ in range(100):
            begun.append(await engine.begin(ListExecutors()))  # noqa: PERF401 - looked at meanwhile

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.run)
        await theirs.send(b'{"jsonrpc":"2.0","id":1,"method":"worker.hello","params":%s}' % _params(HELLO))
        await theirs.receive()
        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        assert len(begun) == 2
        for _ in range(10):
            await theirs.receive()
        await anyio.wait_all_tasks_blocked()
        assert len(begun) == 12
        tasks.cancel_scope.cancel()
    await theirs.aclose()


async def test_more_requests_than_are_allowed_wait_for_room(pair):
    gate = Gate(OrphansFound(orphans=()))
    async with Conversing(pair, worker={FindOrphans: gate}, request_limit=4) as ends:
        done = []

        async def ask():
            await ends.engine.request(FindOrphans(living=()))
            done.append(True)

        for _ in range(20):
            ends.tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        assert len(gate.arrived) == 4
        gate.open.set()
        await until(lambda: len(done) == 20)


async def test_many_requests_in_both_directions_over_a_slow_transport(pair):
    async def append(request):
        await anyio.lowlevel.checkpoint()
        return OutputAccepted(next=request.first)

    async def list_executors(request):
        await anyio.lowlevel.checkpoint()
        return ExecutorsListed(executors=())

    got = []
    handlers = {AppendOutput: append}, {ListExecutors: list_executors}
    async with Conversing(pair, *handlers, buffer=1, wrap=Slow, request_limit=8) as ends:

        async def output(number):
            request = AppendOutput(execution_id=EXECUTION, epoch=1, token="t", first=number, chunks=())
            got.append((await ends.worker.request(request)).next == number)

        async def listing():
            got.append(await ends.engine.request(ListExecutors()) == ExecutorsListed(executors=()))

        for number in range(100):
            ends.tasks.start_soon(output, number)
            ends.tasks.start_soon(listing)
        await until(lambda: len(got) == 200)
        assert all(got)


async def test_requests_cancelled_at_any_moment_leave_both_sides_well(pair):
    async def list_executors(request):
        for _ in range(4):
            await anyio.lowlevel.checkpoint()
        return ExecutorsListed(executors=())

    async with Conversing(pair, worker={ListExecutors: list_executors}, buffer=1, wrap=Slow, request_limit=3) as ends:
        over = []

        async def ask(patience):
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(ends.engine.request, ListExecutors())
                    for _ in range(patience):
                        await anyio.lowlevel.checkpoint()
                    scope.cancel()
            over.append(True)

        for patience in range(60):
            ends.tasks.start_soon(ask, patience)
        await until(lambda: len(over) == 60)
        for _ in range(10):
            assert await ends.engine.request(ListExecutors()) == ExecutorsListed(executors=())


async def test_big_output_passes_and_too_big_output_is_refused_here():
    async def append(request):
        return OutputAccepted(next=sum(len(chunk.raw) for chunk in request.chunks))

    def output(count):
        chunks = (Chunk.of(OutputSource.STDOUT, datetime(2026, 1, 4, tzinfo=UTC), b"\xff" * 65_536),) * count
        return AppendOutput(execution_id=EXECUTION, epoch=1, token="t", first=1, chunks=chunks)

    async with Conversing(byte_pair, {AppendOutput: append}) as ends:
        assert await ends.worker.request(output(128)) == OutputAccepted(next=128 * 65_536)
        with pytest.raises(FrameTooLarge):
            await ends.worker.request(output(256))
        assert await ends.worker.request(output(1)) == OutputAccepted(next=65_536)
