"""Conformance of event logs: the requirements on every implementation of `aura_contracts.ports.EventLog`.

An adapter proves itself with a small class in its own tests:

    class TestMyLog(EventLogConformance):
        @pytest.fixture
        def open_log(self, tmp_path):
            return lambda: my_log(tmp_path / "log")

The fixture `open_log` returns a function. Each call of it returns an async context manager that opens **the same**
store again, and closes it on exit; the store is empty at the start of every test. Every test runs on asyncio and on
trio. For stores that only one process can open, ``shared = False`` disables the tests that need two handles at once.

The suite knows nothing about the adapter. It writes AURA's own events, checks seals by the published formula
(`aura_store.log._seal`) with its own code, and waits for conditions, never for a time; `patience` only ends a hang.
"""

from aura_store.testing.log_conformance.fixtures import OpenLog
from aura_store.testing.log_conformance.refusals import REFUSED
from aura_store.testing.log_conformance.samples import (
    ALICE,
    NOW,
    append,
    as_fact,
    assert_sealed,
    digest_of,
    everything,
    everything_sealed,
    fact,
    outcome_of,
    refusal_of,
    stream_id,
    titles,
    together,
)
from aura_store.testing.log_conformance.suite import EventLogConformance

__all__ = [
    "ALICE",
    "NOW",
    "REFUSED",
    "EventLogConformance",
    "OpenLog",
    "append",
    "as_fact",
    "assert_sealed",
    "digest_of",
    "everything",
    "everything_sealed",
    "fact",
    "outcome_of",
    "refusal_of",
    "stream_id",
    "titles",
    "together",
]
