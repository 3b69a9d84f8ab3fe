"""Any command as an agent. What is launched is really run here, in the way a runner does."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aura_contracts.errors import InvalidInput
from aura_contracts.failures import FailureReason
from aura_contracts.ports.executors import AgentRun
from aura_contracts.ports.processes import ARGUMENT_LIMIT, ExitCause, ProcessExit, merged_environment
from aura_executors.custom import CustomExecutor

EXECUTOR = CustomExecutor()


def run(prompt: str, cwd: Path, *, about: dict[str, Any] | None = None, **options: Any) -> Any:
    launch = EXECUTOR.launch(AgentRun(prompt=prompt, cwd=str(cwd), options=options, **(about or {})))
    environment = merged_environment(os.environ, launch.env)
    given = {"stdin": subprocess.DEVNULL} if launch.stdin is None else {"input": launch.stdin.decode()}
    return subprocess.run(launch.argv, cwd=cwd, env=environment, capture_output=True, text=True, check=False, **given)


def python(code: str) -> dict[str, Any]:
    return {"base_command": sys.executable, "params": ["-c", code]}


def test_the_first_seeds_third_command(tmp_path: Path):
    done = run("ignored", tmp_path, base_command="sh", params=["-lc", "echo out_line; echo err_line 1>&2"])
    assert (done.stdout, done.stderr, done.returncode) == ("out_line\n", "err_line\n", 0)


def test_a_command_is_started_as_it_was_given_and_the_prompt_is_in_the_environment(tmp_path: Path):
    done = run("be quick", tmp_path, **python("import sys, os; print(sys.argv[1:], os.environ['AURA_PROMPT'])"))
    assert done.stdout == "[] be quick\n"
    assert run("x", tmp_path, base_command="sh", params=["-c", "nosuch"]).stderr.startswith("sh: ")


def test_the_prompt_as_an_argument(tmp_path: Path):
    code = "import sys; print(sys.argv[1:])"
    last = run("-- $HOME", tmp_path, **python(code), prompt_via="argument")
    assert last.stdout == "['-- $HOME']\n"
    placed = python(code)
    placed["params"] += ["--message", "{prompt}", "--yes", "{prompt}{prompt}"]
    assert run("hello", tmp_path, **placed).stdout == "['--message', 'hello', '--yes', '{prompt}{prompt}']\n"
    assert run("hello", tmp_path, **placed, prompt_via="argument").stdout.startswith("['--message', 'hello'")
    assert run("hello", tmp_path, **placed, prompt_via="env").stdout.startswith("['--message', '{prompt}'")


def test_the_prompt_on_standard_input(tmp_path: Path):
    code = "import sys, os; print(sys.stdin.read().upper(), os.environ.get('AURA_PROMPT'))"
    assert run("hällo\n", tmp_path, **python(code), prompt_via="stdin").stdout == "HÄLLO\n hällo\n\n"
    assert run("hello", tmp_path, **python(code), prompt_via="none").stdout == " hello\n"
    assert run("hello", tmp_path, **python(code)).stdout == " hello\n"


def test_a_prompt_that_fits_in_no_argument_goes_by_standard_input_alone(tmp_path: Path):
    code = "import sys, os; print(len(sys.stdin.read()), 'AURA_PROMPT' in os.environ)"
    fits = "x" * (ARGUMENT_LIMIT - len("AURA_PROMPT="))
    for via in ("argument", "env"):
        assert run(fits, tmp_path, **python(code), prompt_via=via).stdout == "0 True\n"
        for prompt in (fits + "x", "a\0b"):
            with pytest.raises(InvalidInput, match=f"prompt: .* cannot be given by {via}; set the option prompt_via"):
                run(prompt, tmp_path, **python(code), prompt_via=via)
    assert run(fits, tmp_path, **python(code), prompt_via="stdin").stdout == f"{len(fits)} True\n"
    assert run(fits + "x", tmp_path, **python(code), prompt_via="stdin").stdout == f"{len(fits) + 1} False\n"
    assert run("a\0b", tmp_path, **python(code), prompt_via="stdin").stdout == "3 False\n"
    assert run("a\0b", tmp_path, **python(code), prompt_via="none").stdout == "0 False\n"


def test_an_outer_prompt_does_not_reach_an_inner_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AURA_PROMPT", "of somebody else")
    code = "import os; print(os.environ.get('AURA_PROMPT'))"
    assert run("a\0b", tmp_path, **python(code), prompt_via="none").stdout == "None\n"


def test_more_can_be_put_behind_the_prompt(tmp_path: Path):
    code = "import os; print(os.environ['AURA_PROMPT'])"
    assert run("do it", tmp_path, **python(code), append_prompt="and test it").stdout == "do it\n\nand test it\n"
    assert run("", tmp_path, **python(code), append_prompt="alone").stdout == "alone\n"


def test_variables_can_be_added_and_never_hide_the_prompt(tmp_path: Path):
    code = "import os; print(os.environ['LEVEL'], os.environ['AURA_PROMPT'])"
    assert run("x", tmp_path, **python(code), env={"LEVEL": "9", "AURA_PROMPT": "y"}).stdout == "9 x\n"


def test_the_command_runs_in_the_folder_and_nothing_is_split_or_expanded(tmp_path: Path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    program = folder / "my agent.sh"
    program.write_text('#!/bin/sh\npwd\nprintf "%s|" "$@"\n')
    program.chmod(0o755)
    done = run("x", folder, base_command="./my agent.sh", params=["a b", "", "$HOME", "*", "'"])
    assert done.stdout == f"{folder}\na b||$HOME|*|'|"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "option base_command: executor custom requires it"),
        ({"base_command": ""}, "option base_command: is empty; name the program to run"),
        ({"base_command": 5}, "option base_command: expected str, got int"),
        ({"base_command": "a\0"}, "option base_command: contains a NUL character"),
        ({"base_command": "sh", "params": "-c"}, "option params: expected array, got str"),
        ({"base_command": "sh", "params": ["a", 1]}, r"option params\[1\]: expected str, got int"),
        ({"base_command": "sh", "params": ["a", "b\0"]}, r"option params\[1\]: contains a NUL character"),
        ({"base_command": "sh", "env": {"A=B": "1"}}, "option env: 'A=B' is not the name of a variable"),
        ({"base_command": "sh", "env": {"": "1"}}, "option env: '' is not the name of a variable"),
        ({"base_command": "sh", "env": {"A": "\0"}}, "option env.A: contains a NUL character"),
        ({"base_command": "sh", "prompt_via": "mail"}, "option prompt_via: invalid enum value 'mail'"),
        ({"base_comand": "sh"}, "option base_comand: executor custom has no such option; did you mean base_command"),
        (
            {"base_command": "sh", "agent": "m"},
            "option agent: executor custom has no such option; its options are base_comm",
        ),
        ({"base_command": "sh", "env": {"API_KEY": "x"}}, "options.env.API_KEY: looks like a secret"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(options: dict[str, Any], message: str):
    with pytest.raises(InvalidInput, match=message):
        EXECUTOR.launch(AgentRun(prompt="x", cwd="/", options=options))


def test_its_exit_code_is_its_word():
    conversation = EXECUTOR.converse(AgentRun(prompt="x", cwd="/", options={"base_command": "sh"}))
    assert conversation.judge(ProcessExit(token="t", cause=ExitCause.OWN, exit_code=0)) is None
    failure = conversation.judge(ProcessExit(token="t", cause=ExitCause.OWN, exit_code=7))
    assert (failure.reason, failure.exit_code) == (FailureReason.AGENT_ERROR, 7)


# --- What the environment says about the run


def environment(tmp_path: Path, *, about: dict[str, Any] | None = None, **options: Any) -> dict[str, str]:
    """Return what a command finds in its environment, which had nothing of this kind before."""
    done = run("p", tmp_path, about=about, base_command="env", **options)
    found = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    return {name: value for name, value in found.items() if name not in os.environ}


def test_a_run_without_further_wishes_has_only_its_prompt(tmp_path: Path):
    assert environment(tmp_path) == {"AURA_PROMPT": "p"}


def test_session_model_review_and_variables_are_in_the_environment(tmp_path: Path):
    about = {"session_id": "s-1", "variables": {"TICKET": "A-1", "lower_case": "x y"}}
    assert environment(tmp_path, about=about, model="m-1", review=True) == {
        "AURA_PROMPT": "p",
        "AURA_SESSION_ID": "s-1",
        "AURA_MODEL": "m-1",
        "AURA_REVIEW_MODE": "1",
        "TICKET": "A-1",
        "lower_case": "x y",
    }


@pytest.mark.parametrize("name", ["AURA_PROMPT", "AURA_TASK_TOKEN", "GIT_DIR", "not a name", "1st", ""])
def test_a_variable_that_is_not_one_of_the_environment_stays_with_the_templates(tmp_path: Path, name: str):
    assert environment(tmp_path, about={"variables": {name: "x"}}) == {"AURA_PROMPT": "p"}


def test_an_option_env_wins_over_a_variable(tmp_path: Path):
    found = environment(tmp_path, about={"variables": {"TICKET": "A-1"}}, env={"TICKET": "B-2"})
    assert found["TICKET"] == "B-2"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("http://127.0.0.1:1234", "http://127.0.0.1:1234/v1"),
        ("http://127.0.0.1:1234/", "http://127.0.0.1:1234/v1"),
        ("https://gpu.example/api/v2/", "https://gpu.example/api/v2"),
    ],
)
def test_an_endpoint_without_a_path_gets_one(tmp_path: Path, given: str, told: str, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    found = environment(tmp_path, openai_endpoint=given)
    assert {found["OPENAI_BASE_URL"], found["OPENAI_API_BASE"]} == {told}
    assert found["OPENAI_API_KEY"] == "local"


def test_a_key_that_is_set_is_kept(tmp_path: Path):
    about = {"environment": {"OPENAI_API_KEY": "key"}}
    assert "OPENAI_API_KEY" not in environment(tmp_path, about=about, openai_endpoint="http://h")


@pytest.mark.parametrize("url", ["localhost:1234", "ftp://h", "http://h/?a=1", "http://h/a b"])
def test_what_is_no_endpoint_is_refused(tmp_path: Path, url: str):
    with pytest.raises(InvalidInput) as error:
        run("p", tmp_path, base_command="env", openai_endpoint=url)
    assert error.value.field == "option openai_endpoint"
