"""``aura run``: what makes no sense is refused before anything is done; what is told comes in an order that does."""

import os
import shutil

import pytest

from command_line import call_aura
from repositories import git, worktrees


def aura_run(script, *more):
    agent = ("--executor", "custom", "--base-command", "sh", "--param", "-c", "--param", script)
    return call_aura("run", "--no-tui", "--attempts", "1", "--prompt", "Say more", *agent, *more)


def tasks():
    """Return the tasks that there are; none where there is no store."""
    answer = call_aura("task", "list", "--json")
    return answer.objects if answer.code == 0 else []


def test_output_is_told_after_the_start_of_what_wrote_it(place):
    for _ in range(3 if os.environ.get("AURA_DEEP") else 1):
        answer = aura_run("echo hello", "--setup", "echo tidy")
        told = [line for line in answer.out.splitlines() if "started" in line or line.startswith("[stdout]")]
        assert [line.split(" (")[0] for line in told] == [
            "[aura] setup started",
            "[stdout] tidy",
            "[aura] custom started",
            "[stdout] hello",
        ]


@pytest.mark.deep_but_first
@pytest.mark.parametrize("branch", ["no-such", "HEAD", "refs/heads/main", "a b", "x..y", "nö"])
def test_a_target_branch_that_there_is_not(place, branch):
    answer = aura_run("true", "--target-branch", branch, "--json")
    assert (answer.code, answer.out, answer.error["code"]) == (1, "", "unknown_revision")
    assert "--target-branch" in answer.error["remedy"]
    assert tasks() == []
    assert worktrees(place) == []


def test_a_folder_that_there_is_not(place):
    answer = aura_run("true", "--cwd", "no/such", "--json")
    assert answer.error["code"] == "not_a_repository"
    assert "no such folder" in answer.error["remedy"]


def test_an_executor_that_there_is_not(place):
    answer = call_aura("run", "--executor", "cutsom", "--prompt", "x", "--json")
    assert (answer.code, answer.out, answer.error["code"]) == (1, "", "unknown_executor")
    assert "custom" in answer.error["remedy"]
    assert tasks() == []
    assert worktrees(place) == []


@pytest.mark.parametrize(
    ("words", "install"),
    [
        (("claude",), "npm install -g @anthropic-ai/claude-code"),
        (("qwen",), "npm install -g @qwen-code/qwen-code"),
        (("acp", "--option", "agent=opencode"), "npm install -g opencode-ai"),
        (("custom", "--base-command", "no-such-program"), "install it"),
        (("custom", "--base-command", "/no/such/program"), "install it"),
        (("codex", "--executor-path", "codex=/no/such/program"), "npm install -g @openai/codex"),
    ],
)
def test_an_executor_that_is_not_installed(place, monkeypatch, words, install):
    programs = place.parent / "programs"
    programs.mkdir()
    (programs / "git").symlink_to(shutil.which("git"))
    monkeypatch.setenv("PATH", str(programs))
    answer = call_aura("run", "--prompt", "x", "--json", "--executor", *words)
    assert (answer.code, answer.out, answer.error["code"]) == (1, "", "executable_not_found")
    assert answer.error["remedy"].startswith(install)
    assert tasks() == []
    assert worktrees(place) == []


def test_a_program_in_the_worktree_is_not_looked_for_before_it_is_there(place):
    (place / "agent.sh").write_text("#!/bin/sh\necho hello\n")
    (place / "agent.sh").chmod(0o755)
    git(place, "add", ".")
    git(place, "commit", "-qm", "agent")
    answer = call_aura("run", "--no-tui", "--prompt", "x", "--executor", "custom", "--base-command", "./agent.sh")
    assert answer.code == 0
    assert "[stdout] hello" in answer.out.splitlines()


def test_a_session_where_there_are_none(place):
    answer = call_aura("run", "--executor", "ollama", "--model", "m", "--prompt", "x", "--session", "s-1", "--json")
    assert (answer.code, answer.out, answer.error["facts"]["field"]) == (1, "", "session_id")
    assert tasks() == []


def test_a_prompt_that_is_empty(place):
    answer = aura_run("true", "--prompt", " ", "--json")
    assert (answer.code, answer.error["facts"]["field"]) == (1, "prompt")
    assert tasks() == []


@pytest.mark.parametrize(("said", "mode"), [("true", "plan"), ("false", "auto")])
def test_two_words_on_approval_that_contradict_one_another(place, said, mode):
    answer = aura_run("echo more > new.txt", "--auto-approve", said, "--approval", mode, "--json")
    assert (answer.code, answer.out, answer.error["code"]) == (1, "", "invalid_input")


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("--yolo",), "yolo"),
        (("-f",), "force"),
        (("--trust",), "trust"),
        (("--allow-all-tools",), "allow_all_tools"),
        (("--option", "colour=red"), "colour"),
    ],
)
def test_an_option_that_the_executor_does_not_know(place, words, option):
    answer = aura_run("true", *words)
    assert answer.code == 1
    assert f"option {option}: executor custom has no such option" in answer.err
    assert "started" not in answer.out


def test_an_option_that_is_missing_is_asked_for_by_its_flag(place):
    answer = call_aura("run", "--no-tui", "--executor", "custom", "--prompt", "Say more")
    assert answer.code == 1
    assert "executor custom requires it\n  hint: add --base-command CMD\n" in answer.err


def test_a_lock_that_git_left_keeps_no_run_from_beginning_and_uses_up_no_decision(place):
    lock = place / ".git/index.lock"
    lock.touch()
    answer = aura_run("echo more > more.txt", "--approval", "auto")
    assert answer.code == 0, answer.err
    assert f"rm {lock}" in answer.out
    assert lock.exists()
    for _ in range(2):  # the question comes back while the lock is there
        answer = call_aura("approval", "approve")
        assert "merged into" not in answer.out
        assert len(call_aura("approval", "list", "--json").objects) == 1
    lock.unlink()
    assert "merged into main" in call_aura("approval", "approve").out
    assert git(place, "show", "main:more.txt") == "more"
