"""Agents and prompts that are odd: programs that are none, say nothing or read forever, and prompts of any text."""

import json
import os
import sys

import pytest

from command_line import call_aura, move_to
from repositories import content


@pytest.fixture
def place(tmp_path, monkeypatch):
    return move_to(tmp_path, monkeypatch)


def custom(command, *params, prompt="Work"):
    words = ["run", "--no-tui", "--executor", "custom", "--base-command", command, "--attempts", "1"]
    return [*words, *(word for param in params for word in ("--param", param)), f"--prompt={prompt}"]


# --- Programs ---------------------------------------------------------------------------------------------------------


def make_folder(path):
    path.mkdir()


def make_text(path):
    path.write_text("echo this is a script without a first line\n")
    path.chmod(0o700)


def make_unexecutable(path):
    path.write_text("#!/bin/sh\necho x\n")
    path.chmod(0o600)


def make_link(path):
    path.symlink_to("nowhere")


def make_pipe(path):
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (make_folder, "it is a folder"),
        (make_text, "neither a program for this machine nor a script that names its interpreter"),
        (make_unexecutable, "it is not executable\n  hint: make it executable: chmod +x "),
        (make_link, "it is not a file"),
        (make_pipe, "it is not a file"),
    ],
)
def test_what_is_no_program_is_told_apart(place, tmp_path, made, says):
    made(tmp_path / "agent")
    answer = call_aura(*custom(tmp_path / "agent"))
    assert answer.code == 1
    assert says in answer.err
    assert str(tmp_path / "agent") in answer.err
    assert "Traceback" not in answer.err


MERGED = "merged into main"
WRITE = "echo done > new.txt"

ENDS = {
    "says and changes nothing": ("true", 0, "process exited with 0"),
    "highest code": ("exit 255", 255, "process exited with 255"),
    "no text": (rf"printf '\001\000\r\b\n'; {WRITE}", 0, MERGED),
    "reads to the end": (f"cat; {WRITE}", 0, MERGED),
    "closes all": (f"exec >&- 2>&- <&-; sleep 0.2; {WRITE}", 0, MERGED),
    "is killed": ("kill -9 $$", 137, "ended by signal 9"),
    "ends its group": ("kill -TERM 0; sleep 60", 143, "ended by signal 15"),
    "one long line": (f"printf '%1000000s' x | tr ' ' y; {WRITE}", 0, MERGED),
    "leaves one": (f"trap '' INT TERM HUP; (sleep 60 &); {WRITE}", 0, MERGED),
}


QUICK, *LONG = ENDS


@pytest.mark.parametrize("how", [QUICK, *(pytest.param(how, marks=pytest.mark.deep) for how in LONG)])
def test_how_a_program_ends_is_told(place, how):
    script, code, says = ENDS[how]
    answer = call_aura(*custom("sh", "-c", script), "--approval", "auto")
    assert answer.code == code, answer.err
    assert says in answer.out
    if WRITE in script:
        assert content(place, "main", "new.txt") == "done"


def test_a_program_may_be_named_with_spaces_and_quotes(place, tmp_path):
    folder = tmp_path / 'it\'s a "folder" $HOME; x'
    folder.mkdir()
    program = folder / "my agent"
    program.write_text('#!/bin/sh\nprintf "%s|" "$0" "$@"\n')
    program.chmod(0o700)
    answer = call_aura(*custom(program, "{prompt}", "a b", prompt="do it"), "--json")
    assert answer.code == 0, answer.err
    assert f"{program}|do it|a b|" in "".join(one.get("text", "") for one in answer.objects if one["kind"] == "output")


# --- Prompts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["", " ", "\t\n "])
def test_a_prompt_without_a_word_is_refused(place, prompt):
    answer = call_aura(*custom("true", prompt=prompt), "--json")
    assert answer.code in (1, 2)
    assert "prompt" in json.dumps(answer.error)


def test_a_prompt_of_a_megabyte_is_given_by_standard_input(place, tmp_path):
    file = tmp_path / "prompt"
    file.write_text("word " * 200_000)
    words = [word for word in custom("sh", "-c", f"wc -c > {tmp_path}/told") if not word.startswith("--prompt")]
    refused = call_aura(*words, "--prompt-file", file)
    assert refused.code == 1
    assert "prompt_via" in refused.err
    answer = call_aura(*words, "--prompt-file", file, "--option", "prompt_via=stdin")
    assert answer.code == 0, answer.err
    assert int((tmp_path / "told").read_text()) in (999_999, 1_000_000)


# --- The Agent Client Protocol ----------------------------------------------------------------------------------------

ACP = """\
import json, sys

def say(*messages, end="\\n"):
    sys.stdout.write("".join(json.dumps(message) + end for message in messages))
    sys.stdout.flush()

def reply(asked, **result):
    return {"jsonrpc": "2.0", "id": asked["id"], "result": result}

def update(session, **fields):
    return {"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": session, "update": fields}}

def text(words):
    return update("s", sessionUpdate="agent_message_chunk", content={"type": "text", "text": words})

how, asked = sys.argv[1], {}
while True:
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    message = json.loads(line)
    method = message.get("method")
    if method == "initialize":
        if how == "garbage first":
            sys.stdout.write("Welcome!\\n\\x1b[2J{\\n[]\\nnull\\n\\xff\\n")
        say(reply(message, protocolVersion=1, agentCapabilities={}))
    elif method == "session/new":
        say(reply(message, sessionId="s"))
    elif method == "session/prompt":
        prompt = message
        if how == "unknown methods":
            say({"jsonrpc": "2.0", "id": "x" * 10_000, "method": "terminal/create", "params": {}},
                {"jsonrpc": "2.0", "id": 10**30, "method": "no/such", "params": [1]},
                {"jsonrpc": "2.0", "method": "$/progress"})
        elif how == "two in a line":
            say(text("I write"), text(" it"), end="  ")
            say()
            sys.stdout.write("\\n")
        elif how == "replies to nothing":
            say({"jsonrpc": "2.0", "id": 777, "result": {}}, {"jsonrpc": "2.0", "id": None, "result": {}})
        elif how == "closes in the middle":
            sys.stdout.write('{"jsonrpc":"2.0","id":')
            sys.stdout.flush()
            sys.exit(0)
        elif how == "deep":
            sys.stdout.write('{"a":' * 100_000 + "1" + "}" * 100_000 + "\\n")
        elif how == "long":
            say(text("x" * 3_000_000))
        open("new.txt", "w").write("done\\n")
        say(text("done"), reply(prompt, stopReason="end_turn"))
    elif "error" not in message and method is not None and "id" in message:
        say({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "no such method"}})
"""

SPOKEN = {
    "garbage first": 0,
    "unknown methods": 0,
    "two in a line": 0,
    "replies to nothing": 0,
    "deep": 0,
    "long": 0,
    "closes in the middle": 1,
}


@pytest.mark.deep
@pytest.mark.parametrize(("how", "code"), SPOKEN.items())
def test_an_agent_that_speaks_the_protocol_badly(place, tmp_path, how, code):
    (tmp_path / "agent.py").write_text(ACP)
    words = ["run", "--no-tui", "--executor", "acp", "--base-command", sys.executable, "--attempts", "1"]
    params = [word for param in (tmp_path / "agent.py", how) for word in ("--param", param)]
    answer = call_aura(*words, *params, "--prompt", "Write", "--approval", "auto", "--idle-timeout", "30")
    assert answer.code == code, answer.out + answer.err
    assert "Traceback" not in answer.err
    if code == 0:
        assert "[aura] A  new.txt  +1 -0\n" in answer.out
        assert "[agent] " in answer.out
    else:
        assert "error[run_failed]" in answer.err
        assert len(answer.err) < 3_000
