"""Transport: carries frames from one side to the other, without looking into them; the port, and its implementations.

`ByteTransport` is the base of transports that leave the process. The frames of `MemoryTransport`, which stays in it,
are the messages themselves: nothing is encoded. Sharing them is safe because they are frozen; the few dictionaries in
them are copied by the sender, and an error is made again from its facts, as over any other transport. What has no frame
of bytes has no size: there is no limit here.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any, Generic, TypeVar

import anyio
import anyio.lowlevel
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from msgspec import inspect
from msgspec.structs import replace

from aura_contracts.errors import AuraError, RemoteProtocolError
from aura_worker_protocol.codec import (
    Call,
    Cancellation,
    Codec,
    F,
    Ignored,
    Message,
    Notification,
    Refusal,
    RequestId,
    Response,
    Unreadable,
)
from aura_worker_protocol.errors import UNENCODABLE, error_object, error_of, unknown_method, unsendable
from aura_worker_protocol.frames import FRAME_LIMIT
from aura_worker_protocol.json_codec import JsonCodec
from aura_worker_protocol.request import Request


class Transport(ABC, Generic[F]):
    """One end of a two-way channel that keeps frames whole and in order.

    One task may send while another receives; `Peer` never sends from two tasks at a time. Cancelling leaves it usable:
    a cancelled `receive` has taken nothing, a cancelled `send` has sent either nothing or all.
    """

    @abstractmethod
    def codec(self, methods: Mapping[str, type[Request[Any]]]) -> Codec[F]:
        """Return the codec of this transport's frames, for the side that carries out `methods`."""

    @abstractmethod
    async def send(self, frame: F) -> None:
        """Hand over a frame, waiting while the other side is behind (back-pressure).

        Raises `anyio.BrokenResourceError` when the other side is gone, `anyio.ClosedResourceError` after `aclose`.
        """

    @abstractmethod
    async def receive(self) -> F:
        """Return the next frame.

        Raises `anyio.EndOfStream` when the other side has closed and everything was received,
        `anyio.BrokenResourceError` when the channel broke, `anyio.ClosedResourceError` after `aclose`.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close this end; the other side receives what was sent before, and then the end. Idempotent."""


class ByteTransport(Transport[bytes]):
    """Base of transports that leave the process: JSON-RPC 2.0, one frame at a time."""

    frame_limit: int = FRAME_LIMIT
    """Bytes of one frame, both ways."""

    def codec(self, methods: Mapping[str, type[Request[Any]]]) -> Codec[bytes]:
        return JsonCodec(methods, frame_limit=self.frame_limit)


# --- Within a process -------------------------------------------------------------------------------------------------


S = TypeVar("S", bound=msgspec.Struct)


class MemoryCodec(Codec[Message]):
    """Hands messages on as they are, apart from what could still be changed."""

    def request(self, number: int, request: Request[Any]) -> Message:
        return Call(number, unshared(request))

    def notification(self, request: Request[Any]) -> Message:
        return Notification(unshared(request))

    def cancellation(self, number: int) -> Message:
        return Cancellation(number)

    def answer(self, request_id: RequestId, result: msgspec.Struct) -> Message:
        return Response(request_id, unshared(result))

    def refusal(self, request_id: RequestId | None, error: BaseException, number: int | None = None) -> Message:
        try:
            return Refusal(request_id, error_of(error_object(error, number)))
        except (AuraError, *UNENCODABLE) as cause:
            return Refusal(request_id, error_of(error_object(unsendable(error, cause))))

    def decode(self, frame: Message) -> Message:
        match frame:
            case Call(request_id, request) if not self._serves(request):
                return Unreadable(request_id, unknown_method(request.method))
            case Notification(request) if not self._serves(request):
                return Ignored(request.method, unknown_method(request.method).reason)
        return frame

    def result(self, request: Request[Any], received: msgspec.Struct | msgspec.Raw) -> msgspec.Struct:
        if not isinstance(received, request.result):
            reason = f"the answer to {request.method} is {type(received).__name__}, not {request.result.__name__}"
            raise RemoteProtocolError(reason=reason)
        return received

    def _serves(self, request: Request[Any]) -> bool:
        return self._methods.get(request.method) is type(request)


class MemoryTransport(Transport[Message]):
    """One end of `memory_pair`."""

    def __init__(self, sending: MemoryObjectSendStream[Message], receiving: MemoryObjectReceiveStream[Message]) -> None:
        self._sending = sending
        self._receiving = receiving

    def codec(self, methods: Mapping[str, type[Request[Any]]]) -> MemoryCodec:
        return MemoryCodec(methods)

    async def send(self, frame: Message) -> None:
        await self._sending.send(frame)

    async def receive(self) -> Message:
        return await self._receiving.receive()

    async def aclose(self) -> None:
        self._sending.close()
        self._receiving.close()
        await anyio.lowlevel.checkpoint()


def memory_pair(*, buffer: int = 16) -> tuple[MemoryTransport, MemoryTransport]:
    """Return two ends of one channel; `buffer` is how many messages may be under way, in each direction."""
    to_one, from_other = anyio.create_memory_object_stream[Message](buffer)
    to_other, from_one = anyio.create_memory_object_stream[Message](buffer)
    return MemoryTransport(to_other, from_other), MemoryTransport(to_one, from_one)


# --- Sharing ----------------------------------------------------------------------------------------------------------


def unshared(struct: S) -> S:
    """Return `struct` with the dictionaries and lists in it copied; all that is immutable stays shared."""
    fields = _mutable_fields(type(struct))
    return replace(struct, **{name: _copy(getattr(struct, name)) for name in fields}) if fields else struct


def _copy(value: object) -> Any:
    match value:
        case dict():
            return {key: _copy(inner) for key, inner in value.items()}
        case list():
            return [_copy(inner) for inner in value]
        case tuple():
            return tuple(_copy(inner) for inner in value)
        case msgspec.Struct():
            return unshared(value)
    return value


@cache
def _mutable_fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the fields of `kind` that hold, at any depth, something that can be changed in place."""
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    return tuple(field.name for field in described.fields if _is_mutable(field.type))


def _is_mutable(described: inspect.Type) -> bool:
    match described:
        case inspect.StructType(cls=kind):
            return not kind.__struct_config__.frozen or bool(_mutable_fields(kind))
        case inspect.UnionType(types=inner) | inspect.TupleType(item_types=inner):
            return any(map(_is_mutable, inner))
        case inspect.VarTupleType(item_type=item):
            return _is_mutable(item)
    return not isinstance(described, _IMMUTABLE)


_IMMUTABLE = (
    *(inspect.NoneType, inspect.BoolType, inspect.IntType, inspect.FloatType, inspect.StrType, inspect.BytesType),
    *(inspect.EnumType, inspect.LiteralType, inspect.DateTimeType),
)
