"""Rules as people write them: what each is about, and which could match nothing."""

import pytest

from aura_contracts.approval import ToolCall
from aura_contracts.errors import InvalidInput
from aura_contracts.permission import PermissionRules, Rule, Ruling, judge
from aura_engine.inputs import RunRequest


def call(tool, **arguments):
    return ToolCall(tool, "f", arguments)


def verdict(tool_call, *, allow=(), deny=()):
    return judge(PermissionRules(allow=tuple(allow), deny=tuple(deny)), tool_call).verdict


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("git status", "names of tools have no spaces"),
        ("rm *", "names of tools have no spaces"),
        ("Bash()", "there is nothing between its brackets"),
        ("Read( )", "there is nothing between its brackets"),
        ("Read(!.env)", "an exclamation mark"),
        ("Read(../other/*)", "leaves"),
        ("Edit(src/../../x)", "leaves"),
        ("read_file(..)", "leaves"),
        ("Read(~root/.ssh/*)", "home folders of other users"),
        ("Read($HOME/.ssh/*)", "variables are not replaced"),
        ("Write(${HOME}/x)", "variables are not replaced"),
        ("Bash(git", "is not a rule"),
        ("Read,Edit", "several rules in one"),
        ("Bash(git *),Read", "several rules in one"),
        ("Bash(rm *); Bash(curl *)", "several rules in one"),
        ("Bash(git *) Bash(npm *)", "several rules in one"),
        ("'Read'", "not the name of a tool"),
        ("!Bash(rm *)", "not the name of a tool"),
        ("Bash\u200b(rm *)", "not the name of a tool"),
        ("Bash('rm *')", "in quotes"),
        ("Read(\u201cMy Docs/*\u201d)", "in quotes"),
        ("Bash(git (push|pull) *)", "no alternatives"),
        ("Bash(git {push,pull} *)", "no alternatives"),
        ("Read(@(a|b))", "pattern of a shell"),
        ("Read(!(a))", "pattern of a shell"),
        ("Read(f{1..3})", "pattern of a shell"),
        ("Read(.env:*)", "a rule about files is a path"),
        ("Read(file:///etc/*)", "a rule about files is a path"),
        ("WebFetch(domain:https://example.org)", "a host alone"),
        ("WebFetch(domain:example.org:8080)", "a host alone"),
        ("WebFetch(domain:)", "a host alone"),
    ],
)
def test_a_rule_that_can_match_nothing_is_refused_when_it_is_given(text, reason):
    with pytest.raises(InvalidInput, match=reason) as raised:
        Rule.parse(text)
    assert raised.value.remedy
    for option in ("allow", "deny"):
        with pytest.raises(InvalidInput, match=reason) as raised:
            RunRequest(prompt="Go", executor="scripted", **{option: (text,)})
        assert raised.value.field.startswith(option)
        assert raised.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        "Bash(! grep x)",
        "Bash(cd ..)",
        "Bash(echo $HOME)",
        "Bash(echo {a,b})",
        "Bash(a; (b && c d))",
        "Grep(a|b)",
        "Read(a..b)",
        "*",
    ],
)
def test_other_rules_are_taken(text):
    assert Rule.parse(text).tool in text


@pytest.mark.parametrize("rule", ["mcp__github", "mcp__github__*", "mcp__github__create_issue", "mcp__*"])
def test_a_rule_about_a_server_is_about_its_tools(rule):
    tool = call("mcp__github__create_issue", title="x")
    assert verdict(tool, allow=[rule]) is Ruling.ALLOWED
    assert verdict(tool, allow=["*"], deny=[rule]) is Ruling.REFUSED
    assert verdict(call("mcp__githubber__x"), allow=["mcp__github"]) is Ruling.ASKED


def test_a_server_is_the_same_in_the_words_of_another_agent():
    assert verdict(call("github.create_issue"), allow=["*"], deny=["mcp__github"]) is Ruling.REFUSED
    assert verdict(call("github.create_issue"), allow=["mcp__github"]) is Ruling.ASKED


@pytest.mark.parametrize("rule", ["Bash(rm:*)", "Bash(rm *)", "Bash(rm)", "shell(rm *)", "run_shell_command(rm)"])
@pytest.mark.parametrize("tool", ["Bash", "shell", "run_shell_command", "execute"])
def test_a_refused_command_is_refused_to_every_shell(rule, tool):
    for command in ("rm", "rm x", "/usr/bin/rm -r x"):
        assert verdict(call(tool, command=command), allow=["*"], deny=[rule]) is Ruling.REFUSED
    assert verdict(call(tool, command="rmdir x"), allow=["*"], deny=[rule]) is Ruling.ALLOWED


@pytest.mark.parametrize("rule", ["Bash(npm run test:*)", "Bash(npm run test *)"])
def test_a_prefix_ends_with_a_word(rule):
    assert verdict(call("Bash", command="npm run test"), allow=[rule]) is Ruling.ALLOWED
    assert verdict(call("Bash", command="npm run test -- -x"), allow=[rule]) is Ruling.ALLOWED
    assert verdict(call("Bash", command="npm run testing"), allow=[rule]) is Ruling.ASKED


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://example.org/a", Ruling.ALLOWED),
        ("https://EXAMPLE.org:8443/a", Ruling.ALLOWED),
        ("https://example.org.evil.com/a", Ruling.ASKED),
        ("https://evil.com/?example.org/", Ruling.ASKED),
        ("https://example.org@evil.com/", Ruling.ASKED),
        ("https://evil.com\\@example.org/", Ruling.ASKED),
        ("file://example.org/etc/passwd", Ruling.ASKED),
    ],
)
def test_a_rule_about_a_domain_is_about_the_host(url, allowed):
    assert verdict(call("WebFetch", url=url), allow=["WebFetch(domain:example.org)"]) is allowed


def test_a_wildcard_in_a_host_does_not_match_a_path():
    rule = "WebFetch(https://*.example.org/*)"
    assert verdict(call("WebFetch", url="https://a.example.org/x"), allow=[rule]) is Ruling.ALLOWED
    assert verdict(call("WebFetch", url="https://evil.com/a.example.org/x"), allow=[rule]) is Ruling.ASKED
    assert verdict(call("WebFetch", url="https://a.example.org/../x"), allow=["WebFetch(https://a.example.org/*)"]) is (
        Ruling.ASKED
    )


def test_a_refused_domain_is_refused_with_all_below_it():
    for url in ("https://example.org/", "http://a.example.org", "https://Example.ORG./x"):
        assert verdict(call("WebFetch", url=url), allow=["*"], deny=["WebFetch(domain:example.org)"]) is Ruling.REFUSED


@pytest.mark.parametrize(
    "arguments",
    [
        {"cwd": "/elsewhere"},
        {"env": {"LD_PRELOAD": "x"}},
        {"dangerouslyDisableSandbox": True},
        {"sandbox_permissions": "require_escalated"},
        {"network": {"host": "example.org"}},
        {"path": "/etc"},
        {"cmd": 7},
    ],
)
def test_a_command_with_more_than_its_text_is_asked(arguments):
    given = call("Bash", command="git status", **arguments)
    assert verdict(given, allow=["Bash(git *)"]) is Ruling.ASKED
    assert verdict(given, allow=["Bash"]) is Ruling.ALLOWED


def test_a_patch_is_about_all_of_its_files():
    given = call("apply_patch", changes=[{"path": "src/a", "kind": "update"}, {"path": "secrets/b", "kind": "add"}])
    assert verdict(given, allow=["*"], deny=["Edit(secrets/*)"]) is Ruling.REFUSED
    moved = call("apply_patch", changes=[{"path": "src/a", "kind": "update", "to": "secrets/a"}])
    assert verdict(moved, allow=["*"], deny=["apply_patch(secrets/*)"]) is Ruling.REFUSED


def test_several_rules_allow_together():
    both = ["Bash(npm *)", "Bash(git *)"]
    assert verdict(call("Bash", command="npm test && git add ."), allow=both) is Ruling.ALLOWED
    assert verdict(call("Bash", command="npm test && git add . && make"), allow=both) is Ruling.ASKED
