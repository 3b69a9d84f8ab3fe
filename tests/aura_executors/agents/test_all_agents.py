"""What is the same for all agents: how their streams are understood, how their ends are judged, what is refused.

An agent is a line in `AGENTS`, with its captures or, where it cannot be run here, a stream as its documentation shows
it. What a capture means in particular is told by the agent's own tests.
"""

import sys
from collections.abc import Sequence
from contextlib import suppress

import msgspec
import pytest
from attrs import evolve, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from replays import Replay, a_run, captures, cut, exited, json_lines, mutated, replay, written
from test_amp import TURN as AMP_TURN
from test_cursor_agent import TURN as CURSOR_TURN
from test_droid import TURN as DROID_TURN

from aura_contracts.entries import AnyEntry, Finished, Message, PermissionRequested, PermissionWithdrawn, Unknown
from aura_contracts.errors import InvalidInput, SessionElsewhere
from aura_contracts.failures import FailureReason as Reason
from aura_contracts.ports.executors import AgentRun, Executor
from aura_contracts.ports.processes import ARGUMENT_LIMIT, ExitCause
from aura_engine.profiles import PROJECT_OPTIONS, load_profiles
from aura_executors.adapter.json_lines import JsonLines
from aura_executors.adapter.options import ActingOptions
from aura_executors.registry import ExecutorRegistry
from aura_executors.testing.executor import ExecutorConformance

LOCAL_TURN = json_lines(
    {"type": "session_started", "session_id": "s", "model": "m"},
    {"type": "tool_call", "call_id": "c", "tool": "write_file", "arguments": {"file_path": "a.txt"}},
    {"type": "file_change", "path": "a.txt", "change": "added", "call_id": "c"},
    {"type": "tool_result", "call_id": "c", "output": "written"},
    {"type": "message", "text": "Done: a.txt is there."},
    {"type": "usage", "usage": {"input_tokens": 11, "output_tokens": 7}, "model": "m"},
    {"type": "finished"},
)


@frozen(kw_only=True)
class Agent:
    """What is needed to test an executor as all others."""

    name: str
    folders: tuple[str, ...] = ()
    """Where its captures are; the first has one that is named `first`, in which all goes well."""
    turn: bytes = b""
    """The same for an agent without captures."""
    badly: tuple[str, Reason] | None = None
    """A capture in which it says that it failed, and why."""
    options: dict[str, object] = field(factory=dict)
    """What it needs, or is to be run with."""
    label: str = ""

    @property
    def executor(self) -> Executor:
        return REGISTRY.get(self.name)

    @property
    def run(self) -> AgentRun:
        return a_run(**self.options)

    @property
    def runs(self) -> list[AgentRun]:
        """What it accepts: to begin, to go on in a session, and with a copy of one, where it can."""
        can, going_on = self.executor.capability, evolve(self.run, session_id=SESSION)
        forked = evolve(going_on, fork=True, new_session_id="e58b6b92-6bd1-48b4-b71a-6e0e3ecf5a1f")
        return [self.run, *([going_on] * can.resume), *([forked] * can.fork)]

    @property
    def transcripts(self) -> list[bytes]:
        """What the conformance suite reads byte by byte: the run that goes well, and two in which much happens."""
        found = sorted((data for name in self.streams if (data := self.stream(name))), key=len)
        return [self.well, *found[-3:-1]]

    @property
    def well(self) -> bytes:
        return self.turn or written(self.folders[0], "first")

    @property
    def streams(self) -> list[str]:
        """Its captures, as FOLDER/CASE."""
        return captures(*self.folders)

    def stream(self, name: str) -> bytes:
        folder, _, case = name.partition("/")
        return written(folder, case) if case else self.turn

    def replay(self, *pieces: bytes, code: int = 0, cause: ExitCause = ExitCause.OWN) -> Replay:
        return replay(self.executor, pieces, exited(code, cause), run=self.run)


SESSION = "01a1fb74-d4e2-7b61-b7d6-db4a545e7032"

REGISTRY = ExecutorRegistry()

ENDPOINT = {"endpoint": "http://127.0.0.1:1/v1"}

AGENTS = (
    Agent(name="claude", folders=("claude22", "claude"), badly=("fail401", Reason.AUTHENTICATION)),
    Agent(
        name="codex",
        folders=("codex",),
        badly=("fail429", Reason.RATE_LIMITED),
        options={"protocol": "exec"},
        label="exec",
    ),
    Agent(name="codex", folders=("codex-app-server",), badly=("fail401", Reason.AUTHENTICATION)),
    Agent(name="gemini", folders=("gemini", "gemini-norelaunch"), badly=("fail401", Reason.AUTHENTICATION)),
    Agent(name="copilot", folders=("copilot", "copilot-native"), badly=("fail401", Reason.AUTHENTICATION)),
    Agent(name="qwen-code", folders=("qwen",), badly=("fail401", Reason.AUTHENTICATION)),
    Agent(name="opencode", folders=("opencode",), badly=("drop", Reason.AGENT_ERROR)),
    Agent(
        name="acp",
        folders=("claude-agent-acp", "codex-acp", "copilot-acp", "gemini-acp", "opencode-acp", "qwen-acp"),
        badly=("fail401", Reason.AUTHENTICATION),
        options={"agent": "claude-agent-acp"},
    ),
    Agent(name="amp", turn=AMP_TURN),
    Agent(name="cursor-agent", turn=CURSOR_TURN),
    Agent(name="droid", turn=DROID_TURN),
    Agent(name="local", turn=LOCAL_TURN, options=ENDPOINT),
    Agent(name="ollama", turn=b"Thinking...\nHm.\n...done thinking.\n\nDone: nothing.\n", options={"model": "m"}),
    Agent(name="lms", turn=b"<think>\nHm.\n</think>\nDone: nothing.\n", options={"model": "m"}),
)

STREAMS = [(agent, name) for agent in AGENTS for name in (agent.streams or [agent.name])]

JSON = [agent for agent in AGENTS if isinstance(agent.executor.converse(agent.run), JsonLines)]
FINISHING = [agent for agent in JSON if agent.badly]
ACTING = [agent for agent in AGENTS if agent.name not in {"ollama", "lms"}]


def label(agent: object) -> str | None:
    return f"{agent.name}{agent.label and '-'}{agent.label}" if isinstance(agent, Agent) else None


def of(agents: Sequence[Agent]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("agent", agents, ids=label)


class TestConformance(ExecutorConformance):
    """Those whose streams are not where `test_conformance` looks, which tests every executor that is installed."""

    @pytest.fixture(params=[one for one in AGENTS if (one.turn or one.label) and one.name != "local"], ids=label)
    def agent(self, request: pytest.FixtureRequest) -> Agent:
        return request.param

    @pytest.fixture
    def executor(self, agent: Agent) -> Executor:
        return agent.executor

    @pytest.fixture
    def runs(self, agent: Agent) -> Sequence[AgentRun]:
        return agent.runs

    @pytest.fixture
    def transcripts(self, agent: Agent) -> Sequence[bytes]:
        return agent.transcripts


# --- What it wrote


@pytest.mark.parametrize(("agent", "name"), STREAMS, ids=lambda value: label(value) or value)
def test_pieces_make_no_difference(agent: Agent, name: str) -> None:
    data = agent.stream(name)
    whole = agent.replay(data)
    for seed in range(6):
        seen = agent.replay(*cut(data, seed))
        assert (seen.entries, seen.sends, seen.failure) == (whole.entries, whole.sends, whole.failure)


@pytest.mark.deep_but_first
@of(AGENTS)
def test_what_was_garbled_is_no_error_and_is_counted(agent: Agent) -> None:
    names = agent.streams or [agent.name]

    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from(names), st.integers(0, 10**6))
    def generated(name: str, seed: int) -> None:
        seen = agent.replay(*cut(mutated(agent.stream(name), seed), seed))
        assert len(seen.of(Unknown)) == seen.unknown
        for entry in seen.entries:
            assert msgspec.json.decode(msgspec.json.encode(entry), type=AnyEntry) == entry

    generated()


@of(JSON)
def test_half_a_character_is_mended(agent: Agent) -> None:
    """Agents in JavaScript write it where a model cuts a character in two."""
    whole = agent.replay(agent.well)
    word = whole.of(Message)[-1].text.split()[0]
    for half in (b"\\ud83d", b"\\uDE00", b"\\ude00\\ud83d"):
        seen = agent.replay(agent.well.replace(word.encode(), word.encode() + half))
        assert (seen.kinds, seen.unknown, seen.failure) == (whole.kinds, 0, None)
        assert f"{word}\ufffd" in seen.of(Message)[-1].text
    whole_one = agent.replay(agent.well.replace(word.encode(), word.encode() + b"\\ud83d\\ude00"))
    assert f"{word}\U0001f600" in whole_one.of(Message)[-1].text


@of(JSON)
def test_lines_that_are_not_known_are_kept_as_they_are(agent: Agent) -> None:
    strange = [b'{"type":"hologram","method":"hologram"}', b'{"type":"hologram\\ud83d","method":"\\ud83d"}', b"{"]
    seen = agent.replay(*(line + b"\n" for line in strange))
    assert [entry.text.encode() for entry in seen.of(Unknown)] == strange
    assert seen.unknown == len(strange)


# --- How it ended


@of(AGENTS)
def test_who_ended_it_decides(agent: Agent) -> None:
    for cause, reason in (
        (ExitCause.INTERRUPTED, Reason.CANCELLED),
        (ExitCause.TIMEOUT, Reason.TIMEOUT),
        (ExitCause.IDLE_TIMEOUT, Reason.TIMEOUT),
        (ExitCause.OUTPUT_LIMIT, Reason.OUTPUT_LIMIT),
        (ExitCause.ABANDONED, Reason.WORKER_LOST),
        (ExitCause.SPOOL_FAILED, Reason.STORAGE_FULL),
        (ExitCause.VANISHED, Reason.WORKER_LOST),
    ):
        for code in (0, 1, -9):
            assert agent.replay(agent.well, code=code, cause=cause).reason is reason, cause


@of(AGENTS)
def test_one_that_did_not_go_did_well_if_it_said_so(agent: Agent) -> None:
    assert agent.replay(agent.well, code=-9, cause=ExitCause.EXIT_GRACE).failure is None
    assert agent.replay(agent.well).failure is None


@of(FINISHING)
def test_one_that_did_not_go_has_failed_if_it_said_so(agent: Agent) -> None:
    case, reason = agent.badly or ("", None)
    failure = agent.replay(written(agent.folders[0], case), code=-9, cause=ExitCause.EXIT_GRACE).failure
    assert failure is not None
    assert (failure.reason, failure.signal) == (reason, 9)


@of(JSON)
def test_a_stream_that_was_cut_off_is_a_failure_although_it_exits_well(agent: Agent) -> None:
    lines = agent.well.splitlines(keepends=True)
    for end in range(len(lines)):
        seen = agent.replay(*lines[:end])
        if not seen.of(Finished):
            assert seen.reason is Reason.AGENT_ERROR
    assert agent.replay(*lines).failure is None


# --- How it is started


@of(AGENTS)
def test_the_prompt_is_no_argument(agent: Agent) -> None:
    for prompt in ("--help", "-", "", "a\0b", "\ud800", "x" * 300_000):
        launch = agent.executor.launch(evolve(agent.run, prompt=prompt))
        assert launch.argv == agent.executor.launch(agent.run).argv
        assert all(len(word.encode()) <= ARGUMENT_LIMIT and "\0" not in word for word in launch.argv)


@of(AGENTS)
def test_what_a_project_may_choose_is_no_argument_of_its_own(agent: Agent) -> None:
    for option in PROJECT_OPTIONS & {"model", "reasoning_effort", "append_prompt", "append_system_prompt"}:
        run = evolve(agent.run, options={**agent.options, option: "--yolo"})
        with suppress(InvalidInput):
            assert "--yolo" not in agent.executor.launch(run).argv


IMPOSSIBLE: list[tuple[dict[str, object], str]] = [
    ({"env": {"OPENAI_API_KEY": "sk-1"}}, "OPENAI_API_KEY"),
    ({"env": {"A=B": "c"}}, "env"),
    ({"env": {"A": "\0"}}, "env"),
    ({"model": " "}, "model"),
    ({"no_such_option": 1}, "no_such_option"),
]
UNRUNNABLE: list[tuple[dict[str, object], str]] = [
    ({"params": ["\0"]}, "params"),
    ({"append_prompt": "\0"}, "append_prompt"),
    ({"executable": ""}, "executable"),
    ({"executable": "a", "base_command": "b"}, "base_command"),
]


@of(AGENTS)
def test_options_that_no_agent_can_be_given_are_refused(agent: Agent) -> None:
    for options, named in (*IMPOSSIBLE, *(UNRUNNABLE if agent.name != "local" else ())):
        with pytest.raises(InvalidInput, match=named):
            agent.executor.launch(evolve(agent.run, options={**agent.options, **options}))


@of([agent for agent in AGENTS if agent.name != "local"])
def test_what_every_agent_can_be_set_to(agent: Agent) -> None:
    given = {"executable": "/opt/it", "params": ["--more"], "env": {"A": "b"}, "append_prompt": "Be brief."}
    run = evolve(agent.run, options={**agent.options, **given})
    launch = agent.executor.launch(run)
    assert launch.argv[0] == "/opt/it"
    assert "--more" in launch.argv
    assert launch.env["A"] == "b"
    renamed = {"base_command": "mine", **agent.options}
    assert agent.executor.launch(evolve(agent.run, options=renamed)).argv[0] == "mine"


@of(AGENTS)
def test_a_fork_needs_an_agent_that_can_and_a_session(agent: Agent) -> None:
    run = evolve(agent.run, session_id=SESSION, fork=True)
    if agent.executor.capability.fork:
        assert agent.executor.launch(run)
    else:
        with pytest.raises(InvalidInput, match="fork"):
            agent.executor.launch(run)
    if agent.name != "local":
        with pytest.raises(InvalidInput, match="fork"):
            agent.executor.launch(evolve(run, session_id=None))


# --- One word for one thing


@of(ACTING)
def test_an_agent_can_be_let_alone_by_either_word(agent: Agent) -> None:
    """By ``--yolo`` and by ``--allow-all-tools`` of the command line; copilot has two things for the two."""
    started = [
        agent.executor.launch(evolve(agent.run, options={**agent.options, **given}))
        for given in ({}, {"yolo": True}, {"allow_all_tools": True}, {"yolo": True, "allow_all_tools": True})
    ]
    words = [(launch.argv, launch.stdin) for launch in started]
    if label(agent) not in {"codex", "acp"}:  # which are told, or answered, later
        assert words[0] != words[1]
    if agent.name != "copilot":
        assert words[1] == words[2] == words[3]


def test_an_agent_that_asks_by_protocol_is_answered_at_once_if_it_is_let_alone() -> None:
    acp = next(agent for agent in AGENTS if agent.name == "acp")
    asking, alone = (replay(acp.executor, acp.well, run=a_run(**acp.options, yolo=yolo)) for yolo in (False, True))
    questions = (PermissionRequested, PermissionWithdrawn)
    assert len(asking.of(*questions)) == 2
    assert alone.entries == [entry for entry in asking.entries if not isinstance(entry, questions)]
    (answer,) = [send for send in alone.sends if send not in asking.sends]
    assert b'"selected"' in answer.data


def test_the_same_thing_has_the_same_name() -> None:
    shunned = {"allowed_tools", "disallowed_tools", "effort", "include_directories", "dangerously_allow_all", "variant"}
    types: dict[str, set[object]] = {}
    for agent in AGENTS:
        with pytest.raises(InvalidInput) as refused:
            agent.executor.launch(evolve(agent.run, options={**agent.options, "no_such_option": 1}))
        names = set((refused.value.remedy or "").partition("its options are ")[2].split(", "))
        assert not names & shunned, agent.name
        if agent in ACTING:
            assert {"yolo", "allow_all_tools"} <= names, agent.name
        for name in names:
            types.setdefault(name, set()).add(agent.name)
    assert types["model"] == {agent.name for agent in AGENTS}
    assert set(msgspec.structs.asdict(ActingOptions())) <= set(types)


@pytest.mark.parametrize("profile", [*load_profiles()], ids=lambda one: f"{one.executor}-{one.variant}")
def test_every_built_in_profile_is_accepted(profile) -> None:
    run = a_run(**load_profiles().options(profile.executor, profile.variant, {}))
    assert REGISTRY.get(profile.executor).launch(run).argv


ENDS = (
    *("success", "failure", "no final word", "rate limit", "authentication", "refused", "session lost"),
    *("interrupted", "lack of permission"),
)


@of(AGENTS)
def test_how_ends_are_told_apart_is_written_in_the_same_place(agent: Agent) -> None:
    told = sys.modules[type(agent.executor).__module__].__doc__ or ""
    assert told.startswith(f"Executor `{agent.name}`: ")
    for end in ENDS:
        assert f"\n{end:24}" in told


@pytest.mark.parametrize("name", ["claude", "qwen-code"])
def test_an_agent_that_is_given_a_limit_of_silence_writes_while_it_works(name: str) -> None:
    executor = ExecutorRegistry().get(name)
    run = AgentRun(prompt="p", cwd="/tmp", options={"executable": "/bin/true"})
    assert "--include-partial-messages" not in executor.launch(run).argv
    assert "--include-partial-messages" in executor.launch(evolve(run, idle_timeout=60.0)).argv


@pytest.mark.parametrize("name", ["claude", "qwen-code"])
@pytest.mark.parametrize(("prompt", "sent"), [("/help me", " /help me"), ("--", "--"), ("a /b", "a /b")])
def test_a_prompt_is_no_command_of_the_agent(name: str, prompt: str, sent: str) -> None:
    run = AgentRun(prompt=prompt, cwd="/tmp", options={"executable": "/bin/true"})
    stdin = ExecutorRegistry().get(name).launch(run).stdin
    assert stdin is not None
    message = msgspec.json.decode(stdin.splitlines()[-1])
    assert message["message"]["content"] == [{"type": "text", "text": sent}]


@pytest.mark.parametrize(("name", "options"), [("opencode", {}), ("acp", {"agent": "opencode"})])
def test_a_session_of_opencode_is_not_resumed_in_another_folder(name: str, options: dict[str, str]) -> None:
    executor = ExecutorRegistry().get(name)
    run = AgentRun(prompt="p", cwd="/tmp", options=options, session_id="ses_1")
    executor.launch(run)
    with pytest.raises(SessionElsewhere, match="ses_1"):
        executor.launch(evolve(run, elsewhere=True))


@pytest.mark.parametrize("agent", JSON, ids=str)
@pytest.mark.parametrize("noise", [b"\xef\xbb\xbf", b"\x1b]0;agent\x07\x1b[?25l", b"\x1b7\x1b[1;1H"])
def test_what_is_meant_for_a_terminal_hides_no_line(agent: Agent, noise: bytes) -> None:
    lines = agent.well.splitlines(keepends=True)
    found = agent.replay(*(line if number % 2 else noise + line for number, line in enumerate(lines)))
    assert found.entries == agent.replay(agent.well).entries
