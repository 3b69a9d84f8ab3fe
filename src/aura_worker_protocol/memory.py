"""A transport within one process: its frames are the messages themselves, nothing is encoded.

Sharing them is safe because they are frozen; the few dictionaries in them are copied by the sender, and an error is
made again from its facts, as over any other transport. What has no frame of bytes has no size: there is no limit here.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

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
    Ignored,
    Message,
    Notification,
    Refusal,
    RequestId,
    Response,
    Unreadable,
)
from aura_worker_protocol.errors import UNENCODABLE, error_object, error_of, unknown_method, unsendable
from aura_worker_protocol.request import Request, Result
from aura_worker_protocol.transport import Transport

S = TypeVar("S", bound=msgspec.Struct)


class MemoryCodec(Codec[Message]):
    """Hands messages on as they are, apart from what could still be changed."""

    def request(self, number: int, request: Request[Any]) -> Message:
        return Call(number, unshared(request))

    def notification(self, request: Request[Any]) -> Message:
        return Notification(unshared(request))

    def cancellation(self, number: int) -> Message:
        return Cancellation(number)

    def answer(self, request_id: RequestId, result: Result) -> Message:
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

    def result(self, request: Request[Any], received: Result | msgspec.Raw) -> Result:
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
