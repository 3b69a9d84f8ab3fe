"""The agent's pipes, without ever blocking.

Standard library only: the supervisor loads this module.
"""

import os
import select
from collections import deque
from collections.abc import Iterator

from aura_executors.supervisor.control_server import ConnectedWorker
from aura_executors.supervisor.spool import RECORD_LIMIT, STDERR, STDOUT

SMALL = 4096
"""Bytes; a stream that is read in pieces smaller than this, one right after the other, is given time to collect."""

COLLECT = 0.001
"""Seconds to collect, and what "right after" means."""

NEVER = float("inf")

Asker = tuple[ConnectedWorker, int] | None
"""The connection that asked, and the number of its request; None for the launch request itself."""

Answer = tuple[Asker, bool]


class _Stream:
    """One output. While `held_until` is set, it is not waited for."""

    def __init__(self, source: int, file: int) -> None:
        self.source = source
        self.file = file
        self.watched = False
        self.ready = False
        self.read_at = 0.0
        self.held_until = 0.0


class Outputs:
    """Standard output and standard error.

    What one of them holds is read before the other is: so lines that a program writes to both in turn keep their order
    as well as two pipes allow. A program that writes line by line and fast is read a thousand times per second, not
    for every line.
    """

    def __init__(self, files: tuple[int, int], poll: "select.poll") -> None:
        self._streams = [_Stream(STDOUT, files[0]), _Stream(STDERR, files[1])]
        self._poll = poll

    @property
    def closed(self) -> bool:
        """Whether no process can write any more."""
        return not self._streams

    @property
    def due(self) -> float:
        """When a stream has collected long enough."""
        return min((stream.held_until for stream in self._streams if stream.held_until), default=NEVER)

    def watch(self, now: float, *, paused: bool) -> None:
        """Wait for the streams that should be read; for none when `paused`."""
        for stream in self._streams:
            if stream.held_until and now >= stream.held_until:
                stream.held_until = 0.0
            wanted = not paused and not stream.held_until
            if wanted and not stream.watched:
                self._poll.register(stream.file, select.POLLIN)
            elif stream.watched and not wanted:
                self._poll.unregister(stream.file)
            stream.watched = wanted

    def note(self, file: int) -> bool:
        """Note that a file can be read; False if it is not one of the streams."""
        for stream in self._streams:
            if stream.file == file:
                stream.ready = True
                return True
        return False

    def read(self, now: float) -> Iterator[tuple[int, bytes]]:
        """Yield a piece of each stream that can be read."""
        ready = [stream for stream in self._streams if stream.ready]
        if ready:
            collecting = [stream for stream in self._streams if stream.held_until and not stream.ready]
            for stream in (*collecting, *ready):
                stream.ready = False
                data = self._read(stream)
                if data:
                    slow = len(data) >= SMALL or now - stream.read_at > COLLECT
                    stream.held_until = 0.0 if slow or stream in collecting else now + COLLECT
                    stream.read_at = now
                    yield stream.source, data

    def rest(self) -> Iterator[tuple[int, bytes]]:
        """Yield all that is left, when all writers have gone; do not wait for others."""
        for stream in tuple(self._streams):
            while data := self._read(stream):
                yield stream.source, data
            if stream in self._streams:
                self._close(stream)

    def _read(self, stream: _Stream) -> bytes:
        """Return what is available, up to a record's length; close a stream that has ended."""
        try:
            data = os.read(stream.file, RECORD_LIMIT)
        except BlockingIOError:
            return b""
        if not data:
            self._close(stream)
        return data

    def _close(self, stream: _Stream) -> None:
        if stream.watched:
            self._poll.unregister(stream.file)
        os.close(stream.file)
        self._streams.remove(stream)


class StandardInput:
    """Standard input. What is offered is written as the agent reads.

    Methods return answers: who asked, and whether it was done; False when the agent does not read any more.
    """

    def __init__(self, file: int | None, poll: "select.poll") -> None:
        self._file = file
        self._poll = poll
        self._pending: deque[tuple[memoryview, Asker]] = deque()
        self._last: list[Asker] = []
        if file is not None:
            poll.register(file, 0)

    def offer(self, data: bytes, asker: Asker) -> list[Answer]:
        """Write `data` after what was offered before."""
        if self._file is None or self._last:
            return [(asker, False)]
        self._pending.append((memoryview(data), asker))
        return self._write()

    def close_when_written(self, asker: Asker = None) -> list[Answer]:
        """Close it after what was offered before."""
        if self._file is None:
            return [(asker, True)]
        self._last.append(asker)
        return self._write()

    def ready(self, file: int, events: int) -> list[Answer]:
        """Continue writing, if the file is this one and it is ready."""
        if file != self._file:
            return []
        return self.close() if events & (select.POLLERR | select.POLLHUP | select.POLLNVAL) else self._write()

    def close(self) -> list[Answer]:
        """Close it now; what is not written is dropped."""
        answers = [(asker, False) for _, asker in self._pending] + [(asker, True) for asker in self._last]
        self._pending.clear()
        self._last.clear()
        if self._file is not None:
            self._poll.unregister(self._file)
            os.close(self._file)
            self._file = None
        return answers

    def _write(self) -> list[Answer]:
        assert self._file is not None, "the callers have looked"
        answers: list[Answer] = []
        try:
            while self._pending:
                data, asker = self._pending[0]
                rest = data[os.write(self._file, data) :] if data else data
                if rest:
                    self._pending[0] = (rest, asker)
                else:
                    self._pending.popleft()
                    answers.append((asker, True))
        except BlockingIOError:
            self._poll.modify(self._file, select.POLLOUT)
            return answers
        except OSError:
            return answers + self.close()
        if self._last:
            return answers + self.close()
        self._poll.modify(self._file, 0)
        return answers
