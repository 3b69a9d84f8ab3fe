"""Rules: what they are about, what they must never allow, and what they refuse."""

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from aura_contracts.approval import ToolCall
from aura_contracts.errors import InvalidInput
from aura_contracts.permission import (
    CUT_MARK,
    PermissionRules,
    Places,
    Rule,
    Ruling,
    judge,
    known_rule,
    require_questions,
    subject_of,
)
from aura_contracts.permission.files import paths_in
from aura_executors.adapter.bounded_text import clipped


def places_of(call):
    """Where paths lead if there are no links."""
    places = Places(folder="/homes/demo/app", home="/users/ann")
    names = (*paths_in(call.arguments), places.folder, places.home)
    return replace(places, real={one: posixpath.normpath(places.below(one)) for one in names})


def verdict(call, *, allow=(), deny=()):
    return judge(PermissionRules(allow=tuple(allow), deny=tuple(deny)), call, places_of(call)).verdict


def matches(rule, call, *, denying=False):
    if denying:
        return verdict(call, allow=["*"], deny=[rule]) is Ruling.REFUSED
    return verdict(call, allow=[rule]) is Ruling.ALLOWED


def bash(command, tool="Bash", **more):
    return ToolCall(tool, "f", {"command": command, **more})


def edit(path, name="file_path"):
    return ToolCall("Edit", "f", {name: path})


@pytest.mark.parametrize("rule", ["Bash", "Bash(git *)", " Bash(a) ", "*", "mcp__x__*", "Bash(a (b) c)", "Bash(a\nb)"])
def test_a_rule_is_a_tool_and_what_it_is_used_on(rule):
    assert known_rule(rule) is not None


@pytest.mark.parametrize("text", ["", " ", "Bash(git", "(git)", "Bash)", "Bash(a)b", "()", "Bash()", "git *"])
def test_other_texts_are_none(text):
    assert known_rule(text) is None
    assert not matches(text, bash("git"))
    assert not matches(text, bash("git"), denying=True)


@pytest.mark.parametrize(
    ("rule", "call"),
    [
        ("Bash", bash("rm -rf / ; anything")),
        ("*", bash("x")),
        ("mcp__github__*", ToolCall("mcp__github__search", "f")),
        ("Bash(git status)", bash("git status")),
        ("Bash(make; make install)", bash("make; make install")),  # word for word
        ("Bash(git *)", bash("git log --oneline")),
        ("Bash(git *)", bash(["git", "log"])),
        ("shell(make)", ToolCall("shell", "f", {"cmd": "make"})),
        ("Edit(src/*)", edit("src/a/b.py")),
        ("Edit(src/*)", edit("src/..a/b.py")),
        ("Fetch(https://example.org/*)", ToolCall("Fetch", "f", {"url": "https://example.org/a?b=c&d=e"})),
    ],
)
def test_what_is_allowed(rule, call):
    assert matches(rule, call)


@pytest.mark.parametrize(
    "command",
    [
        *("git status; rm x", "git status && rm x", "git status || rm x", "git status | sh", "git status & rm x"),
        *("git log $(rm x)", "git log `rm x`", "git log ${x:-y}", "git log <(rm x)", "git log =(rm x)"),
        *("git log > ~/.bashrc", "git log < x", "git log\nrm x", "git log\rrm x", "git log (rm x)", "(git log)"),
        *("GIT log", " git log", "gitk", "/usr/bin/git log", "FOO=1 git log"),
        ["git", "log;", "rm x"],
        ["sh", "-c", "git log"],
        *({"a": "git log"}, None, 7, ["git", 7]),
    ],
)
def test_a_wildcard_allows_one_command_and_no_other(command):
    assert not matches("Bash(git *)", bash(command))


def test_what_is_long_and_was_cut_is_not_allowed():
    assert not matches("Bash(git *)", bash(clipped("git log " + "x" * 100_000 + "; rm x")))


@pytest.mark.parametrize(
    "path", ["src/../etc/passwd", "../src/x", "/src/x", "src", "SRC/x", "src\\..\\x", "src/..\\..\\x"]
)
def test_a_wildcard_allows_no_path_that_leads_elsewhere(path):
    assert not matches("Edit(src/*)", edit(path))


def test_a_tool_that_does_not_say_what_it_is_used_on_is_allowed_as_a_whole_only():
    call = ToolCall("Task", "f", {"prompt": "git status"})
    assert subject_of(call.arguments) is None
    assert matches("Task", call)
    assert not matches("Task(*)", call)
    assert not matches("Task(git *)", call)


def test_tools_are_told_apart():
    assert Rule.parse("B*(x)").names("Bash")
    assert not Rule.parse("B(x)").names("Bash")
    assert not matches("Bash", bash("x", tool="bash"))
    assert not matches("Bas", bash("x"))
    assert not matches("Bash(x)", bash("x", tool="BashOutput"))


@pytest.mark.parametrize(
    "command",
    [
        *(
            "rm x",
            "ls; rm x",
            "ls && rm  x",
            "true\nrm x",
            "echo $(rm x)",
            "echo `rm x`",
            "(rm x)",
            "{ rm x; }",
            "! rm x",
        ),
        *("RM x", "'rm' x", '"rm" x', "r\\m x", "rm\tx", "/bin/rm x", ["rm", "x"], {"a": ["ls", "rm x"]}),
    ],
)
def test_what_is_refused_is_found_in_any_part(command):
    assert matches("Bash(rm *)", bash(command), denying=True)


def test_what_is_refused_is_found_wherever_it_is_said():
    assert matches("Bash(rm *)", ToolCall("bash", "f", {"script": "rm x"}), denying=True)
    assert matches("Editor(/etc/*)", ToolCall("Editor", "f", {"command": "create", "path": "/etc/x"}), denying=True)
    assert not matches("Bash(rm *)", ToolCall("Read", "f", {"file_path": "rm x"}), denying=True)
    assert not matches("Write(*.env)", ToolCall("Write", "f", {"file_path": "a", "content": "b.env"}), denying=True)


@pytest.mark.parametrize(
    "path", ["secrets/x", "./secrets/x", "a/../secrets/x", "/homes/demo/app/secrets/x", "Secrets/x"]
)
def test_a_refused_path_is_refused_in_every_form(path):
    assert matches("Edit(secrets/*)", edit(path), denying=True)
    assert matches("Edit(secrets/*)", edit(path, "path"), denying=True)


def test_what_refusals_do_not_see():
    """A fence, no wall: what programs do by themselves."""
    for command in ("make clean", "find . -delete", "python clean.py", "git rm x"):
        assert verdict(bash(command), allow=["Bash"], deny=["Bash(rm *)"]) is Ruling.ALLOWED


@given(st.text(), st.dictionaries(st.sampled_from(["command", "path", "x"]), st.text() | st.lists(st.text())))
def test_no_text_breaks_it_and_what_is_allowed_narrowly_is_allowed_widely(rule, arguments):
    call = ToolCall("Bash", "f", arguments)
    matches(rule, call, denying=True)
    if matches(rule, call) and "(" not in rule:
        assert matches(rule, bash("anything; else"))
    for name in ("command", "path"):
        if isinstance(arguments.get(name), str) and matches("Bash(git *)", call):
            assert subject_of(arguments).startswith("git ")
            assert ";" not in arguments.get("command", "")


# --- What the call is used on


def call(tool, **arguments):
    return ToolCall(tool, "f", arguments)


def test_a_call_that_is_not_seen_whole_is_allowed_by_nothing_and_refused_by_whatever_is_about_its_tool():
    cut = call("Bash", command=f"echo {'a' * 50} [... 9 {CUT_MARK} ...] b")
    assert not any(matches(rule, cut) for rule in ("*", "Bash", "Bash(echo *)"))
    assert matches("Bash(rm *)", cut, denying=True)
    assert not matches("Write(*)", cut, denying=True)


def test_all_that_a_call_is_used_on_has_to_be_allowed():
    assert matches("Write(docs/*)", call("Write", file_path="docs/a"))
    assert not matches("Write(docs/*)", call("Write", file_path="docs/a", path="/etc/passwd"))
    assert not matches("Edit(docs/*)", call("Edit", path="docs/a", paths=["docs/b", "/etc/passwd"]))
    assert matches("Edit(docs/*)", call("Edit", paths=["docs/a", "docs/b"]))
    assert not matches("Bash(git *)", call("Bash", command="git status", path="/etc"))
    assert not matches("Grep(api_key)", call("Grep", pattern="api_key", path="/etc"))


@pytest.mark.parametrize("command", ["FOO=1 rm x", "A=1 B=2 rm x", "if true; then rm x; fi", "exec rm x", "time rm x"])
def test_what_stands_before_a_command_does_not_hide_it(command):
    assert matches("Bash(rm *)", call("Bash", command=command), denying=True)


# --- Agents that do not ask


def test_rules_are_refused_where_nothing_is_asked():
    rules = PermissionRules(deny=("Bash(rm *)",))
    with pytest.raises(InvalidInput, match="with its option yolo the agent asks for nothing"):
        require_questions(rules, "claude", asks=True, silencing="yolo")
    with pytest.raises(InvalidInput, match="asks for no permission"):
        require_questions(PermissionRules(allow=("*",)), "custom", asks=False, silencing=None)
    require_questions(rules, "claude", asks=True, silencing=None)
    require_questions(PermissionRules(), "custom", asks=False, silencing="yolo")


@pytest.mark.parametrize("path", ["~/.ssh/id", "~//.ssh/id", "/home/1001/.ssh/id", "//home/1001/.ssh/id"])
@pytest.mark.parametrize("places", [None, Places(folder="/w"), Places(folder="/w", home="/home/1001")])
def test_more_slashes_and_an_unknown_home_hide_no_file(path, places):
    rules = PermissionRules(allow=("Read",), deny=("Read(~/.ssh/*)",))
    assert judge(rules, ToolCall("Read", "", {"file_path": path}), places).verdict is Ruling.REFUSED
