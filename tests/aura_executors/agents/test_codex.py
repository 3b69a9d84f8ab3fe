"""Executor `codex`: how it is started, and what `codex exec --json` is understood to say."""

from itertools import pairwise

import attrs
import pytest
from codex_replays import CAPTURES, a_run, exited, replay, written
from hypothesis import given, settings
from hypothesis import strategies as st

from aura_contracts.errors import InvalidInput
from aura_contracts.execution import Usage
from aura_contracts.failures import FailureReason as Reason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import (
    AgentRun,
    ErrorReported,
    FileChange,
    FileChanged,
    Finished,
    Message,
    PlanUpdated,
    SessionStarted,
    ToolCalled,
    ToolFinished,
    ToolServer,
    Unknown,
    UsageReported,
)
from aura_contracts.ports.processes import ExitCause
from aura_executors.agents.codex import CodexExecutor
from aura_executors.agents.codex.command import toml
from aura_executors.testing.executor import ExecutorConformance

SESSION = "01a1fb82-92c2-7732-a114-c4583d92c5b1"
UNKNOWN_SESSION = "00000000-0000-4000-8000-000000000000"

TURN = Usage(input_tokens=22, output_tokens=14)

EXEC = {
    # case: exit code, signal, failure, message, tool, usage
    "first": (0, None, None, "Done: hello.txt created.", "shell", TURN),
    "applypatch": (0, None, None, "Done: hello.txt created.", "apply_patch", TURN),
    "shell": (0, None, None, "Done by shell.", "shell", TURN),
    "stdin": (0, None, None, "Done: hello.txt created.", "shell", TURN),
    "retry500": (0, None, None, "Done: hello.txt created.", "shell", TURN),
    "malformed": (0, None, None, "never", None, Usage(input_tokens=11, output_tokens=7)),
    "deny": (0, None, None, "Done: hello.txt created.", None, TURN),
    "resume": (0, None, None, "Done: second.txt created too.", "shell", None),
    "resumeworktree": (0, None, None, "Done: second.txt created too.", "shell", None),
    "badresume": (1, None, Reason.SESSION_LOST, None, None, None),
    "dashprompt": (2, None, Reason.AGENT_ERROR, None, None, None),
    "fail401": (1, None, Reason.AUTHENTICATION, None, None, None),
    "fail429": (1, None, Reason.RATE_LIMITED, None, None, None),
    "fail500": (1, None, Reason.AGENT_ERROR, None, None, None),
    "midfail500": (1, None, Reason.AGENT_ERROR, None, "shell", None),
    "drop": (1, None, Reason.AGENT_ERROR, None, None, None),
    "openstdin": (None, 9, Reason.AGENT_ERROR, None, None, None),
    "sigint": (1, None, Reason.AGENT_ERROR, None, "shell", None),
    "sigterm": (None, 15, Reason.AGENT_ERROR, None, "shell", None),
    "sigtermgrp": (None, 15, Reason.AGENT_ERROR, None, "shell", None),
    "toolsigint": (1, None, Reason.AGENT_ERROR, None, "shell", None),
    "toolsigterm": (None, 15, Reason.AGENT_ERROR, None, "shell", None),
    "toolsigtermgrp": (None, 15, Reason.AGENT_ERROR, None, "shell", None),
}


def exec_run(case: str) -> AgentRun:
    session = {"resume": SESSION, "resumeworktree": SESSION, "badresume": UNKNOWN_SESSION}.get(case)
    return a_run("exec", session, sandbox="read-only" if case == "deny" else "danger-full-access")


class TestCodexByAppServer(ExecutorConformance):
    @pytest.fixture
    def executor(self):
        return CodexExecutor()

    @pytest.fixture
    def transcripts(self):
        return [path.read_bytes() for path in sorted((CAPTURES / "codex-app-server").glob("*.stdout"))]


class TestCodexByExec(ExecutorConformance):
    @pytest.fixture
    def executor(self):
        return CodexExecutor()

    @pytest.fixture
    def runs(self):
        return [a_run("exec"), a_run("exec", SESSION), a_run("exec", SESSION, fork=True)]

    @pytest.fixture
    def transcripts(self):
        return [data for path in sorted((CAPTURES / "codex").glob("*.stdout")) if (data := path.read_bytes())]


# --- What codex exec says


def test_every_capture_has_an_expectation():
    assert {path.stem for path in (CAPTURES / "codex").glob("*.stdout")} == set(EXEC)


@pytest.mark.parametrize("case", EXEC)
def test_a_run_of_exec_is_understood(case):
    code, signal, reason, message, tool, usage = EXEC[case]
    done = replay(exec_run(case), [written("exec", case)], exited(code, signal), written("exec", case, "stderr"))
    assert (done.failure and done.failure.reason) is reason
    assert [one.text for one in done.of(Message)] == ([message] if message else [])
    assert [one.tool for one in done.of(ToolCalled)] == ([tool] if tool else [])
    assert [one.usage for one in done.of(UsageReported)] == ([usage] if usage else [])
    assert not done.of(Unknown)
    assert bool(done.of(SessionStarted)) == bool(written("exec", case))
    assert [one.call_id for one in done.of(ToolFinished)] == [
        one.call_id for one in done.of(ToolCalled) if not case.startswith("toolsig")
    ]
    if code is not None and reason:
        assert done.failure
        assert done.failure.exit_code == code


def test_a_warning_in_a_run_that_succeeds_is_no_failure():
    done = replay(exec_run("first"), [written("exec", "first")])
    assert "Model metadata" in done.of(ErrorReported)[0].message
    assert done.of(Finished) == [Finished()]


def test_that_codex_tries_again_is_told():
    told = replay(exec_run("fail500"), [written("exec", "fail500")], exited(1)).of(ErrorReported)
    assert [one.retrying for one in told] == [False, True, False]


def test_a_patch_is_a_call_and_a_changed_file():
    done = replay(exec_run("applypatch"), [written("exec", "applypatch")])
    changed = FileChanged(path="/tmp/demo-repo/hello.txt", change=FileChange.ADDED, call_id="item_1")
    assert done.of(FileChanged) == [changed]


def test_the_session_that_is_unknown_is_told_apart():
    done = replay(exec_run("badresume"), [], exited(1), written("exec", "badresume", "stderr"))
    assert done.failure
    assert UNKNOWN_SESSION in done.failure.message


@pytest.mark.parametrize("cause", [cause for cause in ExitCause if cause not in {ExitCause.OWN, ExitCause.FAREWELL}])
def test_what_aura_ended_is_no_fault_of_codex(cause):
    done = replay(exec_run("sigint"), [written("exec", "sigint")], exited(1, cause=cause))
    assert done.failure
    assert done.failure.reason is not Reason.AGENT_ERROR


def test_exit_code_0_without_a_final_word_is_a_failure():
    whole = written("exec", "first")
    done = replay(exec_run("first"), [whole[: whole.index(b'{"type":"turn.completed"')]])
    assert done.failure
    assert done.failure.reason is Reason.AGENT_ERROR


def test_a_command_that_the_sandbox_stopped_is_what_codex_was_not_permitted():
    line = (
        b'{"type":"item.completed","item":{"id":"item_1","type":"command_execution","command":"touch x",'
        b'"aggregated_output":"touch: x: Read-only file system\\n","exit_code":1,"status":"failed"}}\n'
    )
    assert "touch x" in replay(a_run("exec", sandbox="read-only"), [line]).conversation.blocked
    assert not replay(a_run("exec", yolo=True), [line]).conversation.blocked


def test_the_other_items_are_understood():
    result = '{"content":[{"type":"text","text":"out"}]}'
    lines = [
        '{"type":"item.started","item":{"id":"a","type":"todo_list","items":[{"text":"one","completed":false}]}}',
        '{"type":"item.updated","item":{"id":"a","type":"todo_list","items":[{"text":"one","completed":true}]}}',
        '{"type":"item.started","item":{"id":"b","type":"mcp_tool_call","server":"s","tool":"t","arguments":{"x":1}}}',
        f'{{"type":"item.completed","item":{{"id":"b","type":"mcp_tool_call","status":"completed","result":{result}}}}}',
        '{"type":"item.completed","item":{"id":"c","type":"web_search","query":"q"}}',
        '{"type":"item.completed","item":{"id":"d","type":"reasoning","text":"hm"}}',
        '{"type":"item.completed","item":{"id":"e","type":"hologram"}}',
        '{"type":"thread.melted"}',
    ]
    done = replay(a_run("exec"), [f"{line}\n".encode() for line in lines], exited(1))
    assert [step.status for plan in done.of(PlanUpdated) for step in plan.steps] == ["pending", "completed"]
    assert [(one.tool, one.arguments) for one in done.of(ToolCalled)] == [
        ("s.t", {"x": 1}),
        ("web_search", {"query": "q"}),
    ]
    assert [one.output for one in done.of(ToolFinished)] == ["out", ""]
    assert len(done.of(Unknown)) == 2


@pytest.mark.parametrize("case", [case for case in EXEC if case not in {"badresume", "dashprompt", "openstdin"}])
def test_exec_is_understood_in_whatever_pieces(case):
    data = written("exec", case)
    whole = replay(exec_run(case), [data]).entries

    @settings(max_examples=15, deadline=None)
    @given(st.lists(st.integers(0, len(data)), max_size=8))
    def cut(places):
        pieces = [data[start:end] for start, end in pairwise([0, *sorted(places), len(data)])]
        assert replay(exec_run(case), pieces).entries == whole

    cut()


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["first", "applypatch", "fail500"]), st.integers(0, 1_500), st.binary(min_size=1, max_size=6))
def test_a_damaged_stream_is_no_error(case, place, garbage):
    data = written("exec", case)
    place %= len(data)
    conversation = CodexExecutor().converse(exec_run(case))
    list(conversation.receive(OutputSource.STDOUT, data[:place] + garbage + data[place + len(garbage) :]))
    list(conversation.end(exited()))
    conversation.judge(exited())


# --- How codex is started


def words(run: AgentRun) -> list[str]:
    return [*CodexExecutor().launch(run).argv]


def settings_of(run: AgentRun) -> list[str]:
    return [setting for flag, setting in pairwise(words(run)) if flag == "-c"]


def test_the_prompt_is_never_an_argument():
    for protocol in ("exec", "app-server"):
        launch = CodexExecutor().launch(attrs.evolve(a_run(protocol), prompt="--help"))
        assert "--help" not in launch.argv
        assert launch.interactive is (protocol == "app-server")
    run = a_run("exec", append_prompt="Be brief.")
    assert CodexExecutor().launch(run).stdin == b"Create hello.txt\n\nBe brief."


def test_exec_is_told_what_codex_may_do():
    assert words(a_run("exec", yolo=True))[1:] == [
        "exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--", "-",
    ]  # fmt: skip
    assert words(a_run("exec", SESSION, sandbox="read-only", model="m", profile="p", params=["--ephemeral"]))[1:] == [
        "exec", "--json", "--skip-git-repo-check", "--sandbox", "read-only", "--model", "m", "--profile", "p",
        "-c", 'approval_policy="never"', "--ephemeral", "resume", "--", SESSION, "-",
    ]  # fmt: skip
    assert words(a_run("exec", SESSION, fork=True))[-4:] == ["fork", "--", SESSION, "-"]
    local = words(a_run("exec", local_provider="lmstudio"))
    assert local[local.index("--oss") :][:3] == ["--oss", "--local-provider", "lmstudio"]


def test_settings_go_over_the_configuration():
    run = a_run(
        reasoning_effort="high",
        add_dirs=["/data"],
        network_access=True,
        config={"tools.web_search": True, 'projects."/x".trust_level': "trusted"},
    )
    assert settings_of(run) == [
        'model_reasoning_effort="high"',
        'sandbox_workspace_write.writable_roots=["/data"]',
        "sandbox_workspace_write.network_access=true",
        "tools.web_search=true",
        'projects."/x".trust_level="trusted"',
    ]
    assert words(a_run(profile="work"))[1:] == ["-p", "work", "app-server"]


def test_a_key_is_named_and_not_given():
    given = settings_of(a_run(api_key_env="OPENAI_API_KEY"))
    assert 'model_provider="openai-api"' in given
    assert 'model_providers.openai-api.env_key="OPENAI_API_KEY"' in given
    named = settings_of(a_run(config={"model_providers.mine.env_key": "$MY_KEY"}))
    assert named == ['model_providers.mine.env_key="MY_KEY"']


def test_tool_servers_get_their_variables_by_name():
    server = ToolServer(name="aura", command=("aura", "mcp"), environment=("AURA_ENDPOINT",))
    for protocol in ("exec", "app-server"):
        assert settings_of(attrs.evolve(a_run(protocol, yolo=True), tool_servers=(server,))) == [
            'mcp_servers.aura.command="aura"',
            'mcp_servers.aura.args=["mcp"]',
            'mcp_servers.aura.env_vars=["AURA_ENDPOINT"]',
            'mcp_servers.aura.default_tools_approval_mode="approve"',
        ]
    with pytest.raises(InvalidInput, match="tool server"):
        words(attrs.evolve(a_run(), tool_servers=(ToolServer(name="a b", command=("x",)),)))


@pytest.mark.parametrize(
    "options",
    [
        {"yolo": True, "sandbox": "read-only"},
        {"full_auto": True, "approval_policy": "never"},
        {"yolo": True, "full_auto": True},
        {"sandbox": "none"},
        {"config": {"a=b": 1}},
        {"config": {"a": None}},
        {"config": {"api_key": "sk-1"}},
        {"profile": " "},
        {"api_key_env": "sk-1"},
        {"api_key_env": "OPENAI_API_KEY", "oss": True},
        {"protocol": "telnet"},
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(InvalidInput):
        words(AgentRun(prompt="x", cwd="/tmp", options=options))


def test_a_name_instead_of_an_id_would_begin_a_new_session():
    with pytest.raises(InvalidInput, match="session"):
        words(a_run("exec", "yesterday"))
    with pytest.raises(InvalidInput, match="fork"):
        words(a_run(fork=True))


def test_toml_of_a_value():
    assert toml({"a b": [1, 2.5, True, 'q"\n']}) == '{"a b" = [1, 2.5, true, "q\\"\\n"]}'


def test_the_login_is_looked_for_where_codex_keeps_it(tmp_path):
    program = tmp_path / "codex"
    program.write_text("#!/bin/sh\necho codex-cli 0.169.0\n")
    program.chmod(0o755)
    (tmp_path / "home").mkdir()
    environment = {"PATH": f"{tmp_path}:/bin:/usr/bin", "CODEX_HOME": str(tmp_path / "home"), "HOME": "/nowhere"}
    found = CodexExecutor().availability(environment)
    assert (found.available, found.version, found.logged_in) == (True, "0.169.0", False)
    assert CodexExecutor().availability({**environment, "OPENAI_API_KEY": "x"}).logged_in is None
    (tmp_path / "home" / "auth.json").write_text("{}")
    assert CodexExecutor().availability(environment).logged_in is True
    assert CodexExecutor().availability({"PATH": "/nowhere"}).remedy.startswith("npm install")
