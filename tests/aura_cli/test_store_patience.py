"""How long commands wait for a database that is away, as `docs/explanation/store-promises.md` says."""

import logging

import pytest

import aura_engine
from aura_cli.main import main
from aura_contracts.errors import StoreUnavailable


@pytest.mark.parametrize(("words", "seconds"), [(["task", "list"], 10.0), (["task", "cancel", "1"], 30.0)])
def test_a_command_that_records_waits_longer(monkeypatch, tmp_path, words, seconds):
    waited = []

    def opening(url, *, outage_timeout, **_):
        waited.append(outage_timeout)
        raise StoreUnavailable(store=url, reason="away", waited=outage_timeout, attempts=1)

    monkeypatch.setattr(aura_engine, "open_engine", opening)
    monkeypatch.setattr(logging, "lastResort", None)  # which the command line sets up for its own process
    store = tmp_path / "aura.db"
    store.touch()
    assert main([*words, "--store", f"sqlite:///{store}"]) != 0
    assert waited == [seconds]
