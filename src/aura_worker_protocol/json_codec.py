"""JSON codec: messages as JSON-RPC 2.0, for transports that carry bytes. Pure.

Each frame is encoded once and decoded once: its envelope first, in which parameters and result stay bytes, then these
into the type that the method (or the call that is answered) says.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from aura_contracts.errors import AuraError, FrameTooLarge, LocalProtocolError, ProtocolError, RemoteProtocolError
from aura_contracts.first_use import json_decoder
from aura_worker_protocol.codec import (
    Call,
    Cancellation,
    Codec,
    Ignored,
    Message,
    Notification,
    Refusal,
    RequestId,
    Response,
    Unreadable,
)
from aura_worker_protocol.errors import UNENCODABLE, error_object, error_of, unknown_method, unsendable
from aura_worker_protocol.frames import CANCEL, FRAME_LIMIT, INVALID_PARAMS, NOTHING, PARSE_ERROR, Frame, SentFrame
from aura_worker_protocol.request import Request

_UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)

_encoder = msgspec.json.Encoder()
_decode_envelope = json_decoder(Frame).decode


class _CancelParams(msgspec.Struct):
    id: RequestId


class JsonCodec(Codec[bytes]):
    """Writes and reads JSON-RPC 2.0; `frame_limit` is in bytes, both ways."""

    def __init__(self, methods: Mapping[str, type[Request[Any]]], *, frame_limit: int = FRAME_LIMIT) -> None:
        super().__init__(methods)
        self._frame_limit = frame_limit

    # --- To bytes -----------------------------------------------------------------------------------------------------

    def request(self, number: int, request: Request[Any]) -> bytes:
        return self._encode(SentFrame(id=number, method=request.method, params=request))

    def notification(self, request: Request[Any]) -> bytes:
        return self._encode(SentFrame(method=request.method, params=request))

    def cancellation(self, number: int) -> bytes:
        return self._encode(SentFrame(method=CANCEL, params={"id": number}))

    def answer(self, request_id: RequestId, result: msgspec.Struct) -> bytes:
        return self._encode(SentFrame(id=request_id, result=result))

    def refusal(self, request_id: RequestId | None, error: BaseException, number: int | None = None) -> bytes:
        try:
            return self._encode(SentFrame(id=request_id, error=error_object(error, number)))
        except (AuraError, *UNENCODABLE) as cause:
            return self._encode(SentFrame(id=request_id, error=error_object(unsendable(error, cause))))

    def _encode(self, frame: SentFrame) -> bytes:
        try:
            encoded = _encoder.encode(frame)
        except UNENCODABLE as error:
            raise LocalProtocolError(reason=f"the message cannot be encoded: {error}") from error
        if self._is_too_large(encoded):
            raise FrameTooLarge(size=len(encoded), limit=self._frame_limit, reason=self._too_large(encoded))
        return encoded

    # --- From bytes ---------------------------------------------------------------------------------------------------

    def decode(self, frame: bytes) -> Message:
        if self._is_too_large(frame):
            return _unreadable(self._too_large(frame))
        try:
            return self._message(_decode_envelope(frame))
        except msgspec.ValidationError as error:
            return _unreadable(f"this is not JSON-RPC 2.0: {error}")
        except _UNDECODABLE as error:
            return _unreadable(f"this is not JSON: {error}", PARSE_ERROR)

    def result(self, request: Request[Any], received: msgspec.Struct | msgspec.Raw) -> msgspec.Struct:
        assert isinstance(received, msgspec.Raw), "this codec reads no other answers"
        try:
            return _decoder(type(request).result).decode(received)  # type: ignore[no-any-return]
        except _UNDECODABLE as error:
            raise RemoteProtocolError(reason=f"the answer to {request.method}: {error}") from error

    def _message(self, frame: Frame) -> Message:
        if frame.method is None:
            return _response(frame)
        if frame.id is None:
            return _unreadable(f"{frame.method}: the id of a request must not be null")
        if frame.method == CANCEL and frame.id is msgspec.UNSET:
            return _cancellation(frame.params)
        return self._call(frame.id, frame.method, frame.params)

    def _call(self, request_id: RequestId | msgspec.UnsetType, method: str, params: msgspec.Raw) -> Message:
        kind = self._methods.get(method)
        if kind is None:
            return _not_understood(request_id, method, unknown_method(method))
        try:
            request = _decoder(kind).decode(params)
        except _UNDECODABLE as error:
            malformed = RemoteProtocolError(reason=f"the parameters of {method}: {error}")
            return _not_understood(request_id, method, malformed, INVALID_PARAMS)
        return Notification(request) if isinstance(request_id, msgspec.UnsetType) else Call(request_id, request)

    def _is_too_large(self, frame: bytes) -> bool:
        return len(frame) > self._frame_limit

    def _too_large(self, frame: bytes) -> str:
        return f"a frame of {len(frame)} bytes is larger than {self._frame_limit}"


def _not_understood(
    request_id: RequestId | msgspec.UnsetType, method: str, error: ProtocolError, number: int | None = None
) -> Message:
    """Return the message for a call that cannot be carried out; a notification is dropped."""
    if isinstance(request_id, msgspec.UnsetType):
        return Ignored(method, error.reason)
    return Unreadable(request_id, error, number)


def _response(frame: Frame) -> Message:
    if isinstance(frame.id, msgspec.UnsetType) or (frame.error is None) == (frame.result == NOTHING):
        return _unreadable("this is neither a request (method), nor a response (id, and either result or error)")
    if frame.error is not None:
        return Refusal(frame.id, error_of(frame.error))
    if frame.id is None:
        return _unreadable("the id of a result must not be null")
    return Response(frame.id, frame.result)


def _cancellation(params: msgspec.Raw) -> Message:
    try:
        return Cancellation(_decoder(_CancelParams).decode(params).id)
    except _UNDECODABLE as error:
        return Ignored(CANCEL, str(error))


def _unreadable(reason: str, number: int | None = None) -> Unreadable:
    return Unreadable(None, RemoteProtocolError(reason=reason), number)


@cache
def _decoder(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    return json_decoder(kind)
