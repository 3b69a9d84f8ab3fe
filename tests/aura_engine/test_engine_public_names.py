"""`aura_engine` is the manual of an embedding program: flat, complete, and free until it is used."""

import subprocess
import sys

import pytest

import aura_engine
from aura_contracts import errors
from aura_contracts.catalogue import AGGREGATES


def test_the_way_in_and_what_it_leads_to():
    names = {
        "open_engine",
        "open_engine_sync",
        "Engine",
        "Run",
        "BlockingEngine",
        "BlockingRun",
        "BlockingSubscription",
        "Subscription",
        "Host",
    }
    assert names | {"RunRequest", "NewTask", "NewAgent", "Assignment", "Finding"} <= set(aura_engine.__all__)


def test_every_name_is_there_and_listed_once():
    assert dir(aura_engine) == aura_engine.__all__
    assert len(set(aura_engine.__all__)) == len(aura_engine.__all__)
    for name in aura_engine.__all__:
        assert getattr(aura_engine, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = aura_engine.nothing


def test_states_statuses_events_and_errors_are_all_there():
    wanted = {name for each in AGGREGATES for name in (each.state.__name__, each.statuses.__name__)}
    wanted |= {event.__name__ for each in AGGREGATES for event in each.events}
    wanted |= {
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.AuraError)
    }
    assert wanted <= set(aura_engine.__all__)


def test_importing_it_loads_no_adapter_and_no_pydantic():
    program = "import sys, aura_engine; print(*(m.partition('.')[0] for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    unwanted = {"aura_store", "aura_git", "aura_workspace", "aura_executors", "aura_worker", "pydantic", "sqlite3"}
    assert not unwanted & set(done.stdout.split())
