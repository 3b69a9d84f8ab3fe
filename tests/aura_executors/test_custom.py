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
from aura_executors.adapter.service_url import endpoint_url
from aura_executors.custom import CustomExecutor

EXECUTOR = CustomExecutor()


def run(prompt: str, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    launch = EXECUTOR.launch(AgentRun(prompt=prompt, cwd=str(cwd), options=options))
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


def test_the_command_is_told_about_its_run():
    given = {
        "base_command": "true",
        "model": "small",
        "openai_endpoint": "http://127.0.0.1:11434",
        "env": {"MINE": "x"},
    }
    told = {"session_id": "s1", "variables": {"area": "api", "MINE": "y"}, "review": "both"}
    env = EXECUTOR.launch(AgentRun(prompt="p", cwd="/", options=given, **told)).env
    assert env == {
        "AURA_PROMPT": "p",
        "AURA_SESSION_ID": "s1",
        "AURA_MODEL": "small",
        "AURA_REVIEW_MODE": "both",
        "OPENAI_BASE_URL": "http://127.0.0.1:11434/v1",
        "area": "api",
        "MINE": "x",
    }


def test_what_is_not_told_is_not_inherited_from_an_outer_run_either():
    env = EXECUTOR.launch(AgentRun(prompt="p", cwd="/", options={"base_command": "true"})).env
    assert env == {"AURA_PROMPT": "p", "AURA_SESSION_ID": None, "AURA_MODEL": None, "AURA_REVIEW_MODE": None}


@pytest.mark.parametrize("name", ["AURA_PROMPT", "AURA_HOME", "a-b", "1", "a=b"])
def test_a_variable_that_no_environment_may_hold_is_refused(name):
    with pytest.raises(InvalidInput) as refused:
        EXECUTOR.launch(AgentRun(prompt="p", cwd="/", options={"base_command": "true"}, variables={name: "x"}))
    assert refused.value.field == f"variable {name}"


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
        ("http://127.0.0.1:11434/", "http://127.0.0.1:11434/v1"),
        ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1"),
        ("https://example.invalid/api/", "https://example.invalid/api/"),
        ("http://[::1]:8080", "http://[::1]:8080/v1"),
        ("HTTP://Host/v1/", "HTTP://Host/v1/"),
    ],
)
def test_an_endpoint_without_a_path_gets_one(url, used):
    assert endpoint_url(url, "endpoint") == used
    options = {"base_command": "true", "openai_endpoint": url}
    assert EXECUTOR.launch(AgentRun(prompt="p", cwd="/", options=options)).env["OPENAI_BASE_URL"] == used


@pytest.mark.parametrize(
    "url",
    [
        *(
            "nowhere",
            "127.0.0.1:11434",
            "localhost:11434/v1",
            ":11434",
            "//host/v1",
            "http://",
            "http://:80",
            "ftp://h/v1",
        ),
        *(
            "http://h:0",
            "http://h:99999",
            "http://h:x",
            "http://h/v1?x=1",
            "http://h/v1#x",
            "http://a:b@h/v1",
            "http://h/ v1",
        ),
        *("http://h/v1\n", "http://[::1", "", " "),
    ],
)
def test_what_is_no_endpoint_is_refused(url):
    options = {"base_command": "true", "openai_endpoint": url}
    with pytest.raises(InvalidInput) as refused:
        EXECUTOR.launch(AgentRun(prompt="p", cwd="/", options=options))
    assert refused.value.field.endswith("openai_endpoint")


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


@pytest.mark.parametrize("via", ["env", "argument", "stdin"])
def test_a_prompt_is_never_read_as_anything_else(tmp_path: Path, via: str):
    code = (
        "import os, sys; told = {'env': os.environ['AURA_PROMPT'], 'argument': sys.argv[-1]}.get(sys.argv[1]);"
        "print(ascii(told or sys.stdin.read()))"
    )
    options = ("--", "-h", "--help", "/help", "@file", "!x", "#x", "%s", "{prompt}x")
    for prompt in (*options, "🙂 ünï", "a\nb", "$(touch x) `touch x`"):
        work = python(code)
        done = run(prompt, tmp_path, **work | {"params": [*work["params"], via, "{prompt}"]}, prompt_via=via)
        assert (done.stdout, done.stderr) == (f"{prompt!a}\n", "")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "HOME", "PYTHONPATH", "BASH_ENV"])
def test_a_variable_of_any_name_is_the_commands_alone(name: str):
    """AURA's own programs are started without it: it is in the environment of this one command."""
    given = {"variables": {name: "/elsewhere"}, "options": {"base_command": "true"}}
    assert EXECUTOR.launch(AgentRun(prompt="p", cwd="/", **given)).env[name] == "/elsewhere"
    assert os.environ.get(name) != "/elsewhere"


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
            {"base_command": "sh", "yolo": True},
            "option yolo: executor custom has no such option; its options are base_comm",
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
