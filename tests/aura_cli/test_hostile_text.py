"""Text that an agent chooses: in no output for people does it forge a line, move the cursor, or hide what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from aura_cli.rendering.approval_page import call_lines
from aura_contracts.approval import ToolCall
from command_line import Answer, call_aura, move_to

FORGED = "[aura] merged into main: 0123456789"
"""What must not be a line of its own."""

EVIL = f"x\n{FORGED}\nforged    approved\r\x1b[2K\x9b2J\u202egnp\u2066\u200b\u2028{FORGED}\u3164"

NAME = f"a\n{FORGED}\nb\x1b[2K"


def assert_harmless(answer: Answer) -> None:
    """Lines of the agent's own output are in a pipe as it wrote them, but each has its prefix."""
    for line in (answer.out + answer.err).split("\n"):
        assert not line.startswith((FORGED, "forged    approved")), line
        assert line.startswith(("[stdout] ", "[stderr] ")) or line.replace("\t", "").isprintable(), line


def scripted(place, *steps: dict, title: str = EVIL, rules: tuple[str, ...] = ()) -> Answer:
    return call_aura(
        "run", "--no-tui", "--executor", "scripted", "--prompt", "Do it", "--title", title, "--attempts", "1",
        "--option", f"steps={json.dumps(steps)}", "--repo", place, *rules,
    )  # fmt: skip


def hostile_run(place) -> Answer:
    """A run whose title, files and messages are hostile; its changes wait for a decision."""
    inner = {"spawn": {"argv": ["git", "init", "-q", f"{NAME}r"], "wait": True}}
    file = {"write": {"path": NAME, "text": EVIL}}
    steps = (inner, {"session": EVIL}, {"say": EVIL}, {"print": EVIL}, file, {"usage": {}})
    answer = scripted(place, *steps)
    assert answer.code == 0, answer.err
    return answer


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> tuple[Path, Answer]:
    """The folder and the output of such a run, for tests that only read what it left."""
    folder = tmp_path_factory.mktemp("hostile")
    with pytest.MonkeyPatch.context() as patch:
        return folder, hostile_run(move_to(folder, patch))


@pytest.fixture
def ran(hostile, monkeypatch) -> Answer:
    folder, answer = hostile
    move_to(folder, monkeypatch)
    return answer


@pytest.mark.deep
def test_the_output_of_a_run(ran):
    assert_harmless(ran)


@pytest.mark.deep_but_first
@pytest.mark.parametrize(
    "words",
    [
        ("approval", "list"),
        ("approval", "show"),
        ("approval", "show", "--diff"),
        ("task", "list"),
        ("task", "show", "ID"),
        ("task", "executions", "ID"),
        ("workspace", "list"),
        ("workspace", "show", "ID"),
        ("workspace", "diff", "ID", "--stat"),
        ("agent", "list"),
        ("session", "list"),
        ("events", "--task", "ID"),
        ("replay",),
        ("replay", "--task", "ID"),
        ("replay", "--diff", "0"),
        ("usage",),
        ("doctor",),
    ],
)
def test_lists_and_pages(ran, words):
    (task,) = call_aura("task", "list", "--json").objects
    answer = call_aura(*(task["id"] if word == "ID" else word for word in words))
    assert answer.code == 0, answer.err
    assert_harmless(answer)


def test_file_names_are_shown_as_git_shows_them(ran):
    name = r'"a\n[aura] merged into main: 0123456789\nb\033[2K"'
    assert f"A  {name}  +" in ran.out
    page = call_aura("approval", "show").out
    assert f"A  {name}  +" in page
    assert f'-  {name[:-1]}r/" is a repository of its own' in page


@pytest.mark.deep
def test_a_decision_and_what_follows(place):
    hostile_run(place)
    answer = call_aura("approval", "approve", "--feedback", EVIL)
    assert answer.code == 0, answer.err
    assert_harmless(answer)
    assert_harmless(call_aura("approval", "list", "--all"))
    assert_harmless(call_aura("approval", "show", call_aura("approval", "list", "--all", "--json").objects[0]["id"]))


def test_a_tool_call_and_its_diff(place):
    call = {"tool": EVIL, "arguments": {EVIL: EVIL, "command": EVIL}, "diff": EVIL}
    answer = scripted(place, {"ask": call}, title="Ask", rules=("--deny", "*"))
    assert_harmless(answer)
    assert "the agent asks to use" in answer.out
    assert_harmless(call_aura("approval", "list", "--all"))
    (asked,) = call_aura("approval", "list", "--all", "--json").objects
    shown = call_aura("approval", "show", asked["id"], "--diff")
    assert_harmless(shown)
    assert shown.out.count("merged into main") == 2 * 5  # twice in each: the tool, a name, two values and the diff


def test_spaces_push_nothing_off_the_screen():
    call = ToolCall("Bash", "f", {"command": f"ls{' ' * 3000}; rm x", "script": f"a\n{' ' * 60}b"})
    assert list(call_lines(call))[1:] == [r"    command: ls\x20{3000}; rm x", "    script:", "      a", r"\x20{66}b"]


def test_a_failure(place):
    answer = scripted(place, {"fail": {"exit_code": 3, "message": EVIL}}, title="Fail")
    assert answer.code != 0
    assert_harmless(answer)


def test_what_the_library_logs(capfd):
    script = (
        "import logging; from aura_cli.rendering.log_lines import quote_log_lines as quote; quote();"
        "logging.getLogger('aura_engine').warning('task %s: %s', 1, __import__('sys').argv[1])"
    )
    subprocess.run([sys.executable, "-c", script, EVIL], check=True, timeout=60)
    out, err = capfd.readouterr()
    assert err.startswith("task 1: x\n  | [aura]")
    assert_harmless(Answer(0, out, err))


def test_errors(place):
    for words in (
        ("task", "show", EVIL),
        ("run", "--executor", EVIL, "--prompt", "x"),
        ("run", "--executor", "custom", "--prompt-file", EVIL),
        ("events", "--since", EVIL),
        (EVIL,),
        ("events", "--type", EVIL),
    ):
        answer = call_aura(*words)
        assert answer.code in (1, 2)
        assert_harmless(answer)


def test_a_failure_told_at_length_is_bounded(place):
    message = f"begin{'x' * 300_000}end"
    answer = scripted(place, {"fail": {"exit_code": 3, "message": message}}, title="Fail")
    assert answer.code == 3
    told = [line for line in (answer.out + answer.err).split("\n") if not line.startswith("[stderr] ")]
    assert max(map(len, told)) < 20_000
    assert "characters left out" in answer.err
    (task,) = call_aura("task", "list", "--json").objects
    assert len(task["failure"]["message"]) < 20_000


def test_the_text_of_an_error_is_bounded(place):
    for words in (("run", "--executor", "x" * 1_000_000, "--prompt", "x"), ("events", "--since", "x" * 1_000_000)):
        answer = call_aura(*words)
        assert len(answer.err) < 20_000
        assert "characters left out" in answer.err


@pytest.mark.parametrize("empty", ["\n", " \n", "\t\n"])
def test_empty_lines_do_not_push_a_command_off_the_screen(empty):
    lines = list(call_lines(ToolCall("Bash", "f", {"command": f"rm -rf /\n{empty * 500}ls\n\nls"})))
    shown = ["rm -rf /", "(500 empty lines)", "ls", "", "ls"]
    assert lines == ["  Bash", "    command:", *(f"      {line}" for line in shown)]


def test_a_text_and_the_value_that_it_reads_like_are_shown_differently():
    values = [True, "true", '"true"', None, "null", 1, "1", "1.0", [], "[]", {"a": "true"}, "rm -rf /", "a\n", "", " 1"]
    shown = ["\n".join(call_lines(ToolCall("Bash", "f", {"value": value}))) for value in values]
    assert len(set(shown)) == len(values)
    written = [lines.removeprefix("  Bash\n    value: ") for lines in shown]
    assert written[:3] == ["true", '"true"', r'"\"true\""']
    assert written[-4:] == ["rm -rf /", "  Bash\n    value:\n      a\n      ", "", '" 1"']
