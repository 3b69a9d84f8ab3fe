"""Connection: the rules of one connection, without any I/O.

It turns what this side wants to send into frames, frames that came into actions, and keeps account of the calls under
way. Invariants:

- Frames are sent in the order in which they were made, each at most once; `withdraw` takes back a call whose frame was
  not sent. The owner (`Peer`) sees to that, and calls from one thread only: nothing here waits or locks.
- `state` changes only by a row of the table (`aura_worker_protocol._state`), after everything that can fail.
- `_asked` holds our calls without a response, by number. A number is used once; a call leaves by its response, by
  `withdraw` or by `end`, so each is settled exactly once. A cancelled call stays until its response.
- `_owed` holds their calls without our response, by their id. It leaves by our response or by `end`: each is answered
  at most once, and nothing is sent for a call that is not owed.
- Never raised for what the other side sent: `receive` returns `Fail`. What this side does wrong raises
  `LocalProtocolError`, and then nothing has happened.

What came wrong is answered as JSON-RPC 2.0 says. After what makes the rest meaningless (an unreadable frame, one that
is too large, a step out of order) the connection is closed. A response to an unknown call is dropped.
"""

from collections.abc import Callable, Collection, Mapping
from itertools import count
from types import MappingProxyType
from typing import Any, Generic

import msgspec

from aura_contracts.errors import AuraError, LocalProtocolError, ProtocolError, RemoteProtocolError, WorkerUnavailable
from aura_worker_protocol._state import REMOTE, TABLE, ConnectionState, ConnectionStep, Role
from aura_worker_protocol.codec import (
    Call,
    Cancellation,
    Codec,
    F,
    Ignored,
    Notification,
    Refusal,
    RequestId,
    Response,
    Unreadable,
)
from aura_worker_protocol.frames import REQUEST_CANCELLED
from aura_worker_protocol.messages import PROTOCOL_VERSION, TO_ENGINE, TO_WORKER, Hello
from aura_worker_protocol.request import Request

REQUEST_LIMIT = 1024
"""Calls of one side that may wait for a response at a time; more are against the protocol."""

_INCOMING: Mapping[Role, Mapping[str, type[Request[Any]]]] = MappingProxyType(
    {Role.WORKER: TO_WORKER, Role.ENGINE: TO_ENGINE}
)

_IN_SESSION = frozenset({ConnectionState.READY, ConnectionState.CLOSING})


class Serve(msgspec.Struct, frozen=True):
    """Carry out `request`; with an `id`, then respond by `Connection.answer` or `refuse`."""

    id: RequestId | None
    request: Request[Any]


class Settle(msgspec.Struct, frozen=True):
    """Our call number `id` is over: `outcome` is its result, or the error of the other side."""

    id: int
    outcome: msgspec.Struct | AuraError


class Abandon(msgspec.Struct, frozen=True):
    """The other side has cancelled its call `id`: end it, and refuse it by `Connection.refuse_cancelled`."""

    id: RequestId


class Reply(msgspec.Struct, Generic[F], frozen=True):
    """Send `frame`."""

    frame: F


class Fail(msgspec.Struct, Generic[F], frozen=True):
    """The protocol was broken: send `frame`, if there is one and it can still be sent, and close the transport."""

    frame: F | None
    error: AuraError


class Nothing(msgspec.Struct, frozen=True):
    """Do nothing; `reason` is for the log."""

    reason: str = ""


Action = Serve | Settle | Abandon | Reply[F] | Fail[F] | Nothing

MakeCodec = Callable[[Mapping[str, type[Request[Any]]]], Codec[F]]
"""Makes a codec for the side that carries out these methods."""


class Connection(Generic[F]):
    """One end of a connection whose frames are those of the codec that `make_codec` makes."""

    def __init__(self, role: Role, make_codec: MakeCodec[F], *, request_limit: int = REQUEST_LIMIT) -> None:
        self.role = role
        self.state = ConnectionState.OPENING
        self._codec = make_codec(_INCOMING[role])
        self._request_limit = request_limit
        self._numbers = count(1)
        self._asked: dict[int, Request[Any]] = {}
        self._owed: dict[RequestId, type[Request[Any]]] = {}

    # --- This side: returns the frame to send -------------------------------------------------------------------------

    def request(self, request: Request[Any]) -> tuple[int, F]:
        """Return the number under which `request` will be settled, and its frame.

        Raises `WorkerUnavailable` once the connection is closing, `LocalProtocolError` for a request that cannot be
        sent.
        """
        if len(self._asked) >= self._request_limit:
            raise LocalProtocolError(reason=f"too many pending requests ({len(self._asked)})")
        after = self._after_call(request)
        number = next(self._numbers)
        frame = self._codec.request(number, request)
        self.state = after
        self._asked[number] = request
        return number, frame

    def notify(self, request: Request[Any]) -> F:
        """Return the frame of a request that expects no response. Raises as `request` does."""
        after = self._after_call(request)
        frame = self._codec.notification(request)
        self.state = after
        return frame

    def withdraw(self, number: int) -> None:
        """Forget our call: its frame was not sent."""
        self._asked.pop(number, None)

    def cancel(self, number: int) -> F | None:
        """Cancel our call; it counts until it is settled. None: there is nothing to cancel."""
        pending = number in self._asked and self.state is ConnectionState.READY
        return self._codec.cancellation(number) if pending else None

    def answer(self, request_id: RequestId, result: msgspec.Struct) -> F | None:
        """Answer their call; a result that cannot be sent becomes a refusal. None: it is not waited for any more."""
        try:
            frame = self._codec.answer(request_id, result)
        except LocalProtocolError as error:
            return self.refuse(request_id, LocalProtocolError(reason=error.reason))
        return frame if self._respond(request_id, ConnectionStep.WELCOME_SENT) else None

    def refuse(self, request_id: RequestId, error: BaseException) -> F | None:
        """Refuse their call. None: it is not waited for any more."""
        frame = self._codec.refusal(request_id, error)
        return frame if self._respond(request_id, ConnectionStep.HELLO_REFUSAL_SENT) else None

    def refuse_cancelled(self, request_id: RequestId) -> F | None:
        """Respond to a call that they have cancelled."""
        error = ProtocolError(reason="the request was cancelled by its sender")
        frame = self._codec.refusal(request_id, error, REQUEST_CANCELLED)
        return frame if self._respond(request_id, ConnectionStep.HELLO_REFUSAL_SENT) else None

    def close(self) -> None:
        """Make no more calls. Responses still come and go."""
        self._step(ConnectionStep.CLOSE)

    def end(self) -> Collection[int]:
        """Close for good; return the numbers of our calls that will never be settled."""
        self._step(ConnectionStep.END)
        unsettled = tuple(self._asked)
        self._asked.clear()
        self._owed.clear()
        return unsettled

    # --- The other side -----------------------------------------------------------------------------------------------

    def receive(self, frame: F) -> Action[F]:
        """Return the action that a received frame calls for. Never raises."""
        try:
            return self._received(frame)
        except RemoteProtocolError as error:
            return Fail(self._codec.refusal(None, error), error)

    def _received(self, frame: F) -> Action[F]:
        match self._codec.decode(frame):
            case Call(request_id, request):
                return self._serve(request_id, request)
            case Notification(request):
                return self._notified(request)
            case Cancellation(request_id):
                return Abandon(request_id) if request_id in self._owed else Nothing("cancelled after its response")
            case Response() | Refusal() as response:
                return self._settle(response)
            case Ignored(method, reason):
                return Nothing(f"{method}: {reason}")
            case Unreadable() as unreadable:
                return self._refuse_unread(unreadable)

    def _refuse_unread(self, unreadable: Unreadable) -> Action[F]:
        refusal = self._codec.refusal(unreadable.id, unreadable.error, unreadable.number)
        if unreadable.id is None or self.state not in _IN_SESSION:
            return Fail(refusal, unreadable.error)
        return Reply(refusal)

    def _notified(self, request: Request[Any]) -> Action[F]:
        self._step(_call_step(request, ConnectionStep.HELLO_RECEIVED, ConnectionStep.CALL_RECEIVED))
        if isinstance(request, Hello):
            raise RemoteProtocolError(reason="hello is a request, not a notification")
        return Serve(None, request) if self.state is ConnectionState.READY else Nothing("too late")

    def _serve(self, request_id: RequestId, request: Request[Any]) -> Action[F]:
        if request_id in self._owed:
            raise RemoteProtocolError(reason=f"request id {request_id} is already in use")
        if len(self._owed) >= 2 * self._request_limit:  # requests that were withdrawn may have arrived all the same
            raise RemoteProtocolError(reason=f"too many requests to serve ({len(self._owed)})")
        self._step(_call_step(request, ConnectionStep.HELLO_RECEIVED, ConnectionStep.CALL_RECEIVED))
        if self.state is ConnectionState.CLOSING:
            return Reply(self._codec.refusal(request_id, WorkerUnavailable(reason="the connection is closing")))
        if isinstance(request, Hello) and request.protocol != PROTOCOL_VERSION:
            reason = f"this side speaks version {PROTOCOL_VERSION} of the protocol, the other {request.protocol}"
            error = ProtocolError(reason=reason, remedy="run the same version of AURA on both sides")
            return Fail(self._codec.refusal(request_id, error), error)
        self._owed[request_id] = type(request)
        return Serve(request_id, request)

    def _settle(self, response: Response | Refusal) -> Action[F]:
        number = response.id
        if isinstance(response, Refusal) and number is None:
            return Fail(None, LocalProtocolError(reason=f"the other side closed the connection: {response.error}"))
        if not isinstance(number, int) or number not in self._asked:
            return Nothing(f"a response to {number!r}, which was not asked or is settled")
        request = self._asked[number]
        hello = (
            ConnectionStep.HELLO_REFUSAL_RECEIVED if isinstance(response, Refusal) else ConnectionStep.WELCOME_RECEIVED
        )
        self._step(hello if isinstance(request, Hello) else ConnectionStep.RESPONSE_RECEIVED)
        del self._asked[number]
        return Settle(number, self._outcome(request, response))

    def _outcome(self, request: Request[Any], response: Response | Refusal) -> msgspec.Struct | AuraError:
        if isinstance(response, Refusal):
            return response.error
        try:
            return self._codec.result(request, response.result)
        except RemoteProtocolError as error:
            return error

    # --- Steps --------------------------------------------------------------------------------------------------------

    def _respond(self, request_id: RequestId, of_hello: ConnectionStep) -> bool:
        kind = self._owed.pop(request_id, None)
        if kind is None or self.state is ConnectionState.CLOSED:
            return False
        self._step(of_hello if issubclass(kind, Hello) else ConnectionStep.RESPONSE_SENT)
        return True

    def _after_call(self, request: Request[Any]) -> ConnectionState:
        if self.state in {ConnectionState.CLOSING, ConnectionState.CLOSED}:
            raise WorkerUnavailable(reason=f"the connection is {self.state}")
        return self._next(_call_step(request, ConnectionStep.HELLO_SENT, ConnectionStep.CALL_SENT))

    def _step(self, step: ConnectionStep) -> None:
        self.state = self._next(step)

    def _next(self, step: ConnectionStep) -> ConnectionState:
        after = TABLE[self.role][self.state].get(step)
        if after is None:
            blame = RemoteProtocolError if step in REMOTE else LocalProtocolError
            raise blame(reason=f"{step} is not allowed in state {self.state} ({self.role})")
        return after


def _call_step(request: Request[Any], hello: ConnectionStep, other: ConnectionStep) -> ConnectionStep:
    return hello if isinstance(request, Hello) else other
