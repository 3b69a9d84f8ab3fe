"""Transport: carries frames from one side to the other. The port; what is in the frames is none of its business."""

from abc import ABC, abstractmethod


class Transport(ABC):
    """One end of a two-way channel that keeps frames whole and in order.

    One task may send while another receives; `Peer` never sends from two tasks at a time. Cancelling leaves it usable:
    a cancelled `receive` has taken nothing, a cancelled `send` has sent either nothing or all.
    """

    @abstractmethod
    async def send(self, frame: bytes) -> None:
        """Hand over a frame, waiting while the other side is behind (back-pressure).

        Raises `anyio.BrokenResourceError` when the other side is gone, `anyio.ClosedResourceError` after `aclose`.
        """

    @abstractmethod
    async def receive(self) -> bytes:
        """Return the next frame.

        Raises `anyio.EndOfStream` when the other side has closed and everything was received,
        `anyio.BrokenResourceError` when the channel broke, `anyio.ClosedResourceError` after `aclose`.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close this end; the other side receives what was sent before, and then the end. Again: nothing happens."""
