"""Codec: messages to frames and back, typed by method. Pure.

Each frame is encoded once and decoded once: its envelope first, in which parameters and result stay bytes, then these
into the type that the method (or the request that is answered) says.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from aura_contracts.errors import AuraError, FrameTooLarge, MalformedFrame, UnknownMethod
from aura_worker_protocol.errors import error_object, error_of
from aura_worker_protocol.frames import (
    CANCEL,
    FRAME_LIMIT,
    INVALID_PARAMS,
    NOTHING,
    PARSE_ERROR,
    AnswerFrame,
    Frame,
    NotificationFrame,
    RefusalFrame,
    RequestFrame,
    RequestId,
)
from aura_worker_protocol.messages import Request, Result

_UNENCODABLE = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError)
_UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)

_encoder = msgspec.json.Encoder()
_decode_envelope = msgspec.json.Decoder(Frame).decode


class Asked(msgspec.Struct, frozen=True):
    """A request came."""

    id: RequestId
    request: Request[Any]


class Told(msgspec.Struct, frozen=True):
    """A notification came."""

    request: Request[Any]


class Cancelled(msgspec.Struct, frozen=True):
    """Nobody waits for the answer to this request any more."""

    id: RequestId


class Answered(msgspec.Struct, frozen=True):
    """A result came; its type follows from the request."""

    id: RequestId
    result: msgspec.Raw


class Refused(msgspec.Struct, frozen=True):
    """An error came in place of a result; without `id` it is about the connection."""

    id: RequestId | None
    error: AuraError


class Ignored(msgspec.Struct, frozen=True):
    """A notification came that cannot be understood; nobody is to be told (JSON-RPC 2.0, section 4.1)."""

    method: str
    reason: str


class Unreadable(msgspec.Struct, frozen=True):
    """Something came that is no message. `number` is JSON-RPC's code for it; with an `id`, just that is refused."""

    id: RequestId | None
    error: AuraError
    number: int | None = None


Message = Asked | Told | Cancelled | Answered | Refused | Ignored | Unreadable


class _CancelParams(msgspec.Struct):
    id: RequestId


class Codec:
    """Encodes what this side says, and decodes what it hears. `methods` are those that this side carries out."""

    def __init__(self, methods: Mapping[str, type[Request[Any]]], *, frame_limit: int = FRAME_LIMIT) -> None:
        self._methods = methods
        self._frame_limit = frame_limit

    # --- To bytes: raises `MalformedFrame` for what is no JSON, `FrameTooLarge` ---------------------------------------

    def request(self, number: int, request: Request[Any]) -> bytes:
        return self._encode(RequestFrame(id=number, method=request.method, params=request))

    def notification(self, request: Request[Any]) -> bytes:
        return self._encode(NotificationFrame(method=request.method, params=request))

    def cancellation(self, number: int) -> bytes:
        return self._encode(NotificationFrame(method=CANCEL, params={"id": number}))

    def answer(self, request_id: RequestId, result: Result) -> bytes:
        return self._encode(AnswerFrame(id=request_id, result=result))

    def refusal(self, request_id: RequestId | None, error: BaseException, number: int | None = None) -> bytes:
        """Never raises: an error that is too large, or holds what is no JSON, is replaced by one that says so."""
        try:
            return self._encode(RefusalFrame(id=request_id, error=error_object(error, number)))
        except (AuraError, *_UNENCODABLE) as unsayable:
            reason = f"an error could not be sent: {type(error).__name__}: {type(unsayable).__name__}"
            return self._encode(RefusalFrame(id=request_id, error=error_object(MalformedFrame(reason=reason))))

    def _encode(self, frame: msgspec.Struct) -> bytes:
        try:
            encoded = _encoder.encode(frame)
        except _UNENCODABLE as error:
            raise MalformedFrame(reason=f"the message cannot be encoded: {error}") from error
        self._require_size(encoded)
        return encoded

    # --- From bytes ---------------------------------------------------------------------------------------------------

    def decode(self, frame: bytes) -> Message:
        """Return what `frame` says. Never raises, whatever it holds."""
        try:
            self._require_size(frame)
            return self._message(_decode_envelope(frame))
        except FrameTooLarge as error:
            return Unreadable(None, error)
        except msgspec.ValidationError as error:
            return Unreadable(None, MalformedFrame(reason=f"this is no JSON-RPC 2.0: {error}"))
        except _UNDECODABLE as error:
            return Unreadable(None, MalformedFrame(reason=f"this is no JSON: {error}"), PARSE_ERROR)

    def result(self, request: Request[Any], raw: msgspec.Raw) -> Result:
        """Return the answer to `request`. Raises `MalformedFrame`."""
        try:
            return _decoder(type(request).result).decode(raw)  # type: ignore[no-any-return]
        except _UNDECODABLE as error:
            raise MalformedFrame(reason=f"the answer to {request.method}: {error}") from error

    def _message(self, frame: Frame) -> Message:
        if frame.method is None:
            return _response(frame)
        if frame.id is None:
            return Unreadable(None, MalformedFrame(reason=f"{frame.method}: a request has no id null"))
        if frame.method == CANCEL and frame.id is msgspec.UNSET:
            return _cancelled(frame.params)
        return self._call(frame.id, frame.method, frame.params)

    def _call(self, request_id: RequestId | msgspec.UnsetType, method: str, params: msgspec.Raw) -> Message:
        kind = self._methods.get(method)
        number = None if isinstance(request_id, msgspec.UnsetType) else request_id
        if kind is None:
            error = UnknownMethod(method=method, reason=f"there is no method {method!r} on this side")
            return Ignored(method, error.reason) if number is None else Unreadable(number, error)
        try:
            request = _decoder(kind).decode(params)
        except _UNDECODABLE as error:
            malformed = MalformedFrame(reason=f"the parameters of {method}: {error}")
            return (
                Ignored(method, malformed.reason) if number is None else Unreadable(number, malformed, INVALID_PARAMS)
            )
        return Told(request) if number is None else Asked(number, request)

    def _require_size(self, frame: bytes) -> None:
        if len(frame) > self._frame_limit:
            reason = f"a frame of {len(frame)} bytes is larger than {self._frame_limit}"
            raise FrameTooLarge(size=len(frame), limit=self._frame_limit, reason=reason)


def _response(frame: Frame) -> Message:
    if isinstance(frame.id, msgspec.UnsetType) or (frame.error is None) == (frame.result == NOTHING):
        reason = "this is neither a request (method), nor a response (id, and either result or error)"
        return Unreadable(None, MalformedFrame(reason=reason))
    if frame.error is not None:
        return Refused(frame.id, error_of(frame.error))
    if frame.id is None:
        return Unreadable(None, MalformedFrame(reason="a result has no id null"))
    return Answered(frame.id, frame.result)


def _cancelled(params: msgspec.Raw) -> Message:
    try:
        return Cancelled(_decoder(_CancelParams).decode(params).id)
    except _UNDECODABLE as error:
        return Ignored(CANCEL, str(error))


@cache
def _decoder(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
