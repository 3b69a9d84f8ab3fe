"""``aura doctor``: what was left behind is found, and put right."""

import os
import shutil
import signal
import sys
from pathlib import Path

import anyio
import pytest

from aura_contracts.ports.processes import ProcessSpec
from aura_executors import SupervisedRunner
from command_line import call_aura, run_aura, running_aura
from conditions import until
from repositories import git, worktrees

WAITS = "echo $$ > pid; echo more > new.txt; while [ ! -e go ]; do sleep 0.05; done"


def diagnosed(*words):
    """Return the exit code and what is not in order, by kind and status."""
    answer = call_aura("doctor", "--json", *words)
    return answer.code, [row for row in answer.objects if row["kind"] not in ("python", "git")]


def test_a_machine_in_order(place):
    code, (store,) = diagnosed()
    assert (code, store["kind"], store["status"]) == (0, "store", "note")
    assert call_aura("task", "create", "Say more").code == 0
    code, (store,) = diagnosed()
    assert (code, store["status"], store["text"]) == (0, "ok", "its files are sound, 1 events")
    out = call_aura("doctor").out
    assert out.count("ok     ") == 3


def test_without_git_it_is_said(place):
    answer = run_aura("doctor", "--json", cwd=place, PATH="/nowhere")
    git_row = next(row for row in answer.objects if row["kind"] == "git")
    assert git_row["status"] in ("note", "wrong")
    assert git_row["remedy"].startswith("install git")


def test_a_store_that_is_damaged(place):
    Path(place.parent / "aura.db").write_text("no database, but long enough to look like one might " * 40)
    code, found = diagnosed()
    assert (code, found[-1]["kind"], found[-1]["status"]) == (1, "store", "wrong")


@pytest.mark.parametrize("made", [False, True], ids=["without a store", "with a store"])
def test_an_invalid_profile_file_is_found(place, made):
    if made:
        assert call_aura("task", "create", "Say more").code == 0
    profiles = Path(os.environ["AURA_HOME"]) / "profiles.toml"
    profiles.parent.mkdir(parents=True, exist_ok=True)
    profiles.write_text("[custom\n")
    code, found = diagnosed()
    wrong = [(row["kind"], row["id"]) for row in found if row["status"] == "wrong"]
    assert (code, wrong) == (1, [("profiles", str(profiles))])


def test_git_settings_that_an_agent_left_are_named(place):
    words = ("run", "--no-tui", "--executor", "custom", "--prompt", "Look", "--base-command", "sh", "--param", "-c")
    settings = "git config core.hooksPath /elsewhere; git config user.name Alice"
    assert call_aura(*words, "--param", settings, "--repo", place).code == 0
    code, found = diagnosed()
    (row,) = [row for row in found if row["kind"] == "settings"]
    assert (code, row["status"], row["id"]) == (0, "note", str(place))
    assert row["text"].endswith(": core.hookspath")
    git(place, "config", "--local", "--unset-all", "core.hooksPath")
    assert "settings" not in {row["kind"] for row in diagnosed()[1]}


# --- Tasks and processes ----------------------------------------------------------------------------------------------


def started(place):
    """Start a run whose agent waits, and return it with the agent's process id."""
    words = ("run", "--no-tui", "--executor", "custom", "--prompt", "Say more", "--base-command", "sh", "--approval")
    return running_aura(
        *words, "auto", "--param", "-c", "--param", WAITS, "--repo", place,
        AURA_HOME=os.environ["AURA_HOME"], AURA_STORE=os.environ["AURA_STORE"], AURA_USER="alice",
    )  # fmt: skip


def pid_file():
    return next(Path(os.environ["AURA_HOME"]).glob("workspaces/*/*/pid"), None)


def is_written():
    path = pid_file()
    return path is not None and path.read_text().strip() != ""


@pytest.mark.deep
def test_what_somebody_drives_is_left_alone_and_what_nobody_drives_is_not_started_unasked(place):
    with started(place) as process:
        anyio.run(until, is_written)
        code, (store,) = diagnosed()
        assert (code, store["status"]) == (0, "ok")
        process.send_signal(signal.SIGKILL)
        process.wait()
    worktree = pid_file().parent
    for words in ((), ("--fix",)):
        code, found = diagnosed(*words)
        assert (code, [(row["kind"], row["status"]) for row in found[1:]]) == (1, [("task", "wrong")])
        task = found[1]["id"]
        assert found[1]["remedy"] == f"aura task resume {task} resumes it; aura task cancel {task} cancels it"
    starts = len(call_aura("events", "--type", "execution.process_started", "--json").objects)
    (worktree / "go").touch()
    assert call_aura("task", "resume", task).code == 0
    assert len(call_aura("events", "--type", "execution.process_started", "--json").objects) == starts
    assert diagnosed()[0] == 0
    assert git(place, "show", "main:new.txt") == "more"


@pytest.mark.deep
def test_a_decision_that_nobody_carried_out_is(place):
    words = ("--executor", "custom", "--base-command", "sh", "--param", "-c", "--param", "echo more > new.txt")
    assert call_aura("run", *words, "--prompt", "Say more", "--repo", place, "--no-tui").code == 0
    assert call_aura("approval", "approve", "--no-wait").code == 0
    code, found = diagnosed()
    assert (code, [(row["kind"], row["status"]) for row in found[1:]]) == (1, [("task", "wrong")])
    assert "aura doctor --fix repairs it" in found[1]["remedy"]
    code, found = diagnosed("--fix")
    assert (code, [(row["kind"], row["status"]) for row in found[1:]]) == (0, [("task", "fixed")])
    assert "completed now" in found[1]["text"]
    assert git(place, "show", "main:new.txt") == "more"


def test_feedback_that_nobody_passed_on_waits_for_its_agent_to_be_resumed(place):
    words = ("--executor", "custom", "--base-command", "sh", "--param", "-c", "--param", "echo more >> new.txt")
    assert call_aura("run", *words, "--prompt", "Say more", "--repo", place, "--no-tui").code == 0
    assert call_aura("approval", "reject", "--feedback", "again", "--no-wait").code == 0
    code, found = diagnosed("--fix")
    assert (code, [(row["kind"], row["status"]) for row in found[1:]]) == (1, [("task", "wrong")])
    assert "CodingFollowUp" in found[1]["text"]
    assert found[1]["remedy"].startswith("aura task resume ")
    assert len(call_aura("events", "--type", "execution.process_started", "--json").objects) == 1


def leave_process(token):
    """Leave a process behind that no engine knows."""

    async def leave():
        async with SupervisedRunner(Path(os.environ["AURA_HOME"]), clock=None, python=sys.executable) as runner:
            spec = ProcessSpec(
                token=token, argv=("sleep", "300"), cwd="/", env={"PATH": os.environ["PATH"]}, grace=60.0
            )
            return (await runner.start(spec)).process.identity.pid

    return anyio.run(leave)


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def execution_id(place):
    """An execution that is over."""
    words = ("--executor", "custom", "--base-command", "true", "--approval", "auto", "--prompt", "Nothing")
    assert call_aura("run", *words, "--repo", place).code == 0
    rows = call_aura("events", "--type", "execution.queued", "--json").objects
    return rows[0]["stream_id"]


@pytest.mark.deep
def test_a_process_of_an_execution_that_is_over_is_ended(place, execution_id):
    pid = leave_process(f"{execution_id}-CodingInitial-0-1")
    code, found = diagnosed()
    assert (code, [(row["kind"], row["status"]) for row in found[1:]]) == (1, [("process", "wrong")])
    assert not is_gone(pid), "looking ends nothing"
    code, found = diagnosed("--fix")
    assert (code, [(row["kind"], row["status"]) for row in found[1:]]) == (0, [("process", "fixed")])
    assert is_gone(pid)
    assert len(diagnosed()[1]) == 1


def test_what_may_be_another_stores_is_only_ended_when_asked_for(place, execution_id):
    pid = leave_process(f"{execution_id[:-4]}ffff-CodingInitial-0-1")
    code, found = diagnosed("--fix")
    assert (code, [(row["kind"], row["status"]) for row in found[1:]]) == (0, [("process", "note")])
    assert not is_gone(pid)
    assert "--unknown" in found[1]["remedy"]
    code, found = diagnosed("--fix", "--unknown")
    assert (code, [row["status"] for row in found[1:]]) == (0, ["fixed"])
    assert is_gone(pid)


# --- Worktrees --------------------------------------------------------------------------------------------------------


@pytest.fixture
def orphan(place):
    """A worktree with unsaved work, whose workspace is recorded as removed: a crash can leave such a thing."""
    task_id = call_aura("task", "create", "Say more", "--json").objects[0]["id"]
    words = ("--executor", "custom", "--base-command", "sh", "--param", "-c", "--param", "echo one > new.txt")
    assert call_aura("task", "assign", task_id, *words).code == 0
    assert call_aura("task", "cancel", task_id).code == 0
    path = Path(call_aura("workspace", "show", task_id, "--json").objects[0]["worktrees"][0]["path"])
    (path / "new.txt").write_text("two\n")
    admin = Path(git(path, "rev-parse", "--absolute-git-dir"))
    kept = place.parent / "kept"
    shutil.copytree(path, kept / "tree", symlinks=True)
    shutil.copytree(admin, kept / "admin", symlinks=True)
    assert call_aura("workspace", "clean", task_id).code == 0
    shutil.copytree(kept / "tree", path, symlinks=True)
    shutil.copytree(kept / "admin", admin, symlinks=True)
    return path


@pytest.mark.deep
def test_an_orphan_is_removed_after_a_safety_copy(place, orphan):
    code, found = diagnosed()
    assert (code, [(row["kind"], row["status"], row["id"]) for row in found[1:]]) == (
        1,
        [("worktree", "wrong", str(orphan))],
    )
    assert orphan.exists(), "looking removes nothing"
    code, found = diagnosed("--fix")
    assert (code, found[1]["status"]) == (0, "fixed")
    commit = found[1]["text"].rpartition("safety copy ")[2].partition(" ")[0]
    assert git(place, "show", f"{commit}:new.txt") == "two"
    assert worktrees(place) == []
    assert not orphan.exists()


@pytest.mark.deep
def test_an_orphan_of_another_store_is_left_alone(place, orphan, monkeypatch):
    monkeypatch.setenv("AURA_STORE", f"sqlite:///{place.parent}/other.db")
    assert call_aura("task", "create", "Say more").code == 0
    code, found = diagnosed("--fix")
    assert (code, [(row["kind"], row["status"]) for row in found[1:]]) == (0, [("worktree", "note")])
    assert orphan.exists()
