"""The Agent Client Protocol: what is said to agents, and that it is what the protocol's schema says."""

from pathlib import Path
from typing import Any, get_args

import attrs
import msgspec
import pytest
from acp import AGENT_METHODS, schema
from pydantic import BaseModel
from replays import cases, replay, written

from aura_contracts.entries import (
    Finished,
    PermissionRequested,
    PermissionWithdrawn,
    PlanStep,
    PlanUpdated,
    Thinking,
    Unknown,
)
from aura_contracts.errors import InvalidInput
from aura_contracts.failures import FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import AgentRun, Answer, Send, ToolServer
from aura_executors.adapter.json_rpc import RpcCall
from aura_executors.agents.acp import PRESETS, AcpConversation, AcpExecutor
from aura_executors.agents.acp.wire import (
    AgentMessage,
    CallFields,
    PermissionRequest,
    SessionUpdate,
    Update,
)

EXECUTOR = AcpExecutor()
FOLDERS = ("acp-example", "claude-agent-acp", "codex-acp", "copilot-acp", "gemini-acp", "opencode-acp", "qwen-acp")
RUN = AgentRun(prompt="Create hello.txt", cwd="/tmp/demo-repo", options={"agent": "claude-agent-acp"})
BEGUN = written("claude-agent-acp", "first").splitlines(keepends=True)[:2]

REQUESTS: dict[str, type[BaseModel]] = {
    "initialize": schema.InitializeRequest,
    "authenticate": schema.AuthenticateRequest,
    "session/new": schema.NewSessionRequest,
    "session/resume": schema.ResumeSessionRequest,
    "session/fork": schema.ForkSessionRequest,
    "session/set_mode": schema.SetSessionModeRequest,
    "session/set_config_option": schema.SetSessionConfigOptionSelectRequest,
    "session/prompt": schema.PromptRequest,
    "session/cancel": schema.CancelNotification,
}


def said(run: AgentRun, *lines: bytes) -> list[dict[str, Any]]:
    """Return the messages that an agent which writes these lines is sent, each of them checked."""
    launch = EXECUTOR.launch(run)
    sends = replay(EXECUTOR, [*lines], run=run).sends
    return read((launch.stdin or b"") + b"".join(send.data for send in sends))


def read(data: bytes) -> list[dict[str, Any]]:
    messages = [msgspec.json.decode(line) for line in data.splitlines()]
    for message in messages:
        assert message["jsonrpc"] == "2.0"
        if "method" in message:
            REQUESTS[message["method"]].model_validate(message["params"], strict=True)
            assert message["method"] in AGENT_METHODS.values()
        elif "result" in message:
            schema.RequestPermissionResponse.model_validate(message["result"], strict=True)
    return messages


def reply(id: int, **result: Any) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": id, "result": result}) + b"\n"


def update(kind: str, **fields: Any) -> bytes:
    params = {"sessionId": "s", "update": {"sessionUpdate": kind, **fields}}
    return msgspec.json.encode({"jsonrpc": "2.0", "method": "session/update", "params": params}) + b"\n"


def ask(id: int | str = 7, call_id: str = "c1", kinds: tuple[str, ...] = ("allow_once", "reject_once")) -> bytes:
    options = [{"optionId": f"id-of-{kind}", "name": kind, "kind": kind} for kind in ("allow_always", *kinds)]
    call = {"toolCallId": call_id, "title": "ls", "kind": "execute", "rawInput": {"command": "ls"}}
    params = {"sessionId": "s", "toolCall": call, "options": options}
    schema.RequestPermissionRequest.model_validate(params)
    line = {"jsonrpc": "2.0", "id": id, "method": "session/request_permission", "params": params}
    return msgspec.json.encode(line) + b"\n"


def begun(run: AgentRun = RUN) -> AcpConversation:
    conversation = EXECUTOR.converse(run)
    for line in BEGUN:
        list(conversation.receive(OutputSource.STDOUT, line))
    return conversation


def told(conversation: AcpConversation, *lines: bytes) -> tuple[list[Any], list[dict[str, Any]]]:
    items = list(conversation.receive(OutputSource.STDOUT, b"".join(lines)))
    sends = b"".join(item.data for item in items if isinstance(item, Send))
    return [item for item in items if not isinstance(item, Send)], read(sends)


class TestWhatIsSaid:
    def test_it_offers_neither_files_nor_terminals(self) -> None:
        (first,) = said(RUN)
        assert first["method"] == "initialize"
        assert first["params"]["protocolVersion"] == 1
        assert first["params"]["clientCapabilities"]["fs"] == {"readTextFile": False, "writeTextFile": False}
        assert first["params"]["clientCapabilities"]["terminal"] is False

    def test_a_new_session_in_the_folder_of_the_run(self) -> None:
        _, new, prompt = said(attrs.evolve(RUN, options={**RUN.options, "append_prompt": "Be brief."}), *BEGUN)
        assert (new["method"], new["params"]) == ("session/new", {"cwd": "/tmp/demo-repo", "mcpServers": []})
        assert prompt["params"]["prompt"] == [{"type": "text", "text": "Create hello.txt\n\nBe brief."}]

    @pytest.mark.parametrize(("prompt", "sent"), [("/help me", "Task: /help me"), ("a /b", "a /b"), ("--", "--")])
    def test_a_prompt_is_no_command_of_the_agent(self, prompt: str, sent: str) -> None:
        _, _, message = said(attrs.evolve(RUN, prompt=prompt), *BEGUN)
        assert message["params"]["prompt"] == [{"type": "text", "text": sent}]

    def test_a_session_is_resumed_or_copied_where_the_agent_can(self) -> None:
        for fork, method in ((False, "session/resume"), (True, "session/fork")):
            run = attrs.evolve(RUN, session_id="before", fork=fork)
            _, message, *_ = said(run, BEGUN[0])
            assert (message["method"], message["params"]["sessionId"]) == (method, "before")

    def test_tool_servers_get_the_variables_that_they_need(self) -> None:
        server = ToolServer(name="aura", command=("aura", "mcp"), environment=("AURA_SCOPE", "NOT_THERE"))
        run = attrs.evolve(RUN, tool_servers=(server,), environment={"AURA_SCOPE": "task", "OTHER": "x"})
        _, new = said(run, BEGUN[0])
        variables = [{"name": "AURA_SCOPE", "value": "task"}]
        assert new["params"]["mcpServers"] == [{"name": "aura", "command": "aura", "args": ["mcp"], "env": variables}]
        assert b"AURA_SCOPE" not in (EXECUTOR.launch(run).stdin or b"")

    def test_settings_are_made_one_after_the_other_before_the_prompt(self) -> None:
        options = {**RUN.options, "model": "sonnet", "mode": "plan", "config": {"effort": "high"}}
        messages = said(attrs.evolve(RUN, options=options), *BEGUN, reply(3), reply(4), reply(5))
        made = [(one["params"].get("configId"), one["params"].get("value")) for one in messages[2:-1]]
        assert made == [("model", "sonnet"), ("mode", "plan"), ("effort", "high")]
        assert messages[-1]["method"] == "session/prompt"

    def test_modes_of_agents_without_options_are_set_too(self) -> None:
        modes = {"currentModeId": "a", "availableModes": []}
        run = attrs.evolve(RUN, options={**RUN.options, "mode": "b"})
        *_, last = said(run, BEGUN[0], reply(2, sessionId="s", modes=modes))
        assert (last["method"], last["params"]) == ("session/set_mode", {"sessionId": "s", "modeId": "b"})

    @pytest.mark.parametrize("option", [{"mode": "m"}, {"model": "m"}, {"config": {"effort": "high"}}])
    def test_a_setting_that_the_agent_does_not_have_is_a_failure(self, option: dict[str, Any]) -> None:
        run = attrs.evolve(RUN, options={**RUN.options, **option})
        found = replay(EXECUTOR, [BEGUN[0], reply(2, sessionId="s")], run=run)
        assert found.failure is not None
        assert f"option {next(iter(option))}: this agent" in found.failure.message
        assert found.sends[-1].close

    def test_it_logs_in_first_if_it_is_told_how(self) -> None:
        run = attrs.evolve(RUN, options={**RUN.options, "auth_method": "api-key"})
        _, login, new = said(run, BEGUN[0], reply(2))
        assert (login["method"], login["params"]["methodId"]) == ("authenticate", "api-key")
        assert new["method"] == "session/new"

    def test_an_agent_that_wants_a_login_is_told_apart(self) -> None:
        methods = reply(1, protocolVersion=1, authMethods=[{"id": "api-key", "name": "Key"}])
        refusal = b'{"jsonrpc":"2.0","id":2,"error":{"code":-32000,"message":"Authentication required"}}\n'
        found = replay(EXECUTOR, [methods, refusal], run=RUN)
        assert found.failure is not None
        assert found.failure.reason is FailureReason.AUTHENTICATION
        assert "auth_method: api-key" in found.failure.message

    @pytest.mark.parametrize("strange", [reply(1, protocolVersion=2), reply(1, protocolVersion="x")])
    def test_an_agent_that_answers_strangely_is_not_waited_for(self, strange: bytes) -> None:
        found = replay(EXECUTOR, [strange], run=RUN)
        assert found.failure is not None
        assert found.sends[-1].close


class TestPermissions:
    @pytest.mark.parametrize(("granted", "option"), [(True, "id-of-allow_once"), (False, "id-of-reject_once")])
    def test_the_option_for_once_is_chosen(self, granted: bool, option: str) -> None:
        conversation = begun()
        entries, _ = told(conversation, ask())
        (asked,) = (entry for entry in entries if isinstance(entry, PermissionRequested))
        (send,) = conversation.answer(asked.request_id, Answer(granted=granted, feedback="" if granted else "not here"))
        (message,) = read(send.data)
        assert message["id"] == 7
        assert message["result"]["outcome"] == {"outcome": "selected", "optionId": option}
        assert ("_meta" in message["result"]) is not granted
        assert not list(conversation.answer(asked.request_id, Answer(granted=granted)))

    def test_what_would_be_allowed_for_ever_is_not_allowed(self) -> None:
        conversation = begun()
        told(conversation, ask(kinds=()))
        (send,) = conversation.answer("c1:7", Answer(granted=True))
        (message,) = read(send.data)
        assert message["result"]["outcome"] == {"outcome": "cancelled"}
        assert "just once" in conversation.blocked

    def test_an_answer_from_before_a_restart_is_given_when_it_is_asked_again(self) -> None:
        conversation = begun()
        assert not list(conversation.answer("c1:7", Answer(granted=True)))
        terminal = {"jsonrpc": "2.0", "id": 8, "method": "terminal/create", "params": {}}
        entries, messages = told(conversation, ask(), msgspec.json.encode(terminal) + b"\n")
        assert [type(entry) for entry in entries][-1] is PermissionRequested
        assert [message["id"] for message in messages] == [8, 7], "what is sent in any case keeps its place"

    def test_a_call_is_known_again_whether_it_was_told_before_the_request_or_not(self) -> None:
        call = update("tool_call", toolCallId="c1", title="Terminal", _meta={"claudeCode": {"toolName": "Bash"}})
        found = [entry for lines in ((call, ask()), (ask(), call)) for entry in told(begun(), *lines)[0]]
        one, again = (entry for entry in found if isinstance(entry, PermissionRequested))
        assert one.tool == "Bash"
        assert one.fingerprint == again.fingerprint

    def test_an_interruption_cancels_what_is_asked(self) -> None:
        conversation = begun()
        told(conversation, ask(), ask("x", "c2"))
        (send,) = conversation.interrupt()
        cancel, one, other = read(send.data)
        assert cancel["method"] == "session/cancel"
        assert {one["id"], other["id"]} == {7, "x"}
        assert one["result"] == other["result"] == {"outcome": {"outcome": "cancelled"}}
        entries, _ = told(conversation, reply(3, stopReason="cancelled"))
        (finished,) = entries
        assert finished.failure.reason is FailureReason.CANCELLED

    def test_what_was_stopped_before_it_began_does_not_begin(self) -> None:
        conversation = EXECUTOR.converse(RUN)
        assert not list(conversation.interrupt())
        entries, messages = told(conversation, *BEGUN)
        assert [type(entry) for entry in entries][-1] is Finished
        assert [message["method"] for message in messages] == ["session/new"]

    def test_a_request_that_is_withdrawn_is_not_answered(self) -> None:
        conversation = begun()
        cancel = {"jsonrpc": "2.0", "method": "$/cancel_request", "params": {"requestId": 7}}
        entries, _ = told(conversation, ask(), msgspec.json.encode(cancel) + b"\n")
        assert entries[-1] == PermissionWithdrawn(request_id="c1:7")
        assert not list(conversation.answer("c1:7", Answer(granted=True)))

    @pytest.mark.parametrize(
        "method", ["fs/read_text_file", "fs/write_text_file", "terminal/create", "elicitation/create"]
    )
    def test_what_is_not_offered_is_refused(self, method: str) -> None:
        line = msgspec.json.encode({"jsonrpc": "2.0", "id": "a", "method": method, "params": {}}) + b"\n"
        _, (message,) = told(begun(), line)
        assert (message["id"], message["error"]["code"]) == ("a", -32601)

    def test_a_request_that_makes_no_sense_is_refused(self) -> None:
        line = b'{"jsonrpc":"2.0","id":1,"method":"session/request_permission","params":{"toolCall":5}}\n'
        _, (message,) = told(begun(), line)
        assert message["error"]["code"] == -32602


class TestTurns:
    @pytest.mark.parametrize(
        ("reason", "failure"),
        [
            ("refusal", FailureReason.REFUSED),
            ("max_tokens", FailureReason.AGENT_ERROR),
            ("max_turn_requests", FailureReason.AGENT_ERROR),
            ("cancelled", FailureReason.CANCELLED),
            ("something_new", FailureReason.AGENT_ERROR),
            ("end_turn", FailureReason.AGENT_ERROR),  # without a word
        ],
    )
    def test_why_it_stopped(self, reason: str, failure: FailureReason) -> None:
        (finished,), _ = told(begun(), reply(3, stopReason=reason))
        assert finished.failure.reason is failure

    @pytest.mark.parametrize(
        ("words", "failure"),
        [
            ("All done: there was an error in line 5.", None),
            ("[API Error: 429 slow down]", FailureReason.RATE_LIMITED),
            ("Error: something", FailureReason.AGENT_ERROR),
            ("Request failed: HTTP 403", FailureReason.AUTHENTICATION),
        ],
    )
    def test_an_error_that_is_only_said(self, words: str, failure: FailureReason | None) -> None:
        chunk = update("agent_message_chunk", content={"type": "text", "text": words})
        entries, _ = told(begun(), chunk, reply(3, stopReason="end_turn"))
        assert (entries[-1].failure and entries[-1].failure.reason) == failure
        worked = update("tool_call", toolCallId="c", title="ls", status="completed")
        entries, _ = told(begun(), worked, chunk, reply(3, stopReason="end_turn"))
        assert entries[-1].failure is None

    def test_thoughts_and_plans(self) -> None:
        thought = update("agent_thought_chunk", content={"type": "text", "text": "Hm."})
        plan = update("plan", entries=[{"content": "Look", "priority": "low", "status": "in_progress"}])
        entries, _ = told(begun(), thought, thought, plan)
        assert entries == [Thinking(text="Hm.Hm."), PlanUpdated(steps=(PlanStep("Look", "in_progress"),))]

    def test_what_is_not_known_is_kept(self) -> None:
        conversation = begun()
        entries, _ = told(conversation, update("weather_update", sun=True), b"a word of a launcher\n")
        assert [type(entry) for entry in entries] == [Unknown, Unknown]
        assert conversation.unknown == 2

    def test_the_cost_is_what_this_turn_added(self) -> None:
        def cost(amount: float) -> bytes:
            return update("usage_update", used=1, size=2, cost={"amount": amount, "currency": "USD"})

        entries, _ = told(begun(), cost(0.25), cost(0.75), reply(3, stopReason="cancelled"))
        assert entries[0].usage.cost == 0.75


class TestAgreementWithTheSchema:
    @pytest.mark.parametrize("folder", FOLDERS)
    def test_what_is_read_is_what_the_schema_reads(self, folder: str) -> None:
        lines = [line for case in cases(folder) for line in written(folder, case).splitlines()]
        for line in lines:
            message = msgspec.json.decode(line)
            if message.get("method") == "session/update":
                theirs = schema.SessionNotification.model_validate(message["params"]).update
                ours = msgspec.json.decode(line, type=RpcCall[SessionUpdate]).params.update
                assert type(ours).__struct_config__.tag == theirs.session_update
                if isinstance(ours, AgentMessage):
                    assert isinstance(theirs, schema.AgentMessageChunk)
                    assert isinstance(theirs.content, schema.TextContentBlock)
                    assert ours.content.text == theirs.content.text
                if isinstance(ours, CallFields):
                    assert isinstance(theirs, schema.ToolCallStart | schema.ToolCallProgress)
                    same(ours, theirs)
            elif message.get("method") == "session/request_permission":
                request = schema.RequestPermissionRequest.model_validate(message["params"])
                asked = msgspec.json.decode(line, type=RpcCall[PermissionRequest]).params
                same(asked.tool_call, request.tool_call)
                assert [(o.option_id, o.kind) for o in asked.options] == [
                    (o.option_id, o.kind) for o in request.options
                ]

    def test_all_updates_of_the_schema_are_read_but_those_that_nobody_asked_for(self) -> None:
        kinds = {kind.__struct_config__.tag for kind in get_args(Update)}
        union = schema.SessionNotification.model_fields["update"].annotation
        theirs = {get_args(one.model_fields["session_update"].annotation)[0] for one in get_args(union)}
        assert theirs - kinds == {"plan_update", "plan_removed"}
        assert kinds <= theirs


def same(ours: CallFields, theirs: Any) -> None:
    assert (ours.tool_call_id, ours.title) == (theirs.tool_call_id, theirs.title)
    assert (ours.kind, ours.status) == (theirs.kind, theirs.status)
    assert [one.path for one in ours.locations or ()] == [one.path for one in theirs.locations or ()]
    assert ours.raw_input == theirs.raw_input


class TestCommand:
    def test_each_known_agent_is_told_to_speak_the_protocol(self) -> None:
        for name, preset in PRESETS.items():
            launch = EXECUTOR.launch(attrs.evolve(RUN, options={"agent": name}, environment={"PATH": "/nowhere"}))
            assert launch.argv == (preset.program.name, *preset.arguments)
            assert launch.interactive

    def test_the_model_is_named_where_the_agent_takes_it(self) -> None:
        run = attrs.evolve(RUN, options={"agent": "gemini", "model": "m", "params": ["--debug"], "executable": "/g"})
        assert EXECUTOR.launch(run).argv == ("/g", "--acp", "--model=m", "--debug")
        assert said(run, BEGUN[0], reply(2, sessionId="s"))[-1]["method"] == "session/prompt"

    def test_any_other_agent_is_named_by_its_command(self) -> None:
        run = attrs.evolve(RUN, options={"base_command": "my-agent", "params": ["serve", "--acp"], "env": {"A": "b"}})
        launch = EXECUTOR.launch(run)
        assert (launch.argv, launch.env) == (("my-agent", "serve", "--acp"), {"A": "b"})

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({}, "no agent is named"),
            ({"agent": "gemeni"}, "did you mean gemini"),
            ({"agent": "gemini", "mode": " "}, "option mode"),
            ({"agent": "kimi", "npx": True}, "not distributed through npm"),
            ({"agent": "gemini", "env": {"GEMINI_API_KEY": "k"}}, "looks like a secret"),
        ],
    )
    def test_options_that_make_no_sense_are_refused(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(InvalidInput, match=words):
            EXECUTOR.launch(attrs.evolve(RUN, options=options))

    def test_it_is_available_if_any_known_agent_is(self, tmp_path: Path) -> None:
        nothing = EXECUTOR.availability({"PATH": str(tmp_path)})
        assert not nothing.available
        assert "goose" in nothing.reason
        for name in ("goose", "qwen"):
            program = tmp_path / name
            program.write_text("#!/bin/sh\necho 0.15.10\n")
            program.chmod(0o755)
        found = EXECUTOR.availability({"PATH": str(tmp_path)})
        assert (found.available, found.version, found.tested_versions) == (True, "0.15.10", ("0.15.10",))
        assert "qwen, goose (not tested)" in found.remedy
        assert EXECUTOR.availability_of("goose", {"PATH": str(tmp_path)}).available
        assert not EXECUTOR.availability_of("gemini", {"PATH": str(tmp_path)}).available
