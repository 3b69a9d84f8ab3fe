"""The executor `local`: its program as a real process, with a scripted model, in real repositories."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import attrs
import pytest

from aura_contracts.entries import (
    Entry,
    ErrorReported,
    FileChanged,
    Finished,
    Message,
    PermissionRequested,
    SessionStarted,
    ToolCalled,
    ToolFinished,
    Unknown,
    Usage,
    UsageReported,
)
from aura_contracts.errors import InvalidInput
from aura_contracts.failures import FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.permission import fingerprint_of
from aura_contracts.ports.executors import AgentRun, Answer, Send
from aura_contracts.ports.processes import ExitCause, ProcessExit
from aura_executors.agents.local import LocalExecutor
from aura_executors.testing.executor import ExecutorConformance
from repositories import git, make_repository
from scripted_model import scripted_model

EXECUTOR = LocalExecutor()

HASTY = {"retry_delay": 0.01, "max_retries": 2}

FILES = {
    "shop/__init__.py": "",
    "shop/price.py": "def total(prices):\n    return sum(prices) + 1\n",
    "shop/names.py": 'NAME = "shop"\n',
    "check.py": "from shop.price import total\nassert total([1, 2]) == 3, total([1, 2])\nprint('all well')\n",
}


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"tool": {"name": name, "args": arguments}}


def turns(*steps: Any) -> dict[str, Any]:
    return {"turns": [{"steps": [*steps]}]}


class Run:
    """A run of the program that goes on, and what is understood of it."""

    def __init__(self, run: AgentRun, environment: dict[str, str]) -> None:
        launch = EXECUTOR.launch(run)
        self.conversation = EXECUTOR.converse(run)
        self.entries: list[Entry] = []
        self.written = b""
        self.process = subprocess.Popen(
            launch.argv,
            cwd=run.cwd,
            env={**environment, **launch.env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.process.stdin.write(launch.stdin)
        self.process.stdin.flush()
        if not launch.interactive:
            self.process.stdin.close()

    def until(self, kind: type[Entry]) -> Any:
        """Read until there is an entry of this kind that was not seen yet, and return it."""
        seen = len(self.of(kind))
        while len(self.of(kind)) == seen:
            line = self.process.stdout.readline()
            assert line, self.process.stderr.read().decode()
            self._receive(line)
        return self.of(kind)[-1]

    def answer(self, request_id: str, *, granted: bool, feedback: str = "") -> None:
        for send in self.conversation.answer(request_id, Answer(granted=granted, feedback=feedback)):
            self.process.stdin.write(send.data)
            self.process.stdin.flush()

    def end(self) -> "Run":
        if not self.process.stdin.closed and self.process.poll() is None and not self.of(PermissionRequested):
            self.process.stdin.close()
        for line in self.process.stdout:
            self._receive(line)
        self.code = self.process.wait(20)
        self.stderr = self.process.stderr.read().decode()
        own = {"exit_code": self.code} if self.code >= 0 else {"signal": -self.code}
        ended = ProcessExit(token="t", cause=ExitCause.OWN, **own)
        self.entries += self.conversation.end(ended)
        self.failure = self.conversation.judge(ended)
        return self

    def of(self, kind: type[Entry]) -> list[Any]:
        return [entry for entry in self.entries if isinstance(entry, kind)]

    @property
    def session(self) -> str:
        return self.of(SessionStarted)[-1].session_id

    @property
    def results(self) -> list[str]:
        return [entry.output for entry in self.of(ToolFinished)]

    def _receive(self, data: bytes) -> None:
        self.written += data
        for said in self.conversation.receive(OutputSource.STDOUT, data):
            if isinstance(said, Entry):
                self.entries.append(said)


class Stage:
    """A repository, and a state folder for sessions."""

    def __init__(self, home: Path) -> None:
        self.repository = make_repository(home / "repository", FILES)
        self.state = home / "state"
        self.environment = {"PATH": os.environ["PATH"], "AURA_STATE": str(self.state), "HOME": str(home)}

    @contextmanager
    def started(self, url: str, prompt: str = "Do it", *, session: str | None = None, **options: Any) -> Iterator[Run]:
        names = {field.name for field in attrs.fields(AgentRun)}
        fields = {name: options.pop(name) for name in list(options) if name in names}
        given = {"endpoint": f"{url}/v1", "autonomy": "full", **HASTY, **options}
        run = AgentRun(prompt=prompt, cwd=str(self.repository), options=given, session_id=session, **fields)
        running = Run(run, self.environment)
        try:
            yield running
        finally:
            for stream in (running.process.stdout, running.process.stderr):
                stream.close()
            if not running.process.stdin.closed:
                running.process.stdin.close()
            running.process.kill()
            running.process.wait()

    def run(self, url: str, prompt: str = "Do it", **options: Any) -> Run:
        with self.started(url, prompt, **options) as running:
            return running.end()

    def kept(self, session: str) -> dict[str, Any]:
        return json.loads((self.state / "local-sessions" / f"{session}.json").read_bytes())


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def carriers(marker: str) -> list[int]:
    """Return the processes that have this word among their arguments."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and marker.encode() in process.joinpath("cmdline").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except OSError:
            continue
    return found


# --- Work


@pytest.mark.deep
def test_it_changes_several_files_runs_the_test_and_goes_on_in_the_same_session(stage: Stage):
    scenario = {
        "turns": [
            {
                "match": "repair",
                "steps": [
                    {**call("read_file", file_path="shop/price.py"), "say": "I look at it"},
                    call("edit_file", file_path="shop/price.py", old_string=" + 1", new_string=""),
                    {"write": {"path": "shop/tax.py", "content": "TAX = 19\n"}},
                    {"shell": f"{sys.executable} check.py"},
                    {"text": "The total is right now"},
                ],
            },
            {"match": "rename", "steps": [{"shell": "git mv shop/names.py shop/name.py"}, {"text": "renamed"}]},
        ]
    }
    with scripted_model(scenario) as url:
        first = stage.run(url, "repair the total")
        second = stage.run(url, "rename it", session=first.session)
        asked = url.requests[-1]["body"]["messages"]
    assert (first.failure, first.code, first.stderr, first.conversation.unknown) == (None, 0, "", 0)
    assert [entry.tool for entry in first.of(ToolCalled)] == ["read_file", "edit_file", "write_file", "shell_command"]
    assert [entry.path for entry in first.of(FileChanged)] == ["shop/price.py", "shop/tax.py"]
    assert "-    return sum(prices) + 1\n+    return sum(prices)\n" in first.of(FileChanged)[0].diff
    assert first.of(ToolFinished)[-1].exit_code == 0
    assert "all well" in first.results[-1]
    assert [entry.text for entry in first.of(Message)] == ["I look at it", "The total is right now"]
    assert (
        first.of(UsageReported)
        == [UsageReported(usage=Usage(input_tokens=11, output_tokens=7), model="fake-model")] * 5
    )
    assert first.entries[-1] == Finished()
    assert second.session == first.session
    assert second.failure is None
    assert [message["content"] for message in asked if message["role"] == "user"] == ["repair the total", "rename it"]
    assert "R  shop/names.py -> shop/name.py" in git(stage.repository, "status", "--porcelain")
    assert (stage.repository / "shop/name.py").exists()


def test_a_fork_leaves_the_session_as_it_was(stage: Stage):
    with scripted_model(turns({"text": "hello"})) as url:
        first = stage.run(url, "one", new_session_id="11111111-1111-1111-1111-111111111111")
        before = stage.kept(first.session)
        fork = stage.run(
            url, "two", session=first.session, fork=True, new_session_id="22222222-2222-2222-2222-222222222222"
        )
    assert first.session.startswith("1111")
    assert fork.session.startswith("2222")
    assert stage.kept(first.session) == before
    assert [message["content"] for message in stage.kept(fork.session)["messages"]] == ["one", "hello", "two", "hello"]


@pytest.mark.parametrize("session", ["33333333-3333-3333-3333-333333333333", "../../etc/passwd", ""])
def test_a_session_that_is_not_there_is_lost(stage: Stage, session: str):
    with scripted_model(turns({"text": "hello"})) as url:
        lost = stage.run(url, session=session)
    assert lost.failure.reason is FailureReason.SESSION_LOST


def test_which_model_is_asked_of_the_server_if_nobody_says(stage: Stage):
    with scripted_model({**turns({"text": "hello"}), "models": ["a", "b"]}) as url:
        unclear = stage.run(url)
        clear = stage.run(url, model="b")
    assert "offers a, b" in unclear.failure.message
    assert clear.of(SessionStarted)[0].model == "b"


def test_the_key_is_sent_and_no_command_gets_it(stage: Stage):
    stage.environment["MODEL_KEY"] = "sk-very-private"
    with scripted_model(turns({"shell": "env"}, {"text": "done"})) as url:
        ended = stage.run(url, api_key_env="MODEL_KEY")
        assert url.requests[0]["headers"]["Authorization"] == "Bearer sk-very-private"
    assert b"sk-very-private" not in ended.written
    assert "AURA_STATE" in ended.results[0]


# --- Permissions


@pytest.mark.parametrize("granted", [True, False])
def test_it_asks_before_it_changes_anything(stage: Stage, granted: bool):
    steps = [
        call("edit_file", file_path="shop/names.py", old_string="shop", new_string="store"),
        {"shell": "touch made"},
        {"text": "that is all"},
    ]
    with scripted_model(turns(*steps)) as url, stage.started(url, autonomy="ask") as run:
        edit = run.until(PermissionRequested)
        assert '-NAME = "shop"\n+NAME = "store"\n' in edit.diff
        assert edit.fingerprint == fingerprint_of("edit_file", steps[0]["tool"]["args"])
        assert edit.call_id == run.of(ToolCalled)[0].call_id
        assert "store" not in (stage.repository / "shop/names.py").read_text()
        run.answer(edit.request_id, granted=granted, feedback="" if granted else "leave the name")
        command = run.until(PermissionRequested)
        assert (command.tool, command.arguments) == ("shell_command", {"command": "touch made"})
        run.answer(command.request_id, granted=granted)
        run.end()
    assert run.failure is None
    assert ("store" in (stage.repository / "shop/names.py").read_text()) is granted
    assert (stage.repository / "made").exists() is granted
    assert bool(run.conversation.blocked) is not granted
    assert granted or "leave the name" in run.results[0]


def test_edit_asks_for_commands_alone_and_read_only_for_nothing(stage: Stage):
    steps = [{"write": {"path": "new.txt", "content": "x"}}, {"shell": "touch made"}, {"text": "done"}]
    with scripted_model(turns(*steps)) as url, stage.started(url, autonomy="edit") as run:
        asked = run.until(PermissionRequested)
        assert asked.tool == "shell_command"
        assert (stage.repository / "new.txt").read_text() == "x"
        run.answer(asked.request_id, granted=True)
        run.end()
    write = call("write_file", file_path="other.txt", content="x")
    with scripted_model(turns(write, {"text": "I would write"})) as url:
        refused = stage.run(url, autonomy="read-only")
        offered = {tool["function"]["name"] for tool in url.requests[0]["body"]["tools"]}
    assert offered == {"read_file", "list_files", "search"}
    assert refused.conversation.blocked == "write_file other.txt"
    assert not (stage.repository / "other.txt").exists()


def test_nobody_to_answer_is_a_no(stage: Stage):
    with scripted_model(turns({"shell": "touch made"}, {"text": "done"})) as url:
        with stage.started(url, autonomy="ask") as run:
            run.until(PermissionRequested)
            run.process.stdin.close()
            run.end()
        assert run.failure.reason is FailureReason.PERMISSION_DENIED
        assert not (stage.repository / "made").exists()
        with stage.started(url, "go on", autonomy="ask", session=run.session) as again:
            asked = again.until(PermissionRequested)
            assert asked.fingerprint == run.of(PermissionRequested)[0].fingerprint
            again.answer(asked.request_id, granted=True)
            again.end()
    assert again.failure is None
    assert (stage.repository / "made").exists()
    told = [message["content"] for message in stage.kept(run.session)["messages"] if message["role"] == "tool"]
    assert "was not carried out" in told[0]


# --- Trouble with the server


@pytest.mark.parametrize(
    ("status", "reason", "attempts"),
    [
        (401, FailureReason.AUTHENTICATION, 1),
        (429, FailureReason.RATE_LIMITED, 3),
        (500, FailureReason.AGENT_ERROR, 3),
        (404, FailureReason.AGENT_ERROR, 1),
    ],
)
def test_errors_of_the_server_are_told_apart(stage: Stage, status: int, reason: FailureReason, attempts: int):
    with scripted_model(turns({"status": status, "error": "no such luck"})) as url:
        failed = stage.run(url)
        assert len(url.requests) == attempts
    assert failed.failure.reason is reason
    assert "no such luck" in failed.failure.message
    assert [entry.retrying for entry in failed.of(ErrorReported)] == [True] * (attempts - 1)


def test_an_error_that_passes_is_none(stage: Stage):
    waits = {"status": 429, "times": 1, "headers": {"Retry-After": "0"}, "then": {"text": "at last"}}
    with scripted_model(turns(waits)) as url:
        ended = stage.run(url)
    assert ended.failure is None
    assert ended.of(Message)[-1].text == "at last"


def test_a_server_that_wants_a_long_wait_has_failed(stage: Stage):
    with scripted_model(turns({"status": 429, "headers": {"Retry-After": "3600"}})) as url:
        failed = stage.run(url)
        assert len(url.requests) == 1
    assert failed.failure.reason is FailureReason.RATE_LIMITED
    assert "3600 seconds" in failed.failure.message


@pytest.mark.parametrize("trouble", [{"drop": True}, {"malformed": True}])
def test_an_answer_that_breaks_off_is_asked_for_again_and_then_a_failure(stage: Stage, trouble: dict[str, Any]):
    with scripted_model(turns({**trouble, "text": "this is a rather long answer"})) as url:
        failed = stage.run(url)
        assert len(url.requests) == 3
    assert failed.failure.reason is FailureReason.AGENT_ERROR
    assert not failed.of(Message)


PAGE = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>\x1b[2J<h1>Sorry</h1></body></html>"


@contextmanager
def answering(status: int, kind: str, body: bytes) -> Iterator[str]:
    """Answer everything with this; yield the URL."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "text/html", PAGE),
        (502, "text/html", PAGE),
        (404, "text/html", PAGE * 10_000),
        (200, "application/json", b"[]"),
        (200, "application/json", b'{"choices": "none"}'),
        (200, "text/event-stream", b"data: [1, 2]\n\ndata: [DONE]\n\n"),
        (200, "text/event-stream", b"data: {}\n\n"),
        (200, "text/event-stream", b""),
        (204, "text/plain", b""),
        (200, "text/event-stream", b"\xff\xfe\x00data: \n\n"),
    ],
)
def test_what_is_no_answer_of_a_model_is_a_failure_in_few_words(stage: Stage, status: int, kind: str, body: bytes):
    with answering(status, kind, body) as url:
        failed = stage.run(url, model="m", max_retries=1)
    assert failed.failure is not None
    assert failed.failure.reason is FailureReason.AGENT_ERROR
    assert 0 < len(failed.failure.message) < 2_000
    assert "Traceback" not in failed.stderr + failed.failure.message
    assert not failed.of(Message)


def test_a_server_that_is_not_there(stage: Stage):
    failed = stage.run("http://127.0.0.1:1", model="m", max_retries=0)
    assert failed.failure.reason is FailureReason.AGENT_ERROR
    assert "cannot be reached" in failed.failure.message


def test_a_conversation_that_is_too_long_is_shortened_and_else_a_clear_failure(stage: Stage):
    too_long = {"status": 400, "error": "This model's maximum context length is 4096 tokens"}
    with scripted_model(turns(too_long)) as url:
        failed = stage.run(url)
    assert "does not fit into the context" in failed.failure.message
    steps = [call("list_files")] * 3
    with scripted_model(turns(*steps, {**too_long, "times": 1, "then": {"text": "short enough"}})) as url:
        ended = stage.run(url)
    assert ended.failure is None


def test_it_stops_after_so_many_turns(stage: Stage):
    with scripted_model(turns(call("list_files"))) as url:
        failed = stage.run(url, max_turns=3)
        assert len(url.requests) == 3
        tired = stage.run(url, max_total_tokens=20)
    assert "after 3 turns" in failed.failure.message
    assert "max_total_tokens" in tired.failure.message


# --- Ends


@pytest.mark.deep
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupt_in_a_command_leaves_nothing_and_the_session_goes_on(stage: Stage, number: signal.Signals):
    marker = f"3{os.getpid()}{int(number)}"
    step = {"shell": f"touch begun; sleep {marker} & sleep {marker}"}
    with scripted_model({"turns": [{"match": "long", "steps": [step]}, {"steps": [{"text": "I see"}]}]}) as url:
        with stage.started(url, "long work") as run:
            run.until(ToolCalled)
            while not (stage.repository / "begun").exists() or not carriers(marker):
                assert run.process.poll() is None
            run.process.send_signal(number)
            run.end()
        if number is signal.SIGKILL:
            for left in carriers(marker):
                os.kill(left, signal.SIGKILL)  # as the supervisor does
        else:
            assert run.failure.reason is FailureReason.CANCELLED
            assert not carriers(marker)
        assert run.failure is not None
        again = stage.run(url, "go on", session=run.session)
        assert again.failure is None
        told = [message["content"] for message in url.requests[-1]["body"]["messages"] if message["role"] == "tool"]
    assert len(told) == 1
    assert "was interrupted" in told[0]


def test_an_answer_that_comes_before_its_question_is_kept():
    conversation = EXECUTOR.converse(AgentRun(prompt="x", cwd="/tmp"))
    assert list(conversation.answer("r", Answer(granted=True))) == []
    line = {"type": "permission_request", "request_id": "r", "tool": "shell_command", "arguments": {}, "call_id": "c"}
    asked, sent = conversation.receive(OutputSource.STDOUT, json.dumps(line).encode() + b"\n")
    assert isinstance(asked, PermissionRequested)
    assert isinstance(sent, Send)
    assert list(conversation.answer("r", Answer(granted=True))) == []


# --- Options


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"endpoint": None}, "endpoint"),
        ({"endpoint": "localhost:11434"}, "endpoint"),
        ({"endpoint": "http://h/v1?x=1"}, "endpoint"),
        ({"openai_endpoint": "http://other/v1"}, "openai_endpoint"),
        ({"api_key_env": "sk-123"}, "api_key_env"),
        ({"yolo": True, "autonomy": "ask"}, "yolo"),
        ({"autonomy": "some"}, "autonomy"),
        ({"max_turns": 0}, "max_turns"),
        ({"sessions": "here"}, "sessions"),
        ({"env": {"A_TOKEN": "x"}}, "A_TOKEN"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], field: str):
    given = {"endpoint": "http://h/v1", **options}
    with pytest.raises(InvalidInput, match=field):
        EXECUTOR.launch(AgentRun(prompt="x", cwd="/tmp", options=given))


def test_the_endpoint_may_come_from_the_environment():
    run = AgentRun(prompt="x", cwd="/tmp", environment={"OPENAI_BASE_URL": "http://h/v1"})
    assert json.loads(EXECUTOR.launch(run).stdin)["endpoint"] == "http://h/v1"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Sequence[bytes]:
    """What the program really writes: when all is well, when nothing is permitted, when the server fails."""
    stage = Stage(tmp_path_factory.mktemp("stage"))
    steps = [{"write": {"path": "ä.txt", "content": "ä\0"}}, {"shell": "echo ä"}, {"text": "<think>hm</think>done"}]
    with scripted_model(turns(*steps)) as url:
        well = stage.run(url).written
        with stage.started(url, autonomy="ask") as run:
            for _ in range(2):
                run.answer(run.until(PermissionRequested).request_id, granted=False)
            run.end()
    with scripted_model(turns({"status": 500})) as url:
        return [well, run.written, stage.run(url).written]


class TestLocal(ExecutorConformance):
    @pytest.fixture
    def executor(self) -> LocalExecutor:
        return EXECUTOR

    @pytest.fixture
    def runs(self) -> Sequence[AgentRun]:
        first = AgentRun(prompt="Say hello", cwd="/tmp", options={"openai_endpoint": "http://127.0.0.1:1/v1"})
        free = attrs.evolve(first, options={**first.options, "yolo": True}, session_id="a-session", fork=True)
        return [first, attrs.evolve(first, session_id="a-session"), free]

    @pytest.fixture
    def transcripts(self, written: Sequence[bytes]) -> Sequence[bytes]:
        return written


@pytest.mark.parametrize(
    "line",
    [
        {"type": "tool_call", "call_id": "", "tool": "x", "arguments": []},
        {"type": "usage", "usage": {"input_tokens": "many"}},
        {"type": "session_started", "session_id": ""},
        {"type": "something"},
        {"type": "permission_request", "request_id": "r", "tool": "x", "arguments": {}, "call_id": 5},
    ],
)
def test_what_is_not_understood_is_kept_and_counted(line: dict[str, Any]):
    conversation = EXECUTOR.converse(AgentRun(prompt="x", cwd="/tmp"))
    data = json.dumps(line)
    assert list(conversation.receive(OutputSource.STDOUT, data.encode() + b"\n")) == [Unknown(text=data)]
    assert conversation.unknown == 1


def test_texts_of_entries_are_bounded_and_can_be_stored():
    conversation = EXECUTOR.converse(AgentRun(prompt="x", cwd="/tmp"))
    for text in ("x" * 200_000, "a\0b"):
        line = json.dumps({"type": "tool_result", "call_id": "c", "output": text}).encode() + b"\n"
        (entry,) = conversation.receive(OutputSource.STDOUT, line)
        assert len(entry.output) < 70_000
        assert "\0" not in entry.output


def test_an_interrupt_in_an_answer_ends_it_at_once(stage: Stage):
    slow = {"text": "this takes its time", "chunk_delay": 600}
    with scripted_model({"turns": [{"match": "go on", "steps": [{"text": "quick"}]}, {"steps": [slow]}]}) as url:
        with stage.started(url, "slow") as run:
            run.until(SessionStarted)
            while not url.requests:
                assert run.process.poll() is None
            run.process.send_signal(signal.SIGINT)
            run.end()
        assert (run.failure.reason, run.code) == (FailureReason.CANCELLED, 130)
        assert stage.run(url, "go on", session=run.session).failure is None
