"""The state machine of event logs over every adapter, on asyncio and trio, with crashes between any two steps."""

import tempfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from dict_log import DictLog, Shelf
from hypothesis import settings

from aura_contracts.ports import EventLog
from aura_store._memory import MemoryRecorder
from aura_store.adapters import Patience, open_recorder, recorder_for
from aura_store.testing.stateful import EventLogMachine, FaultyRecorder, Faults

QUICK = Patience(outage_timeout=0.05, first_pause=0.0001, longest_pause=0.001)
"""Long enough for every fault to pass; in one in ten steps not."""


class DictMachine(EventLogMachine):
    def __init__(self) -> None:
        super().__init__()
        self.shelf = Shelf()

    def open_log(self, handle: int, faults: Faults) -> AbstractAsyncContextManager[EventLog]:
        return DictLog(self.shelf)


class MemoryMachine(EventLogMachine):
    crashes = True

    def __init__(self) -> None:
        super().__init__()
        self.recorder = MemoryRecorder()

    def open_log(self, handle: int, faults: Faults) -> AbstractAsyncContextManager[EventLog]:
        return open_recorder(FaultyRecorder(self.recorder.another(), faults), patience=QUICK)


class SQLiteMachine(EventLogMachine):
    crashes = True

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="aura-machine-")

    def open_log(self, handle: int, faults: Faults) -> AbstractAsyncContextManager[EventLog]:
        recorder = recorder_for(f"sqlite:///{Path(self.folder.name)}/log.db")
        return open_recorder(FaultyRecorder(recorder, faults), patience=QUICK)

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


class SQLiteMachineOnTrio(SQLiteMachine):
    backend = "trio"


class MemoryMachineOnTrio(MemoryMachine):
    backend = "trio"


TestDict = DictMachine.TestCase
TestMemory = MemoryMachine.TestCase
TestMemoryOnTrio = MemoryMachineOnTrio.TestCase
TestSQLite = SQLiteMachine.TestCase
TestSQLiteOnTrio = SQLiteMachineOnTrio.TestCase

for case in (TestDict, TestMemory, TestMemoryOnTrio, TestSQLite, TestSQLiteOnTrio):
    case.settings = settings(max_examples=max(15, settings.default.max_examples // 8), stateful_step_count=25)
