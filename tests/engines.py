"""Engines in this process: a repository, engines on one log, and what the scripted agent is to do."""

import pytest

from aura_contracts.task import RetryPolicy
from aura_engine.bootstrap import open_engine
from repositories import make_repository

ONCE = RetryPolicy(max_attempts=1)
AT_ONCE = RetryPolicy(base_delay=0.01, max_delay=0.01)


@pytest.fixture
def repository(tmp_path):
    return make_repository(tmp_path / "app", {"README": "hello\n", "a.txt": "one\ntwo\nthree\n"})


@pytest.fixture
def opened(tmp_path):
    """Opens engines on one log, with one home."""

    def open_one(**options):
        return open_engine(f"sqlite:///{tmp_path / 'aura.db'}", home=tmp_path / "home", user="alice", **options)

    return open_one


def scripted(*rounds):
    return {"executor": "scripted", "options": {"rounds": [list(steps) for steps in rounds]}}


def write(path, text):
    return {"write": {"path": path, "text": text}}
