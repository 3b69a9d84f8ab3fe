"""The in-memory transport keeps the contract of `Transport`."""

import anyio
import pytest

from aura_worker_protocol import memory_pair

pytestmark = pytest.mark.anyio


async def test_frames_arrive_whole_and_in_order_in_both_directions():
    one, other = memory_pair()
    for frame in (b"a", b"", b"x" * 1_000_000):
        await one.send(frame)
        await other.send(frame + b"!")
    assert [await other.receive() for _ in range(3)] == [b"a", b"", b"x" * 1_000_000]
    assert [await one.receive() for _ in range(3)] == [b"a!", b"!", b"x" * 1_000_000 + b"!"]
    await one.aclose()
    await other.aclose()


async def test_sending_waits_while_the_buffer_is_full():
    one, other = memory_pair(buffer=2)
    await one.send(b"1")
    await one.send(b"2")
    with anyio.move_on_after(0.01) as scope:
        await one.send(b"3")
    assert scope.cancelled_caught
    assert [await other.receive(), await other.receive()] == [b"1", b"2"]
    with anyio.move_on_after(0.01) as scope:
        await other.receive()
    assert scope.cancelled_caught
    await one.send(b"4")
    assert await other.receive() == b"4"
    await one.aclose()
    await other.aclose()


async def test_what_was_sent_before_closing_is_received_and_then_the_end():
    one, other = memory_pair()
    await one.send(b"last words")
    await one.aclose()
    await one.aclose()
    assert await other.receive() == b"last words"
    with pytest.raises(anyio.EndOfStream):
        await other.receive()
    with pytest.raises(anyio.BrokenResourceError):
        await other.send(b"anybody?")
    with pytest.raises(anyio.ClosedResourceError):
        await one.send(b"x")
    with pytest.raises(anyio.ClosedResourceError):
        await one.receive()
    await other.aclose()
