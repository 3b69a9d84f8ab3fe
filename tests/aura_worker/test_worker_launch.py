"""From what the engine asks for to the process: command, environment, limits, verdict."""

import shutil
import subprocess

import pytest
from worker_stage import EXECUTION, StagedExecutors, agent, make_tools, script

from aura_contracts.errors import InvalidInput, UnknownExecutor
from aura_contracts.failures import FailureReason
from aura_contracts.ports.executors import AgentRun, Executor, Launch
from aura_contracts.ports.processes import ExitCause, InterruptPlan, ProcessExit
from aura_contracts.run_plan import RunPlan, Script, Shell
from aura_worker._launch import SCRIPT_LIMIT, assignment_of, script_command

ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/homes/alice",
    "GIT_DIR": "/elsewhere/.git",
    "GIT_AUTHOR_NAME": "Alice",
    "AURA_PROMPT": "of an outer run",
}


class Recorder(Executor):
    """Keeps the run that it was asked to launch."""

    name = "recorder"

    def __init__(self, launch=None):
        self.run = None
        self.answer = launch or Launch(argv=("agent",))

    def launch(self, run: AgentRun) -> Launch:
        self.run = run
        return self.answer


def spec_of(request, executor=None, environment=ENVIRONMENT):
    return assignment_of(request, StagedExecutors({"recorder": executor or Recorder()}), environment, make_tools).spec


def run_script(text, shell, tmp_path):
    command = script_command(Script(text, shell))
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


shells = pytest.mark.parametrize(
    "shell",
    [
        pytest.param(shell, marks=pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed"))
        for shell in Shell
    ],
)


@shells
def test_a_script_does_what_it_says(shell, tmp_path):
    done = run_script("echo one two", shell, tmp_path)
    assert (done.returncode, done.stdout.split()) == (0, ["one", "two"])


@shells
def test_a_script_ends_at_the_first_command_that_fails(shell, tmp_path):
    failing = 'sh -c "exit 7"' if shell is Shell.PWSH else "(exit 7)"
    done = run_script(f"echo before\n{failing}\necho after", shell, tmp_path)
    assert done.returncode != 0
    assert "before" in done.stdout
    assert "after" not in done.stdout


@pytest.mark.parametrize("shell", [Shell.BASH, Shell.SH])
def test_a_command_that_reads_does_not_swallow_the_script(shell, tmp_path):
    assert run_script("cat\necho after", shell, tmp_path).stdout == "after\n"


def test_a_pipe_fails_with_any_of_its_parts_in_bash(tmp_path):
    assert run_script("(exit 3) | cat", Shell.BASH, tmp_path).returncode == 3


@pytest.mark.parametrize("text", ["x" * (SCRIPT_LIMIT + 1), "\u20ac" * (SCRIPT_LIMIT // 3 + 1), "a\0b"])
def test_a_text_that_no_command_line_can_hold_is_refused(text):
    with pytest.raises(InvalidInput):
        script_command(Script(text))


def test_the_longest_script_runs(tmp_path):
    text = "true #" + "x" * (SCRIPT_LIMIT - 6)
    assert run_script(text, Shell.SH, tmp_path).returncode == 0


def test_a_process_inherits_the_workers_environment_and_knows_what_it_is_for():
    spec = spec_of(script(directory="/tree"))
    assert spec.env == {
        "PATH": "/usr/bin:/bin",
        "HOME": "/homes/alice",
        "GIT_AUTHOR_NAME": "Alice",
        "AURA_EXECUTION_ID": EXECUTION,
        "AURA_STAGE": "Setup",
        "AURA_WORKSPACE": "/tree",
    }
    assert spec.cwd == "/tree"


def test_an_agent_gets_the_prompt_in_its_environment():
    assert spec_of(agent("do it", "recorder")).env["AURA_PROMPT"] == "do it"


@pytest.mark.parametrize("prompt", ["x" * 131_072, "a\0b"])
def test_a_prompt_that_cannot_be_a_variable_is_none(prompt):
    executor = Recorder()
    assert "AURA_PROMPT" not in spec_of(agent(prompt, "recorder"), executor).env
    assert executor.run.prompt == prompt


def test_the_executor_has_the_last_word_on_the_environment():
    executor = Recorder(Launch(argv=("agent",), env={"HOME": None, "PATH": "/opt", "NEW": "1"}))
    env = spec_of(agent("do it", "recorder"), executor).env
    assert "HOME" not in env
    assert (env["PATH"], env["NEW"]) == ("/opt", "1")
    assert executor.run.environment["HOME"] == "/homes/alice"


def test_options_of_the_run_go_over_those_of_the_agent():
    executor = Recorder()
    plan = RunPlan(options={"model": "big"})
    spec_of(agent("x", "recorder", options={"model": "small", "depth": 1}, plan=plan, session_id="s"), executor)
    assert executor.run.options == {"model": "big", "depth": 1}
    assert executor.run.session_id == "s"


def test_limits_and_numbers_are_those_of_the_request():
    launch = Launch(argv=("agent", "-x"), stdin=b"in", interactive=True, interrupt=InterruptPlan(1, 2))
    plan = RunPlan(timeout=60.0, idle_timeout=5.0, output_limit=99)
    spec = spec_of(agent("x", "recorder", plan=plan, next_record=41, grace=9.0, token="t-1"), Recorder(launch))
    assert (spec.token, spec.argv, spec.stdin, spec.interactive) == ("t-1", ("agent", "-x"), b"in", True)
    assert (spec.timeout, spec.idle_timeout, spec.grace, spec.first_record) == (60.0, 5.0, 9.0, 41)
    assert spec.output_limit == 99
    assert spec.interrupt == InterruptPlan(1, 2)


def test_what_is_to_be_run_must_be_said_once():
    both = script(agent=agent().agent)
    for request in (both, script(script=None)):
        with pytest.raises(InvalidInput):
            spec_of(request)
    with pytest.raises(UnknownExecutor):
        spec_of(agent("x", "cowsay"))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"exit_code": 0}, None),
        ({"exit_code": 7}, FailureReason.STAGE_ERROR),
        ({"signal": 9}, FailureReason.STAGE_ERROR),
        ({"cause": ExitCause.TIMEOUT}, FailureReason.TIMEOUT),
        ({"cause": ExitCause.INTERRUPTED}, FailureReason.CANCELLED),
        ({"cause": ExitCause.VANISHED}, FailureReason.WORKER_LOST),
    ],
)
def test_a_script_is_judged_by_how_it_ended(given, reason):
    judge = assignment_of(script(), StagedExecutors(), {}, make_tools).judge
    failure = judge(ProcessExit(**{"token": "t", "cause": ExitCause.OWN, **given}))
    assert (failure and failure.reason) == reason


@pytest.mark.parametrize(("code", "lasting"), [(1, False), (126, True), (127, True), (128, False)])
def test_a_command_that_is_not_there_lasts(code, lasting):
    end = ProcessExit(token="t", cause=ExitCause.OWN, exit_code=code)
    for asked in (script(), agent("do it", "recorder")):
        judge = assignment_of(asked, StagedExecutors({"recorder": Recorder()}), ENVIRONMENT, make_tools).judge
        assert judge(end).lasting == lasting


@pytest.mark.parametrize("request_", [script(), agent("do it", "recorder")])
def test_what_opens_the_store_is_withheld(request_):
    environment = {**ENVIRONMENT, "AURA_STORE": "postgresql://ada:hush@db/x", "AURA_ENCRYPTION_KEY": "a2V5"}
    spec = spec_of(request_, environment=environment)
    assert not spec.env.keys() & {"AURA_STORE", "AURA_ENCRYPTION_KEY", "AURA_TASK_TOKEN"}
    assert "hush" not in str(spec.env)
