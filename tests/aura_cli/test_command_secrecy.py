"""What ``aura run`` keeps from agents, from the log, and from other users of the machine. Real processes."""

import base64
import os
from pathlib import Path

import pytest

from command_line import call_aura, run_aura
from repositories import git, make_repository

KEY = "sk-abcdefghijklmnopqrstuvwxyz012345"
TRAP = "#!/bin/sh\necho ran >> {trace}\n(setsid sleep 4321 >/dev/null 2>&1 </dev/null & echo $! >> {trace}.pids)\ncat\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AURA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AURA_USER", "alice")
    monkeypatch.delenv("AURA_STORE", raising=False)
    made = make_repository(tmp_path / "app")
    monkeypatch.chdir(made)
    return made


def run(repository: Path, script: str, *words: str, **environment: str):
    settings = {name: os.environ[name] for name in ("AURA_HOME", "AURA_USER")}
    agent = ("--base-command", "sh", "--param", "-c", "--param", script)
    given = ("run", "--no-tui", "--executor", "custom", "--prompt", "Say more", "--attempts", "1", *agent, *words)
    return run_aura(*given, cwd=repository, timeout=60, **{**settings, **environment})


@pytest.mark.deep
def test_whatever_the_umask_only_its_user_can_read_what_aura_keeps(repository: Path) -> None:
    before = os.umask(0)
    try:
        assert run(repository, "echo more > new.txt", "--approval", "auto").code == 0
    finally:
        os.umask(before)
    home = repository.parent / "home"
    kept = [home, *(place for place in home.rglob("*") if "workspaces" not in place.relative_to(home).parts[:1])]
    assert home / "aura.db" in kept
    assert not [place for place in [*kept, home / "workspaces"] if place.stat().st_mode & 0o077]


@pytest.mark.deep
def test_agents_and_scripts_do_not_see_what_opens_the_store(repository: Path) -> None:
    seen = repository.parent / "seen"
    script = f"env | grep -E '^AURA_(STORE|ENCRYPTION_KEY)=' >> {seen} || true; echo more > new.txt"
    opens = {
        "AURA_STORE": f"sqlite:///{repository.parent}/encrypted.db",
        "AURA_ENCRYPTION_KEY": base64.b64encode(b"0" * 32).decode(),
    }
    answer = run(repository, script, "--setup", script, "--cleanup", script, "--approval", "auto", **opens)
    assert answer.code == 0
    assert seen.read_text() == ""


@pytest.mark.deep_but_first
@pytest.mark.parametrize(
    "words",
    [
        ("--setup", f"OPENAI_API_KEY={KEY} make"),
        ("--cleanup", f"curl -H 'Authorization: Bearer {KEY}' x"),
        ("--param", f"tool --api-key {KEY}"),
        ("--prompt", f"use the key {KEY}"),
        ("--title", KEY),
    ],
)
def test_keys_are_refused_before_anything_is_stored(repository: Path, words: tuple[str, ...]) -> None:
    answer = run(repository, "true", *words)
    assert answer.code == 1
    assert "would be stored forever" in answer.err
    assert KEY not in answer.err
    assert not (repository.parent / "home" / "aura.db").exists()


RUN = ("run", "--no-tui", "--executor", "custom", "--base-command", "true", "--prompt", "x")

OPTIONS = (
    *("label", "append-prompt", "copy", "key", "model", "reviewer", "allow", "deny", "lock", "lock-path", "session"),
    *("variant", "target-branch", "openai-endpoint", "project", "var", "option", "executor-path"),
)

VALUES = {
    "allow": f"Bash(curl {KEY})",
    "deny": f"Bash(curl {KEY})",
    "openai-endpoint": f"http://host/{KEY}",
    "var": f"K={KEY}",
    "option": f"env.X={KEY}",
    "executor-path": f"custom=/{KEY}",
}

OTHERS = (
    ("task", "create", KEY),
    ("task", "create", "Fix", "--context", f"a={KEY}"),
    ("task", "create", "Fix", "--description", KEY),
    ("task", "create", "Fix", "--type", KEY),
    ("project", "add", "shop", "--description", KEY),
    ("agent", "add", "ada", "--executor", "custom", "--prompt", KEY),
    ("agent", "add", "ada", "--executor", "custom", "--capability", KEY),
    ("board", "create", KEY),
)


@pytest.mark.parametrize("words", [*((*RUN, f"--{name}", VALUES.get(name, KEY)) for name in OPTIONS), *OTHERS])
def test_a_key_is_refused_wherever_it_is_given(repository: Path, words: tuple[str, ...]) -> None:
    answer = call_aura(*words)
    assert answer.code == 1
    assert "would be stored forever" in answer.err
    assert KEY not in answer.err
    stored = [file.read_bytes() for file in repository.parent.rglob("aura.db*") if file.is_file()]
    assert not [text for text in stored if KEY.encode() in text]


def test_a_key_is_refused_in_what_is_said_about_work(repository: Path) -> None:
    assert run(repository, "echo more > new.txt").code == 0
    (question,), (task,) = (call_aura(noun, "list", "--json").objects for noun in ("approval", "task"))
    for words in (
        ("approval", "approve", question["id"], "--feedback", KEY),
        ("approval", "reject", question["id"], "--feedback", KEY),
        ("approval", "comment", question["id"], "new.txt:1", KEY),
        ("task", "follow-up", task["id"], "--feedback", KEY),
        ("task", "cancel", task["id"], "--reason", KEY),
    ):
        answer = call_aura(*words)
        assert (answer.code, "would be stored forever" in answer.err) == (1, True), answer
    assert KEY not in call_aura("events", "--json").out
    assert call_aura("task", "list", "--json").objects[0]["status"] == "awaiting_approval"


def test_secrets_of_the_environment_are_masked_in_what_is_recorded(repository: Path) -> None:
    answer = run(repository, 'echo "it is $API_TOKEN"', "--approval", "auto", API_TOKEN="3f9c2b7e1d")
    assert "it is [redacted]" in answer.out
    assert "3f9c2b7e1d" not in call_aura("events", "--json").out


@pytest.mark.deep
def test_a_filter_of_the_agent_is_not_run_and_leaves_nothing(repository: Path) -> None:
    trace = repository.parent / "trace"
    trap = repository.parent / "trap"
    trap.write_text(TRAP.format(trace=trace))
    trap.chmod(0o755)
    script = f"git config filter.x.clean {trap}; echo '* filter=x' > .gitattributes; echo more > new.txt"
    assert run(repository, script, "--approval", "auto").code == 0
    assert git(repository, "show", "--name-only", "--format=", "HEAD^2").split() == [".gitattributes", "new.txt"]
    assert not trace.exists()
