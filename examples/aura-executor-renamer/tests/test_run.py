"""The adapter and its agent at work: through AURA's engine, on a repository, with a human who answers."""

import os
import subprocess
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from aura_contracts.approval import Approval
from aura_engine import BlockingEngine, open_engine_sync

from aura_executor_renamer import RenamerExecutor

IDENTITY = {"NAME": "Alice", "EMAIL": "alice@example.org"}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RENAMER_HOME", str(tmp_path / "renamer"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for who in ("AUTHOR", "COMMITTER"):
        for what, value in IDENTITY.items():
            monkeypatch.setenv(f"GIT_{who}_{what}", value)
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "api.py").write_text("def fetch():\n    return 1\n")
    (folder / "use.py").write_text("from api import fetch\n")
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[BlockingEngine]:
    store = f"sqlite:///{tmp_path / 'aura.db'}"
    with open_engine_sync(store, home=tmp_path / "home", user="alice") as opened:
        yield opened


def asked(engine: BlockingEngine, task_id: str) -> Approval:
    """Return the question of the agent that waits for an answer."""
    for _ in engine.follow(task_id):
        if waiting := engine.approvals.pending(task_id):
            return waiting[0]
    raise AssertionError("the task ended without a question")


def test_aura_finds_it() -> None:
    (plugin,) = entry_points(group="aura.executors", name="renamer")
    assert plugin.load() is RenamerExecutor


def test_its_agent_is_found_and_says_its_version() -> None:
    availability = RenamerExecutor().availability(dict(os.environ))
    assert (availability.available, availability.version) == (True, "1.0"), availability.reason


def test_it_asks_renames_and_takes_it_back_in_the_same_session(engine: BlockingEngine, repository: Path) -> None:
    task = engine.run(
        "Rename fetch to load", executor="renamer", repositories=[str(repository)], approval="diff", options={}
    )
    for path in ("./api.py", "./use.py"):
        question = asked(engine, task.id)
        assert path in question.proposed_solution
        engine.approvals.approve(question.id)
    print(engine.settled(task.id))
