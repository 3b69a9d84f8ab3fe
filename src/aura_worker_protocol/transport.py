"""Transport: carries frames from one side to the other. The port; it does not look into them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic

from aura_worker_protocol.codec import Codec, F
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
