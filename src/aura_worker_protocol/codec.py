"""Codec: messages to the frames of a transport and back. The port; `json_codec` and `transport` implement it. Pure.

A `Message` is what one side says in one frame. A codec decides how it is written, and nothing else: which message may
come when is the business of `aura_worker_protocol.connection`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec

from aura_contracts.errors import AuraError
from aura_worker_protocol.request import Request

RequestId = int | str
"""This side gives integers from 1 on; the other side may give texts."""

F = TypeVar("F")
"""A frame: bytes for transports that leave the process."""


class Call(msgspec.Struct, frozen=True):
    """Carry out `request` and respond under `id`."""

    id: RequestId
    request: Request[Any]


class Notification(msgspec.Struct, frozen=True):
    """Carry out `request`; no response is expected."""

    request: Request[Any]


class Cancellation(msgspec.Struct, frozen=True):
    """The response to this call is no longer waited for."""

    id: RequestId


class Response(msgspec.Struct, frozen=True):
    """The result of a call; raw where its type follows from the call that it answers (see `Codec.result`)."""

    id: RequestId
    result: msgspec.Struct | msgspec.Raw


class Refusal(msgspec.Struct, frozen=True):
    """An error in place of a result; without `id` it is about the connection."""

    id: RequestId | None
    error: AuraError


class Ignored(msgspec.Struct, frozen=True):
    """An unknown or malformed notification, which is dropped without a response (JSON-RPC 2.0, section 4.1)."""

    method: str
    reason: str


class Unreadable(msgspec.Struct, frozen=True):
    """A frame that is not a message. `number` is JSON-RPC's code for it; with an `id`, only that call is refused."""

    id: RequestId | None
    error: AuraError
    number: int | None = None


Message = Call | Notification | Cancellation | Response | Refusal | Ignored | Unreadable


class Codec(ABC, Generic[F]):
    """Writes the messages of this side and reads those of the other. `methods` are those that this side carries out.

    Writing raises `LocalProtocolError` for a message that no frame can hold, `FrameTooLarge` for one that is too large.
    """

    def __init__(self, methods: Mapping[str, type[Request[Any]]]) -> None:
        self._methods = methods

    @abstractmethod
    def request(self, number: int, request: Request[Any]) -> F: ...

    @abstractmethod
    def notification(self, request: Request[Any]) -> F: ...

    @abstractmethod
    def cancellation(self, number: int) -> F: ...

    @abstractmethod
    def answer(self, request_id: RequestId, result: msgspec.Struct) -> F: ...

    @abstractmethod
    def refusal(self, request_id: RequestId | None, error: BaseException, number: int | None = None) -> F:
        """Never raises: an error that no frame can hold is replaced by one that says so."""

    @abstractmethod
    def decode(self, frame: F) -> Message:
        """Return the message in `frame`. Never raises, whatever it holds."""

    @abstractmethod
    def result(self, request: Request[Any], received: msgspec.Struct | msgspec.Raw) -> msgspec.Struct:
        """Return the result in an answer to `request`. Raises `RemoteProtocolError` unless it is of that type."""
