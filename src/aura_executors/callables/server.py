"""Server: calls Python agents for their relays, over a socket that only this user can reach.

Invariants:

- A call ends with its relay: if the relay asks for it or is gone, an asynchronous function is cancelled. A plain
  one may look at `cancelled`; its thread is not waited for.
- What a function says is sent in order, before the line that ends the call.
- What a function raises ends its own call, with the reason.
"""

import inspect
import json
import math
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.memory import MemoryObjectSendStream

from aura_contracts.ports.callables import AgentCall, AgentCallable
from aura_executors.adapter.bounded_text import clipped
from aura_executors.callables.callable_executor import CallableExecutor
from aura_executors.callables.relay import CANCEL, END

ORDER_LIMIT = 64 * 1024 * 1024
"""Bytes of an order: the prompt and the arguments."""

_GONE = (
    *(anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream),
    *(anyio.IncompleteRead, anyio.DelimiterNotFound),
)
"""What is raised where the other end is gone."""

INTERRUPTED = 130
"""The exit code of a call that was cancelled, as after SIGINT."""


class _RunningCall(AgentCall):
    def __init__(self, order: Mapping[str, Any], lines: MemoryObjectSendStream[bytes], *, in_thread: bool) -> None:
        self.prompt = str(order["prompt"])
        self.folder = Path(order["folder"])
        self.arguments = order["arguments"]
        self._lines = lines
        self._in_thread = in_thread
        self.scope = anyio.CancelScope()

    @property
    def cancelled(self) -> bool:
        return self.scope.cancel_called

    def say(self, text: str) -> None:
        if self._in_thread:
            anyio.from_thread.run_sync(self.put, {"type": "message", "text": clipped(str(text))})
        else:
            self.put({"type": "message", "text": clipped(str(text))})

    def put(self, entry: Mapping[str, Any]) -> None:
        """Send an entry, unless the relay is gone."""
        with suppress(*_GONE):
            self._lines.send_nowait(json.dumps({"aura": entry}).encode() + b"\n")


class CallableServer:
    """Serves functions by name, for as long as `serve` is entered."""

    def __init__(self, functions: Mapping[str, AgentCallable], socket: Path) -> None:
        self._functions = functions
        self._socket = socket

    @classmethod
    @asynccontextmanager
    async def serve(cls, functions: Mapping[str, AgentCallable]) -> AsyncIterator[Self]:
        """Open the socket, in a folder of its own; leaving ends all calls."""
        folder = Path(tempfile.mkdtemp(prefix="aura-"))  # short, as addresses of sockets have to be
        try:
            server = cls(functions, folder / "calls")
            listener = await anyio.create_unix_listener(server._socket, mode=0o600)
            async with listener, anyio.create_task_group() as group:
                group.start_soon(partial(listener.serve, server._handle))
                try:
                    yield server
                finally:
                    group.cancel_scope.cancel()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def executors(self) -> list[CallableExecutor]:
        """The executors of the functions, by name."""
        return [
            CallableExecutor(name, (inspect.getdoc(function) or "a Python function").splitlines()[0], str(self._socket))
            for name, function in self._functions.items()
        ]

    async def _handle(self, relay: SocketStream) -> None:
        async with relay:
            incoming = BufferedByteReceiveStream(relay)
            with suppress(*_GONE):
                order = json.loads(await incoming.receive_until(b"\n", ORDER_LIMIT))
                await self._serve(relay, incoming, order)

    async def _serve(self, relay: SocketStream, incoming: BufferedByteReceiveStream, order: Mapping[str, Any]) -> None:
        function = self._functions[order["name"]]
        lines, outgoing = anyio.create_memory_object_stream[bytes](math.inf)
        call = _RunningCall(order, lines, in_thread=not _is_async(function))
        code = 1
        async with anyio.create_task_group() as group:

            async def cancel() -> None:
                with suppress(*_GONE):
                    await incoming.receive_until(b"\n", len(CANCEL))
                call.scope.cancel()

            async def send() -> None:
                with suppress(*_GONE):
                    async with outgoing:
                        async for line in outgoing:
                            await relay.send(line)

            group.start_soon(cancel)
            async with lines, anyio.create_task_group() as sending:
                sending.start_soon(send)
                code = await _perform(function, call)
                lines.close()
            await relay.send(END + str(code).encode() + b"}\n")
            group.cancel_scope.cancel()


def _is_async(function: AgentCallable) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


async def _perform(function: AgentCallable, call: _RunningCall) -> int:
    """Call the function; return the exit code, after its last entry."""
    failure: dict[str, Any] | None = None
    with call.scope:
        try:
            result: object
            if _is_async(function):
                result = function(call)
            else:
                result = await anyio.to_thread.run_sync(function, call, abandon_on_cancel=True)
            if inspect.isawaitable(result):
                result = await result
            if isinstance(result, str):
                call.put({"type": "message", "text": clipped(result)})
            elif result is not None:
                failure = _failure(f"it returned {type(result).__name__}, where a text or None was expected")
        except Exception as error:  # noqa: BLE001 - whatever an agent raises is its failure
            failure = _failure(f"{type(error).__name__}: {error}")
    if call.scope.cancelled_caught:
        return INTERRUPTED
    call.put({"type": "finished", "failure": failure})
    return 0 if failure is None else 1


def _failure(message: str) -> dict[str, Any]:
    return {"reason": "AgentError", "message": clipped(message, 2_000)}
