"""Git commands end in time, are not torn by the end of their caller, and say what went wrong."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aura_contracts.errors import GitFailed, GitTimeout, NotARepository
from aura_git import CommandLineGit
from aura_git.commandline._command import GitCommand

GIT = shutil.which("git") or "git"


def eventually(condition, patience: float = 60) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "home").mkdir()
    return {"HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture
def repo(tmp_path: Path, environment: dict[str, str]) -> Path:
    path = tmp_path / "repo"
    subprocess.run([GIT, "init", "-q", str(path)], check=True, env=environment)
    return path


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


# --- Time -------------------------------------------------------------------------------------------------------------


def test_a_git_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    text = f"sleep 600 & echo $! $$ > {tmp_path}/pids; trap '' TERM; wait; sleep 600"
    fake = script(tmp_path / "git", text)
    command = GitCommand(fake, {"PATH": os.environ["PATH"]}, 0.3)
    with pytest.raises(GitTimeout) as slow:
        command.run(str(tmp_path), "status")
    assert (slow.value.command, slow.value.seconds) == ("git status", 0.3)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    eventually(lambda: not any(alive(pid) for pid in pids))


def test_a_filter_that_hangs_leaves_no_lock(repo: Path, environment: dict[str, str]) -> None:
    subprocess.run([GIT, "-C", str(repo), "config", "filter.slow.clean", "sleep 600"], check=True)
    (repo / ".gitattributes").write_text("*.slow filter=slow\n")
    (repo / "a.slow").write_text("x")
    git = CommandLineGit(GIT, environment=environment, timeout=0.3)
    with pytest.raises(GitTimeout):
        git.stage(str(repo))
    assert not (repo / ".git" / "index.lock").exists()


def test_reading_a_part_ends_git_early(tmp_path: Path) -> None:
    fake = script(tmp_path / "git", "yes line")
    done = GitCommand(fake, {"PATH": os.environ["PATH"]}, 20).run(str(tmp_path), "diff", limit=100)
    assert (len(done.out), done.cut) == (100, True)
    with pytest.raises(GitTimeout):
        GitCommand(script(tmp_path / "git", "sleep 600"), {"PATH": os.environ["PATH"]}, 0.2).run(
            str(tmp_path), "diff", limit=100
        )


def test_git_goes_on_when_its_caller_is_killed(repo: Path, environment: dict[str, str], tmp_path: Path) -> None:
    wait = script(
        tmp_path / "filter", f"touch {tmp_path}/started; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; cat"
    )
    subprocess.run([GIT, "-C", str(repo), "config", "filter.slow.clean", wait], check=True)
    (repo / ".gitattributes").write_text("*.slow filter=slow\n")
    (repo / "a.slow").write_text("x")
    code = (
        "import sys; from aura_git import CommandLineGit\n"
        f"CommandLineGit({GIT!r}, environment={environment!r}).stage({str(repo)!r})"
    )
    caller = subprocess.Popen([sys.executable, "-c", code])
    eventually((tmp_path / "started").exists)
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    (tmp_path / "go").touch()

    def staged() -> list[str]:
        listed = subprocess.run([GIT, "-C", str(repo), "ls-files"], capture_output=True, text=True, check=True)
        return listed.stdout.split()

    eventually(lambda: staged() == [".gitattributes", "a.slow"])
    eventually(lambda: not (repo / ".git" / "index.lock").exists())


# --- Errors -----------------------------------------------------------------------------------------------------------


def test_a_git_that_is_not_there_is_said_not_to_be(tmp_path: Path) -> None:
    with pytest.raises(GitFailed, match="cannot be run"):
        GitCommand(str(tmp_path / "nothing"), {}, 5).run(str(tmp_path), "status")


def test_arguments_that_no_program_takes(repo: Path, environment: dict[str, str]) -> None:
    for argument in ("a\0b", "\ud800"):
        with pytest.raises(GitFailed, match="cannot be run"):
            GitCommand(GIT, environment, 5).run(str(repo), "show", argument)


def test_reasons_are_gits_own(repo: Path, environment: dict[str, str]) -> None:
    with pytest.raises(GitFailed, match=r"^`git cat-file` failed in .*Not a valid object name nope"):
        GitCommand(GIT, environment, 5).run(str(repo), "cat-file", "-p", "nope")
    with pytest.raises(GitFailed, match="exit code 3"):
        GitCommand(script(repo / "git", "exit 3"), environment, 5).run(str(repo), "status")


def test_relative_paths_are_refused(environment: dict[str, str]) -> None:
    for path in ("", ".", "repo"):
        with pytest.raises(NotARepository, match="absolute"):
            GitCommand(GIT, environment, 5).run(path, "status")


def test_a_lock_that_goes_away_is_waited_for(tmp_path: Path, environment: dict[str, str]) -> None:
    text = f"echo x >> {tmp_path}/calls; [ $(wc -l < {tmp_path}/calls) -gt 2 ] && exit 0"
    locked = f"{text}; echo \"fatal: Unable to create '/x/index.lock': File exists.\" >&2; exit 128"
    assert GitCommand(script(tmp_path / "git", locked), environment, 5).run(str(tmp_path), "add").code == 0
    assert len((tmp_path / "calls").read_text().split()) == 3


def test_a_worktree_that_another_git_is_making_is_waited_for(tmp_path: Path, environment: dict[str, str]) -> None:
    text = f"echo x >> {tmp_path}/calls; [ $(wc -l < {tmp_path}/calls) -gt 2 ] && exit 0"
    busy = f"{text}; echo 'fatal: failed to read .git/worktrees/x/commondir: Success' >&2; exit 128"
    assert GitCommand(script(tmp_path / "git", busy), environment, 5).run(str(tmp_path), "worktree").code == 0
    assert len((tmp_path / "calls").read_text().split()) == 3


def test_another_users_repository_is_explained(tmp_path: Path, environment: dict[str, str]) -> None:
    text = "echo \"fatal: detected dubious ownership in repository at '/x'\" >&2; exit 128"
    with pytest.raises(GitFailed, match=r"safe\.directory"):
        GitCommand(script(tmp_path / "git", text), environment, 5).run(str(tmp_path), "status")


def test_no_descriptor_is_left_open(repo: Path, environment: dict[str, str]) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    command = GitCommand(GIT, environment, 5)
    command.run(str(repo), "version")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(20):
        command.run(str(repo), "version", limit=3 if number % 2 else None)
        with pytest.raises(GitFailed):
            command.run(str(repo), "cat-file", "-p", "nope")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
