"""The adapter and its agent at work: through AURA's engine, on a repository, with a human who answers."""

import os
import subprocess
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from aura_contracts.approval import Approval, ApprovalKind
from aura_contracts.failures import FailureReason
from aura_contracts.task import Task, TaskStatus
from aura_engine import BlockingEngine, BlockingRun, open_engine_sync

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


class Human:
    """Answers what the agent asks, and what AURA asks about its work."""

    def __init__(self, engine: BlockingEngine, run: BlockingRun) -> None:
        self._engine, self._run = engine, run

    def question(self, kind: ApprovalKind) -> Approval:
        """Wait for the next question, and return it."""
        question = next(self._run.questions())
        assert question.kind is kind
        return question

    def permits(self, *paths: str) -> None:
        for path in paths:
            question = self.question(ApprovalKind.TOOL_CALL)
            assert question.tool_call is not None
            assert question.tool_call.arguments["path"] == path
            self._engine.approvals.approve(question.id)

    def end(self) -> Task:
        return self._run.idle()


def test_aura_finds_it() -> None:
    (plugin,) = entry_points(group="aura.executors", name="renamer")
    assert plugin.load() is RenamerExecutor


def test_its_agent_is_found_and_says_its_version() -> None:
    availability = RenamerExecutor().availability(dict(os.environ))
    assert (availability.available, availability.version) == (True, "1.0"), availability.reason


def test_it_asks_renames_and_goes_on_in_its_session(engine: BlockingEngine, repository: Path) -> None:
    run = engine.run("Rename fetch to load", executor="renamer", repositories=[str(repository)])
    human = Human(engine, run)
    human.permits("api.py", "use.py")
    review = human.question(ApprovalKind.CHANGES)
    assert "2 files changed, +2 -2" in review.proposed_solution
    session = engine.tasks.view(run.id).execution.session_id

    engine.approvals.reject(review.id, "Undo that. Rename api to net instead.")
    human.permits("api.py", "use.py", "use.py")
    assert engine.tasks.view(run.id).execution.session_id == session
    engine.approvals.approve(human.question(ApprovalKind.CHANGES).id)

    assert human.end().status is TaskStatus.COMPLETED
    assert (repository / "use.py").read_text() == "from net import fetch\n"
    assert (repository / "api.py").read_text() == "def fetch():\n    return 1\n"
    assert engine.tasks.view(run.id).execution.usage.output_tokens == 5


def test_an_agent_that_may_do_nothing_has_failed(engine: BlockingEngine, repository: Path) -> None:
    options = {"only": "api.py"}
    run = engine.run("Rename fetch to load", executor="renamer", options=options, repositories=[str(repository)])
    human = Human(engine, run)
    engine.approvals.reject(human.question(ApprovalKind.TOOL_CALL).id, "Not this file.")
    ended = human.end()
    assert ended.failure is not None
    assert ended.failure.reason is FailureReason.PERMISSION_DENIED
    assert "api.py" in ended.failure.message


def test_an_agent_that_refuses_says_why(engine: BlockingEngine, repository: Path) -> None:
    run = engine.run("Make it faster", executor="renamer", repositories=[str(repository)])
    ended = run.idle()
    assert ended.failure is not None
    assert (ended.failure.reason, ended.failure.message[:21]) == (FailureReason.REFUSED, "I only rename words: ")
