"""The state machine of event logs over every adapter, on asyncio and trio, with crashes between any two steps."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from tempfile import TemporaryDirectory

import pytest
from dict_log import DictLog, Shelf
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from aura_contracts.ports import EventLog
from aura_store.adapters import Patience, open_recorder, recorder_for
from aura_store.log._memory import MemoryRecorder
from aura_store.log._recorder import Recorder
from aura_store.testing.stateful import EventLogMachine, Faults, FaultyRecorder
from databases import PostgresServer, new_schema

QUICK = Patience(outage_timeout=0.002, first_pause=0.0001, longest_pause=0.001)
"""So short that some faults pass unseen, and others make callers give up."""

QUICKLY = settings(max_examples=max(12, settings.default.max_examples // 8), stateful_step_count=25)


class DictMachine(EventLogMachine):
    def __init__(self) -> None:
        super().__init__()
        self.shelf = Shelf()

    def open_log(self, handle: int, faults: Faults) -> AbstractAsyncContextManager[EventLog]:
        return DictLog(self.shelf)


class RecorderMachine(EventLogMachine):
    """Any recorder, with faults. `prepare` gives a function that makes handles on one new store."""

    crashes = True

    def __init__(self) -> None:
        super().__init__()
        self.around = ExitStack()
        self.new_recorder = self.prepare()

    def prepare(self) -> Callable[[], Recorder]:
        raise NotImplementedError

    def open_log(self, handle: int, faults: Faults) -> AbstractAsyncContextManager[EventLog]:
        return open_recorder(FaultyRecorder(self.new_recorder(), faults), patience=QUICK)

    def teardown(self) -> None:
        super().teardown()
        self.around.close()


class MemoryMachine(RecorderMachine):
    def prepare(self) -> Callable[[], Recorder]:
        return MemoryRecorder().another


class SQLiteMachine(RecorderMachine):
    def prepare(self) -> Callable[[], Recorder]:
        folder = self.around.enter_context(TemporaryDirectory(prefix="aura-machine-"))
        return lambda: recorder_for(f"sqlite:///{folder}/log.db")


class PostgresMachine(RecorderMachine):
    server: PostgresServer

    def prepare(self) -> Callable[[], Recorder]:
        url = new_schema(self.server)
        return lambda: recorder_for(url)


both = pytest.mark.parametrize("backend", ["asyncio", pytest.param("trio", marks=pytest.mark.deep)])


@pytest.mark.parametrize("machine", [DictMachine, MemoryMachine, SQLiteMachine])
@both
def test_the_log_equals_the_model(machine: type[EventLogMachine], backend: str) -> None:
    run_state_machine_as_test(type(machine.__name__, (machine,), {"backend": backend}), settings=QUICKLY)


@both
@pytest.mark.deep
def test_postgres_equals_the_model(postgres: PostgresServer, backend: str) -> None:
    machine = type("PostgresMachine", (PostgresMachine,), {"backend": backend, "server": postgres})
    run_state_machine_as_test(machine, settings=QUICKLY)
