"""First use: types are described to msgspec by one thread at a time, in whichever package that happens."""

from collections.abc import Callable
from threading import Event, Thread

import pytest

from aura_contracts.catalogue import CATALOGUE
from aura_contracts.first_use import FIRST_USE
from aura_executors.adapter.option_reader import read_options
from aura_executors.adapter.options import AgentOptions
from aura_store.log._decoders import Decoders, StoredFact
from aura_store.read_models._fold import _decoder_of

DESCRIBING = {
    "facts": lambda: Decoders(CATALOGUE, StoredFact)["task.created@1"],
    "states": lambda: _decoder_of.__wrapped__("task"),
    "options": lambda: read_options("agent", {}, AgentOptions),
}


@pytest.mark.parametrize("describe", DESCRIBING.values(), ids=DESCRIBING)
def test_a_type_is_described_by_one_thread_at_a_time(describe: Callable[[], object]) -> None:
    done = Event()
    thread = Thread(target=lambda: (describe(), done.set()), daemon=True)
    with FIRST_USE:
        thread.start()
        assert not done.wait(0.1)
    assert done.wait(30)
    thread.join()
