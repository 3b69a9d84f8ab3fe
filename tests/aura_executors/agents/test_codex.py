"""Executor `codex`: how it is started, and what `codex exec --json` is understood to say."""

from itertools import pairwise

import attrs
import pytest
from replays import Outcome, a_run, cases, exited, recorded, replay, written

from aura_contracts.entries import (
    ErrorReported,
    FileChange,
    FileChanged,
    Finished,
    Message,
    PlanUpdated,
    SessionStarted,
    ToolCalled,
    ToolFinished,
    Unknown,
    Usage,
    UsageReported,
)
from aura_contracts.errors import InvalidInput
from aura_contracts.failures import FailureReason as Reason
from aura_contracts.ports.executors import AgentRun, ToolServer
from aura_executors.agents.codex import CodexExecutor
from aura_executors.agents.codex.command import toml

SESSION = "01a1fb82-92c2-7732-a114-c4583d92c5b1"
OTHER_SESSION = "01a1fb7b-7184-7bb3-8c6e-7ab4c4745eb4"
UNKNOWN_SESSION = "00000000-0000-4000-8000-000000000000"

TURN = Usage(input_tokens=22, output_tokens=14)

CODEX = CodexExecutor()

EXEC = {
    # case: exit code or signal, failure, message, tool, usage
    "first": (0, None, "Done: hello.txt created.", "shell", TURN),
    "applypatch": (0, None, "Done: hello.txt created.", "apply_patch", TURN),
    "shell": (0, None, "Done by shell.", "shell", TURN),
    "stdin": (0, None, "Done: hello.txt created.", "shell", TURN),
    "retry500": (0, None, "Done: hello.txt created.", "shell", TURN),
    "malformed": (0, None, "never", None, Usage(input_tokens=11, output_tokens=7)),
    "deny": (0, None, "Done: hello.txt created.", None, TURN),
    "resume": (0, None, "Done: second.txt created too.", "shell", None),
    "resumeworktree": (0, None, "Done: second.txt created too.", "shell", None),
    "badresume": (1, Reason.SESSION_LOST, None, None, None),
    "dashprompt": (2, Reason.AGENT_ERROR, None, None, None),
    "fail401": (1, Reason.AUTHENTICATION, None, None, None),
    "fail429": (1, Reason.RATE_LIMITED, None, None, None),
    "fail500": (1, Reason.AGENT_ERROR, None, None, None),
    "midfail500": (1, Reason.AGENT_ERROR, None, "shell", None),
    "drop": (1, Reason.AGENT_ERROR, None, None, None),
    "openstdin": (-9, Reason.AGENT_ERROR, None, None, None),
    "sigint": (1, Reason.AGENT_ERROR, None, "shell", None),
    "sigterm": (-15, Reason.AGENT_ERROR, None, "shell", None),
    "sigtermgrp": (-15, Reason.AGENT_ERROR, None, "shell", None),
    "toolsigint": (1, Reason.AGENT_ERROR, None, "shell", None),
    "toolsigterm": (-15, Reason.AGENT_ERROR, None, "shell", None),
    "toolsigtermgrp": (-15, Reason.AGENT_ERROR, None, "shell", None),
}


def by_exec(session=None, **options) -> AgentRun:
    return a_run(session, protocol="exec", **options)


def exec_run(case: str) -> AgentRun:
    session = {"resume": SESSION, "resumeworktree": OTHER_SESSION, "badresume": UNKNOWN_SESSION}.get(case)
    return a_run(session, protocol="exec", sandbox="read-only" if case == "deny" else "danger-full-access")


# --- What codex exec says


def test_every_capture_has_an_expectation():
    assert set(cases("codex")) == set(EXEC)


@pytest.mark.parametrize("case", EXEC)
def test_a_run_of_exec_is_understood(case):
    code, reason, message, tool, usage = EXEC[case]
    done = recorded(CODEX, f"codex/{case}", code, exec_run(case))
    assert done.outcome == Outcome(reason, message, tool, usage and (usage.input_tokens, usage.output_tokens))
    assert len(done.of(Message)) <= 1
    assert not done.of(Unknown)
    assert bool(done.of(SessionStarted)) == bool(written("codex", case))
    assert [one.call_id for one in done.of(ToolFinished)] == [
        one.call_id for one in done.of(ToolCalled) if not case.startswith("toolsig")
    ]
    if code > 0 and reason:
        assert done.failure
        assert done.failure.exit_code == code


def test_a_warning_in_a_run_that_succeeds_is_no_failure():
    done = recorded(CODEX, "codex/first", 0, exec_run("first"))
    assert "Model metadata" in done.of(ErrorReported)[0].message
    assert done.of(Finished) == [Finished()]


def test_that_codex_tries_again_is_told():
    told = recorded(CODEX, "codex/fail500", 1, exec_run("fail500")).of(ErrorReported)
    assert [one.retrying for one in told] == [False, True, False]


def test_a_patch_is_a_call_and_a_changed_file():
    done = recorded(CODEX, "codex/applypatch", 0, exec_run("applypatch"))
    changed = FileChanged(path="/tmp/demo-repo/hello.txt", change=FileChange.ADDED, call_id="item_1")
    assert done.of(FileChanged) == [changed]


def test_a_resumed_session_counts_what_was_added_since():
    run = attrs.evolve(exec_run("resume"), session_usage=TURN)
    (used,) = replay(CODEX, written("codex", "resume"), run=run).of(UsageReported)
    assert (used.usage, used.total, used.complete) == (TURN, TURN + TURN, True)


def test_a_resumed_session_that_was_not_counted_is_incomplete():
    (used,) = recorded(CODEX, "codex/resume", 0, exec_run("resume")).of(UsageReported)
    assert (used.usage, used.total, used.complete) == (Usage(), TURN + TURN, False)


def test_another_session_than_the_one_to_resume_counts_from_its_beginning():
    (used,) = replay(CODEX, written("codex", "first"), run=exec_run("resumeworktree")).of(UsageReported)
    assert (used.usage, used.complete) == (TURN, True)


def test_a_total_that_has_decreased_counts_anew():
    run = attrs.evolve(exec_run("resume"), session_usage=Usage(input_tokens=1_000, output_tokens=1))
    (used,) = replay(CODEX, written("codex", "resume"), run=run).of(UsageReported)
    assert used.usage == TURN + TURN


@pytest.mark.parametrize("case", ["toolsigterm", "midfail500"])
def test_a_turn_that_did_not_end_well_is_incomplete(case):
    used = recorded(CODEX, f"codex/{case}", 1, exec_run(case)).of(UsageReported)
    assert [(one.usage, one.complete) for one in used] == [(Usage(), False)]


def test_the_session_that_is_unknown_is_told_apart():
    done = recorded(CODEX, "codex/badresume", 1, exec_run("badresume"))
    assert done.failure
    assert UNKNOWN_SESSION in done.failure.message


def test_a_command_that_the_sandbox_stopped_is_what_codex_was_not_permitted():
    line = (
        b'{"type":"item.completed","item":{"id":"item_1","type":"command_execution","command":"touch x",'
        b'"aggregated_output":"touch: x: Read-only file system\\n","exit_code":1,"status":"failed"}}\n'
    )
    assert "touch x" in replay(CODEX, line, run=by_exec(sandbox="read-only")).blocked
    assert not replay(CODEX, line, run=by_exec(yolo=True)).blocked


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
    done = replay(CODEX, [f"{line}\n".encode() for line in lines], exited(1), run=by_exec())
    assert [step.status for plan in done.of(PlanUpdated) for step in plan.steps] == ["pending", "completed"]
    assert [(one.tool, one.arguments) for one in done.of(ToolCalled)] == [
        ("s.t", {"x": 1}),
        ("web_search", {"query": "q"}),
    ]
    assert [one.output for one in done.of(ToolFinished)] == ["out", ""]
    assert len(done.of(Unknown)) == 2


# --- How codex is started


def words(run: AgentRun) -> list[str]:
    return [*CODEX.launch(run).argv]


def settings_of(run: AgentRun) -> list[str]:
    return [setting for flag, setting in pairwise(words(run)) if flag == "-c"]


def test_the_prompt_is_never_an_argument():
    for protocol in ("exec", "app-server"):
        launch = CODEX.launch(attrs.evolve(a_run(protocol=protocol), prompt="--help"))
        assert "--help" not in launch.argv
        assert launch.interactive is (protocol == "app-server")
    run = by_exec(append_prompt="Be brief.")
    assert CODEX.launch(run).stdin == b"Create hello.txt\n\nBe brief."


def test_exec_is_told_what_codex_may_do():
    assert words(by_exec(yolo=True))[1:] == [
        "exec", "--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--", "-",
    ]  # fmt: skip
    assert words(by_exec(SESSION, sandbox="read-only", model="m", profile="p", params=["--ephemeral"]))[1:] == [
        "exec", "--json", "--skip-git-repo-check", "--sandbox", "read-only", "--model=m", "--profile", "p",
        "-c", 'approval_policy="never"', "--ephemeral", "resume", "--", SESSION, "-",
    ]  # fmt: skip
    assert words(by_exec(SESSION, fork=True))[-4:] == ["fork", "--", SESSION, "-"]
    local = words(by_exec(local_provider="lmstudio"))
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
        assert settings_of(attrs.evolve(a_run(protocol=protocol, yolo=True), tool_servers=(server,))) == [
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
        words(by_exec("yesterday"))
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
    found = CODEX.availability(environment)
    assert (found.available, found.version, found.logged_in) == (True, "0.169.0", False)
    assert CODEX.availability({**environment, "OPENAI_API_KEY": "x"}).logged_in is None
    (tmp_path / "home" / "auth.json").write_text("{}")
    assert CODEX.availability(environment).logged_in is True
    assert CODEX.availability({"PATH": "/nowhere"}).remedy.startswith("npm install")
