"""JSON-RPC 2.0 (jsonrpc.org/specification) over lines, without I/O: the state and messages of one side.

    peer = RpcPeer()
    yield Send(peer.request("initialize", {"clientInfo": ...}, then=self._initialized))

    match peer.read(line):
        case RpcReply(then=then, result=result, error=error): ...
        case RpcRequest(id=id, method=method, params=params): yield Send(peer.respond(id, {...}))
        case RpcNotification(method=method, params=params): ...

Parameters and results stay raw (`msgspec.Raw`) until the adapter, which knows their type, decodes them. `method_of`
finds the method of most messages without decoding them, so that unwanted ones are skipped at the cost of a comparison
and the others are decoded once, as a `RpcCall` of their type.

The connection of `aura_worker_protocol` is different: it enforces order, epochs and sizes between two ends of AURA and
closes at the first violation. Agents violate the specification in many ways, and a conversation must understand what it
can, never fail, and behave in exactly the same way after a restart.
"""

import re
from typing import Any, Generic, TypeVar

import msgspec

from aura_contracts.first_use import json_decoder
from aura_executors.adapter.bounded_text import put

METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
"""Error codes of the specification, section 5.1."""

PENDING_LIMIT = 10_000
"""Maximum number of pending requests; beyond it, the oldest is dropped."""

Id = int | str

T = TypeVar("T")
Then = TypeVar("Then")

_EMPTY = msgspec.Raw(b"null")
_ENCODER = msgspec.json.Encoder()
_BEGINNING = re.compile(rb'\{(?:"jsonrpc": ?"2\.0", ?)?"method": ?"([^"\\]*)"')


class RpcError(msgspec.Struct, frozen=True):
    """Why a request was refused."""

    code: int = 0
    message: str = ""
    data: Any = None


class RpcCall(msgspec.Struct, Generic[T], frozen=True):
    """A line with a request or notification whose parameters are a `T`; with an `id` it is a request.

    For a decoder of one method: ``json_decoder(RpcCall[TurnCompleted])``.
    """

    params: T
    id: Id | None = None


class RpcRequest(msgspec.Struct, frozen=True, gc=False):
    """A request from the other side, which waits for `RpcPeer.respond` or `RpcPeer.refuse`."""

    id: Id
    method: str
    params: msgspec.Raw


class RpcNotification(msgspec.Struct, frozen=True, gc=False):
    """A notification from the other side."""

    method: str
    params: msgspec.Raw


class RpcReply(msgspec.Struct, Generic[Then], frozen=True):
    """The other side's response to one of our requests, with `result` or `error`.

    `then` was passed with the request; it is None for the response to an unknown request, such as one made before a
    restart.
    """

    id: Id | None
    then: Then | None
    result: msgspec.Raw
    error: RpcError | None


class _RpcMessage(msgspec.Struct, frozen=True):
    id: Id | None = None
    method: str | None = None
    params: msgspec.Raw = _EMPTY
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: RpcError | None = None


_MESSAGE = json_decoder(_RpcMessage)


def method_of(line: bytes) -> bytes | None:
    r"""Return the method of a message that begins with it; None otherwise, in which case it must be decoded.

    >>> method_of(b'{"method":"turn/started","params":{}}'), method_of(b'{"id":1,"result":{}}')
    (b'turn/started', None)
    """
    found = _BEGINNING.match(line)
    return None if found is None else found[1]


class RpcPeer(Generic[Then]):
    """One side of a connection. `Then` is the type of the value that the owner gets back with the reply."""

    def __init__(self, *, tagged: bool = True) -> None:
        self._version = {"jsonrpc": "2.0"} if tagged else {}
        self._pending: dict[Id, Then] = {}
        self._next = 1

    def request(self, method: str, params: object, then: Then, *, id: Id | None = None) -> bytes:
        """Return the line of a request.

        Without an `id` it gets the next number. Requests that may not be repeated after a restart need their own `id`
        (a string), so that the others keep their numbers.
        """
        if id is None:
            id, self._next = self._next, self._next + 1
        put(self._pending, id, then, PENDING_LIMIT)
        return self._line({"id": id, "method": method, "params": params})

    def notify(self, method: str, params: object = None) -> bytes:
        """Return the line of a notification."""
        return self._line({"method": method} if params is None else {"method": method, "params": params})

    def respond(self, id: Id, result: object) -> bytes:
        """Return the line of a response."""
        return self._line({"id": id, "result": result})

    def refuse(self, id: Id, message: str, code: int = METHOD_NOT_FOUND) -> bytes:
        """Return the line of an error response."""
        return self._line({"id": id, "error": {"code": code, "message": message}})

    def read(self, line: bytes) -> RpcRequest | RpcNotification | RpcReply[Then] | None:
        """Return the message in a line; None if it is not a message. Raises `msgspec.MsgspecError`."""
        message = _MESSAGE.decode(line)
        if message.method is not None:
            if message.id is None:
                return RpcNotification(message.method, message.params)
            return RpcRequest(message.id, message.method, message.params)
        if message.result is msgspec.UNSET and message.error is None:
            return None
        then = self._pending.pop(message.id, None) if message.id is not None else None
        result = _EMPTY if isinstance(message.result, msgspec.UnsetType) else message.result
        return RpcReply(message.id, then, result, message.error)

    def _line(self, message: dict[str, object]) -> bytes:
        return _ENCODER.encode({**self._version, **message}) + b"\n"
