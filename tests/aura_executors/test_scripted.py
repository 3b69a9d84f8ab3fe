"""The scripted agent, as a real process, and what its conversation understands of it."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.entries import (
    Entry,
    ErrorReported,
    Finished,
    Message,
    PermissionRequested,
    SessionStarted,
    ToolCalled,
    Unknown,
    Usage,
    UsageReported,
)
from aura_contracts.errors import InvalidInput
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.ports.executors import AgentRun, Answer, Launch, Send
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.adapter.bounded_text import clipped
from aura_executors.adapter.json_lines import UNKNOWN_LIMIT
from aura_executors.scripted import ScriptedConversation, ScriptedExecutor
from aura_executors.scripted.steps import SHAPES
from aura_executors.scripted.transcript import LINE_LIMIT

EXECUTOR = ScriptedExecutor()


class Ended:
    """How a run of the agent went."""

    def __init__(self, code: int, stdout: bytes, stderr: bytes) -> None:
        self.code = code
        self.stderr = stderr.decode("utf-8", "replace")
        conversation = ScriptedConversation()
        own = {"exit_code": code} if code >= 0 else {"signal": -code}
        ended = ProcessExit(token="t", cause=ExitCause.OWN, **own)
        items = [*conversation.receive(OutputSource.STDOUT, stdout), *conversation.end(ended)]
        self.entries = [item for item in items if isinstance(item, Entry)]
        self.failure = conversation.judge(ended)
        self.plain = "".join(
            line for line in stdout.decode("utf-8", "replace").splitlines(True) if not line.startswith('{"aura"')
        )

    def of(self, kind: type[Entry]) -> list[Any]:
        return [entry for entry in self.entries if isinstance(entry, kind)]

    @property
    def session(self) -> str:
        return self.of(SessionStarted)[-1].session_id


def launch(cwd: Path, prompt: str = "do it", session: str | None = None, **options: Any) -> Launch:
    return EXECUTOR.launch(AgentRun(prompt=prompt, cwd=str(cwd), options=options, session_id=session))


@contextmanager
def started(cwd: Path, *steps: Any, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Start the agent, give it its order, and leave its standard input open."""
    launched = launch(cwd, **({"steps": list(steps)} if steps else {}), **options)
    with subprocess.Popen(
        launched.argv, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(launched.stdin)
        process.stdin.flush()
        try:
            yield process
        finally:
            process.kill()


def play(cwd: Path, *steps: Any, **options: Any) -> Ended:
    """Run the agent to its end; nobody answers what it asks."""
    launched = launch(cwd, **({"steps": list(steps)} if steps else {}), **options)
    done = subprocess.run(launched.argv, cwd=cwd, input=launched.stdin, capture_output=True, check=False, timeout=60)
    return Ended(done.returncode, done.stdout, done.stderr)


def asked(process: subprocess.Popen[bytes], conversation: ScriptedConversation) -> PermissionRequested:
    """Read on until the agent asks for permission."""
    for line in process.stdout:
        for entry in conversation.receive(OutputSource.STDOUT, line):
            if isinstance(entry, PermissionRequested):
                return entry
    raise AssertionError("it did not ask")


# --- Files


def test_it_works_on_files(tmp_path: Path):
    (tmp_path / "old.txt").write_text("one two")
    (tmp_path / "gone.txt").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside.txt").write_text("")
    done = play(
        tmp_path,
        {"write": {"path": "src/new.txt", "text": "ä\r\n"}},
        {"append": {"path": "src/new.txt", "text": "more"}},
        {"append": {"path": "fresh.txt", "text": "x"}},
        {"edit": {"path": "old.txt", "old": "two", "new": "2"}},
        {"rename": {"path": "old.txt", "to": "deep/er/new name.txt"}},
        {"delete": "gone.txt"},
        {"delete": {"path": "folder"}},
    )
    assert (done.code, done.failure, done.stderr, done.plain) == (0, None, "", "")
    files = {str(file.relative_to(tmp_path)): file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert files == {"src/new.txt": "ä\r\nmore".encode(), "fresh.txt": b"x", "deep/er/new name.txt": b"one 2"}


@pytest.mark.deep_but_first
@pytest.mark.parametrize(
    "path", ["../out.txt", "/etc/aura-out.txt", "link/out.txt", "a/../../out.txt", ".", "..", "leaf"]
)
@pytest.mark.parametrize("step", ["write", "append", "edit", "delete", "rename to"])
def test_it_touches_nothing_outside(tmp_path: Path, path: str, step: str):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    (inside / "link").symlink_to(outside)
    (inside / "leaf").symlink_to(outside / "kept.txt")
    (inside / "mine.txt").write_text("mine")
    steps = {
        "write": {"write": {"path": path, "text": "x"}},
        "append": {"append": {"path": path, "text": "x"}},
        "edit": {"edit": {"path": path, "old": "kept", "new": "x"}},
        "delete": {"delete": path},
        "rename to": {"rename": {"path": "mine.txt", "to": path}},
    }
    done = play(inside, steps[step])
    on_the_link_itself = path == "leaf" and step in {"delete", "rename to"}
    assert done.code == (0 if on_the_link_itself else 1)
    assert on_the_link_itself or "is not inside of the folder" in done.failure.message
    assert [file.name for file in outside.iterdir()] == ["kept.txt"]
    assert (outside / "kept.txt").read_text() == "kept"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["inside", "outside"]


def test_a_step_that_cannot_be_done_ends_the_run_with_the_reason(tmp_path: Path):
    (tmp_path / "a.txt").write_text("x x")
    for step, reason in (
        ({"edit": {"path": "a.txt", "old": "x", "new": "y"}}, "a.txt: 'x' is in there 2 times, not once"),
        ({"edit": {"path": "a.txt", "old": "", "new": "y"}}, "a.txt: '' is in there 0 times, not once"),
        ({"delete": "b.txt"}, "No such file or directory"),
        ({"spawn": ["no-such-program-anywhere"]}, "No such file or directory"),
        ({"write": {"path": "nul\0", "text": ""}}, "null"),
        ({"append": {"path": "no/folder", "text": ""}}, "No such file or directory"),
        ({"ignore_signals": [9]}, "signal 9"),
    ):
        done = play(tmp_path, step, {"say": "never said"})
        assert done.code == 1
        assert reason in done.failure.message
        assert reason in done.stderr
        assert not done.of(Message)


# --- Output


def test_it_prints(tmp_path: Path):
    done = play(
        tmp_path,
        {"print": "hello"},
        {"print": {"text": "trouble", "stream": "stderr"}},
        {"print": {"text": "ab", "newline": False, "repeat": 3}},
        {"print": {"text": "", "repeat": 2}},
        {"print": {"text": "never", "repeat": 0}},
        "print_prompt",
    )
    assert done.plain == "hello\nababab\n\ndo it\n"
    assert done.stderr == "trouble\n"
    assert done.failure is None


@pytest.mark.parametrize("text", ["x" * 199, "y" * 70_000])
def test_it_can_print_much(tmp_path: Path, text: str):
    repeat = 4_000_000 // (len(text) + 1)
    done = play(tmp_path, {"print": {"text": text, "repeat": repeat}})
    assert done.plain == (text + "\n") * repeat


def test_it_can_close_its_output_and_go_on(tmp_path: Path):
    with started(tmp_path, {"print": "before"}, {"close": "stdout"}, {"close": "stderr"}, {"wait_for": "go"}) as agent:
        read = agent.stdout.read()
        assert read.endswith(b"before\n")
        assert agent.stderr.read() == b""
        assert agent.poll() is None
        (tmp_path / "go").touch()
        assert agent.wait(60) == 0


def test_nobody_reading_is_no_traceback(tmp_path: Path):
    with started(tmp_path, {"wait_for": "go"}, {"print": {"text": "x", "repeat": 1_000_000}}) as agent:
        agent.stdout.close()
        (tmp_path / "go").touch()
        assert agent.wait(60) == 1
        assert agent.stderr.read() == b""


# --- Talking


def test_it_talks_in_entries(tmp_path: Path):
    done = play(
        tmp_path, {"say": "häl\nlo"}, {"usage": {"input_tokens": 5, "cost": 0.5}}, {"session": "mine"}, {"sleep": 0}
    )
    assert done.entries == [
        Message(text="häl\nlo"),
        UsageReported(usage=Usage(input_tokens=5, cost=0.5)),
        SessionStarted(session_id="mine"),
    ]
    assert done.plain == ""


def test_rounds_follow_the_session(tmp_path: Path):
    rounds = [[{"say": "first"}], {"steps": [{"say": "second"}]}, [{"say": "third"}]]
    session, said, begun = None, [], []
    for _ in range(5):
        done = play(tmp_path, rounds=rounds, session=session)
        said += [entry.text for entry in done.of(Message)]
        begun.append(done.of(SessionStarted)[0].session_id)
        session = done.session
    assert said == ["first", "second", "third", "third", "third"]
    assert begun == [f"scripted-{number}" for number in range(5)]
    assert session == "scripted-5"


def test_a_round_that_was_cut_off_is_played_again_and_one_that_failed_is_not(tmp_path: Path):
    rounds = [[{"signal": 9}], [{"fail": 3}], [{"say": "well"}]]
    done = play(tmp_path, rounds=rounds)
    assert (done.code, done.session) == (-9, "scripted-0")
    assert play(tmp_path, rounds=rounds, session=done.session).code == -9
    done = play(tmp_path, rounds=rounds, session="scripted-1")
    assert (done.code, done.session) == (3, "scripted-2")
    assert play(tmp_path, rounds=rounds, session=done.session).of(Message) == [Message(text="well")]


def test_a_session_of_another_name_has_one_round_behind_it(tmp_path: Path):
    rounds = [[{"session": "mine"}], [{"say": "second"}]]
    done = play(tmp_path, rounds=rounds)
    assert done.of(SessionStarted) == [SessionStarted(session_id="mine")]
    assert play(tmp_path, rounds=rounds, session="mine").of(Message) == [Message(text="second")]


def test_the_prompt_that_arrives_is_checked(tmp_path: Path):
    prompt = 'Do "this",\nthen $that \\ ü\ud800'
    assert play(tmp_path, {"expect_prompt": '"this",\nthen $that \\ ü'}, prompt=prompt).failure is None
    done = play(tmp_path, {"expect_prompt": "those"}, prompt="these")
    assert done.code == 1
    assert done.failure.message == "the prompt lacks 'those': 'these'"


# --- Permission

ASK = {"ask": {"tool": "rm", "arguments": {"path": "a", "all": True}, "diff": "-a", "then": [{"say": "removed"}]}}


def test_it_waits_for_permission_and_goes_on_with_what_was_allowed(tmp_path: Path):
    conversation = ScriptedConversation()
    assert launch(tmp_path, steps=[ASK]).interactive
    with started(tmp_path, ASK) as agent:
        request = asked(agent, conversation)
        assert (request.tool, request.arguments, request.diff) == ("rm", {"path": "a", "all": True}, "-a")
        assert agent.poll() is None
        agent.stdin.write(b'{"nonsense": 1}\n[]\n\xff\n')
        for granted, request_id in ((False, "another"), (True, request.request_id)):
            (send,) = conversation.answer(request_id, Answer(granted=granted, feedback="ü"))
            assert isinstance(send, Send)
            agent.stdin.write(send.data)
        agent.stdin.flush()
        done = Ended(agent.wait(60), agent.stdout.read(), agent.stderr.read())
    assert done.code == 0
    (called,) = done.of(ToolCalled)
    assert (called.call_id, called.tool, called.arguments) == (request.request_id, "rm", request.arguments)
    assert done.of(Message) == [Message(text="removed")]
    assert done.stderr.count("not an answer") == 3


@pytest.mark.parametrize(
    ("more", "said", "printed"),
    [
        ({}, [], "permission for rm was denied: keep it\n"),
        ({"otherwise": []}, [], ""),
        ({"otherwise": [{"say": "then not"}]}, ["then not"], ""),
    ],
)
def test_what_was_denied_is_not_done(tmp_path: Path, more: dict[str, Any], said: list[str], printed: str):
    conversation = ScriptedConversation()
    with started(tmp_path, {"ask": {**ASK["ask"], **more}}) as agent:
        request = asked(agent, conversation)
        (send,) = conversation.answer(request.request_id, Answer(granted=False, feedback="keep it"))
        agent.stdin.write(send.data)
        agent.stdin.flush()
        done = Ended(agent.wait(60), agent.stdout.read(), agent.stderr.read())
    assert [entry.text for entry in done.of(Message)] == said
    assert done.plain == printed
    assert not done.of(ToolCalled)


def test_when_nobody_can_answer_the_answer_is_no(tmp_path: Path):
    done = play(tmp_path, ASK)
    assert done.plain == "permission for rm was denied: no answer can come any more\n"
    assert done.failure is None


def test_the_same_call_has_the_same_fingerprint_in_another_session(tmp_path: Path):
    same = {"ask": {"tool": "rm", "arguments": {"all": True, "path": "a"}}}
    other = {"ask": {"tool": "rm", "arguments": {"all": True, "path": "b"}}}
    first = play(tmp_path, ASK).of(PermissionRequested)
    again = play(tmp_path, other, same, session="scripted-4").of(PermissionRequested)
    assert first[0].fingerprint == again[1].fingerprint != again[0].fingerprint
    assert len({request.request_id for request in (*first, *again)}) == 3 or first[0].request_id == again[0].request_id


def test_standard_input_stays_open_only_where_something_is_asked(tmp_path: Path):
    inner = [{"ask": {"tool": "a", "then": [{"ask": {"tool": "b"}}]}}]
    assert not launch(tmp_path, steps=[{"say": "x"}]).interactive
    assert launch(tmp_path, rounds=[[{"say": "x"}], inner], session="scripted-1").interactive
    assert not launch(tmp_path, rounds=[[{"say": "x"}], inner]).interactive
    assert launch(tmp_path, script="any.toml").interactive


# --- Failing


@pytest.mark.parametrize(
    ("step", "code", "failure"),
    [
        ({"fail": 7}, 7, Failure(FailureReason.AGENT_ERROR, "it exited with 7", exit_code=7)),
        ("fail", 1, Failure(FailureReason.AGENT_ERROR, "it exited with 1", exit_code=1)),
        (
            {"fail": {"exit_code": 5, "message": "no idea"}},
            5,
            Failure(FailureReason.AGENT_ERROR, "no idea", exit_code=5),
        ),
        (
            {"fail": {"reason": "RateLimited", "message": "later", "exit_code": 0}},
            0,
            Failure(FailureReason.RATE_LIMITED, "later", exit_code=0),
        ),
        ({"signal": 15}, -15, Failure(FailureReason.AGENT_ERROR, "it was ended by signal 15", signal=15)),
        ({"signal": 2}, -2, Failure(FailureReason.AGENT_ERROR, "it was ended by signal 2", signal=2)),
    ],
)
def test_it_fails_in_every_way(tmp_path: Path, step: Any, code: int, failure: Failure):
    done = play(tmp_path, step, {"say": "never said"})
    assert (done.code, done.failure) == (code, failure)
    assert not done.of(Message)


def test_an_error_that_it_got_over_is_no_failure():
    conversation = ScriptedConversation()
    lines = b'{"aura": {"type": "error", "message": "oops"}}\n{"aura": {"type": "finished"}}\n'
    entries = list(conversation.receive(OutputSource.STDOUT, lines))
    assert entries == [ErrorReported(message="oops"), Finished()]
    assert conversation.judge(ProcessExit(token="t", cause=ExitCause.OWN, exit_code=0)) is None
    cut = ProcessExit(token="t", cause=ExitCause.TIMEOUT, signal=9, message="after 5 s")
    assert conversation.judge(cut) == Failure(FailureReason.TIMEOUT, "after 5 s", signal=9)


def test_signals_can_be_ignored(tmp_path: Path):
    with started(tmp_path, "ignore_signals", {"print": "ready"}, {"wait_for": "go"}) as agent:
        while agent.stdout.readline() != b"ready\n":
            pass
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            agent.send_signal(number)
        (tmp_path / "go").touch()
        assert agent.wait(60) == 0


def test_it_starts_programs(tmp_path: Path):
    done = play(tmp_path, {"spawn": {"argv": ["sh", "-c", "echo from the child"], "wait": True}})
    assert min(done.plain.splitlines()) == "from the child"  # or before the agent says that it started it
    assert play(tmp_path, {"spawn": {"argv": ["false"], "wait": True}}).failure.message == "false: ended with 1"


def test_a_detached_program_has_a_session_of_its_own_and_outlives_the_agent(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    write = 'echo "$$ $(cat pipe) $(ps -o sid= -p $$)" > told.part; mv told.part told'
    done = play(tmp_path, {"spawn": {"argv": ["sh", "-c", write], "detach": True}})
    pid = int(done.plain.removeprefix("spawned "))
    (tmp_path / "pipe").write_text("go\n")
    with started(tmp_path, {"wait_for": "told"}) as waiting:
        assert waiting.wait(60) == 0
    assert (tmp_path / "told").read_text().split() == [str(pid), "go", str(pid)]


# --- Steps


@pytest.mark.parametrize("name", ["script.json", "script.toml"])
def test_steps_can_be_in_a_file(tmp_path: Path, name: str):
    toml = '[[rounds]]\n[[rounds.steps]]\nsay = "one"\n[[rounds]]\nsteps = [{ say = "two" }, "print_prompt"]\n'
    rounds = {"rounds": [[{"say": "one"}], [{"say": "two"}, "print_prompt"]]}
    (tmp_path / name).write_text(toml if name.endswith("toml") else json.dumps(rounds))
    assert play(tmp_path, script=name).of(Message) == [Message(text="one")]
    second = play(tmp_path, script=str(tmp_path / name), session="scripted-1")
    assert (second.of(Message), second.plain) == ([Message(text="two")], "do it\n")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.json", "[", "a.json: Expecting value"),
        ("a.json", '[{"say": 5}]', "steps[0].say.text: expected a text, not a whole number"),
        ("a.json", "[" * 100_000, "recursion"),
        ("a.toml", "x", "a.toml: "),
        ("a.toml", "x = 1", "x: unknown setting; the settings are steps, rounds"),
        ("a.yaml", "", "a.yaml: a script ends in .toml or .json"),
        ("b.json", None, "No such file"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_the_agent(tmp_path: Path, name: str, text: str | None, reason: str):
    if text is not None:
        (tmp_path / name).write_text(text)
    done = play(tmp_path, script=name)
    assert done.code == 2
    assert reason in done.stderr
    assert done.failure == Failure(FailureReason.AGENT_ERROR, "it exited with 2", exit_code=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "executor scripted has no steps; give exactly one of the options steps, rounds and script"),
        ({"steps": [], "script": "a.toml"}, "give exactly one of"),
        ({"step": []}, "option step: executor scripted has no such option; did you mean steps"),
        ({"steps": "say"}, "option steps: expected array"),
        ({"rounds": []}, "rounds: expected a list of at least one round"),
        ({"rounds": [{"say": "x"}]}, r"rounds\[0\]: expected a list of steps, not a table"),
        ({"rounds": [[], [{"sya": "x"}]]}, r"rounds\[1\]\[0\]: unknown step 'sya'; the steps are write, append"),
        ({"steps": [{"say": "x", "print": "y"}]}, r"steps\[0\]: expected one step such as"),
        ({"steps": [5]}, r"steps\[0\]: expected one step such as .* not a whole number"),
        ({"steps": ["write"]}, r"steps\[0\]\.write: path is missing"),
        ({"steps": [{"write": "a.txt"}]}, r"steps\[0\]\.write: expected a table, not a text"),
        (
            {"steps": [{"write": {"path": "a", "text": "", "mode": 1}}]},
            "unknown argument 'mode'; the arguments are path, text",
        ),
        ({"steps": [{"sleep": True}]}, "expected a whole number or a number, not true or false"),
        ({"steps": [{"print": {"text": "x", "stream": "stdlog"}}]}, "expected stdout or stderr, not 'stdlog'"),
        ({"steps": [{"spawn": []}]}, "argv: expected texts, at least one"),
        ({"steps": [{"spawn": ["a", 1]}]}, "argv: expected texts, at least one"),
        ({"steps": [{"ignore_signals": ["INT"]}]}, "expected numbers of signals"),
        ({"steps": [{"fail": {"reason": "Tired"}}]}, "fail: 'Tired' is not one of WorkerLost"),
        ({"steps": [{"ask": {"tool": "x", "then": [{"fail": {"reason": "Tired"}}]}}]}, "'Tired' is not one of"),
        ({"steps": [{"ask": {"tool": "x", "otherwise": [{"no": 1}]}}]}, r"ask\.otherwise\[0\]: unknown step 'no'"),
        ({"steps": [{"write": None}]}, "not nothing"),
    ],
)
def test_steps_that_make_no_sense_are_refused_before_anything_starts(options: dict[str, Any], message: str):
    with pytest.raises(InvalidInput, match=message):
        launch(Path("/"), **options)


def test_every_step_is_described():
    from aura_executors import scripted

    described = [line.split()[0] for line in scripted.__doc__.splitlines() if line.startswith("    ")]
    assert [name for name in described if name in SHAPES] == sorted(SHAPES, key=described.index)


def test_an_order_that_is_none_is_refused(tmp_path: Path):
    argv = launch(tmp_path, steps=[]).argv
    for order in (
        b"",
        b"{}\n",
        b"nonsense\n",
        b"[]\n",
        b"\xff\n",
        b'{"prompt": "x", "finished": "y", "rounds": [[]]}\n',
    ):
        done = subprocess.run(argv, input=order, capture_output=True, check=False, timeout=60)
        assert done.returncode == 2
        assert done.stderr.startswith(b"scripted: ")
        assert b"Traceback" not in done.stderr


# --- Understanding

LINES = st.one_of(
    st.sampled_from([b'{"aura": {"type": "message", "text": "hi"}}', b'{"aura":{"type":"usage","usage":{}}}']),
    st.sampled_from([b"", b"\r", b'{"aura":', b'{"aura": {}}', b'{"aur', b'{"aura"', b' {"aura": {}}', b'{"aura":[']),
    st.binary(max_size=30).map(lambda data: data.replace(b"\n", b"")),
)


@given(st.lists(LINES, max_size=12), st.lists(st.integers(0, 400), max_size=8), st.booleans())
def test_the_pieces_do_not_matter(lines: list[bytes], cuts: list[int], ended: bool):
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    pieces = [data[start:end] for start, end in pairwise(places)]
    well = ProcessExit(token="t", cause=ExitCause.OWN, exit_code=0)
    understood = []
    for parts in ([data], pieces, [bytes([byte]) for byte in data]):
        conversation = ScriptedConversation()
        entries = [entry for part in parts for entry in conversation.receive(OutputSource.STDOUT, part)]
        understood.append([*entries, *conversation.end(well)])
    assert understood[0] == understood[1] == understood[2]
    assert len(understood[0]) == sum(line.startswith(b'{"aura":') for line in lines)


def test_what_is_marked_and_not_understood_is_kept_as_it_is():
    conversation = ScriptedConversation()
    for line in (
        '{"aura": {"type": "nothing we know"}}',
        '{"aura": {"type": "message"}}',
        '{"aura": {"type": "message", "text": "a \\u0000 b"}}',
        '{"aura": 5}',
        '{"aura": ' + "[" * 50_000,
    ):
        assert list(conversation.receive(OutputSource.STDOUT, line.encode() + b"\n")) == [
            Unknown(text=clipped(line, UNKNOWN_LIMIT))
        ]
    assert list(conversation.receive(OutputSource.STDOUT, b'{"aura":\xff\0}\n')) == [
        Unknown(text='{"aura":\ufffd\ufffd}')
    ]


def test_standard_error_is_never_an_entry():
    conversation = ScriptedConversation()
    assert list(conversation.receive(OutputSource.STDERR, b'{"aura": {"type": "message", "text": "x"}}\n')) == []


def test_a_line_without_end_is_not_collected():
    conversation = ScriptedConversation()
    for start in (b"x", b'{"aura": {"type": "message", "text": "'):
        for data in (start, *[b"x" * 200_000] * 20):
            assert list(conversation.receive(OutputSource.STDOUT, data)) == []
        assert len(conversation._lines._begun) <= LINE_LIMIT
        assert list(conversation.receive(OutputSource.STDOUT, b'"}}\n')) == []
    after = conversation.receive(OutputSource.STDOUT, b'{"aura": {"type": "message", "text": "x"}}\n')
    assert list(after) == [Message(text="x")]
