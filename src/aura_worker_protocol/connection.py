"""Connection: what was said and asked on one connection, without any I/O.

It turns what this side wants to say into frames, and frames that came into what they mean, and keeps account: which
state the connection is in (`aura_worker_protocol._state`), which of our requests wait for a response, which of theirs
we owe one. What came wrong is answered as JSON-RPC 2.0 says; after what makes the rest meaningless (no JSON, a frame
too large, a step out of order) the connection is closed. Responses to nothing that was asked are dropped.
"""

from collections.abc import Collection, Mapping
from itertools import count
from types import MappingProxyType
from typing import Any

import msgspec

from aura_contracts.errors import AuraError, MalformedFrame, ProtocolError, WorkerUnavailable
from aura_worker_protocol._state import TABLE, ConnectionState, Role, Step
from aura_worker_protocol.codec import Answered, Asked, Cancelled, Codec, Ignored, Refused, Told, Unreadable
from aura_worker_protocol.frames import FRAME_LIMIT, REQUEST_CANCELLED, RequestId
from aura_worker_protocol.messages import PROTOCOL_VERSION, TO_ENGINE, TO_WORKER, Hello, Request, Result

REQUEST_LIMIT = 1024
"""Requests of one side that may wait for a response at a time; more are against the protocol."""

_INCOMING: Mapping[Role, Mapping[str, type[Request[Any]]]] = MappingProxyType(
    {Role.WORKER: TO_WORKER, Role.ENGINE: TO_ENGINE}
)

_IN_SESSION = frozenset({ConnectionState.READY, ConnectionState.CLOSING})


class Serve(msgspec.Struct, frozen=True):
    """Carry `request` out; with an `id`, say then what came of it by `Connection.answer` or `refuse`."""

    id: RequestId | None
    request: Request[Any]


class Settle(msgspec.Struct, frozen=True):
    """Our request number `id` has come to its end: `outcome` is its result, or the error of the other side."""

    id: int
    outcome: Result | AuraError


class Abandon(msgspec.Struct, frozen=True):
    """The other side waits no more for its request `id`; it is to be refused as cancelled."""

    id: RequestId


class Reply(msgspec.Struct, frozen=True):
    """Send `frame`."""

    frame: bytes


class Fail(msgspec.Struct, frozen=True):
    """Send `frame`, if there is one and it can still be sent, and close the transport: the protocol was broken."""

    frame: bytes | None
    error: AuraError


class Nothing(msgspec.Struct, frozen=True):
    """There is nothing to be done; `reason` is for the log."""

    reason: str = ""


Action = Serve | Settle | Abandon | Reply | Fail | Nothing


class Connection:
    """One end of a connection. Not safe for threads; holds no transport and never waits."""

    def __init__(self, role: Role, *, frame_limit: int = FRAME_LIMIT, request_limit: int = REQUEST_LIMIT) -> None:
        self.role = role
        self.state = ConnectionState.OPENING
        self._codec = Codec(_INCOMING[role], frame_limit=frame_limit)
        self._request_limit = request_limit
        self._numbers = count(1)
        self._asked: dict[int, Request[Any]] = {}
        self._owed: dict[RequestId, type[Request[Any]]] = {}

    # --- What this side says; returns the frame to be sent ------------------------------------------------------------

    def request(self, request: Request[Any]) -> tuple[int, bytes]:
        """Return the number under which `request` will be settled, and its frame.

        Raises `WorkerUnavailable` once the connection is closing, `MalformedFrame` and `FrameTooLarge` for a request
        that cannot be sent; nothing has happened then.
        """
        if len(self._asked) >= self._request_limit:
            raise ProtocolError(reason=f"{len(self._asked)} requests wait for a response, more are not allowed")
        after = self._after_call(request)
        number = next(self._numbers)
        frame = self._codec.request(number, request)
        self.state = after
        self._asked[number] = request
        return number, frame

    def notify(self, request: Request[Any]) -> bytes:
        """Tell `request`, without a response. Raises as `request` does."""
        after = self._after_call(request)
        frame = self._codec.notification(request)
        self.state = after
        return frame

    def withdraw(self, number: int) -> None:
        """Forget our request: its frame was not sent."""
        self._asked.pop(number, None)

    def cancel(self, number: int) -> bytes | None:
        """Say that nobody waits for our request any more; it still counts until it is settled. None: say nothing."""
        sayable = number in self._asked and self.state is ConnectionState.READY
        return self._codec.cancellation(number) if sayable else None

    def answer(self, request_id: RequestId, result: Result) -> bytes | None:
        """Answer their request; a result that cannot be sent becomes a refusal. None: they wait no more."""
        try:
            frame = self._codec.answer(request_id, result)
        except ProtocolError as error:
            return self.refuse(request_id, error)
        return frame if self._respond(request_id, Step.WELCOME_SENT) else None

    def refuse(self, request_id: RequestId, error: BaseException) -> bytes | None:
        """Refuse their request. None: they wait no more."""
        frame = self._codec.refusal(request_id, error)
        return frame if self._respond(request_id, Step.HELLO_REFUSAL_SENT) else None

    def refuse_cancelled(self, request_id: RequestId) -> bytes | None:
        """Respond to a request that they have cancelled."""
        error = ProtocolError(reason="the request was cancelled by who made it")
        frame = self._codec.refusal(request_id, error, REQUEST_CANCELLED)
        return frame if self._respond(request_id, Step.HELLO_REFUSAL_SENT) else None

    def close(self) -> None:
        """Ask for nothing any more. Responses may still come and go."""
        self._step(Step.CLOSE)

    def end(self) -> Collection[int]:
        """Close for good; return the numbers of our requests that will never be settled."""
        self._step(Step.END)
        unsettled = tuple(self._asked)
        self._asked.clear()
        self._owed.clear()
        return unsettled

    # --- What the other side says -------------------------------------------------------------------------------------

    def receive(self, frame: bytes) -> Action:
        """Return what is to be done about a frame that came. Never raises."""
        try:
            return self._received(frame)
        except ProtocolError as error:
            return Fail(self._codec.refusal(None, error), error)

    def _received(self, frame: bytes) -> Action:
        match self._codec.decode(frame):
            case Asked(request_id, request):
                return self._serve(request_id, request)
            case Told(request):
                return self._hear(request)
            case Cancelled(request_id):
                return Abandon(request_id) if request_id in self._owed else Nothing("cancelled after its response")
            case Answered() | Refused() as response:
                return self._settle(response)
            case Ignored(method, reason):
                return Nothing(f"{method}: {reason}")
            case Unreadable() as unreadable:
                return self._refuse_unread(unreadable)

    def _refuse_unread(self, what: Unreadable) -> Action:
        refusal = self._codec.refusal(what.id, what.error, what.number)
        if what.id is None or self.state not in _IN_SESSION:
            return Fail(refusal, what.error)
        return Reply(refusal)

    def _hear(self, request: Request[Any]) -> Action:
        self._step(_call_step(request, Step.HELLO_RECEIVED, Step.CALL_RECEIVED))
        if isinstance(request, Hello):
            raise ProtocolError(reason="hello is a request, not a notification")
        return Serve(None, request) if self.state is ConnectionState.READY else Nothing("too late")

    def _serve(self, request_id: RequestId, request: Request[Any]) -> Action:
        if request_id in self._owed:
            raise ProtocolError(reason=f"request id {request_id} is used for two requests at a time")
        if len(self._owed) >= 2 * self._request_limit:  # requests that were withdrawn may have arrived all the same
            raise ProtocolError(reason=f"{len(self._owed)} requests are being served, more are not allowed")
        self._step(_call_step(request, Step.HELLO_RECEIVED, Step.CALL_RECEIVED))
        if self.state is ConnectionState.CLOSING:
            return Reply(self._codec.refusal(request_id, WorkerUnavailable(reason="the connection is closing")))
        if isinstance(request, Hello) and request.protocol != PROTOCOL_VERSION:
            reason = (
                f"this side speaks version {PROTOCOL_VERSION} of the protocol, the other version {request.protocol}"
            )
            error = ProtocolError(reason=reason, remedy="run the same version of AURA on both sides")
            return Fail(self._codec.refusal(request_id, error), error)
        self._owed[request_id] = type(request)
        return Serve(request_id, request)

    def _settle(self, response: Answered | Refused) -> Action:
        number = response.id
        if isinstance(response, Refused) and number is None:
            return Fail(None, ProtocolError(reason=f"the other side gave up: {response.error}"))
        if not isinstance(number, int) or number not in self._asked:
            return Nothing(f"a response to {number!r}, which nobody waits for")
        request = self._asked[number]
        hello = Step.HELLO_REFUSAL_RECEIVED if isinstance(response, Refused) else Step.WELCOME_RECEIVED
        self._step(hello if isinstance(request, Hello) else Step.RESPONSE_RECEIVED)
        del self._asked[number]
        return Settle(number, self._outcome(request, response))

    def _outcome(self, request: Request[Any], response: Answered | Refused) -> Result | AuraError:
        if isinstance(response, Refused):
            return response.error
        try:
            return self._codec.result(request, response.result)
        except MalformedFrame as error:
            return error

    # --- Steps --------------------------------------------------------------------------------------------------------

    def _respond(self, request_id: RequestId, of_hello: Step) -> bool:
        kind = self._owed.pop(request_id, None)
        if kind is None or self.state is ConnectionState.CLOSED:
            return False
        self._step(of_hello if issubclass(kind, Hello) else Step.RESPONSE_SENT)
        return True

    def _after_call(self, request: Request[Any]) -> ConnectionState:
        if self.state in {ConnectionState.CLOSING, ConnectionState.CLOSED}:
            raise WorkerUnavailable(reason=f"the connection is {self.state}")
        return self._next(_call_step(request, Step.HELLO_SENT, Step.CALL_SENT))

    def _step(self, step: Step) -> None:
        self.state = self._next(step)

    def _next(self, step: Step) -> ConnectionState:
        after = TABLE[self.role][self.state].get(step)
        if after is None:
            raise ProtocolError(reason=f"{step} does not belong into a connection that is {self.state} ({self.role})")
        return after


def _call_step(request: Request[Any], hello: Step, other: Step) -> Step:
    return hello if isinstance(request, Hello) else other
