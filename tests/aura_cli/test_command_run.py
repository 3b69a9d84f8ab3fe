"""``aura run``: what it prints, how it ends, what it gives to the executor, how it is interrupted. Real processes."""

import os
import signal
import subprocess
from pathlib import Path

import anyio
import pytest

from command_line import AURA, ENVIRONMENT, call_aura, run_aura
from conditions import until
from repositories import branches, content, git, make_repository, worktrees

THIRD = (
    "run", "--executor", "custom", "--prompt", "ignored", "--base-command", "sh", "--param", "-lc",
    "--param", "echo out_line; echo err_line 1>&2", "--no-tui",
)  # fmt: skip
"""The third command of the first seed, as CLI.md has it."""

WAITS = "echo $$ > ../pid; echo begun; while [ ! -e ../go ]; do sleep 0.05; done; echo more > new.txt"


def sh(script: str, *words: object) -> tuple[object, ...]:
    """Return the words of a run whose agent is a shell script."""
    agent = ("--base-command", "sh", "--param", "-c", "--param", script)
    return ("run", "--no-tui", "--executor", "custom", "--prompt", "Say more", *agent, *words)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder in no repository, in which ``aura`` is called with a home of its own."""
    monkeypatch.setenv("AURA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AURA_USER", "alice")
    monkeypatch.delenv("AURA_STORE", raising=False)
    (tmp_path / "plain").mkdir()
    monkeypatch.chdir(tmp_path / "plain")
    return tmp_path / "plain"


def settings_of(where: Path) -> dict[str, str]:
    """Return what a process of its own has to be told to work with the same store and home."""
    return {name: os.environ[name] for name in ("AURA_HOME", "AURA_STORE", "AURA_USER") if name in os.environ}


def tasks() -> list[dict]:
    return call_aura("task", "list", "--json").objects


# --- The prompt -------------------------------------------------------------------------------------------------------


def test_a_prompt_from_a_file(place, tmp_path):
    (tmp_path / "prompt.md").write_bytes("\ufeffSay it\n\nin two lines: é\n".encode())
    words = ("--base-command", "sh", "--param", "-c", "--param", 'printf %s "$AURA_PROMPT" > new.txt')
    answer = call_aura(
        "run", "--executor", "custom", *words, "--prompt-file", tmp_path / "prompt.md", "--approval", "auto"
    )
    assert answer.code == 0, answer.err
    assert content(place, "main", "new.txt") == "Say it\n\nin two lines: é"
    assert tasks()[0]["title"] == "Say it"


@pytest.mark.parametrize("made", [None, b"caf\xe9", b"a\0b", b" " * (4 * 1024 * 1024 + 1)])
def test_a_prompt_file_that_cannot_be_used_is_named(place, tmp_path, made):
    path = tmp_path / "prompt"
    if made is not None:
        path.write_bytes(made)
    answer = call_aura("run", "--executor", "custom", "--base-command", "sh", "--prompt-file", path, "--json")
    assert (answer.code, answer.error["code"]) in [(1, "invalid_input"), (1, "invalid_text")]
    assert "prompt" in answer.error["facts"]["field"]
    assert not Path(os.environ["AURA_HOME"]).exists() or tasks() == []


def test_a_prompt_file_without_an_end_is_not_read_to_it(place):
    answer = call_aura("run", "--executor", "custom", "--base-command", "sh", "--prompt-file", "/dev/zero")
    assert answer.code == 1
    assert "more than 4,194,304 bytes" in answer.err


def test_a_prompt_of_two_dashes_is_one(place):
    words = ("--base-command", "sh", "--param", "-c", "--param", 'printf %s "$AURA_PROMPT" > new.txt')
    answer = call_aura("run", "--executor", "custom", *words, "--prompt=--", "--approval", "auto")
    assert answer.code == 0, answer.err
    assert content(place, "main", "new.txt") == "--"


@pytest.mark.parametrize("depth", [65, 5000])
def test_a_value_that_is_nested_too_deeply_is_refused(place, depth):
    words = ("--base-command", "sh", "--option", f"params={'[' * depth}{']' * depth}")
    answer = call_aura("run", "--executor", "custom", *words, "--prompt", "x", "--json")
    assert (answer.code, answer.error["code"]) == (2, "usage")
    assert "nested too deeply" in answer.error["message"]


# --- Output and exit codes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["repository", pytest.param("folder", marks=pytest.mark.deep)])
def test_the_third_command_of_the_seed(kind, folder):
    if kind == "repository":
        make_repository(folder)
    answer = run_aura(*THIRD, cwd=folder, **settings_of(folder))
    lines = answer.out.splitlines()
    assert (answer.code, answer.err) == (0, "")
    assert {"[stdout] out_line", "[stderr] err_line"} < set(lines)
    assert lines[-1] == "[aura] process exited with 0"
    assert all(line.startswith(("[stdout] ", "[stderr] ", "[aura] ")) for line in lines)
    assert [task["status"] for task in tasks()] == ["completed"]
    assert not any(folder.glob("*.txt"))


@pytest.mark.deep
def test_an_agent_that_fails_passes_its_exit_code_on(place):
    words = [word.replace("1>&2", "1>&2; exit 7") for word in THIRD]
    answer = run_aura(*words, "--attempts", 1, cwd=place, **settings_of(place))
    assert answer.code == 7
    assert answer.out.count("[aura] process exited with 7") == 1
    assert "error[run_failed]: " in answer.err
    assert "aura task retry" in answer.err
    assert [task["status"] for task in tasks()] == ["failed"]


def test_an_agent_that_fails_is_tried_again(place):
    answer = call_aura(*sh("if [ -e ../once ]; then exit 0; fi; touch ../once; exit 3"), "--in-place", "--attempts", 2)
    assert answer.code == 0
    told = [line for line in answer.out.splitlines() if "process exited with" in line]
    assert told == ["[aura] process exited with 3", "[aura] process exited with 0"]


def test_an_agent_that_is_ended_by_a_signal(place):
    answer = call_aura(*sh("kill -TERM $$"), "--attempts", 1)
    assert answer.code == 128 + signal.SIGTERM
    assert "[aura] process ended by signal 15" in answer.out.splitlines()


@pytest.mark.deep_but_first
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--base-command", "no-such-program", "--setup", "true"), "ExecutableNotFound"),
        ((*sh("sleep 60")[6:], "--timeout", "0.3"), "Timeout"),
        ((*sh("true")[6:], "--setup", "exit 5"), "StageError"),
    ],
)
def test_what_is_not_the_agents_own_failure_is_1(place, words, reason):
    base = ("run", "--executor", "custom", "--prompt", "Work", "--attempts", 1, "--json")
    answer = call_aura(*base, *words)
    assert answer.code == 1
    assert answer.error["code"] == "run_failed"
    assert answer.error["facts"]["reason"] == reason
    assert answer.error["remedy"]


@pytest.mark.deep
def test_only_the_agents_process_says_process_exited(place):
    script = sh("echo more > new.txt", "--setup", "echo a", "--cleanup", "echo b", "--setup-shell", "sh")
    lines = call_aura(*script).out.splitlines()
    assert lines.count("[aura] process exited with 0") == 1
    assert {"[aura] setup exited with 0", "[aura] cleanup exited with 0", "[stdout] a", "[stdout] b"} < set(lines)


def test_work_that_waits_for_a_human_says_where_it_is(place):
    answer = call_aura(*sh("echo more > new.txt"), "--review")
    (task,) = tasks()
    (approval,) = call_aura("approval", "list", "--json").objects
    (worktree,) = worktrees(place)
    assert (answer.code, task["status"]) == (0, "awaiting_approval")
    after = answer.out.partition("[aura] process exited with 0\n")[2]
    assert f"[aura] worktree {worktree}\n" in after
    assert f"aura approval approve {approval['id']}" in after
    assert "+more" in after.splitlines()
    assert branches(place) == {"main", git(Path(worktree), "branch", "--show-current")}
    assert not (place / "new.txt").exists()


@pytest.mark.deep
def test_json_is_events_entries_and_output(place):
    steps = '[{"say": "hello"}, {"print": "plain"}, {"write": {"path": "new.txt", "text": "x\\n"}}]'
    words = ("run", "--executor", "scripted", "--prompt", "Go", "--option", f"steps={steps}", "--approval", "auto")
    answer = call_aura(*words, "--json")
    objects = answer.objects
    assert (answer.code, answer.err) == (0, "")
    assert {each["kind"] for each in objects} == {"event", "entry", "output"}
    assert "plain" in [each["text"] for each in objects if each["kind"] == "output" and each["stream"] == "stdout"]
    entries = [each for each in objects if each["kind"] == "entry"]
    assert ("message", "hello") in [(each["type"], each.get("text")) for each in entries]
    stored = {each["id"]: each for each in call_aura("events", "--json").objects}
    assert all(stored[each["id"]] == each for each in objects if each["kind"] == "event")
    assert content(place, "main", "new.txt") == "x"


@pytest.mark.deep
def test_an_agent_speaks_in_words_and_a_plain_command_as_it_writes(place):
    """In a pipe as on a terminal: the lines of a protocol are for ``--json``, those of commands and scripts for all."""
    steps = '[{"say": "hello"}, {"print": "plain"}, {"say": "bye"}]'
    shared = ("--setup", "echo '{\"a\": 1}'", "--approval", "auto")
    answer = call_aura("run", "--executor", "scripted", "--prompt", "Go", "--option", f"steps={steps}", *shared)
    told = [line for line in answer.out.splitlines() if not line.startswith("[aura] ")]
    assert told[0] == '[stdout] {"a": 1}'
    assert [line for line in told if line.startswith("[agent] ")] == ["[agent] hello", "[agent] bye"]
    assert set(told[1:]) == {"[agent] hello", "[stdout] plain", "[agent] bye"}
    raw = call_aura("run", "--executor", "scripted", "--prompt", "Go", "--option", f"steps={steps}", "--json")
    assert [each for each in raw.objects if each["kind"] == "output" and each["text"].startswith("{")]
    plain = call_aura(*sh('echo "{\\"b\\": 2}"; printf "{unfinished"'), *shared)
    told = [line for line in plain.out.splitlines() if not line.startswith("[aura] ")]
    assert told == ['[stdout] {"a": 1}', '[stdout] {"b": 2}', "[stdout] {unfinished"]


# --- Options ----------------------------------------------------------------------------------------------------------


def test_a_command_learns_about_its_run_from_the_environment(place):
    told = "echo $AURA_PROMPT, $AURA_SESSION_ID, $AURA_MODEL, $AURA_REVIEW_MODE, $TICKET, $OPENAI_BASE_URL"
    words = ("--session", "s-1", "--model", "m-1", "--approval", "auto", "--var", "TICKET=A-1")
    answer = call_aura(*sh(told, *words, "--openai-endpoint", "http://127.0.0.1:1234"))
    assert answer.code == 0, answer.err
    assert "[stdout] Say more, s-1, m-1, auto, A-1, http://127.0.0.1:1234/v1" in answer.out.splitlines()


def test_an_alias_of_an_executor_is_recorded_under_its_name(place):
    answer = call_aura("agent", "add", "--executor", "qwen", "--json", "Q")
    assert answer.code == 0, answer.err
    assert [agent["executor"] for agent in call_aura("agent", "list", "--json").objects] == ["qwen-code"]
    named = call_aura("executors", "cursor", "--json").objects
    assert [one["id"] for one in named] == ["cursor-agent"]


def test_options_that_the_executor_refuses_are_refused_before_anything_is_recorded(place):
    for words, told in (
        (("--trust",), "option trust: executor custom has no such option"),
        (("--yolo", "-f", "--trust"), "option yolo"),
        (("--option", 'deep={"a": [1]}'), "option deep"),
        (("--deny", "Bash(rm *)"), "asks for no permission"),
        (("--session", "s", "--fork"), "cannot copy a session"),
        (("--openai-endpoint", "localhost:1234"), "option openai_endpoint"),
        (("--mcp",), "cannot be given tools"),
    ):
        answer = call_aura(*sh("true"), *words)
        assert (answer.code, told in answer.err) == (1, True), answer.err
    assert call_aura("task", "list", "--json").objects == []
    assert worktrees(place) == []


def test_a_profile_that_the_executor_refuses_is_named_with_its_file(place):
    home = Path(os.environ["AURA_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    (home / "profiles.toml").write_text('[custom.odd]\nbase_comand = "sh"\n')
    answer = call_aura(*sh("true"), "--variant", "odd")
    assert answer.code == 1
    assert f"{home / 'profiles.toml'}: custom, option base_comand: executor custom has no such option" in answer.err


def test_what_a_run_is_asked_for_is_kept_with_it(place):
    words = ("--timeout", "60", "--idle-timeout", "30.5", "--var", "KEY=a=b", "--title", "More")
    call_aura(*sh("true"), *words, "--approval", "both", "--attempts", 2, "--append-prompt", "please")
    created, queued = (call_aura("events", "--json", "--type", t).objects[0]["fields"]["spec"] for t in
                       ("task.created", "execution.queued"))  # fmt: skip
    assert (created["title"], created["approval_mode"], created["retry"]["max_attempts"]) == ("More", "both", 2)
    plan = queued["plan"]
    assert (plan["timeout"], plan["idle_timeout"], plan["variables"]) == (60.0, 30.5, {"KEY": "a=b"})
    assert plan["options"]["append_prompt"] == "please"


@pytest.mark.deep
def test_the_prompt_may_come_from_standard_input(place):
    done = subprocess.run(
        [AURA, *map(str, sh('echo "got $AURA_PROMPT"')), "--prompt", "-"],
        cwd=place, env=ENVIRONMENT | settings_of(place), input="from a pipe", text=True, capture_output=True,
        check=True,
    )  # fmt: skip
    assert "[stdout] got from a pipe" in done.stdout.splitlines()


def test_auto_approve_is_the_approval_mode_auto(place):
    assert call_aura(*sh("echo more > new.txt"), "--auto-approve", "true").code == 0
    assert content(place, "main", "new.txt") == "more"
    refused = call_aura(*sh("true"), "--auto-approve", "true", "--approval", "plan", "--json")
    assert (refused.code, refused.error["code"]) == (1, "invalid_input")


@pytest.mark.parametrize(
    "words",
    [
        ("--executor", "custom"),
        ("--executor", "custom", "--prompt", "x", "--param"),
        ("--executor", "custom", "--prompt", "x", "--timeout", "0"),
        ("--executor", "custom", "--prompt", "x", "--attempts", "0"),
        ("--executor", "custom", "--prompt", "x", "--var", "novalue"),
        ("--executor", "custom", "--prompt", "x", "--auto-approve", "perhaps"),
        ("--executor", "custom", "--prompt", "x", "--approval", "never"),
    ],
)
def test_wrong_usage_is_2(words):
    assert call_aura("run", *words).code == 2


def test_untracked_files_are_taken_along(place):
    (place / ".env").write_text("SECRET=1\n")
    assert "[stdout] SECRET=1" in call_aura(*sh("cat .env"), "--copy", ".env").out.splitlines()


@pytest.mark.deep
def test_resume_latest_goes_on_with_the_newest_session_here(place, tmp_path):
    steps = '[{"session": "mine"}, {"print": "x"}]'
    words = ("run", "--executor", "scripted", "--prompt", "Go", "--option", f"steps={steps}", "--approval", "auto")
    none = call_aura(*words, "--resume-latest", "--json")
    assert none.code == 1
    assert call_aura(*words).code == 0
    assert call_aura(*words, "--resume-latest").code == 0
    queued = call_aura("events", "--json", "--type", "execution.queued").objects
    assert [each["fields"]["spec"]["session_id"] for each in queued] == [None, "mine"]
    other = make_repository(tmp_path / "other")
    elsewhere = call_aura(*words, "--resume-latest", "--cwd", other)
    assert elsewhere.code == 1  # a session of other files is none of these


@pytest.mark.deep
def test_a_password_is_in_no_hint(place, postgres_url):
    answer = call_aura(*sh("echo more > new.txt"), "--store", postgres_url)
    assert answer.code == 0
    assert "aura approval approve" in answer.out
    assert "postgres" not in answer.out


# --- Interrupts -------------------------------------------------------------------------------------------------------


class Running:
    """A run in a process of its own, whose agent has begun."""

    def __init__(self, place: Path, script: str, *words: object) -> None:
        self.pid_file = place.parent / "pid"
        self.pid_file.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [AURA, *map(str, sh(script, "--in-place", *words))],
            cwd=place, env=ENVIRONMENT | settings_of(place), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        anyio.run(until, lambda: self.pid_file.exists() and self.pid_file.read_text().endswith("\n"))
        self.agent = int(self.pid_file.read_text())

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def agent_is_gone(self) -> None:
        """Wait until the agent is no more."""
        anyio.run(until, lambda: not _lives(self.agent))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.deep_but_first
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_agent_and_records_it(place, number):
    with Running(place, WAITS) as running:
        running.process.send_signal(number)
        out, err = running.process.communicate(timeout=60)
        running.agent_is_gone()
    assert running.process.returncode == 130
    assert "[aura] cancelled: interrupted" in out.splitlines()
    assert "again" in err
    resume = f"aura run --executor custom --cwd {place} --in-place --prompt TEXT"
    assert err.splitlines()[-1] == f"to resume from its work: {resume}"
    assert [task["status"] for task in tasks()] == ["cancelled"]
    assert call_aura("doctor", "--quiet").code == 0


@pytest.mark.deep
def test_an_interrupt_says_how_to_resume_and_how_to_clear_up(place):
    """The commands work as they are pasted."""
    script = f"echo half > half.txt; {WAITS}"
    words = [AURA, *map(str, sh(script.replace("../", f"{place.parent}/")))]
    with subprocess.Popen(
        words, cwd=place, env=ENVIRONMENT | settings_of(place), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert any("[stdout] begun" in line for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    resume, clear = (line.partition(": aura ")[2] for line in err.splitlines()[-2:])
    agent = ("--base-command", "sh", "--param", "-c", "--param", "cat half.txt", "--approval", "auto")
    resumed = call_aura(*resume.replace("TEXT", "again").split(), *agent)
    assert (resumed.code, "[stdout] half" in resumed.out) == (0, True), resumed
    assert len(worktrees(place)) == 1
    assert call_aura(*clear.split()).code == 0
    assert worktrees(place) == []
    assert call_aura("doctor", "--quiet").code == 0


@pytest.mark.deep
def test_two_interrupts_leave_at_once_and_nothing_behind(place):
    stubborn = f"trap '' INT TERM; {WAITS}"
    with Running(place, stubborn) as running:
        running.process.send_signal(signal.SIGINT)
        assert running.process.stderr is not None
        assert "interrupt again" in running.process.stderr.readline()
        running.process.send_signal(signal.SIGINT)
        running.process.communicate(timeout=7)  # the agent is given 8 s to end
        assert running.process.returncode == 130
        running.agent_is_gone()
    assert [task["status"] for task in tasks()] == ["cancelled"]
    assert call_aura("doctor", "--fix", "--quiet").code == 0


@pytest.mark.deep
def test_the_same_request_after_an_interrupt_is_a_new_task(place):
    """Also while the one that was called off has not been brought in order."""
    with Running(place, f"trap '' INT TERM; {WAITS}") as running:
        running.process.send_signal(signal.SIGINT)
        assert running.process.stderr is not None
        running.process.stderr.readline()
        running.process.send_signal(signal.SIGINT)
        running.process.communicate(timeout=60)
        running.agent_is_gone()
    (place.parent / "go").touch()
    again = call_aura(*sh(f"trap '' INT TERM; {WAITS}", "--in-place"), "--auto-approve", "false")
    assert again.code == 0
    assert "resuming" not in again.out
    first, second = tasks()
    assert (first["status"], second["status"]) == ("cancelled", "awaiting_approval")


@pytest.mark.deep
def test_a_reader_that_goes_away_is_an_interrupt(place):
    script = f"{WAITS}; echo end"
    with Running(
        place, f"trap '' PIPE; echo $$ > ../pid; while :; do echo line; sleep 0.01; done; {script}"
    ) as running:
        assert running.process.stdout is not None
        running.process.stdout.readline()
        running.process.stdout.close()
        assert running.process.wait(60) == 130
        running.agent_is_gone()
    assert [task["status"] for task in tasks()] == ["cancelled"]


@pytest.mark.deep
def test_an_interrupt_reaches_a_run_that_nobody_reads(place):
    """A full pipe holds up the printing, not the interrupt."""
    with Running(place, "echo $$ > ../pid; yes " + "x" * 500) as running:
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(60) == 130
        running.agent_is_gone()
    assert [task["status"] for task in tasks()] == ["cancelled"]


# --- Going on ---------------------------------------------------------------------------------------------------------


@pytest.mark.deep
def test_a_run_that_was_killed_is_gone_on_with(place):
    with Running(place, WAITS) as running:
        running.process.kill()
        running.process.communicate()
        (place.parent / "go").touch()
        again = run_aura(*sh(WAITS, "--in-place"), cwd=place, **settings_of(place))
    (task,) = tasks()
    assert again.code == 0, again.err
    assert f"[aura] resuming task {task['id']}, which was interrupted" in again.out.splitlines()
    assert "[aura] process exited with 0" in again.out.splitlines()
    assert (place / "new.txt").read_text() == "more\n"


def test_a_key_starts_one_task(place):
    first = call_aura(*sh("echo once", "--key", "nightly", "--approval", "auto"))
    assert first.code == 0, first.err
    again = call_aura(*sh("echo once", "--key", "nightly", "--approval", "auto"))
    assert again.code == 0, again.err
    (task,) = tasks()
    assert task["key"] == "nightly"
    other = call_aura(*sh("echo twice", "--key", "nightly", "--approval", "auto", "--json"))
    assert (other.code, other.error["code"]) == (1, "key_reused")
    assert len(tasks()) == 1


@pytest.mark.deep
def test_another_request_or_a_fresh_one_is_a_task_of_its_own(place):
    with Running(place, WAITS) as running:
        running.process.kill()
        running.process.communicate()
        (place.parent / "go").touch()
        assert "going on" not in call_aura(*sh(WAITS, "--in-place", "--title", "Another")).out
        assert "going on" not in call_aura(*sh(WAITS, "--in-place", "--fresh")).out
        assert len(tasks()) == 3
        (left,) = [task for task in tasks() if task["status"] == "in_progress"]
        assert call_aura("task", "resume", left["id"]).code == 0
        assert call_aura("doctor", "--quiet").code == 0


@pytest.mark.deep
def test_the_same_request_beside_a_living_one_is_a_task_of_its_own(place):
    with Running(place, WAITS) as running:
        (place.parent / "pid").unlink()
        assert [task["status"] for task in tasks()] == ["in_progress"]
        (place.parent / "go").touch()
        assert "going on" not in call_aura(*sh(WAITS, "--in-place")).out
        assert running.process.wait(60) == 0
    assert len(tasks()) == 2
