"""Peer: one side of a live connection. A thin shell around `Connection` with a transport, tasks and waiting callers.

    peer = Peer(transport, Role.ENGINE, {Hello: greet, AppendOutput: record, ...})
    tasks.start_soon(peer.run)
    started = await peer.request(StartProcess(...))

Runs on asyncio and on trio, in one event loop. Invariants:

- Only the task in `run` receives. It never waits for a handler or for a send, except for the last frame of a broken
  connection: two peers whose transports are full both keep reading, so neither blocks the other forever.
- Calls and notifications are made and sent under `_sending`, so they leave in the order of their numbers. Responses and
  cancellations are made before they wait for it: they may leave after a call made later, which no rule forbids.
- `_waiting` has exactly the calls in the connection's account, and each of them holds one place of `_room`; both end
  together, in `_settle` or, if nothing was sent, in `begin`.
- `_serving` has one scope per call of the other side, from its receipt until its response is made. Cancelling it is how
  a handler learns that it is not waited for; its response is a refusal all the same.
- Calls are carried out at once, each in its own task. Calls of one `lane` run one after another in the order of their
  arrival, in one task per lane, which lives while the lane has calls.
- After `_end` no frame is sent, and all waiters are woken: callers by `WorkerUnavailable`, senders by `_send_scope`.
- Handlers run in tasks of `run` and never outlive it.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Generic, TypeVar

import anyio
import msgspec
from anyio.abc import TaskGroup

from aura_contracts.errors import AuraError, UnknownMethod, WorkerUnavailable
from aura_worker_protocol._state import ConnectionState, Role
from aura_worker_protocol.codec import RequestId
from aura_worker_protocol.connection import (
    REQUEST_LIMIT,
    Abandon,
    Action,
    Connection,
    Fail,
    Nothing,
    Reply,
    Serve,
    Settle,
)
from aura_worker_protocol.messages import Hello
from aura_worker_protocol.request import Request, Result
from aura_worker_protocol.transport import Transport

Handler = Callable[[Any], Awaitable[msgspec.Struct | None]]
"""Carries out a request of the type it is listed under. None stands for a bare `Result`; an `AuraError` that it raises
is raised again on the other side, anything else becomes an internal error there and is logged here."""

R = TypeVar("R", bound=msgspec.Struct)

_LAST_FRAME_TIMEOUT = 1.0
"""Seconds that the other side has to take the frame that says why the connection is closed."""

_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)

_log = logging.getLogger(__name__)


class PendingReply(Generic[R]):
    """A request that was sent, until its result comes."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel
        self._settled = anyio.Event()
        self._outcome: R | AuraError | None = None

    async def wait(self) -> R:
        """Return the result. Raises the other side's error, `WorkerUnavailable` when the connection closes."""
        await self._settled.wait()
        if isinstance(self._outcome, AuraError):
            raise self._outcome
        assert self._outcome is not None, "it is settled"
        return self._outcome

    def cancel(self) -> None:
        """Cancel the request at the other side; without effect once it is settled."""
        if not self._settled.is_set():
            self._cancel()

    def settle(self, outcome: R | AuraError) -> None:
        self._outcome = outcome
        self._settled.set()


class Peer:
    """One side of a connection. `handlers` are by the type of request."""

    def __init__(
        self,
        transport: Transport[Any],
        role: Role,
        handlers: Mapping[type[Request[Any]], Handler],
        *,
        request_limit: int = REQUEST_LIMIT,
    ) -> None:
        self._transport = transport
        self._handlers = handlers
        self._connection = Connection(role, transport.codec, request_limit=request_limit)
        self._request_limit = request_limit
        self._room = anyio.Semaphore(request_limit)
        self._ready_or_closed = anyio.Event()
        self._sending = anyio.Lock()
        self._send_scope = anyio.CancelScope()
        self._tasks: TaskGroup | None = None
        self._waiting: dict[int, PendingReply[Any]] = {}
        self._serving: dict[RequestId, anyio.CancelScope] = {}
        self._lanes: dict[str, deque[Serve]] = {}
        self._notifications = 0

    @property
    def state(self) -> ConnectionState:
        """The state of the connection."""
        return self._connection.state

    async def run(self) -> None:
        """Serve the connection until either side closes it; then cancel what is being served and close the transport.

        Returns when the other side has closed. Raises `RemoteProtocolError` when it broke the protocol,
        `LocalProtocolError` when it says that this side did, `ProtocolError` when the versions differ. Cancelling
        closes the connection. Callers that wait for an answer then get `WorkerUnavailable`.
        """
        error = None
        try:
            async with anyio.create_task_group() as self._tasks:
                try:
                    error = await self._read()
                finally:
                    self._end()
                self._tasks.cancel_scope.cancel()
        finally:
            self._tasks = None
            with anyio.CancelScope(shield=True):
                await self._transport.aclose()
        if error is not None:
            raise error

    def close(self) -> None:
        """Close the connection: `run` returns soon. What is being served is cancelled."""
        self._connection.close()
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()

    async def wait_ready(self) -> None:
        """Return when the worker has been welcomed. Raises `WorkerUnavailable` when the connection closed instead."""
        await self._ready_or_closed.wait()
        if self.state is not ConnectionState.READY:
            raise WorkerUnavailable(reason=f"the connection is {self.state}")

    # --- Calling ------------------------------------------------------------------------------------------------------

    async def request(self, request: Request[R]) -> R:
        """Have the other side carry out `request` and return its answer; before the welcome, wait for that.

        Raises what the handler there raised, `WorkerUnavailable` when the connection closes before the answer came
        (whether it was carried out is not known then), `LocalProtocolError` for a request that no frame holds (too
        large: `FrameTooLarge`), `RemoteProtocolError` for an answer of another type. Cancelling cancels it there too.
        """
        reply = await self.begin(request)
        try:
            return await reply.wait()
        finally:
            reply.cancel()

    async def begin(self, request: Request[R]) -> PendingReply[R]:
        """Send `request` without waiting for its answer. Requests begun one after another arrive in that order.

        Waits for the welcome, for room among the requests under way, and for the transport; raises as `request`. When
        cancelled, nothing was sent.
        """
        if not isinstance(request, Hello):
            await self._ready_or_closed.wait()
        await self._room.acquire()
        number = 0
        try:
            async with self._sending:
                number, frame = self._connection.request(request)
                reply = self._waiting[number] = PendingReply[R](lambda: self._cancel(number))
                await self._transmit(frame)
        except BaseException:
            self._connection.withdraw(number)
            if number == 0 or self._waiting.pop(number, None) is not None:
                self._room.release()
            raise
        return reply

    async def notify(self, request: Request[Any]) -> None:
        """Send `request` without expecting an answer; the other side may drop it when it is busy."""
        await self._ready_or_closed.wait()
        async with self._sending:
            await self._transmit(self._connection.notify(request))

    def _cancel(self, number: int) -> None:
        frame = self._connection.cancel(number)
        if frame is not None and self._tasks is not None:
            self._tasks.start_soon(self._send, frame)

    # --- Receiving ----------------------------------------------------------------------------------------------------

    async def _read(self) -> AuraError | None:
        """Act on frames until the connection closes; return how the protocol was broken, if it was."""
        while self.state not in {ConnectionState.CLOSING, ConnectionState.CLOSED}:
            try:
                frame = await self._transport.receive()
            except _GONE:
                return None
            action = self._connection.receive(frame)
            if isinstance(action, Fail):
                await self._send_last(action.frame)
                return action.error
            self._act(action)
            if self.state is ConnectionState.READY:
                self._ready_or_closed.set()
        return None

    def _act(self, action: Action[Any]) -> None:
        match action:
            case Serve(None, request):
                self._notify(request)
            case Serve(int() | str() as request_id, _):
                self._serving[request_id] = anyio.CancelScope()
                self._serve(action)
            case Settle(number, outcome):
                self._settle(number, outcome)
            case Abandon(request_id):
                self._serving[request_id].cancel()
            case Reply(frame):
                self._start(self._send, frame)
            case Nothing(reason):
                _log.debug("a frame was ignored: %s", reason)

    def _settle(self, number: int, outcome: msgspec.Struct | AuraError) -> None:
        if reply := self._waiting.pop(number, None):
            reply.settle(outcome)
            self._room.release()

    def _end(self) -> None:
        """Wake all waiters: nothing more will come."""
        for number in self._connection.end():
            self._settle(number, WorkerUnavailable(reason="the connection closed before the answer came"))
        self._ready_or_closed.set()
        self._send_scope.cancel()

    def _start(self, task: Callable[..., Coroutine[Any, Any, None]], *args: object) -> None:
        assert self._tasks is not None, "frames are read only while it runs"
        self._tasks.start_soon(task, *args)

    # --- Serving ------------------------------------------------------------------------------------------------------

    def _serve(self, serve: Serve) -> None:
        lane = serve.request.lane
        if not lane:
            self._start(self._carry_out, serve)
        elif lane in self._lanes:
            self._lanes[lane].append(serve)
        else:
            self._lanes[lane] = deque([serve])
            self._start(self._carry_out_lane, lane)

    async def _carry_out_lane(self, lane: str) -> None:
        waiting = self._lanes[lane]
        while waiting:
            await self._carry_out(waiting.popleft())
        del self._lanes[lane]

    async def _carry_out(self, serve: Serve) -> None:
        assert serve.id is not None, "notifications have no response"
        frame = await self._response(serve.id, serve.request)
        del self._serving[serve.id]
        if frame is not None:
            await self._send(frame)
        if self.state is ConnectionState.READY:
            self._ready_or_closed.set()
        elif self.state is ConnectionState.CLOSING:  # hello was refused
            self.close()

    async def _response(self, request_id: RequestId, request: Request[Any]) -> Any:
        with self._serving[request_id] as scope:
            if not scope.cancel_called:
                try:
                    result = await self._handle(request)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is the response
                    return self._connection.refuse(request_id, _reported(error, request))
                return self._connection.answer(request_id, result)
        return self._connection.refuse_cancelled(request_id)

    def _notify(self, request: Request[Any]) -> None:
        if self._notifications >= self._request_limit:
            _log.warning("%s was dropped: %d notifications are being handled", request.method, self._notifications)
            return
        self._notifications += 1
        self._start(self._handle_notification, request)

    async def _handle_notification(self, request: Request[Any]) -> None:
        try:
            await self._handle(request)
        except Exception as error:  # noqa: BLE001 - a notification has no response: the log is the only place
            _reported(error, request)
        finally:
            self._notifications -= 1

    async def _handle(self, request: Request[Any]) -> msgspec.Struct:
        handler = self._handlers.get(type(request))
        if handler is None:
            raise UnknownMethod(method=request.method, reason=f"{request.method} is not served on this side")
        return await handler(request) or Result()

    # --- Sending ------------------------------------------------------------------------------------------------------

    async def _send(self, frame: object) -> None:
        """Send a frame whose loss does not matter: without a connection it has no reader."""
        try:
            async with self._sending:
                await self._transmit(frame)
        except WorkerUnavailable as error:
            _log.debug("a frame was not sent: %s", error)

    async def _send_last(self, frame: object) -> None:
        if frame is not None:
            with anyio.move_on_after(_LAST_FRAME_TIMEOUT):
                await self._send(frame)

    async def _transmit(self, frame: object) -> None:
        """Send `frame`; the caller holds `_sending`. `_end` interrupts a send that waits."""
        if self.state is not ConnectionState.CLOSED:
            with anyio.CancelScope() as self._send_scope:
                try:
                    return await self._transport.send(frame)
                except _GONE as error:
                    raise WorkerUnavailable(reason="the other side is gone") from error
        raise WorkerUnavailable(reason="the connection is closed")


def _reported(error: Exception, request: Request[Any]) -> Exception:
    """Return `error` as the other side will see it; a program error is logged."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if not isinstance(error, AuraError):
        _log.error("%s failed: %r", request.method, error, exc_info=error)
    return error
