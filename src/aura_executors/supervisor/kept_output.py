"""The agent's output on its way to the spool: up to a limit, as long as it can be kept.

Standard library only: the supervisor loads this module.
"""

import time

from aura_executors.supervisor.launch import LaunchRequest
from aura_executors.supervisor.spool import SpoolWriter

Cause = tuple[str, str]
"""Why the agent has to end, as in the exit record: the cause and its message."""


class KeptOutput:
    """Writes to the spool in the current folder until the output limit is reached or the spool fails.

    From then on output is discarded, so that the agent is not held up while it is being ended.
    """

    def __init__(self, request: LaunchRequest) -> None:
        self._first = request.first_record
        self._limit = request.output_limit
        self._size = 0
        self._discarding = False
        self._spool = SpoolWriter(
            ".", request.first_record, limit=request.unacknowledged, segment_size=request.segment_size
        )

    @property
    def last(self) -> int:
        """The number of the last record."""
        return self._spool.last

    @property
    def records(self) -> int:
        """How many records were kept."""
        return self._spool.last - self._first + 1

    @property
    def paused(self) -> bool:
        """Whether the agent has to wait until a worker has acknowledged more."""
        return self._spool.full and not self._discarding

    @property
    def discarding(self) -> bool:
        return self._discarding

    def keep(self, source: int, data: bytes) -> Cause | None:
        """Append a record; return why the agent has to end, if it has to."""
        if self._discarding:
            return None
        kept = data[: self._limit - self._size]
        if kept:
            try:
                self._spool.append(source, time.time_ns(), kept)
            except OSError as error:
                return self.fail(f"its output could not be stored: {error.strerror}")
            self._size += len(kept)
        if len(kept) < len(data):
            self._discarding = True
            return "output_limit", f"it wrote more than {self._limit} bytes"
        return None

    def fail(self, message: str) -> Cause:
        """Discard everything from now on; return why the agent has to end."""
        self._discarding = True
        return "spool_failed", message

    def acknowledge(self, upto: int) -> None:
        """Forget the records up to number `upto`."""
        self._spool.acknowledge(upto)

    def close(self) -> None:
        self._spool.close()
