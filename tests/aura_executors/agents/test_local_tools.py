"""The parts of the program of `local`: tools, replies, history, sessions, server-sent events."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_executors.agents.local.program import search
from aura_executors.agents.local.program.endpoint import Endpoint, ModelFailed
from aura_executors.agents.local.program.files import EditedFile, Files, ToolFailed
from aura_executors.agents.local.program.history import INTERRUPTED, NOT_RUN, groups, mended, result, sent
from aura_executors.agents.local.program.interruption import SIGNALS, Interruption, Stopped
from aura_executors.agents.local.program.replies import BadReply, Collector, ModelReply, ServerError
from aura_executors.agents.local.program.session import Session, SessionUnknown, load, sessions_folder
from aura_executors.agents.local.program.shell import ShellResult, run_shell
from aura_executors.agents.local.program.tools import TOOLS, arguments_of
from repositories import make_repository

KNOWN = frozenset(TOOLS)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    (tmp_path / "outside.txt").write_text("secret\n")
    root = make_repository(
        tmp_path / "root", {"a.txt": "one\ntwo\ntwo\n", "src/b.py": "x = 1\n", ".gitignore": "*.o\n"}
    )
    (root / "c.o").write_bytes(b"\0\1")
    (root / "link").symlink_to(tmp_path)
    return Files(root)


# --- Files


@pytest.mark.parametrize(
    "path", ["../outside.txt", "link/outside.txt", "src/../../outside.txt", "/etc/passwd", "a\0b", ""]
)
def test_paths_do_not_lead_outside(files: Files, path: str):
    with pytest.raises(ToolFailed):
        files.read(path)
    with pytest.raises(ToolFailed):
        files.write(path, "x")


def test_reading_outside_can_be_allowed_and_writing_not(files: Files):
    free = Files(files.root, read_outside=True)
    assert free.read("link/outside.txt") == "secret\n"
    with pytest.raises(ToolFailed, match="outside"):
        free.write("link/outside.txt", "x")
    with pytest.raises(ToolFailed, match="git"):
        free.write(".git/hooks/pre-commit", "x")


def test_reading(files: Files):
    assert files.read("a.txt") == "one\ntwo\ntwo\n"
    assert files.read("a.txt", 2, 1) == "[lines 2 to 2 of 3]\ntwo\n"
    assert files.read("a.txt", 9) == "[the file has 3 lines]"
    assert files.read(str(files.root / "src/b.py")) == "x = 1\n"
    os.mkfifo(files.root / "pipe")
    (files.root / "circle").symlink_to("circle")
    for path, reason in (("c.o", "not a text file"), ("none", "no such file"), ("src", "folder"), ("pipe", "regular")):
        with pytest.raises(ToolFailed, match=reason):
            files.read(path)
    with pytest.raises(ToolFailed):
        files.read("circle")


def test_editing(files: Files):
    files.edit("a.txt", "one", "1").apply()
    assert (files.root / "a.txt").read_text() == "1\ntwo\ntwo\n"
    for old, reason in (("two", "2 times"), ("three", "not in there"), ("", "empty")):
        with pytest.raises(ToolFailed, match=reason):
            files.edit("a.txt", old, "x")
    files.edit("a.txt", "two", "2", replace_all=True).apply()
    assert (files.root / "a.txt").read_text() == "1\n2\n2\n"
    (files.root / "dos.txt").write_bytes(b"a\r\nb\r\nc\r\n")
    files.edit("dos.txt", "a\nb", "A\nB").apply()
    assert (files.root / "dos.txt").read_bytes() == b"A\r\nB\r\nc\r\n"


def test_a_file_that_changed_while_permission_was_asked_is_not_overwritten(files: Files):
    change = files.edit("a.txt", "one", "1")
    (files.root / "a.txt").write_text("one and more\n")
    with pytest.raises(ToolFailed, match="changed in the meantime"):
        change.apply()
    assert (files.root / "a.txt").read_text() == "one and more\n"


@given(st.none() | st.binary(max_size=60), st.binary(max_size=60))
def test_every_change_has_a_diff(before: bytes | None, after: bytes):
    diff = EditedFile(Path("/x"), "x", before, after).diff
    assert diff == "" or diff.startswith("--- ")


def test_listing_and_searching(files: Files):
    assert search.list_files(files) == ".gitignore\na.txt\nlink\nsrc/b.py"
    assert search.list_files(files, "src", "*.py") == "src/b.py"
    assert search.search(files, "tw.", glob="*.txt") == "a.txt:2:two\na.txt:3:two"
    assert search.search(files, "secret") == "[no matches]"
    with pytest.raises(ToolFailed, match="regular expression"):
        search.search(files, "(")


def test_an_expression_that_takes_for_ever_is_given_up(files: Files, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(search, "SECONDS", 0.2)
    (files.root / "a.txt").write_text("a" * 60 + "b\n")
    with pytest.raises(ToolFailed, match="longer than"):
        search.search(files, "(a+)+$")


# --- Shell


def shell(command: str, cwd: Path, timeout: float = 20, limit: int = 1_000) -> ShellResult:
    return run_shell(command, cwd, dict(os.environ), timeout, limit, Interruption(), lambda: None)


def test_a_command_ends_with_all_that_it_started(tmp_path: Path):
    ended = shell("sleep 1234 & echo $!; echo wrong >&2; exit 3", tmp_path)
    pid, wrong = ended.output.split()
    assert (wrong, ended.exit_code) == ("wrong", 3)
    status = Path(f"/proc/{pid}/stat")  # of what nobody collected there is a zombie left
    assert not status.exists() or ") Z " in status.read_text()


def test_a_command_has_its_time(tmp_path: Path):
    ended = shell("trap '' TERM; echo begun; sleep 1234", tmp_path, timeout=0.3)
    assert ended == ShellResult("begun\n", None)


def test_of_much_output_there_are_the_ends(tmp_path: Path):
    ended = shell(f"{sys.executable} -c \"print('a' * 200000); print('z' * 600)\"", tmp_path)
    assert len(ended.output) < 1_100
    assert ended.output.startswith("aaa")
    assert ended.output.endswith("zzz\n")
    assert "left out" in ended.output


# --- Arguments


def test_arguments_are_those_that_the_tool_has():
    shell_tool, read, edit = TOOLS["shell_command"], TOOLS["read_file"], TOOLS["edit_file"]
    assert arguments_of(shell_tool, '{"command": ["bash", "-lc", "ls"], "description": "x"}') == {"command": "ls"}
    assert arguments_of(read, '{"path": "a", "offset": "3", "limit": null}') == {"file_path": "a", "offset": 3}
    assert arguments_of(edit, '{"path": "a", "old": "x", "new": "y", "replace_all": "True"}')["replace_all"] is True
    for text, reason in (
        ("{", "not valid JSON"),
        ("[]", "not a JSON object"),
        ("{}", "missing"),
        ('{"file_path": 5}', "not of type"),
        ('{"file_path": "a", "offset": NaN}', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
    ):
        with pytest.raises(ToolFailed, match=reason):
            arguments_of(read, text)


@given(st.sampled_from(sorted(TOOLS)), st.text(max_size=40) | st.from_type(dict).map(str))
def test_no_arguments_are_an_error_of_ours(name: str, text: str):
    try:
        arguments = arguments_of(TOOLS[name], text)
    except ToolFailed:
        return
    assert set(arguments) <= set(TOOLS[name].parameters)


# --- Replies


def collected(*pieces: Any) -> ModelReply:
    collector = Collector()
    for piece in pieces:
        collector.feed(piece if isinstance(piece, bytes) else json.dumps(piece).encode())
    return collector.reply(KNOWN)


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def part(index: int | None, arguments: Any, name: str | None = None, id_: str | None = None) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return {"function": function} | ({"id": id_} if id_ else {}) | ({} if index is None else {"index": index})


def test_calls_in_pieces():
    reply = collected(
        delta(content="I "),
        delta(content="look", reasoning_content="hm"),
        delta(tool_calls=[part(0, '{"file', "read_file", "c1"), part(1, "", "list_files", "c2")]),
        delta(tool_calls=[part(0, '_path": "a"}')]),
        delta(tool_calls=[part(1, "{}")]),
        {
            **delta("tool_calls"),
            "usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}},
        },
        b"[DONE]",
    )
    assert (reply.text, reply.thinking) == ("I look", "hm")
    assert [(call.id, call.arguments) for call in reply.calls] == [("c1", '{"file_path": "a"}'), ("c2", "{}")]
    assert reply.usage == {"input_tokens": 5, "output_tokens": 2, "cache_read_tokens": 4}


def test_calls_of_servers_that_take_liberties():
    same = collected(
        delta(tool_calls=[part(0, "{}", "list_files", "c1")]),
        delta("stop", tool_calls=[part(0, "{}", "list_files", "c2")]),
    )
    none = collected(
        delta(tool_calls=[part(None, {"path": "a"}, "list_files")]),
        delta("stop", tool_calls=[part(None, {}, "search")]),
    )
    whole = collected({"choices": [{"message": {"content": [{"text": "hi"}]}, "finish_reason": "stop"}]})
    assert [call.id for call in same.calls] == ["c1", "c2"]
    assert [(call.name, call.arguments) for call in none.calls] == [("list_files", '{"path": "a"}'), ("search", "")]
    assert whole.text == "hi"


def test_calls_that_are_printed():
    reply = collected(delta("stop", content='Now:\n<tool_call>\n{"name": "list_files", "arguments": {}}\n</tool_call>'))
    assert (reply.text, [call.name for call in reply.calls]) == ("Now:", ["list_files"])
    for text in ('```json\n{"name": "other", "arguments": {}}\n```', 'see {"name": "list_files", "arguments": {}}'):
        assert collected(delta("stop", content=text)).calls == []


def test_replies_that_are_none():
    for pieces in (
        [delta(content="half")],
        [delta("stop")],
        [b"{"],
        [b"[]"],
        [delta(content="<think>only</think>"), b"[DONE]"],
    ):
        with pytest.raises(BadReply):
            collected(*pieces)
    with pytest.raises(ServerError, match="overloaded"):
        collected({"error": {"message": "overloaded", "code": 503}})


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["choices", "delta", "message", "content", "tool_calls", "function", "name", "index", "usage", "id"]
                ),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_whatever_a_server_sends_is_a_reply_or_none(piece: Any):
    with suppress(BadReply, ServerError):
        collected(piece, delta(**piece) if isinstance(piece, dict) else {}, b"[DONE]")


# --- History and sessions

USER = st.builds(lambda text: [{"role": "user", "content": text}], st.text(max_size=400))
SAID = st.builds(lambda text: [{"role": "assistant", "content": text}], st.text(max_size=400))
CALLS = st.lists(st.uuids().map(str), min_size=1, max_size=3, unique=True).map(
    lambda ids: [
        {"role": "assistant", "content": "", "tool_calls": [{"id": one} for one in ids]},
        *(result(one, "x" * 300) for one in ids),
    ]
)
CONVERSATIONS = st.lists(USER | SAID | CALLS, max_size=12).map(lambda parts: [*chain(*parts)])


@given(CONVERSATIONS, st.integers(0, 2_000))
def test_what_is_sent_never_parts_a_call_from_its_result(messages: list[dict[str, Any]], tokens: int):
    chosen = sent("system", messages, tokens)[1:]
    called = [call["id"] for message in chosen for call in message.get("tool_calls", ())]
    assert called == [message["tool_call_id"] for message in chosen if message["role"] == "tool"]
    assert not any(one["role"] == "user" == other["role"] for one, other in pairwise(chosen))
    if messages:
        assert chosen[-1]["role"] == messages[-1]["role"]


@given(CONVERSATIONS, st.integers(0, 40))
def test_a_conversation_that_was_cut_anywhere_is_mended(messages: list[dict[str, Any]], end: int):
    whole = mended(messages[:end], None)
    called = [call["id"] for message in whole for call in message.get("tool_calls", ())]
    assert called == [message["tool_call_id"] for message in whole if message["role"] == "tool"]
    assert mended(whole, None) == whole
    assert [message for group in groups(whole) for message in group] == whole


def test_a_session_is_loaded_as_it_was_saved_and_mended(tmp_path: Path):
    messages = [
        {"role": "user", "content": "\ud800"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "a"}, {"id": "b"}]},
    ]
    session = Session(tmp_path / "new", "one", messages)
    session.running = "a"
    session.save()
    assert [message["content"] for message in load(tmp_path / "new", "one").messages[2:]] == [INTERRUPTED, NOT_RUN]
    assert load(tmp_path / "new", "one", "two").id == "two"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["one.json"]
    assert (tmp_path / "new" / "one.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "data", ["", "[]", "{}", '{"running": null, "messages": [5]}', '{"running": null, "messages": 5}']
)
def test_a_session_that_cannot_be_read_is_unknown(tmp_path: Path, data: str):
    (tmp_path / "one.json").write_text(data)
    for name in ("one", "two", "../one", "", "."):
        with pytest.raises(SessionUnknown):
            load(tmp_path, name)


def test_where_sessions_are(tmp_path: Path):
    assert sessions_folder("/x", {"AURA_STATE": "/y"}) == Path("/x")
    assert sessions_folder(None, {"AURA_STATE": "/y"}) == Path("/y/local-sessions")
    assert sessions_folder(None, {"XDG_STATE_HOME": "/z"}) == Path("/z/aura/local-sessions")
    assert sessions_folder(None, {}).parts[-4:] == (".local", "state", "aura", "local-sessions")


# --- Servers that take liberties


@contextmanager
def serving(*replies: tuple[int, str, bytes]) -> Iterator[Endpoint]:
    """Answer requests with these in turn: status, content type, body; the last one again and again."""
    left = list(replies)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            status, kind, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.send_header("content-type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Endpoint(f"http://127.0.0.1:{server.server_address[1]}/v1/", "", 5)
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json; charset=utf-8", b'{"choices": [{"message": {"content": "hi"}}]}'),
        (
            "text/event-stream",
            b': hello\r\n\r\ndata:{"choices": [{"delta": {"content": "hi"}}]}\r\n\r\ndata: [DONE]\r\n\r\n',
        ),
        ("text/plain", b'event: x\ndata: {"choices": [{"delta": {"content": "hi"}, "finish_reason": "stop"}]}\n'),
    ],
)
def test_answers_in_a_stream_or_whole(kind: str, body: bytes):
    with serving((200, kind, body)) as endpoint:
        assert endpoint.complete({}, KNOWN, lambda: None).text == "hi"


@pytest.mark.parametrize(
    ("reply", "again", "said"),
    [
        ((200, "application/json", b"<html>"), True, "malformed"),
        ((200, "text/event-stream", b""), True, "broke off"),
        ((200, "text/event-stream", b'{"error": "CUDA out of memory"}\n\n'), True, "CUDA"),
        ((500, "text/html", b"<b>sorry</b>"), True, "sorry"),
        ((302, "text/html", b""), False, "302"),
        ((400, "application/json", b'{"detail": "no tools here"}'), False, "no tools here"),
    ],
)
def test_answers_that_are_none(reply: tuple[int, str, bytes], again: bool, said: str):
    with serving(reply) as endpoint, pytest.raises(ModelFailed, match=said) as failed:
        endpoint.complete({}, KNOWN, lambda: None)
    assert failed.value.again is again


def test_signals_wait_while_they_are_held():
    before = {number: signal.getsignal(number) for number in SIGNALS}
    interruption = Interruption()
    interruption.install()
    done = []
    try:
        with pytest.raises(Stopped), interruption.held():
            with interruption.held():
                os.kill(os.getpid(), signal.SIGTERM)
            done.append("all of it")
        os.kill(os.getpid(), signal.SIGINT)  # says nothing new
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert done == ["all of it"]
